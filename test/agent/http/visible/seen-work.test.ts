// Which images, tasks and events a caller may see, and pages of what it sees.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { mentionedImages, seenImages } from '../../../../agent/http/visible/image-mentions.ts'
import { isEventSeen, isTaskSeen, pageOfSeen } from '../../../../agent/http/visible/seen-work.ts'
import type { StoreEvent } from '../../../../protocol/event.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Task } from '../../../../protocol/task.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const OPEN = 'img_00000000000000000000000001'
const HIDDEN = 'img_00000000000000000000000002'
const GONE = 'img_00000000000000000000000003'
const IMAGES: Readonly<Record<string, Image>> = { [OPEN]: memoryImage({ id: OPEN }), [HIDDEN]: memoryImage({ id: HIDDEN, hidden: true }) }
const VIEWER: Actor = { name: 'v', role: 'viewer' }
const OPERATOR: Actor = { name: 'o', role: 'operator' }

/** The images of an actor, and the ids that were looked up. */
function look(actor: Actor) {
  const asked: string[] = []
  return { asked, seen: seenImages((id) => (asked.push(id), IMAGES[id]), actor) }
}

describe('the images of a viewer', () => {
  test('are those that it may see, each looked up once', () => {
    const { asked, seen } = look(VIEWER)
    expect([OPEN, HIDDEN, GONE, OPEN, HIDDEN].map((id) => seen.has(id))).toEqual([true, false, false, true, false])
    expect(asked).toEqual([OPEN, HIDDEN, GONE])
    expect(seen.isComplete).toBe(false)
  })

  test('decide about values that mention several', () => {
    const { seen } = look(VIEWER)
    expect([seen.hasAllOf({ a: OPEN, b: [OPEN] }), seen.hasAllOf([OPEN, GONE]), seen.hasAllOf([OPEN, HIDDEN]), seen.hasAllOf('none')]).toEqual([
      true,
      false,
      false,
      true,
    ])
    expect([seen.isHiddenFrom([OPEN, GONE]), seen.isHiddenFrom([OPEN, HIDDEN]), seen.isHiddenFrom('none')]).toEqual([false, true, false])
    expect(seen.redact(`${OPEN} from ${HIDDEN} and ${GONE}`)).toBe(`${OPEN} from (hidden) and (hidden)`)
  })

  test('are all of them for an operator, without a look-up', () => {
    const { asked, seen } = look(OPERATOR)
    expect([seen.isComplete, seen.has(HIDDEN), seen.has(GONE), seen.hasAllOf([HIDDEN, GONE]), seen.isHiddenFrom([HIDDEN])]).toEqual([
      true,
      true,
      true,
      true,
      false,
    ])
    expect(seen.redact(HIDDEN)).toBe(HIDDEN)
    expect(asked).toEqual([])
  })

  test('are found by their ids in any JSON', () => {
    expect(mentionedImages({ [OPEN]: [`${HIDDEN}x`, 'img_0000000000000000000000000', 'img_0000000000000000000000000I'] })).toEqual([OPEN, HIDDEN])
    expect(mentionedImages(5)).toEqual([])
  })
})

const TASK: Task = {
  ...{ id: 'tsk_00000000000000000000000001', kind: 'sync', state: 'running', subject: OPEN, createdBy: 'a', endedAt: null },
  ...{ createdAt: '2026-01-01T00:00:00.000Z', progress: { done: 0, total: 1, unit: 'bytes', rate: 0, etaSeconds: null } },
}

describe('a task', () => {
  test.each<[task: Partial<Task>, isOwn: boolean, seen: boolean]>([
    [{ subject: OPEN }, false, true],
    [{ subject: HIDDEN }, false, false],
    [{ subject: GONE }, false, false],
    // It may be about an image that it names by its name only.
    [{ subject: 'debian' }, false, false],
    [{ subject: 'debian', kind: 'import' }, false, false],
    [{ subject: 'edge-a', kind: 'cleanup' }, false, true],
    [{ subject: 'edge-a', kind: 'gc' }, false, true],
    [{ subject: 'edge-a', kind: 'scrub', result: { damaged: [HIDDEN] } }, false, false],
    // Who ordered it sees it, unless it mentions an image that is hidden from it.
    [{ subject: 'debian', kind: 'import' }, true, true],
    [{ subject: GONE }, true, true],
    [{ subject: HIDDEN }, true, false],
  ])('with %j, own: %p, is seen: %p', (task, isOwn, seen) => {
    expect(isTaskSeen({ ...TASK, ...task }, look(VIEWER).seen, () => isOwn)).toBe(seen)
    expect(isTaskSeen({ ...TASK, ...task }, look(OPERATOR).seen, () => isOwn)).toBe(true)
  })
})

const EVENT: StoreEvent = {
  id: '1',
  time: '2026-01-01T00:00:00.000Z',
  type: 'image.published',
  severity: 'info',
  subject: OPEN,
  actor: 'a',
  message: '',
  details: {},
}

describe('an event', () => {
  test.each<[event: Partial<StoreEvent>, seen: boolean]>([
    [{}, true],
    [{ subject: HIDDEN }, false],
    [{ details: { image: GONE } }, false],
    [{ type: 'store.changed', subject: 'edge-a' }, true],
    [{ type: 'task.started', subject: 'tsk_1', details: { kind: 'import' } }, false],
    [{ type: 'task.started', subject: 'tsk_1', details: { kind: 'import', image: OPEN } }, true],
    [{ type: 'task.started', subject: 'tsk_1', details: { kind: 'scrub' } }, true],
    [{ type: 'task.started', subject: 'tsk_1', details: { kind: 5 } }, true],
    [{ type: 'store.changed', subject: 'x', details: { kind: 'import' } }, true],
  ])('with %j is seen: %p', (event, seen) => {
    expect(isEventSeen({ ...EVENT, ...event }, look(VIEWER).seen)).toBe(seen)
    expect(isEventSeen({ ...EVENT, ...event }, look(OPERATOR).seen)).toBe(true)
  })
})

describe('a page of what is seen', () => {
  /** Numbers from 1 to `count`, in pages; the cursor is the last number of a page. */
  const read = async (count: number, isSeen: (item: number) => boolean, limit: number, cursor?: string) => {
    const lists: string[] = []
    let pauses = 0
    const page = await pageOfSeen<number>({
      list(size, after) {
        lists.push(`${size} after ${after ?? 'none'}`)
        const from = Number(after ?? 0)
        const end = Math.min(from + size, count)
        return { items: Array.from({ length: end - from }, (_, i) => from + i + 1), next: end < count ? String(end) : null }
      },
      isSeen,
      limit,
      cursor,
      pause: async () => void pauses++,
    })
    return { ...page, lists, pauses }
  }

  test('ends after its limit, and its cursor is that of its last item', async () => {
    expect(await read(10, (item) => item % 3 === 0, 2)).toEqual({ items: [3, 6], next: '6', lists: ['200 after none', '6 after none'], pauses: 0 })
    expect(await read(10, (item) => item % 3 === 0, 2, '6')).toMatchObject({ items: [9], next: null })
    expect(await read(10, () => true, 10)).toMatchObject({ items: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], next: null })
    expect(await read(0, () => true, 10)).toMatchObject({ items: [], next: null })
  })

  test('has no cursor when nothing that is seen follows', async () => {
    expect(await read(500, (item) => item <= 2, 2)).toEqual({
      items: [1, 2],
      next: null,
      lists: ['200 after none', '2 after none', '200 after 200', '200 after 400'],
      pauses: 2,
    })
  })

  test('is collected over several reads, with a pause between them', async () => {
    expect(await read(450, (item) => item === 1 || item === 401, 1)).toEqual({
      items: [1],
      next: '1',
      lists: ['200 after none', '1 after none', '200 after 200', '200 after 400'],
      pauses: 2,
    })
    expect(await read(450, (item) => item === 401, 1, '1')).toMatchObject({ items: [401], next: null })
  })
})

// Periods of an image, as each of its changes starts and ends them.

import { describe, expect, test } from 'bun:test'
import { blankImage } from '../../../../agent/images/records/image-file.ts'
import { createUsageSnapshot, endedPeriodsOf, periodsOf, usageAfter } from '../../../../agent/images/usage/periods.ts'
import type { UsageState } from '../../../../agent/images/usage/usage-state.ts'
import type { Image } from '../../../../protocol/images/image.ts'

const at = (second: number): string => new Date(second * 1000).toISOString()
const ms = (second: number): number => second * 1000

type Stored = Parameters<typeof periodsOf>[0]

function imageOf(members: Partial<Image>): Image {
  return { ...blankImage({ id: 'img_1', name: 'one', status: 'available' }, 0), length: 10, storedSize: 5, kind: 'disk', owner: 'ann', ...members }
}

const stored = (image: Partial<Image>, usage: UsageState | null = null): Stored => ({ image: imageOf(image), life: { usage } })

/** Applies changes to an image one after another, each at its second. */
function after(...changes: readonly (readonly [second: number, image: Partial<Image>])[]): UsageState {
  let before: Stored | undefined
  let usage: UsageState = { ended: [], running: null, untilMs: 0 }
  let members: Partial<Image> = {}
  for (const [second, change] of changes) {
    members = { ...members, ...change }
    const next: Stored = { image: imageOf(members), life: { usage: before ? usage : null } }
    usage = usageAfter(next, before, ms(second))
    before = { image: next.image, life: { usage } }
  }
  return usage
}

const CREATING = { status: 'creating', availableAt: null } as const
const AVAILABLE = { status: 'available', availableAt: at(10) } as const
const RUNNING = { owner: 'ann', length: 10, fromMs: ms(10) }

describe('a period', () => {
  test('starts when the image becomes available, at the time that it shows', () => {
    expect(after([5, CREATING])).toEqual({ ended: [], running: null, untilMs: 0 })
    expect(after([5, CREATING], [12, AVAILABLE])).toEqual({ ended: [], running: RUNNING, untilMs: 0 })
    expect(after([5, CREATING], [12, { status: 'error' }])).toEqual({ ended: [], running: null, untilMs: 0 })
  })

  test('does not end by damage', () => {
    for (const status of ['degraded', 'error', 'fileUnavailable'] as const) {
      expect(after([5, CREATING], [12, AVAILABLE], [20, { status }])).toEqual({ ended: [], running: RUNNING, untilMs: 0 })
    }
  })

  test('ends in the recycle bin at the time of the deletion, with the size from before', () => {
    const deleted = { status: 'deleted', deletedAt: at(30), storedSize: 99 } as const
    const ended = [{ ...RUNNING, storedSize: 5, toMs: ms(30) }]
    expect(after([5, CREATING], [12, AVAILABLE], [31, deleted])).toEqual({ ended, running: null, untilMs: ms(30) })
    const restored = { status: 'available', deletedAt: null } as const
    expect(after([5, CREATING], [12, AVAILABLE], [31, deleted], [40, restored])).toEqual({
      ended,
      running: { owner: 'ann', length: 10, fromMs: ms(40) },
      untilMs: ms(30),
    })
  })

  test('ends now when the image is removed for good, and once only', () => {
    const ended = [{ ...RUNNING, storedSize: 5, toMs: ms(31) }]
    const removed = after([5, CREATING], [12, AVAILABLE], [31, { status: 'deleting' }], [32, { status: 'deleting' }])
    expect(removed).toEqual({ ended, running: null, untilMs: ms(31) })
  })

  test('never ends before it starts, nor starts before the last one ended, when the clock is set back', () => {
    const back = after([5, CREATING], [12, AVAILABLE], [3, { status: 'deleting' }])
    expect(back).toEqual({ ended: [{ ...RUNNING, storedSize: 5, toMs: ms(10) }], running: null, untilMs: ms(10) })
    const deleted = { status: 'deleted', deletedAt: at(30) } as const
    const again = after([5, CREATING], [12, AVAILABLE], [31, deleted], [20, { status: 'available', deletedAt: null }])
    expect(again.running).toEqual({ owner: 'ann', length: 10, fromMs: ms(30) })
  })

  test('of another owner follows at once, and the former one keeps the name of then', () => {
    const given = after([5, CREATING], [12, AVAILABLE], [20, { owner: 'bob', name: 'two', kind: 'template' }])
    expect(given).toEqual({
      ended: [{ ...RUNNING, storedSize: 5, toMs: ms(20), name: 'one', kind: 'disk' }],
      running: { owner: 'bob', length: 10, fromMs: ms(20) },
      untilMs: ms(20),
    })
    // An empty owner is none.
    const nobody = after([5, { ...CREATING, owner: '' }], [12, AVAILABLE], [20, { owner: null }])
    expect(nobody).toEqual({ ended: [], running: { ...RUNNING, owner: null }, untilMs: 0 })
    // A later owner does not rename what ended before.
    const twice = after([5, CREATING], [12, AVAILABLE], [20, { owner: 'bob', name: 'two' }], [30, { owner: 'cid', name: 'three' }])
    expect(twice.ended.map(({ name, owner }) => [owner, name])).toEqual([
      ['ann', 'one'],
      ['bob', 'two'],
    ])
  })

  test('of another owner follows also while the image is damaged, and not while it is in the recycle bin', () => {
    expect(after([5, CREATING], [12, AVAILABLE], [15, { status: 'error' }], [20, { owner: 'bob' }]).running).toMatchObject({ owner: 'bob', fromMs: ms(20) })
    const binned = after([5, CREATING], [12, AVAILABLE], [31, { status: 'deleted', deletedAt: at(30) }], [40, { owner: 'bob' }])
    expect(binned.running).toBeNull()
    expect(binned.ended.map(({ name }) => name)).toEqual(['one'])
  })

  test('of another length follows once the image is served with it', () => {
    const changes = [
      [5, CREATING],
      [12, AVAILABLE],
      [20, { status: 'creating', length: 20 }],
    ] as const
    expect(after(...changes).running).toEqual(RUNNING)
    expect(after(...changes, [25, { status: 'available' }])).toEqual({
      ended: [{ ...RUNNING, storedSize: 5, toMs: ms(25) }],
      running: { owner: 'ann', length: 20, fromMs: ms(25) },
      untilMs: ms(25),
    })
  })
})

describe('an image of an agent that kept no usage', () => {
  test('has a period since it is available, which ended with its deletion', () => {
    expect(periodsOf(stored({ availableAt: null }))).toEqual([])
    const common = { imageId: 'img_1', name: 'one', kind: 'disk' } as const
    expect(periodsOf(stored({ availableAt: at(10) }))).toEqual([{ ...common, ...RUNNING, storedSize: 5, toMs: null }])
    expect(periodsOf(stored({ availableAt: at(10), deletedAt: at(20), owner: '' }))).toEqual([
      { ...common, ...RUNNING, owner: null, storedSize: 5, toMs: ms(20) },
    ])
    expect(periodsOf(stored({ availableAt: at(10), deletedAt: at(9) }))[0]?.toMs).toBe(ms(10))
  })
})

describe('the periods of images', () => {
  const usage: UsageState = {
    ended: [
      { owner: 'ann', length: 10, storedSize: 5, fromMs: 1, toMs: 2, name: 'former', kind: 'template' },
      { owner: 'bob', length: 10, storedSize: 5, fromMs: 2, toMs: 3 },
    ],
    running: { owner: 'cid', length: 10, fromMs: 3 },
    untilMs: 3,
  }

  test('are the ended ones and the running one; those that ended have an end', () => {
    const one = stored({ availableAt: at(10) }, usage)
    expect(periodsOf(one).map(({ name, kind, owner, toMs }) => [name, kind, owner, toMs])).toEqual([
      ['former', 'template', 'ann', 2],
      ['one', 'disk', 'bob', 3],
      ['one', 'disk', 'cid', null],
    ])
    expect(endedPeriodsOf(one).map(({ toMs }) => toMs)).toEqual([2, 3])
  })

  test('are known to a snapshot once all were visited', () => {
    const snapshot = createUsageSnapshot([stored({ availableAt: at(10) }, usage), stored({ id: 'img_2', availableAt: at(10) }, usage)])
    expect(() => snapshot.has('img_1', 1)).toThrow('were not all visited')
    expect([...snapshot.periods()]).toHaveLength(6)
    expect([snapshot.has('img_1', 1), snapshot.has('img_1', 3), snapshot.has('img_1', 4), snapshot.has('img_3', 1)]).toEqual([true, true, false, false])
  })
})

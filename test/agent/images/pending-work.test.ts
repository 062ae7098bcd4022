// Pending inspections and digests, and the tasks that are made of them.

import { describe, expect, test } from 'bun:test'
import { createPendingTasks } from '../../../agent/images/pending/pending-tasks.ts'
import { createPendingWorks } from '../../../agent/images/pending/pending-works.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { taskSchema } from '../../../protocol/task.ts'
import { memoryImage, MEMORY_IMAGE } from '../../support/memory/memory-image.ts'

const START_MS = Date.parse('2026-01-01T00:00:00.000Z')
const INSPECT_TASK = 'tsk_0123456789abcdefghjkmnpqrt'
const DIGEST_TASK = 'tsk_0123456789abcdefghjkmnpqrv'
const ACTOR = { name: 'root', role: 'admin', tokenId: 'tok_1' } as const

function setup(changes: Partial<Image> = {}) {
  const clock = { ms: START_MS, nowMs: () => clock.ms }
  const works = createPendingWorks(clock)
  const images = new Map([[MEMORY_IMAGE, memoryImage({ status: 'creating', length: 1000, ...changes })]])
  const tasks = createPendingTasks({ works, find: (id) => images.get(id), nowMs: clock.nowMs })
  return { clock, works, images, tasks }
}

describe('pending work', () => {
  test('is one for each image, and ends when it has run', () => {
    const { works, clock } = setup()
    works.queue('a', 'inspect')
    clock.ms += 5000
    works.queue('a', 'inspect')
    expect([...works.list()]).toEqual([{ imageId: 'a', kind: 'inspect', queuedAtMs: START_MS, startedAtMs: null, done: 0, unpackedBytes: null, failure: null }])
    {
      using _work = works.start('a', 'inspect')
      works.hashed('a', 10)
      works.hashed('a', 5)
      expect(works.of('a')).toMatchObject({ startedAtMs: START_MS + 5000, done: 15 })
      works.failed('a', 'EIO', 1)
      expect(works.of('a')).toMatchObject({ done: 0, failure: { reason: 'EIO', atMs: START_MS + 5000, attempt: 1 } })
    }
    expect([...works.list()]).toEqual([])
  })

  test('of another kind that was queued meanwhile stays', () => {
    const { works } = setup()
    {
      using _work = works.start('a', 'inspect')
      works.queue('a', 'digest')
    }
    expect(works.of('a')).toMatchObject({ kind: 'digest', startedAtMs: null })
    works.hashed('unknown', 1)
    expect(works.of('unknown')).toBeUndefined()
  })
})

describe('a task', () => {
  test('shows an inspection that waits, and then runs', () => {
    const { works, clock, tasks } = setup()
    works.queue(MEMORY_IMAGE, 'inspect')
    works.queue('img_of_a_purged_image', 'inspect')
    const [waiting, ...more] = [...tasks.list()]
    expect(more).toEqual([])
    expect(taskSchema.parse(waiting)).toMatchObject({
      id: INSPECT_TASK,
      kind: 'inspect',
      state: 'queued',
      subject: MEMORY_IMAGE,
      endedAt: null,
      progress: { done: 0, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null },
      detail: 'It waits for its inspection since 2026-01-01T00:00:00.000Z, because others run. It starts by itself.',
    })
    using _work = works.start(MEMORY_IMAGE, 'inspect')
    works.hashed(MEMORY_IMAGE, 400)
    clock.ms += 2000
    expect(tasks.find(INSPECT_TASK)).toMatchObject({ state: 'running', progress: { done: 400, rate: 200, etaSeconds: 3 } })
    expect(tasks.find(DIGEST_TASK)).toBeUndefined()
  })

  test.each<[hashed: number, ms: number, rate: number, etaSeconds: number | null]>([
    [0, 0, 0, null],
    [0, 5000, 0, null],
    [500_000, 1000, 500_000, 1],
    [999_900, 2000, 499_950, 0],
    [1_000_000, 2000, 500_000, 0],
    [2_000_000, 1000, 2_000_000, 0],
    [1_000, 1_000_000, 1, 999_000],
  ])('that has hashed %i of 1,000,000 bytes in %i ms moves %i bytes per second', (hashed, ms, rate, etaSeconds) => {
    const { works, clock, tasks } = setup({ length: 1_000_000 })
    works.queue(MEMORY_IMAGE, 'inspect')
    using _work = works.start(MEMORY_IMAGE, 'inspect')
    works.hashed(MEMORY_IMAGE, hashed)
    clock.ms += ms
    expect(tasks.find(INSPECT_TASK)?.progress).toEqual({ done: Math.min(hashed, 1_000_000), total: 1_000_000, unit: 'bytes', rate, etaSeconds })
  })

  test('that waits has no rate, however long it waits', () => {
    const { works, clock, tasks } = setup()
    works.queue(MEMORY_IMAGE, 'inspect')
    works.hashed(MEMORY_IMAGE, 400)
    clock.ms += 2000
    expect(tasks.find(INSPECT_TASK)?.progress).toMatchObject({ rate: 0, etaSeconds: null })
  })

  test('that has ended is what its image shows', () => {
    const available = setup({ status: 'available', manifestDigest: 'sha256:x', digest: 'sha256:y', availableAt: '2026-01-01T00:00:09.000Z' })
    expect(available.tasks.find(INSPECT_TASK)).toMatchObject({
      state: 'succeeded',
      endedAt: '2026-01-01T00:00:09.000Z',
      result: { status: 'available', format: 'raw' },
    })
    expect(available.tasks.find(DIGEST_TASK)).toMatchObject({ kind: 'digest', state: 'succeeded', result: { digest: 'sha256:y' } })
    const failed = setup({ status: 'error', manifestDigest: 'sha256:x', statusReason: 'Unsafe.' })
    expect(failed.tasks.find(INSPECT_TASK)).toMatchObject({ state: 'failed', detail: 'Unsafe.' })
    expect(failed.tasks.find('tsk_00000000000000000000000000')).toBeUndefined()
    // An image without content was never inspected.
    expect(setup({ status: 'error' }).tasks.find(INSPECT_TASK)).toBeUndefined()
  })

  test('cannot be cancelled', async () => {
    const { works, tasks } = setup()
    works.queue(MEMORY_IMAGE, 'inspect')
    const [task] = [...tasks.list()]
    expect(task && (await tasks.cancel(task, ACTOR).catch((error: unknown) => String(error)))).toContain('An inspection cannot be cancelled.')
  })
})

// The tasks of the schedules: order, dry runs, and the results that are saved.

import { describe, expect, test } from 'bun:test'
import type { ScrubReport } from '../../../agent/contract/slices.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import { createMaintenance } from '../../../agent/schedule/maintenance.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues, createMemoryTasks } from '../../support/memory/memory-state.ts'

function createFixture(scrub: Partial<ScrubReport> = {}) {
  const clock = createManualClock()
  const kept = createMemoryKeptValues()
  const tasks = createMemoryTasks(clock)
  const events: NewEvent[] = []
  const steps: unknown[] = []
  const maintenance = createMaintenance({
    tasks,
    slices: {
      async gc({ dryRun, without, onProgress }) {
        steps.push({ gc: dryRun, ...(without ? { without: [...without] } : {}) })
        onProgress?.(5, 10)
        return { dryRun, slicesLive: 5, slicesDead: 5, deadBytes: 100, freedBytes: 90, packsRemoved: 1, packsRewritten: 0 }
      },
      async scrub({ bytesPerSecond }) {
        steps.push({ scrub: bytesPerSecond })
        clock.advance(1000)
        return { slices: 10, bytes: 1000, corrupt: [], missing: [], faults: [], damagedRoots: [], ...scrub }
      },
    },
    images: {
      async prune({ dryRun }) {
        steps.push({ prune: dryRun })
        return { purged: [{ id: 'img_1', name: 'old' }], failed: [] }
      },
      applyScrub: async (findings) => void steps.push(findings),
    },
    uploads: {
      async expire({ dryRun }) {
        steps.push({ expire: dryRun })
        return ['upload upl_1', 'upload upl_2', 'sync img_2']
      },
    },
    scrubBytesPerSecond: 50,
    subject: 'edge-a',
    kept,
    clock,
    emit: (event) => void events.push(event),
  })
  return { clock, tasks, events, steps, maintenance }
}

describe('cleanup', () => {
  test('prunes images and expires uploads, then frees slices, and saves time and freed bytes', async () => {
    const { maintenance, tasks, steps, events, clock } = createFixture()
    const { id } = await maintenance.jobs.cleanup('schedule')
    const task = await tasks.ended(id)
    expect(steps).toEqual([{ prune: false }, { expire: false }, { gc: false }])
    expect(task).toMatchObject({ state: 'succeeded', subject: 'edge-a', progress: { done: 5, total: 10, unit: 'slices' } })
    expect(task.result).toMatchObject({ dryRun: false, freedBytes: 90, purgedCount: 1, purged: [{ id: 'img_1', name: 'old' }], expiredCount: 3 })
    expect(maintenance.lastGc()).toEqual({ endedMs: clock.nowMs(), freedBytes: 90 })
    expect(events.map(({ type }) => type)).toEqual(['gc.freed'])
  })

  test('a dry run saves nothing and may run in parallel with a real one', async () => {
    const { maintenance, tasks, steps } = createFixture()
    const [dry, real] = await Promise.all([maintenance.cleanup(true, 'ann'), maintenance.cleanup(false, 'ann')])
    expect(dry.id).not.toBe(real.id)
    expect((await tasks.ended(dry.id)).result).toMatchObject({ dryRun: true })
    await tasks.ended(real.id)
    expect(steps).toContainEqual({ expire: true })
    expect(steps).toContainEqual({ gc: true, without: ['image img_1', 'upload upl_1', 'upload upl_2', 'sync img_2'] })
    const other = createFixture()
    await other.tasks.ended((await other.maintenance.cleanup(true, 'ann')).id)
    expect(other.maintenance.lastGc()).toBeNull()
  })
})

describe('scrub', () => {
  test('passes its findings to images, saves the counts, and reports damage', async () => {
    const bad = { digest: 'sha256:00', pack: 'p', offset: 0 }
    const { maintenance, tasks, steps, events, clock } = createFixture({ corrupt: [bad], damagedRoots: ['image img_1'] })
    const startedAtMs = clock.nowMs()
    const task = await tasks.ended((await maintenance.jobs.scrub('schedule')).id)
    expect(steps).toEqual([{ scrub: 50 }, { damagedRoots: ['image img_1'], startedAtMs }])
    expect(task.result).toMatchObject({ corruptCount: 1, missingCount: 0, corrupt: [bad] })
    expect(maintenance.lastScrub()).toEqual({ endedMs: clock.nowMs(), corrupt: 1, missing: 0, faults: 0, damagedRoots: ['image img_1'] })
    expect(events).toMatchObject([{ type: 'scrub.damage', severity: 'error' }])
  })

  test('bounds the lists in its result', async () => {
    const many = Array.from({ length: 500 }, (_, index) => ({ digest: `sha256:${index}`, pack: 'p', offset: index }))
    const { maintenance, tasks } = createFixture({ corrupt: many, damagedRoots: many.map(({ digest }) => digest) })
    const { result } = await tasks.ended((await maintenance.jobs.scrub('schedule')).id)
    expect(result).toMatchObject({ corruptCount: 500 })
    expect(result?.['corrupt']).toHaveLength(100)
    expect(maintenance.lastScrub()?.damagedRoots).toHaveLength(100)
  })
})

describe('expire', () => {
  test('returns the number of expired uploads', async () => {
    const { maintenance, tasks } = createFixture()
    expect((await tasks.ended((await maintenance.jobs.expire('schedule')).id)).result).toEqual({ removed: 3 })
  })
})

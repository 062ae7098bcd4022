// Limits of real syncs: the rate is counted on the line by a proxy, and hours stop and continue a sync.

import { describe, expect, test } from 'bun:test'
import { TaskPostponed } from '../../../../agent/contract/work.ts'
import type { TaskContext } from '../../../../agent/contract/work.ts'
import { createTaskLimits } from '../../../../agent/sync/limits/task-limits.ts'
import type { StoreSyncLimits } from '../../../../agent/sync/limits/task-limits.ts'
import { problemCode, ProblemError } from '../../../../protocol/problems.ts'
import { serveImages } from '../../../support/agents/image-server.ts'
import { createTwoFolders, openSyncTarget } from '../../../support/agents/sync-target.ts'
import { createCuttingProxy } from '../../../support/clients/cutting-proxy.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const KIB = 1024
const RATE = 512 * KIB
/** Image that takes 3 seconds at this rate. */
const IMAGE_BYTES = 3 * RATE

/** Syncs an image through a proxy and returns the most bytes that passed it beyond the rate, at any time, and the seconds that it took. */
async function measure(limits: { readonly own?: number; readonly store?: number; readonly batchesMax?: number }) {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  await using proxy = await createCuttingProxy(server.port)
  const ofStore = (): StoreSyncLimits => ({ bytesPerSecond: limits.store, hours: [] })
  await using target = await openSyncTarget(folders.target, { limits: { timezone: 'UTC', ofStore }, batchesMax: limits.batchesMax ?? 1 })
  const image = await source.add(seededBytes(IMAGE_BYTES, 1), { name: 'debian' })
  const order = {
    source: { url: proxy.url, token: 'viewer' },
    images: [image.id],
    ...(limits.own === undefined ? {} : { limits: { bytesPerSecond: limits.own } }),
  }
  const startMs = performance.now()
  let excess = 0
  const watch = setInterval(() => {
    excess = Math.max(excess, proxy.bytes.down - (RATE * (performance.now() - startMs)) / 1000)
  }, 20)
  const { id } = await target.sync.start(order, 'test')
  const task = await target.tasks.ended(id)
  clearInterval(watch)
  expect(task.error).toBeUndefined()
  return { excess, seconds: (performance.now() - startMs) / 1000 }
}

describe('the rate on the line', () => {
  test.each([
    ['of the sync', { own: RATE }],
    ['of the store', { store: RATE }],
    ['of the store with several batches in flight', { store: RATE, batchesMax: 8 }],
  ])('%s is not exceeded by more than what may be in flight', async (_what, limits) => {
    const { excess, seconds } = await measure(limits)
    // Two seconds of the rate, and a slice for each batch.
    expect(excess).toBeLessThan(2 * RATE + 8 * 128 * KIB)
    expect(seconds).toBeGreaterThan(2.5)
  })
})

describe('an order', () => {
  test('with hours that cannot be used is refused', async () => {
    await using folders = await createTwoFolders()
    await using target = await openSyncTarget(folders.target)
    const order = { source: { url: 'http://127.0.0.1:1', token: 'x' }, images: ['a'], limits: { hours: [{ cron: '0 0 30 2 *', minutes: 5 }] } }
    const refused = target.sync.start(order, 'test')
    await expect(refused).rejects.toThrow('limits.hours cannot be used: "0 0 30 2 *" never opens.')
    const code = await refused.catch((error: unknown) => error instanceof ProblemError && problemCode(error.problem))
    expect(code).toBe('invalid-input')
  })
})

describe('hours', () => {
  const NIGHT = { cron: '0 22 * * *', minutes: 480 }
  const context = (signal = new AbortController().signal): TaskContext => ({
    taskId: 'tsk_1',
    signal,
    progress: () => {},
    isRerun: false,
    resultSoFar: () => {},
  })
  /** Limits on a clock that shows this time. */
  const open = (time: string, store: StoreSyncLimits = { bytesPerSecond: undefined, hours: [] }) => {
    const clock = createManualClock(Date.parse(time))
    let ofStore = store
    const limits = createTaskLimits({ clock, timezone: 'UTC', ofStore: () => ofStore })
    return { clock, limits, setStore: (next: StoreSyncLimits) => void (ofStore = next) }
  }
  const untilStopped = ({ context: { signal } }: { context: TaskContext }): Promise<never> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true }))

  test('that have not begun postpone the sync before it does anything', async () => {
    const { limits } = open('2026-01-05T12:00:00Z')
    let hasRun = false
    const run = limits.run({ hours: [NIGHT] }, context(), async () => void (hasRun = true))
    await expect(run).rejects.toThrow(
      new TaskPostponed(Date.parse('2026-01-05T22:00:00Z'), 'Outside the hours of the sync. It continues at 2026-01-05T22:00:00.000Z.'),
    )
    expect(await run.catch((error: unknown) => error instanceof TaskPostponed && error.untilMs)).toBe(Date.parse('2026-01-05T22:00:00Z'))
    expect(hasRun).toBe(false)
  })

  test('that end stop the sync and postpone it', async () => {
    const { limits, clock } = open('2026-01-06T05:59:50Z')
    const run = limits.run({ hours: [NIGHT] }, context(), untilStopped)
    clock.advance(15_000)
    await expect(run).rejects.toThrow('It continues at 2026-01-06T22:00:00.000Z.')
  })

  test('of the store apply too, also when they change', async () => {
    const { limits, clock, setStore } = open('2026-01-06T12:00:00Z')
    expect(await limits.run({}, context(), async () => 'done')).toBe('done')
    const run = limits.run({}, context(), untilStopped)
    setStore({ bytesPerSecond: undefined, hours: [NIGHT] })
    clock.advance(5000)
    await expect(run).rejects.toThrow('It continues at 2026-01-06T22:00:00.000Z.')
  })

  test('do not hide a cancellation, or the failure of a sync within them', async () => {
    const { limits } = open('2026-01-06T23:00:00Z')
    const cancel = new AbortController()
    const run = limits.run({ hours: [NIGHT] }, context(cancel.signal), untilStopped)
    cancel.abort(new Error('cancelled'))
    await expect(run).rejects.toThrow('stopped')
    await expect(limits.run({ hours: [NIGHT] }, context(), () => Promise.reject(new Error('cut')))).rejects.toThrow('cut')
  })
})

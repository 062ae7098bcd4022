// Decides when to heal: after new damage, once after the start, and again after a failed pass, with growing waits, or as soon as a store to repair from
// answers again. Each pass is a task, so that operators see it.

import { problem } from '../../../protocol/problems.ts'
import type { Origins } from '../../contract/origins.ts'
import type { Log } from '../../contract/runtime.ts'
import type { Tasks } from '../../contract/work.ts'
import { runHealPass } from './heal-pass.ts'
import type { HealPassDeps } from './heal-pass.ts'

/** Shortest time between two passes, in milliseconds: many damaged slices that readers find one after the other are healed together. */
export const HEAL_PAUSE_MS = 5000
/** Wait after a pass that left something damaged, in milliseconds. It doubles with each such pass. */
export const HEAL_RETRY_FIRST_MS = 60_000
const HEAL_RETRY_MAX_MS = 6 * 3_600_000

export interface HealingDeps extends Omit<HealPassDeps, 'origins'> {
  /** The stores to repair from, which may change. */
  readonly origins: Origins
  readonly tasks: Pick<Tasks, 'register' | 'start' | 'ended'>
  /** What tasks name as their subject. */
  readonly subject: string
  readonly log: Log
  /** Called when a pass has left nothing damaged. */
  readonly healed: () => void
}

/** Disposing ends the waits; a pass in progress is a task, which the task queue ends. */
export interface Healing extends Disposable {
  /** Lets passes run, and starts one if something is known to be damaged. */
  start(): void
  /** Reports new damage. Never throws or blocks. */
  wake(): void
}

/** Registers the task `heal`. Without a store to repair from, nothing is healed and no task is started. */
export function createHealing(deps: HealingDeps): Healing {
  const { clock, log, origins, tasks, slices, images } = deps
  const ended = new AbortController()
  let isStarted = false
  let isWanted = false
  /** Aborts the present wait, to look at the times again. */
  let waiting: AbortController | undefined
  let isRunning = false
  let failures = 0
  /** Monotonic times: before `restUntilMs` no pass runs; before `retryAtMs` only new damage or an origin that came back starts one. */
  let restUntilMs = 0
  let retryAtMs = 0

  tasks.register('heal', async (_params, { signal, progress }) => {
    if (origins.list().length === 0)
      throw problem('origin-unreachable', 'The configuration names no origins, and no store that this one synced with has made a grant for repairs.', {
        action: 'Add a store to [[origins]] in the configuration, or copy an image from one with image sync.',
      })
    isRunning = true
    isWanted = false
    try {
      const result = await runHealPass(deps, { signal, onProgress: (done, total) => progress(done, total, 'slices') })
      failures = 0
      if (slices.quarantined().length === 0) deps.healed()
      return result
    } catch (error) {
      retryAtMs = clock.monotonicMs() + Math.min(HEAL_RETRY_MAX_MS, HEAL_RETRY_FIRST_MS * 2 ** failures)
      failures++
      isWanted = true
      throw error
    } finally {
      restUntilMs = clock.monotonicMs() + HEAL_PAUSE_MS
      isRunning = false
      schedule()
    }
  })

  const run = (): Promise<unknown> =>
    // A pass may fail to start while the queue is full; it is tried again with the next damage or the next origin.
    tasks.start({ kind: 'heal', subject: deps.subject, createdBy: 'healing', params: {}, key: 'heal' }).catch((error: unknown) => {
      if (!ended.signal.aborted) log.warn('healing could not be started', { error })
    })
  /** Waits for the time of the next pass, then starts it. Only one wait exists at a time. */
  const schedule = (): void => {
    if (!isStarted || !isWanted || isRunning || waiting || ended.signal.aborted || origins.list().length === 0) return
    const wait = new AbortController()
    waiting = wait
    const ms = Math.max(0, restUntilMs - clock.monotonicMs(), retryAtMs - clock.monotonicMs())
    clock.sleep(ms, AbortSignal.any([ended.signal, wait.signal])).then(
      () => {
        waiting = undefined
        return run()
      },
      () => {
        waiting = undefined
        schedule()
      },
    )
  }
  /** Runs a pass soon, even while a retry waits for its time. */
  const soon = (): void => {
    isWanted = true
    retryAtMs = 0
    waiting?.abort()
    schedule()
  }
  const listening = origins.onReachable(() => {
    if (isWanted) soon()
  })

  return {
    start() {
      isStarted = true
      if (isWanted || slices.quarantined().length > 0 || images.damagedImages().length > 0) soon()
    },
    wake: soon,
    [Symbol.dispose]() {
      listening[Symbol.dispose]()
      ended.abort()
    },
  }
}

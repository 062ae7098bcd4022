// Applies the limits of the store and of a sync while its task runs: the share of the rate, and the hours.

import { TaskPostponed } from '../../contract/work.ts'
import type { TaskContext } from '../../contract/work.ts'
import type { Clock } from '../../contract/runtime.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { SyncHours, SyncLimits } from '../../../protocol/sync/sync-limits.ts'
import { allHoursAt } from './hours.ts'
import { createRateLimiter } from './rate-limiter.ts'
import type { RateShare } from './rate-limiter.ts'

/** How often the hours are looked at, in milliseconds. Operators may change them, and the wall clock may be set. */
const LOOK_MS = 5000

/** Limits of all syncs of a store. */
export interface StoreSyncLimits {
  /** Bytes per second of all syncs together; undefined for no limit. */
  readonly bytesPerSecond: number | undefined
  /** Windows in which syncs move bytes; none for all hours. */
  readonly hours: readonly SyncHours[]
}

export interface LimitsDeps {
  readonly clock: Clock
  readonly timezone: string
  /** Returns the limits of the store now. */
  readonly ofStore: () => StoreSyncLimits
}

/** A task within its limits. `signal` of the context also aborts when its hours end. */
export interface LimitedTask {
  readonly context: TaskContext
  readonly share: RateShare
}

export interface TaskLimits {
  /** Opens a share of the rate of the store for work that no hours restrict. Dispose it when the work ends. */
  openShare(): RateShare
  /**
   * Runs a sync within its limits. Throws TaskPostponed when its hours have not begun, or end before it does; then `work` was stopped by its signal.
   */
  run<T>(limits: SyncLimits, context: TaskContext, work: (task: LimitedTask) => Promise<T>): Promise<T>
}

/** Creates the limits of a store. */
export function createTaskLimits({ clock, timezone, ofStore }: LimitsDeps): TaskLimits {
  const limiter = createRateLimiter({ clock, bytesPerSecond: () => ofStore().bytesPerSecond })
  return {
    openShare: () => limiter.open({ priority: 'normal' }),
    async run({ bytesPerSecond, hours = [], priority = 'normal' }, context, work) {
      const closed = new AbortController()
      const checkHours = (): TaskPostponed | undefined => {
        const state = allHoursAt([hours, ofStore().hours], timezone, clock.nowMs())
        if (state.kind === 'open') return undefined
        return new TaskPostponed(state.fromMs, `Outside the hours of the sync. It continues at ${formatTime(state.fromMs)}.`)
      }
      const postponed = checkHours()
      if (postponed) throw postponed
      using _watch = clock.every(LOOK_MS, () => {
        const late = checkHours()
        if (late) closed.abort(late)
      })
      using share = limiter.open({ bytesPerSecond, priority })
      try {
        return await work({ share, context: { ...context, signal: AbortSignal.any([context.signal, closed.signal]) } })
      } catch (error) {
        throw closed.signal.aborted && !context.signal.aborted ? closed.signal.reason : error
      }
    },
  }
}

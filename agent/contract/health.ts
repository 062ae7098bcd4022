// Health: checks that measure one thing each, and the state that results from them.

import type { Check, Health } from '../../protocol/health.ts'

/** Result of a check; impact and action are empty when it is ok. */
export type Finding = Omit<Check, 'name'>

export interface HealthCheck {
  readonly name: string
  /** Whether the store cannot work without this: a failure then makes the state `error` instead of `degraded`. */
  readonly isVital: boolean
  /** Measures. Throwing, or taking too long, counts as a failure. Not called again before it has ended. */
  measure(): Promise<Finding> | Finding
}

export interface HealthBoard {
  /** Returns the state of the last two seconds, or an older one when the checks take longer. Never waits for a check that hangs. */
  current(): Promise<Health>
  /** Runs all checks again and waits for each, for a bounded time. */
  refresh(): Promise<Health>
}

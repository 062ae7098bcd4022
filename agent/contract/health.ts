// Health as it is asked for: checks that measure one thing each, and the state they add up to.

import type { Check, Health } from '../../protocol/health.ts'

/** What a check found; impact and action are empty when it is ok. */
export type Finding = Omit<Check, 'name'>

export interface HealthCheck {
  readonly name: string
  /** Without this the store cannot do its work: a failure makes the state `error` and not `degraded`. */
  readonly isVital: boolean
  /** May throw or take long: the first is a failure, and what takes too long is one too. Not called again before it has ended. */
  measure(): Promise<Finding> | Finding
}

export interface HealthBoard {
  /** The state of the last two seconds, or older when the checks take longer; the answer never waits for a check that hangs. */
  current(): Promise<Health>
  /** Measures anew and waits for every check, each for a bounded time. */
  refresh(): Promise<Health>
}

// Loop budget: how long work that never waits may run before it lets the event loop run other work. Health checks, HEAD requests and other
// transfers wait for every uninterrupted stretch.

import type { Clock } from './runtime.ts'

/** Longest stretch of work in milliseconds. It may be exceeded by one step, so steps must be short. */
const STRETCH_MS = 8

export interface LoopBudget {
  /** Call between two steps. A promise that it returns must be awaited before the next step. */
  spend(): Promise<void> | undefined
}

/** Creates the budget of one loop over many steps. */
export function createLoopBudget(clock: Pick<Clock, 'monotonicMs' | 'sleep'>): LoopBudget {
  let sinceMs = clock.monotonicMs()
  const pause = async (): Promise<void> => {
    await clock.sleep(0)
    sinceMs = clock.monotonicMs()
  }
  return { spend: () => (clock.monotonicMs() - sinceMs < STRETCH_MS ? undefined : pause()) }
}

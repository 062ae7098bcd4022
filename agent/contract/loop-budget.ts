// Loop budget: how long work that needs no waiting goes on before the event loop runs other work. Health, HEAD and other transfers wait
// behind every uninterrupted stretch.

import type { Clock } from './runtime.ts'

/** Time one stretch of work takes, in milliseconds; one step more than that at most, so steps are short. */
const STRETCH_MS = 8

export interface LoopBudget {
  /** To be called between two steps; what it gives, if anything, is awaited before the next step. */
  spend(): Promise<void> | undefined
}

/** A budget for one loop over many steps. */
export function createLoopBudget(clock: Pick<Clock, 'monotonicMs' | 'sleep'>): LoopBudget {
  let sinceMs = clock.monotonicMs()
  const pause = async (): Promise<void> => {
    await clock.sleep(0)
    sinceMs = clock.monotonicMs()
  }
  return { spend: () => (clock.monotonicMs() - sinceMs < STRETCH_MS ? undefined : pause()) }
}

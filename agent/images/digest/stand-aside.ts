// Standing aside: work that nobody waits for stops while bodies of uploads arrive, so that they get the processors, and catches up within
// a bounded time.

import type { Clock } from '../../contract/runtime.ts'

/** Time without a body after which the work goes on, in milliseconds: a client that sends one request after the other pauses for less. */
const QUIET_MS = 250
/** Longest time after it was ordered that work stops for bodies, in milliseconds; from then on it runs beside them. */
export const ASIDE_MS_MAX = 300_000

export interface StandAsideDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  /** Milliseconds since a body last arrived at full speed; 0 while one does. */
  readonly quietMs: () => number
}

/** Makes the wait of work that is ordered now: it resolves when no body arrives, or when the work was held up long enough. */
export function createStandAside({ clock, quietMs }: StandAsideDeps): (signal: AbortSignal) => Promise<void> {
  const endMs = clock.monotonicMs() + ASIDE_MS_MAX
  return async (signal) => {
    for (;;) {
      const leftMs = Math.min(QUIET_MS - quietMs(), endMs - clock.monotonicMs())
      if (leftMs <= 0) return
      await clock.sleep(leftMs, signal)
    }
  }
}

// Standing aside: work that no client waits for pauses while bodies of uploads arrive, so that they get the processors, but only for a
// bounded time.

import type { Clock } from '../../contract/runtime.ts'

/** Time without a body after which the work continues, in milliseconds: a client that sends one request after another pauses for less. */
const QUIET_MS = 250
/** Longest time after its order that work pauses for bodies, in milliseconds; after that it runs in parallel with them. */
export const ASIDE_MS_MAX = 300_000

export interface StandAsideDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  /** Milliseconds since a body last arrived at full speed; 0 while one does. */
  readonly quietMs: () => number
}

/** Returns the wait of work that is ordered now: it resolves when no body arrives, or when the work has been delayed long enough. */
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

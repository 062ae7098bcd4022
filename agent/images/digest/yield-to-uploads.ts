// Work that no client waits for yields to uploads: it pauses while request bodies arrive, so that they get the processors, but only for a limited
// time.

import type { Clock } from '../../contract/runtime.ts'

/** Time without a body after which work continues, in milliseconds. Clients that send one request after another pause for less. */
const QUIET_MS = 250
/** Maximum time that work yields after it was queued, in milliseconds. It then runs in parallel with uploads. */
export const YIELD_MS_MAX = 300_000

export interface YieldToUploadsDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  /** Returns the milliseconds since a body last arrived at full speed, 0 while one does. */
  readonly quietMs: () => number
}

/** Returns a function that waits until no body arrives, or until YIELD_MS_MAX after this call. Create one for each piece of queued work. */
export function createYieldToUploads({ clock, quietMs }: YieldToUploadsDeps): (signal: AbortSignal) => Promise<void> {
  const endMs = clock.monotonicMs() + YIELD_MS_MAX
  return async (signal) => {
    for (;;) {
      const leftMs = Math.min(QUIET_MS - quietMs(), endMs - clock.monotonicMs())
      if (leftMs <= 0) return
      await clock.sleep(leftMs, signal)
    }
  }
}

// Retries of requests to one other store.

import { ProblemError } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'
import { isTransient, peerProblem } from './sources/faults.ts'

/** Maximum consecutive attempts without progress, and the waits between them in milliseconds, which double up to the maximum. */
export const ATTEMPTS_MAX = 8
const WAIT_FIRST_MS = 500
const WAIT_MAX_MS = 10_000

export interface Attempts {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** URL of the peer, for error messages. */
  readonly url: string
  /** What is requested, for error messages. */
  readonly about?: string
  readonly attemptsMax?: number
}

/** Runs `run` until it succeeds. Throws the last failure as a problem of this store if a retry cannot help or `attemptsMax` is reached. */
export async function retrying<T>({ clock, signal, url, about, attemptsMax = ATTEMPTS_MAX }: Attempts, run: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await run()
    } catch (error) {
      signal.throwIfAborted()
      if (!isTransient(error) || failures >= attemptsMax) throw peerProblem(url, error, about)
      await clock.sleep(waitMs(failures, error), signal)
    }
  }
}

/** Returns how long to wait after so many consecutive failures, in milliseconds; at least what the peer asked for in Retry-After, within the maximum. */
export function waitMs(failures: number, error: unknown): number {
  const asked = error instanceof ProblemError ? Number(error.headers['retry-after'] ?? 0) * 1000 : 0
  return Math.min(WAIT_MAX_MS, Math.max(WAIT_FIRST_MS * 2 ** (failures - 1), Number.isFinite(asked) ? asked : 0))
}

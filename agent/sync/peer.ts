// Failures of the other store: which ones a sync retries, and how it reports the others.

import { FrameInvalid } from '../../protocol/frames.ts'
import { problem, PROBLEMS, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'
import { SliceUnreadable } from '../contract/slices.ts'

/** Maximum consecutive attempts without progress, and the waits between them in milliseconds, which double up to the maximum. */
export const ATTEMPTS_MAX = 8
const WAIT_FIRST_MS = 500
const WAIT_MAX_MS = 10_000

const TRANSIENT: ReadonlySet<ProblemCode> = new Set(['peer-unreachable', 'limit-reached', 'shutting-down', 'store-unavailable', 'interrupted'])
const REFUSALS: ReadonlySet<ProblemCode> = new Set(['unauthenticated', 'forbidden', 'link-expired', 'feature-disabled'])

/** Returns whether a retry may succeed: after a lost connection, a timeout, damaged bytes, or if the peer is busy. */
export function isTransient(error: unknown): boolean {
  if (error instanceof FrameInvalid) return true
  if (error instanceof SliceUnreadable) return error.reason === 'corrupt'
  return error instanceof ProblemError && TRANSIENT.has(error.code)
}

/**
 * Converts a failure of the peer to a problem of this store. Every viewer of this store can read it, and the peer may be any server, so the
 * problem contains the kind of failure but no text from the peer. `about` is what was requested.
 */
export function peerProblem(url: string, error: unknown, about = 'the request'): unknown {
  const options = { cause: error }
  if (error instanceof FrameInvalid || error instanceof SliceUnreadable) {
    return problem('peer-unreachable', `${url} sent damaged slices.`, {}, options)
  }
  if (!(error instanceof ProblemError) || !error.isFromPeer) return error
  const { code } = error
  const kind = PROBLEMS[code]
  const answer = `${error.problem.status}, ${code}: ${kind.title.toLowerCase()}`
  if (REFUSALS.has(code)) return problem('peer-refused', `${url} refused ${about} (${answer}).`, {}, options)
  if (TRANSIENT.has(code) || (error.problem.status >= 500 && code !== 'data-corrupt'))
    return problem('peer-unreachable', `${url} could not answer ${about} (${answer}).`, {}, options)
  return problem(code, `${url} refused ${about} (${answer}).`, {}, options)
}

export interface Attempts {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** URL of the peer, for error messages. */
  readonly url: string
  /** What is requested, for error messages. */
  readonly about?: string
  readonly attemptsMax?: number
}

/**
 * Runs `run` until it succeeds. `run` calls its argument to report progress, which resets the count of failed attempts. Throws the last failure
 * as a problem of this store if a retry cannot help or `attemptsMax` is reached.
 */
export async function retrying<T>(
  { clock, signal, url, about, attemptsMax = ATTEMPTS_MAX }: Attempts,
  run: (progressed: () => void) => Promise<T>,
): Promise<T> {
  let failures = 0
  for (;;) {
    try {
      return await run(() => {
        failures = 0
      })
    } catch (error) {
      signal.throwIfAborted()
      failures++
      if (!isTransient(error) || failures >= attemptsMax) throw peerProblem(url, error, about)
      await clock.sleep(waitMs(failures, error), signal)
    }
  }
}

function waitMs(failures: number, error: unknown): number {
  const asked = error instanceof ProblemError ? Number(error.headers['retry-after'] ?? 0) * 1000 : 0
  return Math.min(WAIT_MAX_MS, Math.max(WAIT_FIRST_MS * 2 ** (failures - 1), Number.isFinite(asked) ? asked : 0))
}

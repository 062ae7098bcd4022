// The other store as a sync sees it: which failures pass, which end it, and what they mean here.

import { FrameInvalid } from '../../protocol/frames.ts'
import { makeProblem, problem, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'
import { SliceUnreadable } from '../contract/slices.ts'

/** Attempts in a row that bring nothing, and the waits between them in milliseconds: half a second, doubled up to the last. */
export const ATTEMPTS_MAX = 8
const WAIT_FIRST_MS = 500
const WAIT_MAX_MS = 10_000

const PASSING: ReadonlySet<ProblemCode> = new Set(['peer-unreachable', 'limit-reached', 'shutting-down', 'store-unavailable', 'interrupted'])
const REFUSALS: ReadonlySet<ProblemCode> = new Set(['unauthenticated', 'forbidden', 'link-expired', 'feature-disabled'])

/** Whether trying again may help: cut connections, silence, a peer that is busy, and bytes that came damaged. */
export function mayPass(error: unknown): boolean {
  if (error instanceof FrameInvalid) return true
  if (error instanceof SliceUnreadable) return error.reason === 'corrupt'
  return error instanceof ProblemError && PASSING.has(error.code)
}

/** What a failure of the peer is here: refusals and outages are told as the peer's, all else keeps its code. */
export function asOurProblem(url: string, error: unknown): unknown {
  const options = { cause: error }
  if (error instanceof FrameInvalid || error instanceof SliceUnreadable) {
    return problem('peer-unreachable', `${url} sent slices that are damaged: ${error.message}.`, {}, options)
  }
  if (!(error instanceof ProblemError) || error.code === 'peer-unreachable' || error.code === 'cancelled') return error
  const { detail, status } = error.problem
  if (REFUSALS.has(error.code)) return problem('peer-refused', `${url} refused: ${detail}`, {}, options)
  if (PASSING.has(error.code) || (status >= 500 && error.code !== 'data-corrupt'))
    return problem('peer-unreachable', `${url} could not answer: ${detail}`, {}, options)
  return new ProblemError(makeProblem(error.code, `${url}: ${detail}`, { action: error.problem.action }), options)
}

export interface Attempts {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Where the peer is, for the words of a failure. */
  readonly url: string
  readonly attemptsMax?: number
}

/**
 * Runs until it succeeds. `run` is told how to report progress: an attempt that brought something does not count as
 * one without. Throws the last failure as a problem of ours.
 */
export async function persistently<T>({ clock, signal, url, attemptsMax = ATTEMPTS_MAX }: Attempts, run: (progressed: () => void) => Promise<T>): Promise<T> {
  let failures = 0
  for (;;) {
    try {
      return await run(() => {
        failures = 0
      })
    } catch (error) {
      signal.throwIfAborted()
      failures++
      if (!mayPass(error) || failures >= attemptsMax) throw asOurProblem(url, error)
      await clock.sleep(waitMs(failures, error), signal)
    }
  }
}

function waitMs(failures: number, error: unknown): number {
  const asked = error instanceof ProblemError ? Number(error.headers['retry-after'] ?? 0) * 1000 : 0
  return Math.min(WAIT_MAX_MS, Math.max(WAIT_FIRST_MS * 2 ** (failures - 1), Number.isFinite(asked) ? asked : 0))
}

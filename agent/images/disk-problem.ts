// Errors of the disk as problems: what the operator can do differs between a full disk and one that is gone.

import { errorCode } from '../../protocol/errors.ts'
import { ProblemError, problem } from '../../protocol/problems.ts'
import { isDiskFull } from '../contract/failures.ts'

/** The problem of an error of the disk, or the error itself when it is none. `what` begins a sentence: `The image could not be saved`. */
export function diskProblem(what: string, error: unknown): unknown {
  const code = errorCode(error)
  if (error instanceof ProblemError || code === undefined) return error
  if (isDiskFull(error)) return problem('insufficient-storage', `${what}: the disk of the store is full.`, {}, { cause: error })
  return problem('store-unavailable', `${what}: the mount path answered ${code}.`, {}, { cause: error })
}

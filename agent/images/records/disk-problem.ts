// Converts disk errors to problems. A full disk and an unavailable disk need different actions by the operator.

import { errorCode } from '../../../protocol/errors.ts'
import { ProblemError, problem } from '../../../protocol/problems.ts'
import { isDiskFull } from '../../contract/failures.ts'

/** Returns a disk error as a problem, and any other error unchanged. `what` starts the sentence: `The image could not be saved`. */
export function diskProblem(what: string, error: unknown): unknown {
  const code = errorCode(error)
  if (error instanceof ProblemError || code === undefined) return error
  if (isDiskFull(error)) return problem('insufficient-storage', `${what}: the disk of the store is full.`, {}, { cause: error })
  return problem('store-unavailable', `${what}: the mount path returned ${code}.`, {}, { cause: error })
}

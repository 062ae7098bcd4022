// Turns errors into problems for clients: the only place where failures of storage become problems.

import { errorCode, hasCode } from '../../protocol/errors.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import { SliceUnreadable, StoreWriteFailed } from './slices.ts'

/** Problem and sentence for the code of a system error. The paths in its message are not shown to clients. */
const STORAGE_FAILURES: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  ENOSPC: ['insufficient-storage', 'The disk of the store is full.'],
  EDQUOT: ['insufficient-storage', 'The quota of the store is used up.'],
  EROFS: ['store-unavailable', 'The file system of the store is read-only.'],
  EIO: ['store-unavailable', 'The disk of the store reports an I/O error.'],
  ESTALE: ['store-unavailable', 'The mount path of the store is stale.'],
  ENOTCONN: ['store-unavailable', 'The mount path of the store is not connected.'],
  ETIMEDOUT: ['store-unavailable', 'The mount path of the store does not answer.'],
  EMFILE: ['limit-reached', 'The agent has too many files open.'],
  ENFILE: ['limit-reached', 'The machine has too many files open.'],
}

/**
 * Returns the problem for an error. Problems pass as they are; failures of storage are named without their paths; everything else is
 * `internal`, and its message goes to the log only. The error stays as the cause.
 */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error
  if (error instanceof SliceUnreadable) return problem('data-corrupt', `A slice of the image is ${error.reason}.`, {}, { cause: error })
  const failure = STORAGE_FAILURES[systemCode(error) ?? '']
  if (failure) return problem(failure[0], failure[1], {}, { cause: error })
  if (error instanceof StoreWriteFailed) return problem('store-unavailable', 'The store could not write to the mount path.', {}, { cause: error })
  return problem('internal', 'The agent failed unexpectedly.', {}, { cause: error })
}

/** Whether an error says that the file system has no space left, or that a quota is used up. */
export function isDiskFull(error: unknown): boolean {
  return hasCode(error, 'ENOSPC', 'EDQUOT')
}

/** Returns the code of a system error, or of its nearest cause that has one. */
function systemCode(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const code = errorCode(at)
    if (code !== undefined && code in STORAGE_FAILURES) return code
  }
  return undefined
}

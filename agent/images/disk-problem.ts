// Errors of the disk as problems: what the operator can do differs between a full disk and one that is gone.

import { ProblemError, problem } from '../../protocol/problems.ts'

const FULL = new Set(['ENOSPC', 'EDQUOT'])

/** Node's code of an error, such as `ENOSPC`. */
export function diskErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Whether the disk had no room. */
export function isDiskFull(error: unknown): boolean {
  return FULL.has(diskErrorCode(error) ?? '')
}

/** The problem of an error of the disk, or the error itself when it is none. `what` begins a sentence: `The image could not be saved`. */
export function diskProblem(what: string, error: unknown): unknown {
  const code = diskErrorCode(error)
  if (error instanceof ProblemError || code === undefined) return error
  if (isDiskFull(error)) return problem('insufficient-storage', `${what}: the disk of the store is full.`, {}, { cause: error })
  return problem('store-unavailable', `${what}: the mount path answered ${code}.`, {}, { cause: error })
}

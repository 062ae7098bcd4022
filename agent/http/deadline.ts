// Limits how long an answer waits for the file system of the store, whose mount path may hang.

import { problem } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'

/** How long a request waits for the file system, in milliseconds. */
export const FILE_SYSTEM_MS_MAX = 5000

/** Returns the result of the work. Throws ProblemError `store-unavailable` when it takes too long; the work then continues, and the caller must end it. */
export async function withinDeadline<T>(clock: Clock, work: Promise<T>, ms: number = FILE_SYSTEM_MS_MAX): Promise<T> {
  const patience = new AbortController()
  const late = clock.sleep(ms, patience.signal).then(() => {
    throw problem('store-unavailable', 'The file system of the store does not answer.')
  })
  try {
    return await Promise.race([work, late])
  } finally {
    patience.abort()
  }
}

// Whether another task may wait: bounds in number and memory, so that neither one script nor all of them fill the queue.

import { problem } from '../../protocol/problems.ts'
import type { TaskRow } from './task-table.ts'

/** Tasks that wait or run. */
export const ACTIVE_MAX = 1000
/** Those that one creator started. Only admins give names to tokens, so nobody gets round this with another name. */
export const ACTIVE_PER_CREATOR_MAX = 100
/** Parameters of one task, and of all that wait or run, in characters of JSON: they are held in memory. */
export const PARAMS_LENGTH_MAX = 1024 * 1024
export const PARAMS_TOTAL_MAX = 32 * 1024 * 1024

/** Throws ProblemError `limit-reached`. Parameters that no route lets in throw RangeError. */
export function admitTask(active: Iterable<TaskRow>, { created_by: creator, params }: Pick<TaskRow, 'created_by' | 'params'>): void {
  const length = params?.length ?? 0
  if (length > PARAMS_LENGTH_MAX) throw new RangeError(`parameters of a task of ${length} characters, the limit is ${PARAMS_LENGTH_MAX}`)
  let count = 0
  let own = 0
  let total = length
  for (const row of active) {
    count++
    if (row.created_by === creator) own++
    total += row.params?.length ?? 0
  }
  const action = 'Wait until tasks have ended, or cancel some.'
  if (count >= ACTIVE_MAX) throw problem('limit-reached', `${ACTIVE_MAX} tasks are waiting already.`, { action })
  if (own >= ACTIVE_PER_CREATOR_MAX) throw problem('limit-reached', `${ACTIVE_PER_CREATOR_MAX} tasks of ${creator} are waiting already.`, { action })
  if (total > PARAMS_TOTAL_MAX) throw problem('limit-reached', 'The tasks that are waiting name as much as one store can hold in memory.', { action })
}

// Decides whether another task may be queued. Bounds in number and memory keep a script from filling the queue.

import { tokenOfName } from '../../protocol/on-behalf.ts'
import { problem } from '../../protocol/problems.ts'
import type { TaskRow } from './task-table.ts'

/** Most tasks that are queued or running. */
export const ACTIVE_MAX = 1000
/** Most of these started by one token, for whomever. Only admins name tokens, so a creator cannot evade this with another name. */
export const ACTIVE_PER_CREATOR_MAX = 100
/** Longest parameters of one task, and of all queued and running tasks, in characters of JSON: they are held in memory. */
export const PARAMS_LENGTH_MAX = 1024 * 1024
export const PARAMS_TOTAL_MAX = 32 * 1024 * 1024

/** Throws ProblemError `limit-reached` when a task may not be queued, and RangeError for parameters that no route accepts. */
export function admitTask(active: Iterable<TaskRow>, { created_by: creator, params }: Pick<TaskRow, 'created_by' | 'params'>): void {
  const length = params?.length ?? 0
  if (length > PARAMS_LENGTH_MAX) throw new RangeError(`parameters of a task of ${length} characters, the limit is ${PARAMS_LENGTH_MAX}`)
  const account = tokenOfName(creator)
  let count = 0
  let own = 0
  let total = length
  for (const row of active) {
    count++
    if (tokenOfName(row.created_by) === account) own++
    total += row.params?.length ?? 0
  }
  const action = 'Wait until tasks have ended, or cancel some.'
  if (count >= ACTIVE_MAX) throw problem('limit-reached', `${ACTIVE_MAX} tasks are already waiting.`, { action })
  if (own >= ACTIVE_PER_CREATOR_MAX) throw problem('limit-reached', `${ACTIVE_PER_CREATOR_MAX} tasks of ${account} are already waiting.`, { action })
  if (total > PARAMS_TOTAL_MAX) throw problem('limit-reached', 'The parameters of the waiting tasks fill the memory set aside for them.', { action })
}

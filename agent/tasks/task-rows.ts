// Computes the row of a task in each state: queued, queued again, running, ended. Pure functions; tasks.ts makes the changes durable.

import { newId } from '../../protocol/ids.ts'
import { problem } from '../../protocol/problems.ts'
import type { Progress, TaskKind, TaskState } from '../../protocol/task.ts'
import type { NewEvent, TaskOrder } from '../contract/work.ts'
import { SECRET_GONE } from './task-table.ts'
import type { TaskRow } from './task-table.ts'

const NO_PROGRESS: Progress = { done: 0, total: null, unit: 'steps', rate: 0, etaSeconds: null }

/** Returns a new id for a task. */
export function newTaskId(nowMs: number): string {
  return newId('tsk', nowMs)
}

/** What the queue adds to the order of a new task. */
export interface NewTask {
  readonly id: string
  readonly number: number
  /** The sealed secret; null for an order without one. */
  readonly secret: string | null
  readonly nowMs: number
}

/** Returns the row of a new task. */
export function queued(order: TaskOrder, { id, number, secret, nowMs }: NewTask): TaskRow {
  return {
    id,
    number,
    kind: order.kind,
    state: 'queued',
    subject: order.subject,
    created_by: order.createdBy,
    creator_token: order.creatorTokenId ?? null,
    created_ms: nowMs,
    ended_ms: null,
    dedupe_key: order.key ?? null,
    params: JSON.stringify(order.params ?? null),
    secret,
    starts: 0,
    priority: order.priority ?? 'normal',
    hold: null,
    progress: NO_PROGRESS,
    result: null,
    error: null,
  }
}

/** Kinds of tasks that can be paused: those that continue where they stopped. */
const PAUSABLE: ReadonlySet<TaskKind> = new Set(['sync'])

/** Returns a queued or running task as paused. Throws ProblemError `wrong-status` for a kind that cannot be paused. */
export function paused(row: TaskRow, by: string, nowMs: number): TaskRow {
  if (PAUSABLE.has(row.kind)) return { ...row, hold: { kind: 'paused', by, atMs: nowMs } }
  throw problem('wrong-status', `A task of kind ${row.kind} cannot be paused.`, { action: 'Cancel it, and start it again later.' })
}

/** Returns a paused task as resumed. Throws ProblemError `wrong-status` for a task that is not paused. */
export function resumed(row: TaskRow): TaskRow {
  if (row.hold?.kind === 'paused') return { ...row, hold: null }
  throw problem('wrong-status', `The task is ${row.state} and not paused.`, { action: 'There is nothing to resume.' })
}

/** Returns a task whose run stopped without an end, as it waits for its next run. The stopped run does not count as a crash. */
export function waitingAgain(row: TaskRow): TaskRow {
  return { ...row, state: 'queued', starts: row.starts - 1, progress: { ...row.progress, rate: 0, etaSeconds: null } }
}

/** Returns a failed or cancelled task as it is queued again. Throws ProblemError when it cannot be retried. */
export function queuedAgain(row: TaskRow): TaskRow {
  if (row.state !== 'failed' && row.state !== 'cancelled')
    throw problem('wrong-status', `The task is ${row.state}; only a failed or cancelled task can be retried.`, {
      action: 'Wait until it has ended, or start a new one.',
    })
  if (row.secret === SECRET_GONE)
    throw row.kind === 'import'
      ? problem('conflict', 'The address or the credentials of the source were dropped when the task was cancelled.', { action: 'Import the image again.' })
      : problem('conflict', 'The token of the other store was dropped when the task ended.', {
          action: 'Start the same task again with a token: slices that were copied are not copied again.',
        })
  if (row.params === null)
    throw problem('conflict', 'The parameters of a task are kept for 7 days and have been deleted.', { action: 'Start it again as a new task.' })
  return { ...row, state: 'queued', ended_ms: null, starts: 0, hold: null, progress: NO_PROGRESS, result: null, error: null }
}

/** How a task ended. */
export interface TaskEnd {
  readonly state: Extract<TaskState, 'succeeded' | 'failed' | 'cancelled'>
  readonly result?: Record<string, unknown>
  readonly error?: TaskRow['error']
}

/** Returns an ended task. Its secret is dropped, except for an import that can be retried, and the parameters of one that succeeded. */
export function ended(row: TaskRow, { state, result, error }: TaskEnd, nowMs: number): TaskRow {
  return {
    ...row,
    state,
    ended_ms: nowMs,
    hold: null,
    params: state === 'succeeded' ? null : row.params,
    secret: row.secret === null || (row.kind === 'import' && state === 'failed') ? row.secret : SECRET_GONE,
    progress: { ...row.progress, rate: 0, etaSeconds: null },
    result: result ?? null,
    error: error ?? null,
  }
}

/** Returns the event about the end of a task. */
export function endEvent(row: TaskRow, nowMs: number): NewEvent {
  const seconds = Math.round((nowMs - row.created_ms) / 1000)
  const outcome = row.state === 'failed' ? `failed: ${row.error?.detail ?? 'no reason given'}` : `${row.state} after ${seconds} s`
  return {
    type: `task.${row.state}`,
    severity: row.state === 'failed' ? 'error' : 'info',
    subject: row.id,
    actor: row.created_by,
    message: `The ${row.kind} task on ${row.subject} ${outcome}.`.replace(/\.\.$/, '.'),
    details: { kind: row.kind, subject: row.subject },
  }
}

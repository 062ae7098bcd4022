// Reads and writes the table of tasks. task-rows.ts and tasks.ts decide what a state means.

import { z } from 'zod'
import { problemSchema } from '../../protocol/problems.ts'
import { progressSchema, taskKindSchema, taskStateSchema } from '../../protocol/task.ts'
import type { Task, TaskKind, TaskState } from '../../protocol/task.ts'
import { formatTime } from '../../protocol/time.ts'
import { syncPrioritySchema } from '../../protocol/sync/sync-limits.ts'
import type { AgentDatabase } from './database.ts'

/** Why a task does not run: an operator paused it, or its runner postponed it until a time. */
const holdSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('paused'), by: z.string(), atMs: z.number() }),
  z.object({ kind: z.literal('postponed'), untilMs: z.number(), detail: z.string() }),
])

const rowSchema = z.object({
  id: z.string(),
  number: z.number(),
  kind: taskKindSchema,
  state: taskStateSchema,
  subject: z.string(),
  created_by: z.string(),
  creator_token: z.string().nullable(),
  created_ms: z.number(),
  ended_ms: z.number().nullable(),
  dedupe_key: z.string().nullable(),
  params: z.string().nullable(),
  secret: z.string().nullable(),
  starts: z.number(),
  priority: syncPrioritySchema,
  hold: z
    .string()
    .nullable()
    .transform((text) => (text === null ? null : holdSchema.parse(JSON.parse(text)))),
  progress: z.string().transform((text) => progressSchema.parse(JSON.parse(text))),
  result: z
    .string()
    .nullable()
    .transform((text) => (text === null ? null : z.record(z.string(), z.unknown()).parse(JSON.parse(text)))),
  error: z
    .string()
    .nullable()
    .transform((text) => (text === null ? null : problemSchema.parse(JSON.parse(text)))),
})

/** The secret of a task whose secret was dropped when it ended. */
export const SECRET_GONE = ''

/** Returns the purpose that the secret of a task is sealed for. */
export function secretPurpose(taskId: string): string {
  return `task ${taskId}`
}

/** A task as it is stored. `secret` is sealed; null for a task without a secret. `number` counts up in the order of creation; `starts` counts the runs since the task was last queued. */
export type TaskRow = z.output<typeof rowSchema>

/** Returns what a task waits for, as a sentence; undefined for a task that is not held. */
function detailOf({ id, hold }: TaskRow): string | undefined {
  if (hold === null) return undefined
  return hold.kind === 'paused' ? `Paused by ${hold.by}. Resume it with \`task resume ${id}\`.` : hold.detail
}

export interface TaskTable {
  find(id: string): TaskRow | undefined
  /** Returns tasks with a number below `before`, newest first. */
  list(filter: { state?: TaskState | undefined; kind?: TaskKind | undefined; before: number; limit: number }): TaskRow[]
  /** Returns queued and running tasks in the order of creation. */
  active(): TaskRow[]
  insert(row: TaskRow): void
  update(row: TaskRow): void
  counts(): Record<TaskState, number>
  numberMax(): number
  /** Removes ended tasks with a number below `numberMin`, and drops the parameters and secrets of tasks that ended before `paramsEndedMs`. */
  prune(numberMin: number, paramsEndedMs: number): void
}

/** Opens the table of a database. */
export function createTaskTable({ sql }: AgentDatabase): TaskTable {
  type Value = string | number | null
  const columns = Object.keys(rowSchema.shape) as (keyof TaskRow)[]
  const insert = sql.query<unknown, Value[]>(`INSERT OR REPLACE INTO tasks (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`)
  const find = sql.query<unknown, [string]>('SELECT * FROM tasks WHERE id = ?')
  const active = sql.query<unknown, []>(`SELECT * FROM tasks WHERE state IN ('queued', 'running') ORDER BY number`)
  const counts = sql.query<{ state: TaskState; count: number }, []>('SELECT state, count(*) AS count FROM tasks GROUP BY state')
  const numberMax = sql.query<{ number: number | null }, []>('SELECT max(number) AS number FROM tasks')
  const removeOld = sql.query<unknown, [number]>('DELETE FROM tasks WHERE number < ? AND ended_ms IS NOT NULL')
  const dropParams = sql.query<unknown, [number]>(
    `UPDATE tasks SET params = NULL, secret = iif(secret IS NULL, NULL, '${SECRET_GONE}') WHERE ended_ms < ? AND params IS NOT NULL`,
  )

  const save = (row: TaskRow): void => {
    const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value))
    const values = { ...row, hold: json(row.hold), progress: json(row.progress), result: json(row.result), error: json(row.error) }
    insert.run(...columns.map((column) => values[column]))
  }

  return {
    find(id) {
      const row = find.get(id)
      return row === null ? undefined : rowSchema.parse(row)
    },
    list({ state, kind, before, limit }) {
      const conditions = ['number < ?', ...(state === undefined ? [] : ['state = ?']), ...(kind === undefined ? [] : ['kind = ?'])]
      const values = [before, ...(state === undefined ? [] : [state]), ...(kind === undefined ? [] : [kind]), limit]
      const rows = sql.query<unknown, Value[]>(`SELECT * FROM tasks WHERE ${conditions.join(' AND ')} ORDER BY number DESC LIMIT ?`).all(...values)
      return rows.map((row) => rowSchema.parse(row))
    },
    active: () => active.all().map((row) => rowSchema.parse(row)),
    insert: save,
    update: save,
    counts() {
      const found: Record<TaskState, number> = { queued: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 }
      for (const { state, count } of counts.all()) found[state] = count
      return found
    },
    numberMax: () => numberMax.get()?.number ?? 0,
    prune(numberMin, paramsEndedMs) {
      removeOld.run(numberMin)
      dropParams.run(paramsEndedMs)
    },
  }
}

/** Returns a row as clients see it. */
export function showTask(row: TaskRow): Task {
  const { id, kind, state, progress, subject, created_by, created_ms, ended_ms, hold, result, error } = row
  const detail = detailOf(row)
  return {
    id,
    kind,
    state,
    progress,
    subject,
    createdBy: created_by,
    createdAt: formatTime(created_ms),
    endedAt: ended_ms === null ? null : formatTime(ended_ms),
    ...(hold?.kind === 'paused' ? { pausedAt: formatTime(hold.atMs) } : {}),
    ...(hold?.kind === 'postponed' ? { continuesAt: formatTime(hold.untilMs) } : {}),
    ...(detail === undefined ? {} : { detail }),
    ...(result === null ? {} : { result }),
    ...(error === null ? {} : { error }),
  }
}

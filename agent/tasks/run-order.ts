// Which tasks run next: a bounded number of each kind, by priority and age. Pure functions; tasks.ts runs the tasks.

import { taskKindSchema } from '../../protocol/task.ts'
import type { TaskKind } from '../../protocol/task.ts'
import type { TaskRow } from './task-table.ts'

/** Tasks of a kind that run at the same time; the others wait. Uploads, inspections and digests are live work, which is not queued here. */
const RUNNING_MAX: Readonly<Record<TaskKind, number>> = {
  sync: 2,
  gc: 1,
  scrub: 1,
  cleanup: 1,
  expire: 1,
  import: 2,
  export: 2,
  digest: 1,
  recover: 1,
  upload: 0,
  inspect: 0,
  reconcile: 1,
  heal: 1,
  // As many as are pulled at the same time (PULLS_MAX), so that none waits.
  'pull-through': 4,
}
const CLASSES = { low: 0, normal: 1, high: 2 } as const
/** A task that has waited for this long, in milliseconds, counts as one class higher, so that it is not overtaken forever. */
const CLASS_MS = 3_600_000

/** Returns tasks in the order in which they run: by priority, then by age. */
function inOrderOfPriority<Of extends OrderedTask>(tasks: readonly Of[], nowMs: number): Of[] {
  const classOf = ({ row }: OrderedTask): number => CLASSES[row.priority] + Math.floor(Math.max(0, nowMs - row.created_ms) / CLASS_MS)
  return tasks.toSorted((a, b) => classOf(b) - classOf(a) || a.row.number - b.row.number)
}

/** Returns when a task may run next, in milliseconds since 1970: 0 for now, Infinity while it is paused. */
function runnableFromMs({ hold }: Pick<TaskRow, 'hold'>): number {
  if (hold === null) return 0
  return hold.kind === 'paused' ? Infinity : hold.untilMs
}

/** A queued or running task. */
interface OrderedTask {
  readonly row: Pick<TaskRow, 'kind' | 'priority' | 'created_ms' | 'number' | 'hold'>
  /** Undefined while the task waits. */
  readonly run: Promise<void> | undefined
}

/** Returns the tasks that may start now, beside those that run, in the order in which they start. */
export function runnable<Of extends OrderedTask>(tasks: readonly Of[], nowMs: number): Of[] {
  const room = new Map(taskKindSchema.options.map((kind) => [kind, RUNNING_MAX[kind]]))
  const take = ({ row }: OrderedTask): boolean => {
    const free = room.get(row.kind) ?? 0
    room.set(row.kind, free - 1)
    return free > 0
  }
  for (const task of tasks) if (task.run) take(task)
  const waiting = tasks.filter(({ run, row }) => !run && runnableFromMs(row) <= nowMs)
  return inOrderOfPriority(waiting, nowMs).filter(take)
}

/** Returns when the next task that was postponed may run, in milliseconds since 1970; Infinity when there is none. */
export function nextRunnableMs(tasks: readonly OrderedTask[], nowMs: number): number {
  return Math.min(...tasks.map(({ run, row }) => (run ? Infinity : runnableFromMs(row))).filter((fromMs) => fromMs > nowMs))
}

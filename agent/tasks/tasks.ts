// Runs tasks: a bounded number of each kind at a time, again from the beginning after a restart, and tells how they go.

import { newId } from '../../protocol/ids.ts'
import type { Page } from '../../protocol/page.ts'
import { makeProblem, problem } from '../../protocol/problems.ts'
import { taskKindSchema } from '../../protocol/task.ts'
import type { Progress, Task, TaskKind, TaskState } from '../../protocol/task.ts'
import { problemOf } from '../contract/failures.ts'
import type { Sealer } from '../contract/access.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { EmitEvent, TaskBoard, TaskFilter, TaskOrder, TaskRunner } from '../contract/work.ts'
import { admitTask } from './admission.ts'
import type { AgentDatabase } from './database.ts'
import { addSample, makeProgress } from './rate.ts'
import type { Sample } from './rate.ts'
import { createTaskTable, SECRET_GONE, secretPurpose, showTask } from './task-table.ts'
import type { TaskRow, TaskTable } from './task-table.ts'

/** Tasks of a kind that run at the same time; the others wait their turn. */
const RUNNING_MAX: Readonly<Record<TaskKind, number>> = { sync: 2, gc: 1, scrub: 1, cleanup: 1, expire: 1, import: 2, export: 2, digest: 1, recover: 1 }
/** Tasks that are kept after their end. */
const ENDED_MAX = 10_000
/** How long a failed or cancelled task can be retried, in milliseconds: its parameters are kept so long. */
const RETRY_MS_MAX = 7 * 86_400_000
/** Runs of one task that a crash of the agent may cut before it counts as failed: it may be what crashes the agent. */
const STARTS_MAX = 5
/** Progress is written at most this often, in milliseconds. */
const PROGRESS_WRITE_MS = 1000

const NO_PROGRESS: Progress = { done: 0, total: null, unit: 'steps', rate: 0, etaSeconds: null }

export interface TasksDeps {
  readonly database: AgentDatabase
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  /** Seals the secrets of orders while their tasks wait and run. */
  readonly sealer: Sealer
}

/** A queued or running task of this process. */
interface ActiveTask {
  row: TaskRow
  samples: readonly Sample[]
  writtenMs: number
  readonly controller: AbortController
  run: Promise<void> | undefined
}

/** The tasks of an agent. Disposing stops what runs and leaves it to the next start. */
export class TaskQueue implements TaskBoard {
  readonly #deps: TasksDeps
  readonly #table: TaskTable
  readonly #runners = new Map<TaskKind, TaskRunner>()
  readonly #active = new Map<string, ActiveTask>()
  readonly #waiting = new Map<string, ((task: Task) => void)[]>()
  #isResumed = false
  #isStopping = false
  #number: number

  private constructor(deps: TasksDeps, table: TaskTable) {
    this.#deps = deps
    this.#table = table
    this.#number = table.numberMax()
  }

  /** Opens the tasks of a database; none runs before `resume`. */
  static open(deps: TasksDeps): TaskQueue {
    const queue = new TaskQueue(deps, createTaskTable(deps.database))
    for (const row of queue.#table.active()) {
      const queued: TaskRow = { ...row, state: 'queued' }
      queue.#add(queued)
      queue.#save(queued)
    }
    return queue
  }

  register(kind: TaskKind, runner: TaskRunner): void {
    this.#runners.set(kind, runner)
  }

  /** Lets tasks run, first those that were left by the process before. */
  resume(): void {
    this.#isResumed = true
    for (const task of this.#active.values()) {
      if (task.row.starts < STARTS_MAX) continue
      const error = makeProblem('interrupted', `The agent crashed ${task.row.starts} times while this task ran; it is not run again by itself.`)
      this.#end(task, 'failed', { error })
    }
    this.#pump()
  }

  async start(order: TaskOrder): Promise<Task> {
    const nowMs = this.#deps.clock.nowMs()
    const id = newId('tsk', nowMs)
    // First, so that nothing comes between the checks below and the row.
    const secret = order.secret === undefined ? null : await this.#deps.sealer.seal(order.secret, secretPurpose(id))
    if (this.#isStopping) throw problem('shutting-down', 'The agent is stopping and takes no new tasks.')
    if (!this.#runners.has(order.kind)) throw new Error(`no runner for tasks of kind ${order.kind}`)
    const same = order.key === undefined ? undefined : this.#findByKey(order.key)
    if (same) return showTask(same.row)
    const row: TaskRow = {
      id,
      number: ++this.#number,
      kind: order.kind,
      state: 'queued',
      subject: order.subject,
      created_by: order.createdBy,
      created_ms: nowMs,
      ended_ms: null,
      dedupe_key: order.key ?? null,
      params: JSON.stringify(order.params ?? null),
      secret,
      starts: 0,
      progress: NO_PROGRESS,
      result: null,
      error: null,
    }
    this.#admit(row)
    this.#deps.database.durably(() => this.#table.insert(row))
    this.#deps.crashPoint('tasks:kept')
    this.#add(row)
    this.#pump()
    return this.#show(row.id)
  }

  get(id: string): Task | undefined {
    const row = this.#active.get(id)?.row ?? this.#table.find(id)
    return row && showTask(row)
  }

  ended(id: string): Promise<Task> {
    const task = this.get(id)
    if (!task) return Promise.reject(notFound(id))
    if (task.endedAt !== null) return Promise.resolve(task)
    const { promise, resolve } = Promise.withResolvers<Task>()
    this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), resolve])
    return promise
  }

  list({ state, kind, limit, cursor }: TaskFilter): Page<Task> {
    if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) throw problem('invalid-input', 'cursor must be the next of an earlier page.')
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(cursor)
    const rows = this.#table.list({ state, kind, before, limit: limit + 1 })
    const items = rows.slice(0, limit)
    // What runs is newer in memory than in the table.
    return { items: items.map(({ id }) => this.#show(id)), next: rows.length > limit ? String(items.at(-1)?.number) : null }
  }

  cancel(id: string, by: string): Task {
    const task = this.#active.get(id)
    if (!task) {
      const ended = this.get(id)
      if (!ended) throw notFound(id)
      throw problem('wrong-status', `The task has ${ended.state} already.`, { action: 'Nothing is left to cancel.' })
    }
    task.controller.abort(problem('cancelled', `Cancelled by ${by}.`))
    if (!task.run) this.#end(task, 'cancelled', {})
    return this.#show(id)
  }

  retry(id: string, by: string): Task {
    const row = this.#active.get(id)?.row ?? this.#table.find(id)
    if (!row) throw notFound(id)
    if (row.state !== 'failed' && row.state !== 'cancelled')
      throw problem('wrong-status', `The task is ${row.state}; only a failed or cancelled one is retried.`, {
        action: 'Wait until it has ended, or start a new one.',
      })
    if (this.#isStopping) throw problem('shutting-down', 'The agent is stopping and takes no new tasks.')
    if (row.secret === SECRET_GONE)
      throw problem('conflict', 'The token of the other store that the task was given was dropped when the task ended.', {
        action: 'Order the same again, with a token: what was moved already is not moved again.',
      })
    if (row.params === null) throw problem('conflict', 'What the task was told is kept for 7 days and is gone.', { action: 'Start it again as a new task.' })
    const same = row.dedupe_key === null ? undefined : this.#findByKey(row.dedupe_key)
    if (same) throw problem('conflict', `The task ${same.row.id} does the same at this moment.`, { action: 'Follow that task.' })
    const queued: TaskRow = { ...row, state: 'queued', ended_ms: null, starts: 0, progress: NO_PROGRESS, result: null, error: null }
    this.#admit(queued)
    this.#deps.database.durably(() => this.#table.update(queued))
    this.#deps.emit({ type: 'task.retried', severity: 'info', subject: id, actor: by, message: `${by} started the ${row.kind} task again.` })
    this.#add(queued)
    this.#pump()
    return this.#show(id)
  }

  counts(): Readonly<Record<TaskState, number>> {
    return this.#table.counts()
  }

  /** Asks everything that runs to stop and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    const runs: Promise<void>[] = []
    for (const task of this.#active.values()) {
      task.controller.abort(problem('interrupted', 'The agent is stopping.'))
      if (task.run) runs.push(task.run)
    }
    await Promise.all(runs)
  }

  #admit(row: TaskRow): void {
    admitTask(
      this.#active
        .values()
        .map((task) => task.row)
        .toArray(),
      row,
    )
  }

  #add(row: TaskRow): void {
    this.#active.set(row.id, { row, samples: [], writtenMs: 0, controller: new AbortController(), run: undefined })
  }

  #show(id: string): Task {
    const task = this.get(id)
    if (!task) throw notFound(id)
    return task
  }

  #findByKey(key: string): ActiveTask | undefined {
    for (const task of this.#active.values()) if (task.row.dedupe_key === key) return task
    return undefined
  }

  /** Starts what may run now, oldest first. */
  #pump(): void {
    if (!this.#isResumed || this.#isStopping) return
    const room = new Map(taskKindSchema.options.map((kind) => [kind, RUNNING_MAX[kind]]))
    for (const { row, run } of this.#active.values()) if (run) room.set(row.kind, (room.get(row.kind) ?? 0) - 1)
    for (const task of this.#active.values()) {
      const free = room.get(task.row.kind) ?? 0
      const runner = this.#runners.get(task.row.kind)
      if (task.run || free <= 0 || !runner) continue
      room.set(task.row.kind, free - 1)
      task.row = { ...task.row, state: 'running', starts: task.row.starts + 1 }
      this.#save(task.row)
      task.run = this.#run(task, runner)
    }
  }

  /** Never rejects. */
  async #run(task: ActiveTask, runner: TaskRunner): Promise<void> {
    const { signal } = task.controller
    const progress = (done: number, total: number | null, unit: Progress['unit']): void => this.#progress(task, done, total, unit)
    try {
      // In a turn of its own: whoever started it has its answer first.
      await Promise.resolve()
      const secret = await this.#openSecret(task.row)
      // Cancelled or stopped before it began: a runner need only watch for what comes later.
      signal.throwIfAborted()
      const result = await runner(JSON.parse(task.row.params ?? 'null'), { taskId: task.row.id, signal, progress, ...secret })
      this.#deps.crashPoint('tasks:done')
      this.#end(task, 'succeeded', { result })
    } catch (error) {
      // The next start of the agent runs it again; an orderly end does not count against it.
      if (this.#isStopping) this.#save({ ...task.row, state: 'queued', starts: task.row.starts - 1 })
      else if (signal.aborted) this.#end(task, 'cancelled', {})
      else this.#fail(task, error)
    }
  }

  async #openSecret({ id, secret }: TaskRow): Promise<{ secret?: string }> {
    if (secret === null) return {}
    const opened = await this.#deps.sealer.open(secret, secretPurpose(id))
    if (opened !== undefined) return { secret: opened }
    throw problem('conflict', 'The token of the other store cannot be opened: the key in the state folder is another one than when the task was ordered.', {
      action: 'Order the same again, with a token: what was moved already is not moved again.',
    })
  }

  #fail(task: ActiveTask, error: unknown): void {
    const refusal = problemOf(error)
    if (refusal.cause !== undefined) this.#deps.log.error('a task failed', { taskId: task.row.id, kind: task.row.kind, error: refusal.cause })
    this.#end(task, 'failed', { error: refusal.problem })
  }

  #progress(task: ActiveTask, done: number, total: number | null, unit: Progress['unit']): void {
    const nowMs = this.#deps.clock.monotonicMs()
    task.samples = addSample(task.samples, { atMs: nowMs, done })
    task.row = { ...task.row, progress: makeProgress(done, total, unit, task.samples) }
    if (nowMs - task.writtenMs < PROGRESS_WRITE_MS || !this.#active.has(task.row.id)) return
    task.writtenMs = nowMs
    this.#save(task.row)
  }

  /** Keeps what may also be lost: after a restart the task is simply run again. */
  #save(row: TaskRow): void {
    try {
      this.#table.update(row)
    } catch (error) {
      this.#deps.log.warn('the state of a task could not be kept', { taskId: row.id, error })
    }
  }

  #end(task: ActiveTask, state: 'succeeded' | 'failed' | 'cancelled', outcome: { result?: Record<string, unknown>; error?: TaskRow['error'] }): void {
    const { clock, database } = this.#deps
    const { row } = task
    const nowMs = clock.nowMs()
    const ended: TaskRow = {
      ...row,
      state,
      ended_ms: nowMs,
      params: state === 'succeeded' ? null : row.params,
      secret: row.secret === null ? null : SECRET_GONE,
      progress: { ...row.progress, rate: 0, etaSeconds: null },
      result: outcome.result ?? null,
      error: outcome.error ?? null,
    }
    try {
      database.durably(() => {
        this.#table.update(ended)
        this.#table.prune(this.#number - ENDED_MAX, nowMs - RETRY_MS_MAX)
      })
    } catch (error) {
      // The work itself is done and durable where it belongs; without this row it is done once more after a restart.
      this.#deps.log.error('the end of a task could not be kept', { taskId: row.id, error })
    }
    this.#deps.crashPoint('tasks:ended')
    this.#active.delete(row.id)
    this.#tell(ended)
    this.#pump()
  }

  #tell(row: TaskRow): void {
    const { clock, emit } = this.#deps
    const seconds = Math.round((clock.nowMs() - row.created_ms) / 1000)
    const outcome = row.state === 'failed' ? `failed: ${row.error?.detail ?? 'no reason given'}` : `${row.state} after ${seconds} s`
    emit({
      type: `task.${row.state}`,
      severity: row.state === 'failed' ? 'error' : 'info',
      subject: row.id,
      actor: row.created_by,
      message: `The ${row.kind} task on ${row.subject} ${outcome}.`.replace(/\.\.$/, '.'),
      details: { kind: row.kind, subject: row.subject },
    })
    const waiting = this.#waiting.get(row.id) ?? []
    this.#waiting.delete(row.id)
    const task = showTask(row)
    for (const resolve of waiting) resolve(task)
  }
}

function notFound(id: string) {
  return problem('not-found', `There is no task ${JSON.stringify(id)}.`)
}

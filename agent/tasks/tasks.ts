// Runs tasks: a bounded number of each kind at a time, from the beginning after a restart, with progress and events.

import type { Page } from '../../protocol/page.ts'
import { makeProblem, problem } from '../../protocol/problems.ts'
import type { Progress, Task, TaskKind, TaskState } from '../../protocol/task.ts'
import { problemOf } from '../contract/failures.ts'
import type { Sealer } from '../contract/access.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import { TaskPostponed } from '../contract/work.ts'
import type { EmitEvent, TaskBoard, TaskFilter, TaskOrder, TaskRunner } from '../contract/work.ts'
import { admitTask } from './admission.ts'
import type { AgentDatabase } from './database.ts'
import { addSample, makeProgress } from './rate.ts'
import type { Sample } from './rate.ts'
import { nextRunnableMs, runnable } from './run-order.ts'
import { ended, endEvent, newTaskId, paused, queued, queuedAgain, resumed, waitingAgain } from './task-rows.ts'
import type { TaskEnd } from './task-rows.ts'
import { createTaskTable, secretPurpose, showTask } from './task-table.ts'
import type { TaskRow, TaskTable } from './task-table.ts'

/** Tasks that are kept after their end. */
const ENDED_MAX = 10_000
/** How long a failed or cancelled task can be retried, in milliseconds: its parameters are kept for this long. */
const RETRY_MS_MAX = 7 * 86_400_000
/** Runs of one task that a crash of the agent may interrupt before the task fails: it may be the cause of the crashes. */
const STARTS_MAX = 5
/** Progress is written at most this often, in milliseconds. */
const PROGRESS_WRITE_MS = 1000
/** Longest wait until postponed tasks are looked at again, in milliseconds, because the wall clock may be set. */
const POSTPONED_LOOK_MS = 60_000

export interface TasksDeps {
  readonly database: AgentDatabase
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  /** Seals the secrets of tasks while they wait and run. */
  readonly sealer: Sealer
}

/** A queued or running task of this process. */
interface ActiveTask {
  row: TaskRow
  samples: readonly Sample[]
  writtenMs: number
  /** Replaced for each run, because a task that was paused or postponed runs again. */
  controller: AbortController
  isCancelled: boolean
  isRerun: boolean
  run: Promise<void> | undefined
  /** Returns what the running task has done so far. */
  resultSoFar: (() => Record<string, unknown>) | undefined
}

/** The tasks of an agent. Disposing stops the running ones; the next start runs them again. */
export class TaskQueue implements TaskBoard {
  readonly #deps: TasksDeps
  readonly #table: TaskTable
  readonly #runners = new Map<TaskKind, TaskRunner>()
  readonly #active = new Map<string, ActiveTask>()
  readonly #waiting = new Map<string, ((task: Task) => void)[]>()
  /** Aborts the wait for the next task that was postponed. */
  #wake = new AbortController()
  #isResumed = false
  #isStopping = false
  #number: number

  private constructor(deps: TasksDeps, table: TaskTable) {
    this.#deps = deps
    this.#table = table
    this.#number = table.numberMax()
  }

  /** Opens the tasks of a database. No task runs before `resume`. */
  static open(deps: TasksDeps): TaskQueue {
    const queue = new TaskQueue(deps, createTaskTable(deps.database))
    for (const row of queue.#table.active()) {
      // The time of a postponed task came from the configuration of the previous process, so its runner decides again.
      const waiting: TaskRow = { ...row, state: 'queued', hold: row.hold?.kind === 'paused' ? row.hold : null }
      queue.#add(waiting, true)
      queue.#save(waiting)
    }
    return queue
  }

  register(kind: TaskKind, runner: TaskRunner): void {
    this.#runners.set(kind, runner)
  }

  /** Lets tasks run, those of the previous process first. */
  resume(): void {
    this.#isResumed = true
    for (const task of this.#active.values()) {
      if (task.row.starts < STARTS_MAX) continue
      const error = makeProblem('interrupted', `The agent crashed ${task.row.starts} times while this task ran, so it is not run again automatically.`)
      this.#end(task, { state: 'failed', error })
    }
    this.#pump()
  }

  async start(order: TaskOrder): Promise<Task> {
    const nowMs = this.#deps.clock.nowMs()
    const id = newTaskId(nowMs)
    // Sealed first, because no other call may run between the checks below and the row.
    const secret = order.secret === undefined ? null : await this.#deps.sealer.seal(order.secret, secretPurpose(id))
    if (this.#isStopping) throw problem('shutting-down', 'The agent is stopping and accepts no new tasks.')
    if (!this.#runners.has(order.kind)) throw new Error(`no runner for tasks of kind ${order.kind}`)
    const same = order.key === undefined ? undefined : this.#findByKey(order.key)
    if (same) return showTask(same.row)
    const row = queued(order, { id, number: ++this.#number, secret, nowMs })
    this.#admit(row)
    this.#deps.database.durably(() => this.#table.insert(row))
    this.#deps.crashPoint('tasks:kept')
    this.#add(row)
    this.#pump()
    return this.#show(row.id)
  }

  get(id: string): Task | undefined {
    const task = this.#active.get(id)
    if (task?.resultSoFar) return showTask({ ...task.row, result: task.resultSoFar() })
    const row = task?.row ?? this.#table.find(id)
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
    // A running task is newer in memory than in the table.
    return { items: items.map(({ id }) => this.#show(id)), next: rows.length > limit ? String(items.at(-1)?.number) : null }
  }

  cancel(id: string, by: string): Task {
    const task = this.#needActive(id, 'cancel')
    task.isCancelled = true
    task.controller.abort(problem('cancelled', `Cancelled by ${by}.`))
    if (!task.run) this.#end(task, { state: 'cancelled' })
    return this.#show(id)
  }

  retry(id: string, by: string): Task {
    const row = this.#active.get(id)?.row ?? this.#table.find(id)
    if (!row) throw notFound(id)
    const again = queuedAgain(row)
    if (this.#isStopping) throw problem('shutting-down', 'The agent is stopping and accepts no new tasks.')
    const same = row.dedupe_key === null ? undefined : this.#findByKey(row.dedupe_key)
    if (same) throw problem('conflict', `The task ${same.row.id} is already doing the same.`, { action: 'Follow that task.' })
    this.#admit(again)
    this.#deps.database.durably(() => this.#table.update(again))
    this.#deps.emit({ type: 'task.retried', severity: 'info', subject: id, actor: by, message: `${by} started the ${row.kind} task again.` })
    this.#add(again)
    this.#pump()
    return this.#show(id)
  }

  pause(id: string, by: string): Task {
    const task = this.#needActive(id, 'pause')
    if (task.row.hold?.kind === 'paused' || task.isCancelled) return this.#show(id)
    const row = paused(task.row, by, this.#deps.clock.nowMs())
    this.#deps.database.durably(() => this.#table.update(row))
    this.#deps.crashPoint('tasks:paused')
    task.row = row
    task.controller.abort(problem('interrupted', `Paused by ${by}.`))
    this.#deps.emit({ type: 'task.paused', severity: 'info', subject: id, actor: by, message: `${by} paused the ${row.kind} task on ${row.subject}.` })
    return this.#show(id)
  }

  resumePaused(id: string, by: string): Task {
    const task = this.#needActive(id, 'resume')
    const row = resumed(task.row)
    this.#deps.database.durably(() => this.#table.update(row))
    task.row = row
    this.#deps.emit({ type: 'task.resumed', severity: 'info', subject: id, actor: by, message: `${by} resumed the ${row.kind} task on ${row.subject}.` })
    this.#pump()
    return this.#show(id)
  }

  isOrderedBy(id: string, tokenId: string): boolean {
    return (this.#active.get(id)?.row ?? this.#table.find(id))?.creator_token === tokenId
  }

  paramsOf(id: string): unknown {
    const params = (this.#active.get(id)?.row ?? this.#table.find(id))?.params ?? null
    return params === null ? undefined : JSON.parse(params)
  }

  counts(): Readonly<Record<TaskState, number>> {
    return this.#table.counts()
  }

  runPostponed(): void {
    for (const task of this.#active.values()) if (task.row.hold?.kind === 'postponed') task.row = { ...task.row, hold: null }
    this.#pump()
  }

  /** Stops all running tasks and waits for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    this.#wake.abort()
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

  #add(row: TaskRow, isRerun = false): void {
    const controller = new AbortController()
    this.#active.set(row.id, { row, samples: [], writtenMs: 0, controller, isCancelled: false, isRerun, run: undefined, resultSoFar: undefined })
  }

  /** Returns a queued or running task. Throws ProblemError `not-found`, or `wrong-status` when it has ended. */
  #needActive(id: string, to: string): ActiveTask {
    const task = this.#active.get(id)
    if (task) return task
    throw problem('wrong-status', `The task has already ${this.#show(id).state}.`, { action: `There is nothing to ${to}.` })
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

  /** Starts the tasks that may run now. */
  #pump(): void {
    if (!this.#isResumed || this.#isStopping) return
    const nowMs = this.#deps.clock.nowMs()
    for (const task of runnable([...this.#active.values()], nowMs)) {
      const runner = this.#runners.get(task.row.kind)
      // An earlier version ordered a kind of task that this one does not run.
      if (!runner) continue
      task.row = { ...task.row, state: 'running', starts: task.row.starts + 1, hold: null }
      task.controller = new AbortController()
      this.#save(task.row)
      task.run = this.#run(task, runner)
    }
    this.#pumpLater(nowMs)
  }

  /** Starts postponed tasks when their time comes. */
  #pumpLater(nowMs: number): void {
    this.#wake.abort()
    const nextMs = nextRunnableMs([...this.#active.values()], nowMs)
    if (nextMs === Infinity) return
    this.#wake = new AbortController()
    const { signal } = this.#wake
    this.#deps.clock.sleep(Math.min(nextMs - nowMs, POSTPONED_LOOK_MS), signal).then(
      () => this.#pump(),
      // Another call of #pump waits instead, or the agent stops.
      () => {},
    )
  }

  /** Never rejects. */
  async #run(task: ActiveTask, runner: TaskRunner): Promise<void> {
    const { signal } = task.controller
    const progress = (done: number, total: number | null, unit: Progress['unit']): void => this.#progress(task, done, total, unit)
    try {
      // In a microtask of its own, so that `start` returns first.
      await Promise.resolve()
      const secret = await this.#openSecret(task.row)
      // The task was cancelled or stopped before it began. A runner only has to watch for later aborts.
      signal.throwIfAborted()
      const resultSoFar = (read: () => Record<string, unknown>): void => void (task.resultSoFar = read)
      const result = await runner(JSON.parse(task.row.params ?? 'null'), {
        taskId: task.row.id,
        signal,
        isRerun: task.isRerun,
        progress,
        resultSoFar,
        ...secret,
      })
      this.#deps.crashPoint('tasks:done')
      this.#end(task, { state: 'succeeded', result })
    } catch (error) {
      // The next start of the agent runs the task again. A clean stop does not count as a crash.
      if (this.#isStopping) this.#save(waitingAgain(task.row))
      else if (task.isCancelled) this.#end(task, { state: 'cancelled', ...partOf(task) })
      else if (signal.aborted) this.#requeue(task)
      else if (error instanceof TaskPostponed) this.#requeue(task, { kind: 'postponed', untilMs: error.untilMs, detail: error.message })
      else this.#fail(task, error)
    }
  }

  /** Queues a task whose run stopped without an end: it was paused, or its runner postponed it. */
  #requeue(task: ActiveTask, hold = task.row.hold): void {
    task.run = undefined
    task.resultSoFar = undefined
    task.samples = []
    task.isRerun = true
    task.row = { ...waitingAgain(task.row), hold }
    this.#save(task.row)
    this.#pump()
  }

  async #openSecret({ id, secret }: TaskRow): Promise<{ secret?: string }> {
    if (secret === null) return {}
    const opened = await this.#deps.sealer.open(secret, secretPurpose(id))
    if (opened !== undefined) return { secret: opened }
    throw problem('conflict', 'The secret of the task cannot be opened: the key in the state folder has changed since the task was started.', {
      action: 'Start the same again as a new task.',
    })
  }

  #fail(task: ActiveTask, error: unknown): void {
    const refusal = problemOf(error)
    if (refusal.cause !== undefined) this.#deps.log.error('a task failed', { taskId: task.row.id, kind: task.row.kind, error: refusal.cause })
    this.#end(task, { state: 'failed', error: refusal.problem, ...partOf(task) })
  }

  #progress(task: ActiveTask, done: number, total: number | null, unit: Progress['unit']): void {
    const nowMs = this.#deps.clock.monotonicMs()
    task.samples = addSample(task.samples, { atMs: nowMs, done })
    task.row = { ...task.row, progress: makeProgress(done, total, unit, task.samples) }
    if (nowMs - task.writtenMs < PROGRESS_WRITE_MS || !this.#active.has(task.row.id)) return
    task.writtenMs = nowMs
    this.#save(task.row)
  }

  /** Saves a state that may be lost: after a restart the task is run again. */
  #save(row: TaskRow): void {
    try {
      this.#table.update(row)
    } catch (error) {
      this.#deps.log.warn('the state of a task could not be saved', { taskId: row.id, error })
    }
  }

  #end(task: ActiveTask, end: TaskEnd): void {
    const nowMs = this.#deps.clock.nowMs()
    const row = ended(task.row, end, nowMs)
    try {
      this.#deps.database.durably(() => {
        this.#table.update(row)
        this.#table.prune(this.#number - ENDED_MAX, nowMs - RETRY_MS_MAX)
      })
    } catch (error) {
      // The work itself is done and durable elsewhere. Without this row the task runs once more after a restart.
      this.#deps.log.error('the end of a task could not be saved', { taskId: row.id, error })
    }
    this.#deps.crashPoint('tasks:ended')
    this.#active.delete(row.id)
    this.#deps.emit(endEvent(row, nowMs))
    const waiting = this.#waiting.get(row.id) ?? []
    this.#waiting.delete(row.id)
    for (const resolve of waiting) resolve(showTask(row))
    this.#pump()
  }
}

/** Returns what a task has done that did not succeed. */
function partOf({ resultSoFar }: ActiveTask): { result?: Record<string, unknown> } {
  return resultSoFar ? { result: resultSoFar() } : {}
}

function notFound(id: string) {
  return problem('not-found', `There is no task ${JSON.stringify(id)}.`)
}

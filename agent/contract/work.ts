// Tasks and events as the capabilities see them: they start long work and emit events.

import type { Actor } from './access.ts'
import type { Severity, StoreEvent } from '../../protocol/event.ts'
import type { Page } from '../../protocol/page.ts'
import type { SyncPriority } from '../../protocol/sync/sync-limits.ts'
import type { Progress, Task, TaskKind, TaskState } from '../../protocol/task.ts'

/** What a running task can use. */
export interface TaskContext {
  readonly taskId: string
  readonly signal: AbortSignal
  /** Whether the task ran or waited before: the agent was restarted, or the task was paused or postponed. Nobody waits for a quick answer then. */
  readonly isRerun: boolean
  /** `secret` of the order. */
  readonly secret?: string
  /** Sets what the task has done so far. It is called when somebody asks, and when the task fails or is cancelled, which keeps it as the result. */
  resultSoFar(read: () => Record<string, unknown>): void
  /** Reports progress. It is kept in memory and written at most once a second. */
  progress(done: number, total: number | null, unit: Progress['unit']): void
}

/** A runner throws this to stop without an end: the task is queued and runs again at a time. What it did so far must be durable. */
export class TaskPostponed extends Error {
  override readonly name = 'TaskPostponed'
  /** Milliseconds since 1970. */
  readonly untilMs: number

  /** `detail` is shown in the task: a sentence that says why it waits and when it continues. */
  constructor(untilMs: number, detail: string) {
    super(detail)
    this.untilMs = untilMs
  }
}

/** Runs tasks of one kind. `params` are those of the order. After a restart of the agent, the task may run again from the beginning. */
export type TaskRunner = (params: unknown, context: TaskContext) => Promise<Record<string, unknown>>

export interface TaskOrder {
  readonly kind: TaskKind
  readonly subject: string
  readonly createdBy: string
  /** Id of the token that ordered the task: it sees the task also while there is no image yet. */
  readonly creatorTokenId?: string
  /** JSON. Operators see those of syncs, as `order` of the task. Deleted when the task succeeds or can no longer be retried (7 days). Secrets belong in `secret`. */
  readonly params: unknown
  /** A secret that the task needs, such as a token of another store. Stored sealed. Deleted when the task ends; a failed import keeps it as long as its parameters. */
  readonly secret?: string
  /** Tasks of a higher priority run before others of their kind that wait. `normal` by default. */
  readonly priority?: SyncPriority
  /** While a task with the same key is queued or running, `start` returns that task. */
  readonly key?: string
}

/** Starts long work. A task is durable when `start` resolves; after a restart of the agent, an unfinished task runs again. */
export interface Tasks {
  /** Registers the runner of a kind; main calls it before `resume`. */
  register(kind: TaskKind, runner: TaskRunner): void
  /** Starts a task. Throws ProblemError `limit-reached` when too many tasks are queued, `shutting-down` while the agent stops. */
  start(order: TaskOrder): Promise<Task>
  get(id: string): Task | undefined
  /** Resolves with the task when it has ended. Throws ProblemError `not-found` for an unknown id. */
  ended(id: string): Promise<Task>
}

export interface TaskFilter {
  readonly state?: TaskState | undefined
  readonly kind?: TaskKind | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** Lists, cancels and retries tasks for operators. */
export interface TaskBoard extends Tasks {
  /** Returns tasks, newest first. */
  list(filter: TaskFilter): Page<Task>
  /** Asks a queued or running task to stop. Throws ProblemError `not-found`, or `wrong-status` when it has ended. */
  cancel(id: string, by: string): Task
  /** Runs a failed or cancelled task again under its id. Throws ProblemError `not-found`, `wrong-status`, or `conflict` when its parameters or secret were deleted. */
  retry(id: string, by: string): Task
  /**
   * Pauses a queued or running task until `resumePaused`; durable when it returns. A run in progress stops as soon as possible, keeps what it did, and
   * makes room for another task. Throws ProblemError `not-found`, or `wrong-status` for a task that has ended or cannot be paused.
   */
  pause(id: string, by: string): Task
  /** Resumes a paused task; durable when it returns. Throws ProblemError `not-found`, or `wrong-status` when it is not paused. */
  resumePaused(id: string, by: string): Task
  /** Whether this token ordered the task. */
  isOrderedBy(id: string, tokenId: string): boolean
  /** Returns `params` of the order; undefined for an unknown task and once they were deleted. Routes show only members that they know. */
  paramsOf(id: string): unknown
  counts(): Readonly<Record<TaskState, number>>
  /** Lets postponed tasks run now, so that their runners decide again: what they wait for has changed. */
  runPostponed(): void
}

/** Long work that is shown as tasks while it lasts but is not stored. */
export interface LiveWork {
  /** Iterates over the work in progress. */
  list(): Iterable<Task>
  /** Returns work by the id of its task, also work that has ended as far as that is still known. */
  find(id: string): Task | undefined
  /** Cancels work in progress and returns its task. Throws ProblemError when it cannot be cancelled, or not by this actor. */
  cancel(task: Task, actor: Actor): Promise<Task>
}

/** Stored tasks and live work, for operators. */
export interface ShownTasks {
  list(filter: TaskFilter): Page<Task>
  get(id: string): Task | undefined
  /** Asks a queued or running task to stop. Throws what TaskBoard and LiveWork throw. */
  cancel(id: string, actor: Actor): Promise<Task>
  retry(id: string, by: string): Task
  /** As in TaskBoard. Live work cannot be paused: `wrong-status`. */
  pause(id: string, by: string): Task
  resumePaused(id: string, by: string): Task
  isOrderedBy: TaskBoard['isOrderedBy']
  paramsOf: TaskBoard['paramsOf']
}

export interface NewEvent {
  /** `noun.verb`, such as `image.available`. */
  readonly type: string
  readonly severity: Severity
  readonly subject: string
  readonly message: string
  readonly actor?: string
  readonly details?: Record<string, unknown>
}

/** Emits an event. Never throws and never blocks: an event that cannot be stored is logged. */
export type EmitEvent = (event: NewEvent) => void

export interface EventFilter {
  readonly type?: string | undefined
  readonly severity?: Severity | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** The stored events: a bounded number of the newest. */
export interface EventLog {
  readonly emit: EmitEvent
  /** Returns events, newest first. */
  list(filter: EventFilter): Page<StoreEvent>
  /** Returns the events after an id, oldest first. */
  after(id: string, filter: Omit<EventFilter, 'cursor'>): StoreEvent[]
  /** Returns the id of the newest event; `0` when there are no events. */
  latestId(): string
  /** Calls the listener after each event until disposed. The listener must not throw. */
  onEvent(listener: () => void): Disposable
}

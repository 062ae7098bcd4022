// Tasks and events as the capabilities see them: they start work and say what happened.

import type { Severity, StoreEvent } from '../../protocol/event.ts'
import type { Page } from '../../protocol/page.ts'
import type { Progress, Task, TaskKind, TaskState } from '../../protocol/task.ts'

/** Given to running work. */
export interface TaskContext {
  readonly taskId: string
  readonly signal: AbortSignal
  /** What the order had as its secret. */
  readonly secret?: string
  /** Reports progress; kept in memory, written at most once a second. */
  progress(done: number, total: number | null, unit: Progress['unit']): void
}

/** Work of one kind. `params` is what `start` was given, JSON; it may run again from the beginning after a restart. */
export type TaskRunner = (params: unknown, context: TaskContext) => Promise<Record<string, unknown>>

export interface TaskOrder {
  readonly kind: TaskKind
  readonly subject: string
  readonly createdBy: string
  /** JSON, never shown; dropped when the task succeeds, or can no longer be retried (7 days). Nothing secret: that goes into `secret`. */
  readonly params: unknown
  /** A secret that the work needs, such as a token of another store: kept sealed, and dropped when the task ends, however it ends. */
  readonly secret?: string
  /** With a key, a second order while one with the same key is queued or running gives that one. */
  readonly key?: string
}

/** Starts long work. A task is durable when `start` resolves and survives a restart: it is then run again. */
export interface Tasks {
  /** Says how work of a kind is done; called by main before `resume`. */
  register(kind: TaskKind, runner: TaskRunner): void
  /** Throws ProblemError `limit-reached` when too much is queued, `shutting-down` when the agent stops. */
  start(order: TaskOrder): Promise<Task>
  get(id: string): Task | undefined
  /** Resolves with the task when it has ended; throws ProblemError `not-found` for an id that is not known. */
  ended(id: string): Promise<Task>
}

export interface TaskFilter {
  readonly state?: TaskState | undefined
  readonly kind?: TaskKind | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** Tasks as operators see them. */
export interface TaskBoard extends Tasks {
  /** Newest first. */
  list(filter: TaskFilter): Page<Task>
  /** Asks a queued or running task to stop; throws ProblemError `not-found`, or `wrong-status` when it has ended. */
  cancel(id: string, by: string): Task
  /** Runs a failed or cancelled task again under its id; throws ProblemError `not-found`, `wrong-status`, or `conflict` when its parameters or its secret are gone. */
  retry(id: string, by: string): Task
  counts(): Readonly<Record<TaskState, number>>
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

/** Says what happened. Never throws and never waits: an event that cannot be kept is logged. */
export type EmitEvent = (event: NewEvent) => void

export interface EventFilter {
  readonly type?: string | undefined
  readonly severity?: Severity | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** Kept events, a bounded number of the newest. */
export interface EventLog {
  readonly emit: EmitEvent
  /** Newest first. */
  list(filter: EventFilter): Page<StoreEvent>
  /** Those after an id, oldest first. */
  after(id: string, filter: Omit<EventFilter, 'cursor'>): StoreEvent[]
  /** Id of the newest event, `0` when there was none yet. */
  latestId(): string
  /** Calls back after each event until disposed; the callback must not throw. */
  onEvent(listener: () => void): Disposable
}

// Kept values, events and tasks in memory, with the behaviour of those in the agent's database. They run on any runtime.

import type { KeptValues } from '../../../agent/contract/store.ts'
import type { EventLog, TaskBoard, TaskRunner } from '../../../agent/contract/work.ts'
import type { Clock } from '../../../agent/contract/runtime.ts'
import { problemOf } from '../../../agent/contract/failures.ts'
import type { StoreEvent } from '../../../protocol/event.ts'
import { newId } from '../../../protocol/ids.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Task, TaskKind, TaskState } from '../../../protocol/task.ts'
import { formatTime } from '../../../protocol/time.ts'

/** Creates kept values; documents are copied, as by a database. */
export function createMemoryKeptValues(): KeptValues {
  const values = new Map<string, string>()
  return {
    read(key) {
      const text = values.get(key)
      return text === undefined ? undefined : JSON.parse(text)
    },
    write: (key, value) => void values.set(key, JSON.stringify(value)),
  }
}

/** Creates an event log that keeps all events. */
export function createMemoryEventLog(clock: Clock): EventLog {
  const kept: StoreEvent[] = []
  const listeners = new Set<() => void>()
  const fits =
    (filter: { type?: string | undefined; severity?: string | undefined }) =>
    (event: StoreEvent): boolean =>
      (filter.type === undefined || event.type === filter.type) && (filter.severity === undefined || event.severity === filter.severity)
  return {
    emit({ actor = 'agent', details = {}, ...event }) {
      kept.push({ id: String(kept.length + 1), time: formatTime(clock.nowMs()), ...event, actor, details })
      for (const listener of listeners) listener()
    },
    list({ cursor, limit, ...filter }) {
      const found = kept.filter((event) => Number(event.id) < Number(cursor ?? Infinity) && fits(filter)(event)).toReversed()
      return { items: found.slice(0, limit), next: found.length > limit ? (found[limit - 1]?.id ?? null) : null }
    },
    after: (id, { limit, ...filter }) => kept.filter((event) => Number(event.id) > Number(id) && fits(filter)(event)).slice(0, limit),
    latestId: () => String(kept.length),
    onEvent(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}

interface MemoryTask {
  task: Task
  readonly params: unknown
  readonly secret: string | undefined
  readonly key: string | undefined
  readonly creatorTokenId: string | undefined
  controller: AbortController
  readonly waiting: ((task: Task) => void)[]
}

/** Creates tasks that run at once, without limits in number. */
export function createMemoryTasks(clock: Clock): TaskBoard {
  const tasks = new Map<string, MemoryTask>()
  const runners = new Map<TaskKind, TaskRunner>()

  const need = (id: string): MemoryTask => {
    const found = tasks.get(id)
    if (!found) throw problem('not-found', `There is no task ${JSON.stringify(id)}.`)
    return found
  }

  const end = (one: MemoryTask, outcome: Partial<Task>): void => {
    one.task = { ...one.task, endedAt: formatTime(clock.nowMs()), ...outcome }
    for (const resolve of one.waiting.splice(0)) resolve(one.task)
  }

  const run = async (one: MemoryTask): Promise<void> => {
    const { signal } = one.controller
    const runner = runners.get(one.task.kind)
    let soFar: (() => Record<string, unknown>) | undefined
    try {
      if (!runner) throw new Error(`no runner for tasks of kind ${one.task.kind}`)
      const result = await runner(one.params, {
        taskId: one.task.id,
        signal,
        ...(one.secret === undefined ? {} : { secret: one.secret }),
        isRerun: false,
        resultSoFar: (read) => void (soFar = read),
        progress: (done, total, unit) => void (one.task = { ...one.task, progress: { ...one.task.progress, done, total, unit } }),
      })
      end(one, { state: 'succeeded', result })
    } catch (error) {
      const result = soFar ? { result: soFar() } : {}
      end(one, signal.aborted ? { state: 'cancelled', ...result } : { state: 'failed', error: problemOf(error).problem, ...result })
    }
  }

  return {
    register: (kind, runner) => void runners.set(kind, runner),
    async start({ kind, subject, createdBy, creatorTokenId, params, secret, key }) {
      const same = [...tasks.values()].find((one) => key !== undefined && one.key === key && one.task.endedAt === null)
      if (same) return same.task
      const nowMs = clock.nowMs()
      const one: MemoryTask = {
        task: {
          id: newId('tsk', nowMs),
          kind,
          state: 'running',
          progress: { done: 0, total: null, unit: 'steps', rate: 0, etaSeconds: null },
          subject,
          createdBy,
          createdAt: formatTime(nowMs),
          endedAt: null,
        },
        params,
        secret,
        key,
        creatorTokenId,
        controller: new AbortController(),
        waiting: [],
      }
      tasks.set(one.task.id, one)
      void run(one)
      return one.task
    },
    get: (id) => tasks.get(id)?.task,
    async ended(id) {
      const one = need(id)
      return one.task.endedAt === null ? new Promise((resolve) => one.waiting.push(resolve)) : one.task
    },
    list({ state, kind, limit, cursor }) {
      const newest = [...tasks.values()].map((one) => one.task).toReversed()
      const found = newest.filter((task) => (state === undefined || task.state === state) && (kind === undefined || task.kind === kind))
      const from = cursor === undefined ? 0 : found.findIndex((task) => task.id === cursor) + 1
      const items = found.slice(from, from + limit)
      return { items, next: found.length > from + limit ? (items.at(-1)?.id ?? null) : null }
    },
    cancel(id) {
      const one = need(id)
      if (one.task.endedAt !== null) throw problem('wrong-status', `The task has already ${one.task.state}.`)
      one.controller.abort(problem('cancelled', 'Cancelled.'))
      return one.task
    },
    retry(id) {
      const one = need(id)
      if (one.task.state !== 'failed' && one.task.state !== 'cancelled') throw problem('wrong-status', `The task is ${one.task.state}.`)
      const { error: _error, result: _result, ...rest } = one.task
      one.task = { ...rest, state: 'running', endedAt: null }
      one.controller = new AbortController()
      void run(one)
      return one.task
    },
    pause: () => {
      throw problem('wrong-status', 'A task in memory cannot be paused.')
    },
    resumePaused: () => {
      throw problem('wrong-status', 'A task in memory is never paused.')
    },
    runPostponed: () => {},
    paramsOf: (id) => tasks.get(id)?.params,
    isOrderedBy: (id, tokenId) => tasks.get(id)?.creatorTokenId === tokenId,
    counts() {
      const counts: Record<TaskState, number> = { queued: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 }
      for (const { task } of tasks.values()) counts[task.state]++
      return counts
    },
  }
}

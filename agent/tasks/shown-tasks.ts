// The tasks that operators see: those that are stored, and before them live work that is never stored, such as uploads. Live work is made into tasks
// for each request from what the capabilities know, so a request that brings bytes writes nothing for it.

import { isId } from '../../protocol/ids.ts'
import type { Page } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import type { Task } from '../../protocol/task.ts'
import type { LiveWork, ShownTasks, TaskBoard, TaskFilter } from '../contract/work.ts'

/** Tasks of one kind of live work that are listed. More of them wait only after a start with many new images. */
export const LIVE_TASKS_MAX = 1000

export interface ShownTasksDeps {
  readonly tasks: Pick<TaskBoard, 'list' | 'get' | 'cancel' | 'retry' | 'pause' | 'resumePaused' | 'isOrderedBy' | 'paramsOf'>
  readonly live: readonly LiveWork[]
}

/** Creates the tasks of a store. Live tasks come before stored ones in a list; both newest first. */
export function createShownTasks({ tasks, live }: ShownTasksDeps): ShownTasks {
  const find = (id: string): Task | undefined => {
    for (const work of live) {
      const task = work.find(id)
      if (task) return task
    }
    return undefined
  }
  return {
    list: (filter) => listTasks(tasks, live, filter),
    get: (id) => tasks.get(id) ?? find(id),
    isOrderedBy: (id, tokenId) => tasks.isOrderedBy(id, tokenId),
    paramsOf: (id) => tasks.paramsOf(id),
    async cancel(id, actor) {
      for (const work of live) {
        const task = work.find(id)
        if (!task) continue
        if (task.endedAt !== null) throw problem('wrong-status', `The task has already ${task.state}.`, { action: 'There is nothing to cancel.' })
        return await work.cancel(task, actor)
      }
      return tasks.cancel(id, actor.name)
    },
    retry(id, by) {
      const task = find(id)
      if (task) throw problem('wrong-status', `A task of kind ${task.kind} starts by itself.`, { action: 'There is nothing to retry.' })
      return tasks.retry(id, by)
    },
    pause(id, by) {
      refuseLive(find(id), 'paused')
      return tasks.pause(id, by)
    },
    resumePaused(id, by) {
      refuseLive(find(id), 'resumed')
      return tasks.resumePaused(id, by)
    },
  }
}

function refuseLive(task: Task | undefined, what: string): void {
  if (task) throw problem('wrong-status', `A task of kind ${task.kind} cannot be ${what}.`, { action: 'Wait until it has ended, or cancel it.' })
}

/** The cursor of a page that ends with a live task is its id; that of a later page is a number. */
function listTasks(tasks: ShownTasksDeps['tasks'], live: readonly LiveWork[], filter: TaskFilter): Page<Task> {
  const { cursor, limit } = filter
  const isStored = cursor !== undefined && !isId('tsk', cursor)
  if (isStored) return tasks.list(filter)
  const before = live
    .flatMap((work) => [...firstOf(work.list())])
    .filter((task) => isListed(task, filter))
    .toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const items = before.slice(0, limit)
  const last = items.at(-1)
  if (before.length > limit && last) return { items, next: last.id }
  if (items.length < limit) {
    const stored = tasks.list({ ...filter, cursor: undefined, limit: limit - items.length })
    return { items: [...items, ...stored.items], next: stored.next }
  }
  const hasStored = tasks.list({ ...filter, cursor: undefined, limit: 1 }).items.length > 0
  return { items, next: hasStored && last ? last.id : null }
}

function* firstOf(tasks: Iterable<Task>): Generator<Task> {
  let count = 0
  for (const task of tasks) {
    if (count++ === LIVE_TASKS_MAX) return
    yield task
  }
}

function isListed({ id, kind, state }: Task, filter: TaskFilter): boolean {
  if (filter.cursor !== undefined && id >= filter.cursor) return false
  return (filter.kind === undefined || filter.kind === kind) && (filter.state === undefined || filter.state === state)
}

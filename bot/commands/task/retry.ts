// `task retry T`: runs a task again. Data that was transferred before is not transferred twice. A sync that has ended is ordered again as a new task,
// with everything that was ordered and a new grant: its agent drops the tokens of its sources when it ends.

import { isId } from '../../../protocol/ids.ts'
import { problem } from '../../../protocol/problems.ts'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { View } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { orderCopies } from '../image/copy/order-copies.ts'
import type { SyncOrder } from '../image/copy/order-sync.ts'
import { checkPlacement } from '../placement.ts'
import { askStore } from '../select.ts'
import { oneBulkRun, retryBulkRun } from './bulk.ts'
import { oneTask } from './find.ts'
import { tasksView } from './task-view.ts'

export const taskRetry = defineCommand({
  noun: 'task',
  verb: 'retry',
  summary: 'Retries a failed or cancelled task',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task' }],
  examples: ['task retry tsk_01hf', 'task retry B12'],
  async run(context, input) {
    const { targets } = input
    const bulk = oneBulkRun(context, targets[0] ?? '')
    if (bulk) return retryBulkRun(context, input, bulk)
    const { store, task } = await oneTask(context, targets[0] ?? '')
    if (task.kind === 'sync' && (task.state === 'failed' || task.state === 'cancelled')) return syncAgain(context, store, task)
    if (task.kind === 'import') checkPlacement(context, store)
    const retried = await askStore(context, store, (agent) => agent.tasks.retry(task.id))
    return tasksView(`Retry of ${task.id}`, [{ store: store.name, task: retried }], context.clock.nowMs())
  },
})

/** Orders the same images again, from the same stores as far as the bot knows them. */
async function syncAgain(context: CommandContext, target: StoreRecord, task: Task): Promise<View> {
  // A list of tasks has no orders, and no results of many images; the task itself has.
  const { images, sources, request, notes: gaps } = orderOf(await askStore(context, target, (agent) => agent.tasks.get(task.id)))
  if (images.length === 0)
    throw problem('conflict', `The agent of ${target.name} no longer knows what the task ${task.id} should copy.`, {
      action: `Order it again: image sync I… to=${target.name}`,
    })
  const known = context.fleet.registry.list()
  const named = sources.flatMap((url) => known.find((store) => store.url === url) ?? [])
  const unknown = sources.filter((url) => !known.some((store) => store.url === url)).map((url) => `${url} is no store of this fleet and is not used again.`)
  const { tasks, label, notes } = await orderCopies(context, { images, targets: [target], sources: named.length > 0 ? named : undefined, request })
  const isDry = request.dryRun === true
  const title = `Retry of ${task.id}: sync of ${label} to ${target.name}${isDry ? ' (dry run: nothing is copied)' : ''}`
  const about = isDry ? 'It is a new task with new grants.' : 'It is a new task with new grants. What was copied is not copied again.'
  return tasksView(title, tasks, context.clock.nowMs(), [...notes, ...unknown, ...gaps, about])
}

interface RetriedSync {
  readonly images: readonly string[]
  /** Addresses of the sources, in the order in which they were named. */
  readonly sources: readonly string[]
  readonly request: NonNullable<SyncOrder['request']>
  readonly notes: readonly string[]
}

/** What a sync was ordered to do. The task says all of it; the result of one of an older agent says what it copies and from where. */
function orderOf({ subject, result, order }: Task): RetriedSync {
  const known = syncResultSchema.safeParse(result).data
  // The ids of images, which a source has described, rather than their names.
  const described = known?.images.map(({ id }) => id)
  if (order) {
    const { images, sources, ...request } = order
    return { images: described ?? images, sources: sources.map(({ url }) => url), request, notes: [] }
  }
  return {
    images: described ?? (isId('img', subject) ? [subject] : []),
    sources: known?.sources?.map(({ url }) => url) ?? [],
    request: known?.dryRun === true ? { dryRun: true } : {},
    notes: ['The agent does not say which limits the sync had: it has none now. Set them with rate=, hours= and priority= of image sync.'],
  }
}

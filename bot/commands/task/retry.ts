// `task retry T`: runs a task again. Data that was transferred before is not transferred twice. A sync that has ended is ordered again as a new task,
// with a new grant: its agent drops the tokens of its sources when it ends.

import { isId } from '../../../protocol/ids.ts'
import { problem } from '../../../protocol/problems.ts'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { View } from '../../views/view.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { orderCopies } from '../image/order-copies.ts'
import { askStore } from '../select.ts'
import { oneTask } from './find.ts'
import { tasksView } from './task-view.ts'

export const taskRetry = defineCommand({
  noun: 'task',
  verb: 'retry',
  summary: 'Retries a failed or cancelled task',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task' }],
  async run(context, { targets }) {
    const { store, task } = await oneTask(context, targets[0] ?? '')
    if (task.kind === 'sync' && (task.state === 'failed' || task.state === 'cancelled')) return syncAgain(context, store, task)
    const retried = await askStore(context, store, (agent) => agent.tasks.retry(task.id))
    return tasksView(`Retry of ${task.id}`, [{ store: store.name, task: retried }], context.clock.nowMs())
  },
})

/** Orders the same images again, from the same stores as far as the bot knows them. */
async function syncAgain(context: CommandContext, target: StoreRecord, task: Task): Promise<View> {
  // A list of tasks has no results of many images; the task itself has.
  const { images, sources } = orderOf(await askStore(context, target, (agent) => agent.tasks.get(task.id)))
  if (images.length === 0)
    throw problem('conflict', `The agent of ${target.name} no longer knows what the task ${task.id} should copy.`, {
      action: `Order it again: image sync I… to=${target.name}`,
    })
  const named = context.fleet.registry.list().filter(({ url }) => sources.includes(url))
  const { tasks, label, notes } = await orderCopies(context, { images, targets: [target], sources: named.length > 0 ? named : undefined })
  const title = `Retry of ${task.id}: sync of ${label} to ${target.name}`
  return tasksView(title, tasks, context.clock.nowMs(), [...notes, 'It is a new task with new grants. What was copied is not copied again.'])
}

/** What a sync was ordered to copy and from where, as far as the task tells. */
function orderOf({ subject, result }: Task): { readonly images: readonly string[]; readonly sources: readonly string[] } {
  const known = syncResultSchema.safeParse(result).data
  const images = known?.images.map(({ id }) => id) ?? (isId('img', subject) ? [subject] : [])
  return { images, sources: known?.sources?.map(({ url }) => url) ?? [] }
}

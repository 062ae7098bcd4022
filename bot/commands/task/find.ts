// Finds the task that people mean, by id or unique part of an id.

import { problem } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { CommandContext } from '../command.ts'
import { gapNotes, isPartOf, orUndefined } from '../select.ts'

/** The one task with this id or part of an id. Throws `not-found` or `conflict`. */
export async function oneTask(context: CommandContext, text: string): Promise<{ store: StoreRecord; task: Task }> {
  const contacts = await context.fleet.contactAll(context.fleet.registry.list(), async (agent) => {
    if (/^tsk_[0-9a-z]{26}$/.test(text)) {
      const task = await orUndefined(agent.tasks.get(text))
      return task ? [task] : []
    }
    const { items } = await agent.tasks.list({ limit: 1000 })
    return items.filter((task) => isPartOf(text, task.id))
  })
  const found = contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((task) => ({ store: contact.store, task })) : []))
  const [first] = found
  if (!first) throw problem('not-found', [`No task "${text}".`, ...gapNotes(contacts, 'its tasks')].join(' '), { action: 'List them with task list.' })
  if (found.length > 1) throw problem('conflict', `${found.length} tasks match "${text}".`, { action: 'Use the whole id: task list shows it.' })
  return first
}

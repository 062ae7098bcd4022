// Finds the tasks that people mean, by id or unique part of an id.

import { problem } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { CommandContext } from '../command.ts'
import { gapNotes, isPartOf, orUndefined } from '../select.ts'

/** Newest tasks of a store among which a part of an id is looked for. */
const SEARCHED_MAX = 1000
/** Most requests for several tasks: each store is asked for each whole id. */
const REQUESTS_MAX = 2000

export interface FoundTask {
  readonly store: StoreRecord
  readonly task: Task
}

/** The one task with this id or part of an id. Throws `not-found` or `conflict`. */
export async function oneTask(context: CommandContext, text: string): Promise<FoundTask> {
  const [found] = await findTasks(context, [text], context.fleet.registry.list())
  if (!found) throw new Error('a task that was found is missing')
  return found
}

/** The one task for each id or part of an id, each once, among the tasks of these stores. Throws `not-found` or `conflict`, and `invalid-input` for too many tasks among too many stores. */
export async function findTasks(context: CommandContext, texts: readonly string[], stores: readonly StoreRecord[]): Promise<FoundTask[]> {
  const ids = texts.filter((text) => isTaskId(text))
  if (ids.length > 1 && ids.length * stores.length > REQUESTS_MAX)
    throw problem('invalid-input', `${ids.length} tasks cannot be looked for in ${stores.length} stores at once.`, {
      action: 'Add store=S,S with the stores that have them, or name one task.',
    })
  const contacts = await context.fleet.contactAll(stores, async (agent) => {
    const named = await Promise.all(ids.map((id) => orUndefined(agent.tasks.get(id))))
    const listed = ids.length === texts.length ? [] : (await agent.tasks.list({ limit: SEARCHED_MAX })).items
    return [...named.filter((task) => task !== undefined), ...listed]
  })
  const all = contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((task) => ({ store: contact.store, task })) : []))
  const found = new Map<string, FoundTask>()
  for (const text of texts) {
    const matches = new Map(
      all.filter(({ task }) => (isTaskId(text) ? task.id === text : isPartOf(text, task.id))).map((match) => [`${match.store.name} ${match.task.id}`, match]),
    )
    const [first] = matches.values()
    if (!first) throw problem('not-found', [`No task "${text}".`, ...gapNotes(contacts, 'its tasks')].join(' '), { action: 'List them with task list.' })
    if (matches.size > 1) throw problem('conflict', `${matches.size} tasks match "${text}".`, { action: 'Use the whole id: task list shows it.' })
    found.set(first.task.id, first)
  }
  return [...found.values()]
}

function isTaskId(text: string): boolean {
  return /^tsk_[0-9a-z]{26}$/.test(text)
}

// `task list`: the bulk runs of the bot, and the tasks of one store or of all, newest first.

import { taskKindSchema, taskStateSchema } from '../../../protocol/task.ts'
import { formatTime } from '../../../protocol/time.ts'
import { roleIn } from '../permit.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { FollowedTask } from '../../../protocol/views/view.ts'
import { plural, taskTone } from '../../../protocol/views/phrases.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { bulkRows } from './bulk.ts'
import { taskCells, taskJson } from './task-view.ts'
import { visibleTask } from './visible-task.ts'
import { refuseChoice } from '../refused-value.ts'

const TASKS_SHOWN_MAX = 100

export const taskList = defineCommand({
  noun: 'task',
  verb: 'list',
  summary: 'Lists tasks, newest first',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    state: { about: `one of ${taskStateSchema.options.join(', ')}`, value: 'STATE', choices: taskStateSchema.options },
    kind: { about: `one of ${taskKindSchema.options.join(', ')}`, value: 'KIND', choices: taskKindSchema.options },
  },
  examples: ['task list', 'task list state=running'],
  async run(context, { options }) {
    expectOne('state', options.state, taskStateSchema.options)
    expectOne('kind', options.kind, taskKindSchema.options)
    const contacts = await context.fleet.contactAll(someStores(context, options.store, undefined), (agent) =>
      agent.tasks.list({ limit: TASKS_SHOWN_MAX, state: options.state, kind: options.kind }),
    )
    const tasks: FollowedTask[] = contacts.flatMap((contact) =>
      contact.kind === 'answered'
        ? contact.value.items.map((task) => ({ store: contact.store.name, task: visibleTask(task, roleIn(context.actor, contact.store)) }))
        : [],
    )
    tasks.sort((a, b) => b.task.createdAt.localeCompare(a.task.createdAt))
    // Bulk runs are of the bot, not of a store.
    const bulk = options.store === undefined && options.state === undefined && options.kind === undefined ? bulkRows(context) : { rows: [], json: [] }
    const count = tasks.length + bulk.rows.length
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    return makeView({
      title: 'Tasks',
      text: count === 0 ? 'No tasks.' : plural(count, 'task'),
      columns:
        count === 0
          ? []
          : [
              { key: 'id', label: 'Task', isWhole: true },
              { key: 'store', label: 'Store', isWhole: true },
              { key: 'kind', label: 'Kind' },
              { key: 'state', label: 'State' },
              { key: 'subject', label: 'Subject', isMinor: true },
              { key: 'progress', label: 'Progress' },
              { key: 'created', label: 'Started', isMinor: true },
              { key: 'by', label: 'By', isMinor: true },
              { key: 'reason', label: 'Reason', isMinor: true },
            ],
      rows: [...bulk.rows, ...tasks.map((followed) => ({ tone: taskTone(followed.task.state), cells: taskCells(followed) }))],
      notes: [
        ...gapNotes(contacts, 'its tasks'),
        ...contacts.flatMap((contact) =>
          contact.kind === 'answered' && contact.value.next !== null ? [`Only ${TASKS_SHOWN_MAX} tasks of ${contact.store.name} are shown.`] : [],
        ),
      ],
      asOfMs,
      json: { items: tasks.map(taskJson), bulk: bulk.json, missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
    })
  },
})

function expectOne(key: string, value: string | undefined, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value)) throw refuseChoice(key, value, allowed)
}

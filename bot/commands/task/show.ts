// `task show T`: shows the progress or the result of a task.

import { roleIn } from '../permit.ts'
import { defineCommand } from '../command.ts'
import { oneBulkRun, showBulkRun } from './bulk.ts'
import { oneTask } from './find.ts'
import { tasksView } from './task-view.ts'
import { visibleTask } from './visible-task.ts'

export const taskShow = defineCommand({
  noun: 'task',
  verb: 'show',
  summary: 'Shows the progress or the result of a task',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task' }],
  examples: ['task show tsk_01hf', 'task show B12'],
  async run(context, { targets }) {
    const run = oneBulkRun(context, targets[0] ?? '')
    if (run) return showBulkRun(context, run)
    const { store, task } = await oneTask(context, targets[0] ?? '')
    const view = tasksView(`Task ${task.id}`, [{ store: store.name, task: visibleTask(task, roleIn(context.actor, store)) }], context.clock.nowMs())
    // A task that failed is an answer, not a failure of this command.
    return { ...view, outcome: 'done', progress: [], bars: view.progress }
  },
})

// `task cancel T`: cancels a task, or a bulk run before its next image. Transferred data is kept for a retry.

import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { cancelBulkRun, oneBulkRun } from './bulk.ts'
import { oneTask } from './find.ts'
import { tasksView } from './task-view.ts'

export const taskCancel = defineCommand({
  noun: 'task',
  verb: 'cancel',
  summary: 'Cancels a task; transferred data is kept for a retry',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task' }],
  examples: ['task cancel tsk_01hf', 'task cancel B12'],
  async run(context, { targets }) {
    const run = oneBulkRun(context, targets[0] ?? '')
    if (run) return cancelBulkRun(context, run)
    const { store, task } = await oneTask(context, targets[0] ?? '')
    const cancelled = await askStore(context, store, (agent) => agent.tasks.cancel(task.id))
    const view = tasksView(`Cancel ${task.id}`, [{ store: store.name, task: cancelled }], context.clock.nowMs())
    return { ...view, outcome: 'done', progress: [] }
  },
})

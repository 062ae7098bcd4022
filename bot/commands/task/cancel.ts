// `task cancel T`: cancels a task. Transferred data is kept for a retry.

import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneTask } from './find.ts'
import { tasksView } from './task-view.ts'

export const taskCancel = defineCommand({
  noun: 'task',
  verb: 'cancel',
  summary: 'Cancels a task; transferred data is kept for a retry',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task' }],
  examples: ['task cancel tsk_01hf'],
  async run(context, { targets }) {
    const { store, task } = await oneTask(context, targets[0] ?? '')
    const cancelled = await askStore(context, store, (agent) => agent.tasks.cancel(task.id))
    const view = tasksView(`Cancel ${task.id}`, [{ store: store.name, task: cancelled }], context.clock.nowMs())
    return { ...view, outcome: 'done', progress: [] }
  },
})

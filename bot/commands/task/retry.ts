// `task retry T`: runs a task again. Data that was transferred before is not transferred twice.

import { defineCommand } from '../command.ts'
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
    const retried = await askStore(context, store, (agent) => agent.tasks.retry(task.id))
    return tasksView(`Retry of ${task.id}`, [{ store: store.name, task: retried }], context.clock.nowMs())
  },
})

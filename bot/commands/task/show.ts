// `task show T`: how far a task is, or how it ended.

import { defineCommand } from '../command.ts'
import { oneTask } from './find.ts'
import { tasksView } from './task-view.ts'

export const taskShow = defineCommand({
  noun: 'task',
  verb: 'show',
  summary: 'Shows how far a task is, or how it ended',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task' }],
  async run(context, { targets }) {
    const { store, task } = await oneTask(context, targets[0] ?? '')
    const view = tasksView(`Task ${task.id}`, [{ store: store.name, task }], context.clock.nowMs())
    // That the task failed is an answer here; the question was answered all the same.
    return { ...view, outcome: 'done', progress: [] }
  },
})

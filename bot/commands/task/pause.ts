// `task pause T` and `task resume T`: a paused sync moves no bytes and keeps what it copied.

import type { Command } from '../command.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneTask } from './find.ts'
import { tasksView } from './task-view.ts'

export const taskPause = pausing('pause', 'Pauses a sync until it is resumed; what it copied is kept')
export const taskResume = pausing('resume', 'Resumes a paused sync')

function pausing(verb: 'pause' | 'resume', summary: string): Command {
  return defineCommand({
    noun: 'task',
    verb,
    summary,
    role: 'operator',
    effect: 'write',
    targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task' }],
    examples: [`task ${verb} tsk_01hf`],
    async run(context, { targets }) {
      const { store, task } = await oneTask(context, targets[0] ?? '')
      const changed = await askStore(context, store, (agent) => agent.tasks[verb](task.id))
      const view = tasksView(`${verb === 'pause' ? 'Pause' : 'Resume'} ${task.id}`, [{ store: store.name, task: changed }], context.clock.nowMs())
      // A paused task does not end, so the command does not follow it.
      return { ...view, outcome: 'done', progress: [] }
    },
  })
}

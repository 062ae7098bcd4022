// `task show T…`: shows the progress or the result of tasks.

import { problem } from '../../../protocol/problems.ts'
import { bulkId } from '../../bulk/bulk-run.ts'
import { roleIn } from '../permit.ts'
import { defineCommand } from '../command.ts'
import { storesIn } from '../select.ts'
import { oneBulkRun, watchBulkRun } from './bulk.ts'
import { findTasks } from './find.ts'
import { TASKS_SHOWN_MAX, tasksView } from './task-view.ts'
import { visibleTask } from './visible-task.ts'

export const taskShow = defineCommand({
  noun: 'task',
  verb: 'show',
  summary: 'Shows the progress or the result of tasks',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'T', about: 'id of a task, or a unique part of it', subject: 'task', many: true }],
  options: { store: { about: 'stores that have the tasks, separated by commas; the others are not asked', value: 'S,S', subject: 'store', isMany: true } },
  examples: ['task show tsk_01hf', 'task show tsk_01hf tsk_01hg store=edge-b', 'task show B12'],
  async run(context, { targets, options }) {
    if (targets.length > TASKS_SHOWN_MAX)
      throw problem('invalid-input', `task show takes at most ${TASKS_SHOWN_MAX} tasks, not ${targets.length}.`, { action: 'List them with task list.' })
    const runs = targets.flatMap((target) => oneBulkRun(context, target) ?? [])
    const [run] = runs
    if (run && targets.length > 1) throw problem('invalid-input', 'A bulk run is shown alone.', { action: `Write task show ${bulkId(run)}.` })
    if (run) return watchBulkRun(context, run)
    const stores = options.store === undefined ? context.fleet.registry.list() : storesIn(context, options.store)
    const tasks = (await findTasks(context, targets, stores)).map(({ store, task }) => ({
      store: store.name,
      task: visibleTask(task, roleIn(context.actor, store)),
    }))
    const [first] = tasks
    const title = first && tasks.length === 1 ? `Task ${first.task.id}` : 'Tasks'
    const view = tasksView(title, tasks, context.clock.nowMs())
    // A task that failed is an answer, not a failure of this command.
    return { ...view, outcome: 'done', progress: [], bars: view.progress }
  },
})

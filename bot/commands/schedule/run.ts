// `schedule run S NAME`: runs a schedule now, in addition to its times.

import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { tasksView } from '../task/task-view.ts'
import { namedSchedule, SCHEDULE_TARGETS } from './schedule-rows.ts'

export const scheduleRun = defineCommand({
  noun: 'schedule',
  verb: 'run',
  summary: 'Runs a schedule now; two runs of one schedule never overlap',
  role: 'operator',
  effect: 'write',
  targets: SCHEDULE_TARGETS,
  examples: ['schedule run edge-a cleanup'],
  async run(context, { targets }) {
    const { store, name } = namedSchedule(context, targets)
    const task = await askStore(context, store, (agent) => agent.schedules.run(name))
    return tasksView(`${name} of ${store.name}`, [{ store: store.name, task }], context.clock.nowMs())
  },
})

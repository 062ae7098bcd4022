// `schedule run S NAME`: now, beside its times.

import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { tasksView } from '../task/task-view.ts'
import { namedSchedule, SCHEDULE_TARGETS } from './schedule-rows.ts'

export const scheduleRun = defineCommand({
  noun: 'schedule',
  verb: 'run',
  summary: 'Runs a schedule now; it never overlaps itself',
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

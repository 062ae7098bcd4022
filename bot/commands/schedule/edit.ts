// `schedule edit S NAME "cron"`: changes when a schedule runs.

import { problem } from '../../../protocol/problems.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { changedView, namedSchedule, SCHEDULE_TARGETS } from './schedule-rows.ts'

export const scheduleEdit = defineCommand({
  noun: 'schedule',
  verb: 'edit',
  summary: 'Changes when a schedule runs',
  role: 'admin',
  effect: 'write',
  targets: [...SCHEDULE_TARGETS, { name: '"CRON"', about: 'cron expression of five fields, in quotes', subject: 'text', optional: true, many: true }],
  examples: ['schedule edit edge-a cleanup "17 3 * * *"'],
  async run(context, { targets }) {
    const { store, name, rest } = namedSchedule(context, targets)
    const cron = rest.join(' ').trim()
    if (cron === '')
      throw problem('invalid-input', 'The cron expression is missing.', { action: `Write it in quotes: schedule edit ${store.name} ${name} "17 3 * * *"` })
    const schedule = await askStore(context, store, (agent) => agent.schedules.patch(name, { cron }))
    return changedView(`${name} of ${store.name} changed`, store, schedule, context.clock.nowMs())
  },
})

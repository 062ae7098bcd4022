// `schedule pause S NAME` and `schedule resume S NAME`.

import type { Command } from '../command.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { changedView, namedSchedule, SCHEDULE_TARGETS } from './schedule-rows.ts'

export const schedulePause = pausing('pause', true, 'Pauses a schedule until it is resumed')
export const scheduleResume = pausing('resume', false, 'Resumes a paused schedule')

function pausing(verb: string, paused: boolean, summary: string): Command {
  return defineCommand({
    noun: 'schedule',
    verb,
    summary,
    role: 'admin',
    effect: 'write',
    targets: SCHEDULE_TARGETS,
    examples: [`schedule ${verb} edge-a scrub`],
    async run(context, { targets }) {
      const { store, name } = namedSchedule(context, targets)
      const schedule = await askStore(context, store, (agent) => agent.schedules.patch(name, { paused }))
      return changedView(`${name} of ${store.name} ${paused ? 'paused' : 'resumed'}`, store, schedule, context.clock.nowMs())
    },
  })
}

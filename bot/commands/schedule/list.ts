// `schedule list [S]`: the schedules with their last and next run.

import { formatTime } from '../../../protocol/time.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { schedulesView } from './schedule-rows.ts'

export const scheduleList = defineCommand({
  noun: 'schedule',
  verb: 'list',
  summary: 'Lists schedules with last and next run',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  options: { store: { about: 'the same as S', value: 'S', subject: 'store' } },
  examples: ['schedule list', 'schedule list edge-a'],
  async run(context, { targets, options }) {
    const contacts = await context.fleet.contactAll(someStores(context, targets[0] ?? options.store, undefined), (agent) => agent.schedules.list())
    const items = contacts.flatMap((contact) =>
      contact.kind === 'answered' ? contact.value.items.map((schedule) => ({ store: contact.store.name, schedule })) : [],
    )
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    const json = { items: items.map(({ store, schedule }) => ({ store, ...schedule })), missing: gapsJson(contacts), asOf: formatTime(asOfMs) }
    return { ...schedulesView('Schedules', items, asOfMs, json), notes: gapNotes(contacts, 'its schedules') }
  },
})

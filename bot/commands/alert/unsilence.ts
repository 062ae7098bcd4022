// `alert unsilence N`: ends a silence before its time.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { Silence } from '../../alerts/silences.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { requireZone } from './ack.ts'
import { silenceJson, silenceTarget } from './silence.ts'

export const alertUnsilence = defineCommand({
  noun: 'alert',
  verb: 'unsilence',
  summary: 'Ends a silence: alerts that are still open are sent',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'N', about: 'number of the silence, or the store or zone that is silenced', subject: 'text' }],
  examples: ['alert unsilence 3', 'alert unsilence edge-a'],
  run(context, { targets: [text = ''] }) {
    const { alerts, clock, fleet } = context
    const nowMs = clock.nowMs()
    const found = find(alerts.silences.list(nowMs), text)
    for (const { store, zone } of found) {
      // A registry of permitted stores refuses the others.
      if (store === '') requireZone(context, zone)
      else fleet.registry.find(store)
    }
    const ended = found.flatMap(({ id }) => alerts.silences.end(id, nowMs) ?? [])
    return Promise.resolve(
      makeView({
        title: `${ended.map(silenceTarget).join(', ')}: silence ended`,
        text: 'Alerts that are still open are sent now.',
        tone: 'good',
        actions: [{ label: 'Open alerts', command: 'alert list', role: 'viewer' }],
        asOfMs: nowMs,
        json: { items: ended.map(silenceJson), asOf: formatTime(nowMs) },
      }),
    )
  },
})

/** The silence with this number, or those of this store or zone. Throws `not-found`. */
function find(silences: readonly Silence[], text: string): Silence[] {
  const named = silences.filter(({ store, zone }) => (store === '' ? zone === text : store.toLowerCase() === text.toLowerCase()))
  const found = named.length > 0 ? named : silences.filter(({ id }) => String(id) === text)
  if (found.length === 0) throw problem('not-found', `No silence "${text}" is in force.`, { action: 'alert silences lists those that are.' })
  return found
}

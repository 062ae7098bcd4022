// `alert ack A…`: says that somebody takes care of alerts, so that nobody is reminded of them.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { roleIn } from '../permit.ts'
import { roleIncludes } from '../../../protocol/access.ts'
import { incidentTitle, spellIncident } from '../../alerts/words.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { findIncident } from './find-incident.ts'

export const alertAck = defineCommand({
  noun: 'alert',
  verb: 'ack',
  summary: 'Acknowledges alerts: somebody takes care of them, and reminders stop',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'A', about: 'number of an alert, such as A12', subject: 'text', many: true }],
  examples: ['alert ack A12', 'alert ack A12 A13'],
  run(context, { targets }) {
    const { alerts, actor, clock } = context
    const nowMs = clock.nowMs()
    const found = targets.map((text) => findIncident(context, text))
    for (const { store, zone } of found) if (store === '') requireZone(context, zone)
    const outcomes = found.map((incident) => ({ incident, outcome: alerts.incidents.acknowledge(incident.id, actor.name, nowMs) }))
    const done = outcomes.filter(({ outcome }) => outcome === 'acknowledged')
    const [only] = outcomes
    if (done.length === 0 && only && outcomes.length === 1) {
      const { id, ackedBy } = only.incident
      const detail = only.outcome === 'unchanged' ? `was acknowledged by ${ackedBy} already` : 'is resolved'
      throw problem('invalid-input', `${spellIncident(id)} ${detail}.`, { action: 'Nothing needs to be done. alert list shows what is open.' })
    }
    const rest = outcomes.length - done.length
    return Promise.resolve(
      makeView({
        title: done.length === 1 && only ? `${spellIncident(only.incident.id)} acknowledged` : `${plural(done.length, 'alert')} acknowledged`,
        text: `${done
          .slice(0, 5)
          .map(({ incident }) => incidentTitle(incident))
          .join(', ')}${done.length > 5 ? ` and ${done.length - 5} more` : ''}: ${actor.name} takes care.`,
        tone: 'good',
        // The card of the alert and its thread say it to everyone.
        isPrivate: true,
        notes: rest === 0 ? [] : [`${plural(rest, 'alert')} had been acknowledged already, or resolved.`],
        asOfMs: nowMs,
        json: { items: outcomes.map(({ incident: { id }, outcome }) => ({ id: spellIncident(id), outcome })), by: actor.name, asOf: formatTime(nowMs) },
      }),
    )
  },
})

/** Throws `forbidden` when somebody who is an operator in some stores only asks for something about a whole zone. */
export function requireZone({ actor }: CommandContext, zone: string): void {
  // No store has an empty name, so a role for one store does not count.
  const has = roleIn(actor, { name: '', zone })
  if (!roleIncludes(has, 'operator'))
    throw problem('forbidden', `This needs the role operator in zone ${zone}; ${actor.name} has ${has}.`, {
      action: 'Ask an admin of the bot to run it or to give you the role.',
    })
}

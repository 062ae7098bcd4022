// From what people write to an incident, and to what it says in an answer.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { Incident } from '../../alerts/incidents.ts'
import { parseIncident, spellIncident } from '../../alerts/words.ts'
import type { CommandContext } from '../command.ts'

/** Returns the incident with this number. Throws `not-found`, and `forbidden` when it is of a store that the actor may not reach. */
export function findIncident({ alerts, fleet }: CommandContext, text: string): Incident {
  const id = parseIncident(text)
  const found = id === undefined ? undefined : alerts.incidents.find(id)
  if (!found) throw problem('not-found', `There is no alert "${text}".`, { action: 'Copy its number, such as A12, from alert list --resolved.' })
  // A registry of permitted stores refuses the others.
  if (found.store !== '') fleet.registry.find(found.store)
  return found
}

/** An incident for `--json`. */
export function incidentJson(incident: Incident, quiet: string | undefined): Record<string, unknown> {
  const { id, store, zone, condition, severity, finding, impact, action, flaps, ackedBy } = incident
  const time = (ms: number | null): string | null => (ms === null ? null : formatTime(ms))
  return {
    ...{ id: spellIncident(id), store: store === '' ? null : store, zone, condition, severity, finding, impact, action, flaps },
    ...{ since: time(incident.sinceMs), opened: time(incident.openedMs), resolved: time(incident.resolvedMs) },
    ...{ acknowledgedBy: ackedBy, acknowledged: time(incident.ackedMs), quiet: quiet ?? null },
  }
}

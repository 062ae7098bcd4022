// How incidents are spelled: their numbers, what they are about, and their state.

import { formatAt, plural } from '../../protocol/views/phrases.ts'
import type { Tone } from '../../protocol/views/view.ts'
import { conditionOf, STORE_ERROR, STORE_STOPPED } from './conditions.ts'
import type { AlertSeverity } from './conditions.ts'
import type { Incident } from './incidents.ts'

/** `A12`. */
export function spellIncident(id: number): string {
  return `A${id}`
}

/** Returns the number in `A12`, `a12`, `#12` or `12`; undefined for other texts. */
export function parseIncident(text: string): number | undefined {
  const match = /^[a#]?(\d{1,15})$/i.exec(text)
  return match ? Number(match[1]) : undefined
}

const TONES: Record<AlertSeverity, Tone> = { info: 'plain', warning: 'warning', critical: 'bad' }

export function severityTone(severity: AlertSeverity): Tone {
  return TONES[severity]
}

/** `edge-a Stopped`, `edge-a: free space`, `zone-1: no healthy store`. */
export function incidentTitle({ store, zone, condition }: Pick<Incident, 'store' | 'zone' | 'condition'>): string {
  const { title } = conditionOf(condition)
  return condition === STORE_STOPPED || condition === STORE_ERROR ? `${store} ${title}` : `${store === '' ? zone : store}: ${title}`
}

/** Why an incident is not sent now; undefined when it is. */
export type Quiet = string | undefined

/** `Open`, `Acknowledged by ann`, `Resolved 2026-11-22 10:00:00 UTC`, with how often the finding came back. */
export function incidentState(incident: Incident, quiet: Quiet): string {
  const { resolvedMs, ackedBy, flaps } = incident
  const state = resolvedMs !== null ? `Resolved ${formatAt(resolvedMs)}` : ackedBy !== null ? `Acknowledged by ${ackedBy}` : 'Open'
  const parts = [state, flaps > 0 ? `came back ${plural(flaps, 'time')}` : '', resolvedMs === null ? (quiet ?? '') : '']
  return parts.filter((part) => part !== '').join(', ')
}

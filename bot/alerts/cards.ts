// The messages about incidents as Views: the card of one incident, the summary of a zone, a line of history, and a reminder.

import { quoteOption } from '../views/quote.ts'
import { formatAt, plural } from '../../protocol/views/phrases.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { View } from '../../protocol/views/view.ts'
import { conditionOf, isAtLeast } from './conditions.ts'
import { incidentActions, incidentFields } from './incident-view.ts'
import type { Incident } from './incidents.ts'
import type { HistoryLine } from './history.ts'
import type { QuietOf } from './quiet.ts'
import { incidentState, incidentTitle, severityTone, spellIncident } from './words.ts'

/** Stores that a summary or a reminder names. */
const NAMED_MAX = 20
/** Alerts that the button of a summary acknowledges. */
export const ACK_MAX = 1000

/** The card of one incident. */
export function incidentCard(incident: Incident, quiet: string | undefined, nowMs: number): View {
  const { id, store, zone, condition, severity, resolvedMs, sinceMs } = incident
  const where = store === '' ? zone : `${store} in ${zone}`
  const rank = `${severity.charAt(0).toUpperCase()}${severity.slice(1)}`
  return makeView({
    title: `${incidentTitle(incident)}${resolvedMs === null ? '' : ': resolved'}`,
    text: `${where}: ${conditionOf(condition).title} since ${formatAt(sinceMs)}. ${rank}. ${incidentState(incident, quiet)}. ${spellIncident(id)}.`,
    tone: resolvedMs === null ? severityTone(severity) : 'good',
    fields: incidentFields(incident),
    actions: incidentActions(incident, quiet),
    asOfMs: nowMs,
    json: null,
  })
}

/** The card of many incidents of a zone: counts, which stores, and what they have in common. */
export function summaryCard(zone: string, incidents: readonly Incident[], quietOf: QuietOf, nowMs: number): View {
  const open = incidents.filter(({ resolvedMs }) => resolvedMs === null)
  const worst = worstOf(open.length > 0 ? open : incidents)
  const stores = [...new Set(open.flatMap(({ store }) => (store === '' ? [] : [store])))]
  const unacked = open.filter(({ ackedBy }) => ackedBy === null)
  const place = quoteOption('zone', zone)
  const sinceMs = Math.min(...incidents.map((incident) => incident.sinceMs))
  if (open.length === 0 || !worst)
    return makeView({
      title: `${zone}: ${plural(incidents.length, 'alert')} resolved`,
      text: `Since ${formatAt(sinceMs)}; the last was resolved ${formatAt(Math.max(...incidents.map(({ resolvedMs }) => resolvedMs ?? 0)))}.`,
      tone: 'good',
      actions: [{ label: `Health of ${zone}`, command: `store health ${place}`, role: 'viewer' }],
      asOfMs: nowMs,
      json: null,
    })
  const resolved = incidents.length - open.length
  const counts = [`${open.length} open`, `${open.length - unacked.length} acknowledged`, `${resolved} resolved`].filter((text) => !text.startsWith('0 '))
  const isQuiet = open.every((incident) => quietOf(incident) !== undefined)
  const ids = unacked.slice(0, ACK_MAX).map(({ id }) => spellIncident(id))
  return makeView({
    title: `${zone}: ${plural(open.length, 'alert')} of ${plural(stores.length, 'store')}`,
    text: `${worst.severity}, since ${formatAt(sinceMs)}. ${counts.join(', ')}${isQuiet ? `, ${quietOf(worst) ?? ''}` : ''}.`,
    tone: severityTone(worst.severity),
    fields: [
      { label: 'Finding', value: findingCounts(open), isLine: true },
      { label: 'Stores', value: namedStores(stores), isLine: true },
      { label: 'Impact', value: worst.impact, isLine: true },
      {
        label: 'Next',
        value: worst.store === '' ? worst.action : `What happens to many stores at once has one cause: check network and power of ${zone} first.`,
      },
    ],
    actions: [
      ...(ids.length > 0 ? [{ label: 'Acknowledge all', command: `alert ack ${ids.join(' ')}`, role: 'operator' as const, style: 'primary' as const }] : []),
      ...(isQuiet ? [] : [{ label: 'Silence 2 h', command: `alert silence ${place} for=2h`, role: 'operator' as const }]),
      { label: 'All alerts', command: `alert list ${place}`, role: 'viewer' },
      { label: `Health of ${zone}`, command: `store health ${place}`, role: 'viewer' },
    ],
    asOfMs: nowMs,
    json: null,
  })
}

/** What happened to an incident, for its thread. */
export function historyNote(incident: Incident, { text, timeMs }: HistoryLine): View {
  return makeView({ title: `${spellIncident(incident.id)} ${incidentTitle(incident)}`, text, asOfMs: timeMs, json: null })
}

/** The alerts of a channel that nobody acknowledged. */
export function reminderCard(incidents: readonly Incident[], nowMs: number): View {
  const worst = worstOf(incidents)
  return makeView({
    title: `Reminder: ${plural(incidents.length, 'alert')} not acknowledged`,
    text: incidents.length > NAMED_MAX ? `The most severe ${NAMED_MAX} are named.` : '',
    tone: worst ? severityTone(worst.severity) : 'plain',
    fields: [
      {
        label: 'Open',
        value: incidents
          .toSorted((a, b) => Number(isAtLeast(b.severity, a.severity)) - Number(isAtLeast(a.severity, b.severity)) || a.sinceMs - b.sinceMs)
          .slice(0, NAMED_MAX)
          .map((incident) => `${spellIncident(incident.id)} ${incidentTitle(incident)}, ${incident.severity}, since ${formatAt(incident.sinceMs)}`)
          .join('; '),
        isLine: true,
      },
      {
        label: 'Next',
        value: 'Acknowledge what somebody takes care of, or silence what can wait. alert subscribe remind=off ends reminders here.',
        isLine: true,
      },
    ],
    actions: [{ label: 'All alerts', command: 'alert list', role: 'viewer' }],
    asOfMs: nowMs,
    json: null,
  })
}

/** The most severe, and of these one of a whole zone. */
export function worstOf(incidents: readonly Incident[]): Incident | undefined {
  return incidents.reduce<Incident | undefined>((worst, incident) => {
    if (!worst || !isAtLeast(worst.severity, incident.severity)) return incident
    return incident.severity === worst.severity && incident.store === '' ? incident : worst
  }, undefined)
}

/** `98 Stopped, 2 mount path`. */
function findingCounts(open: readonly Incident[]): string {
  const counts = [...Map.groupBy(open, ({ condition }) => condition)].map(([condition, of]) => ({ condition, of, count: of.length }))
  const words = counts
    .toSorted((a, b) => b.count - a.count)
    .map(({ condition, of, count }) => (of[0]?.store === '' ? of[0].finding.replace(/\.$/, '') : `${count} ${conditionOf(condition).title}`))
  return `${words.join('; ')}.`
}

export function namedStores(stores: readonly string[]): string {
  const rest = stores.length > NAMED_MAX ? ` and ${stores.length - NAMED_MAX} more` : ''
  return `${stores.slice(0, NAMED_MAX).join(', ')}${rest}`
}

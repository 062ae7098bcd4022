// The card of an outage of several zones: how much of the fleet is silent, since when, and where to look first.

import { quoteOption } from '../views/quote.ts'
import { formatAt, plural } from '../../protocol/views/phrases.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { Action, View } from '../../protocol/views/view.ts'
import { ACK_MAX, namedStores, worstOf } from './cards.ts'
import type { Incident } from './incidents.ts'
import type { QuietOf } from './quiet.ts'
import { severityTone, spellIncident } from './words.ts'

/** Zones that the card names. */
const ZONES_MAX = 20
/** Zones with a button of their own: more buttons would hide what to do first. */
const SILENCED_MAX = 3
const HEALTH: Action = { label: 'Health of the fleet', command: 'store health', role: 'viewer' }

/** The card of the silent stores of several zones, until all of them answer again. */
export function outageCard(incidents: readonly Incident[], quietOf: QuietOf, nowMs: number): View {
  const open = incidents.filter(({ resolvedMs }) => resolvedMs === null)
  const worst = worstOf(open)
  const zones = zonesOf(worst ? open : incidents)
  const stores = storesOf(open)
  const sinceMs = Math.min(...incidents.map((incident) => incident.sinceMs))
  if (!worst)
    return makeView({
      title: `Fleet: ${plural(zones.length, 'zone')} answer again`,
      text: `${plural(storesOf(incidents).length, 'store')} silent since ${formatAt(sinceMs)}; the last was resolved ${formatAt(Math.max(...incidents.map(({ resolvedMs }) => resolvedMs ?? 0)))}.`,
      tone: 'good',
      actions: [HEALTH],
      asOfMs: nowMs,
      json: null,
    })
  const unacked = open.filter(({ ackedBy }) => ackedBy === null)
  const ids = unacked.slice(0, ACK_MAX).map(({ id }) => spellIncident(id))
  const isQuiet = open.every((incident) => quietOf(incident) !== undefined)
  const resolved = incidents.length - open.length
  const counts = [`${open.length} open`, `${open.length - unacked.length} acknowledged`, `${resolved} resolved`].filter((text) => !text.startsWith('0 '))
  return makeView({
    title: `Fleet: ${plural(stores.length, 'store')} of ${plural(zones.length, 'zone')} silent`,
    text: `${worst.severity}, since ${formatAt(sinceMs)}. ${counts.join(', ')}${isQuiet ? `, ${quietOf(worst) ?? ''}` : ''}.`,
    tone: severityTone(worst.severity),
    fields: [
      { label: 'Zones', value: zoneCounts(open, zones), isLine: true },
      { label: 'Stores', value: namedStores(stores), isLine: true },
      { label: 'Impact', value: 'Uploads, downloads and syncs of these stores fail for whoever is cut off from them as the bot is.', isLine: true },
      {
        label: 'Next',
        value:
          'What happens to several zones at once has one cause: check the network, DNS and clock of the machine of the bot first, then what the zones share (links, VPN, power). Then run store health.',
        isLine: true,
      },
    ],
    actions: [
      ...(ids.length > 0 ? [{ label: 'Acknowledge all', command: `alert ack ${ids.join(' ')}`, role: 'operator' as const, style: 'primary' as const }] : []),
      ...silenceActions(open, quietOf),
      { label: 'All alerts', command: 'alert list', role: 'viewer' },
      HEALTH,
    ],
    asOfMs: nowMs,
    json: null,
  })
}

/** A button for each zone with alerts that nobody silenced; those with the most silent stores first. */
function silenceActions(open: readonly Incident[], quietOf: QuietOf): Action[] {
  const told = open.filter((incident) => incident.zone !== '' && quietOf(incident) === undefined)
  const counts = zonesOf(told).map((zone) => ({ zone, count: storesOf(told.filter((incident) => incident.zone === zone)).length }))
  return counts
    .toSorted((a, b) => b.count - a.count)
    .slice(0, SILENCED_MAX)
    .map(({ zone }) => ({ label: `Silence ${zone} 2 h`, command: `alert silence ${quoteOption('zone', zone)} for=2h`, role: 'operator' }))
}

function storesOf(incidents: readonly Incident[]): string[] {
  return [...new Set(incidents.flatMap(({ store }) => (store === '' ? [] : [store])))]
}

function zonesOf(incidents: readonly Incident[]): string[] {
  return [...new Set(incidents.map(({ zone }) => zone))].toSorted()
}

/** `zone-1: 12, zone-2: 3`: the silent stores of each zone. */
function zoneCounts(open: readonly Incident[], zones: readonly string[]): string {
  const words = zones
    .slice(0, ZONES_MAX)
    .map((zone) => `${zone === '' ? 'no zone' : zone}: ${storesOf(open.filter((incident) => incident.zone === zone)).length}`)
  return `${words.join(', ')}${zones.length > ZONES_MAX ? ` and ${zones.length - ZONES_MAX} more zones` : ''}`
}

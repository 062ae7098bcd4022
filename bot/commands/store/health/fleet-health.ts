// The health of many stores: how many are in which state, the worst first, what changed, and which disks will be full.

import { formatTime } from '../../../../protocol/time.ts'
import { formatDuration } from '../../../../protocol/units.ts'
import { observationJson } from '../../../fleet/judge.ts'
import type { Observation } from '../../../fleet/judge.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Column, Field, Row, View } from '../../../../protocol/views/view.ts'
import { asSentence, formatAt, plural, stateTone, stateWord, UNKNOWN } from '../../../../protocol/views/phrases.ts'
import { zoneFindings } from '../../../fleet/zones/findings.ts'
import type { ZoneFinding } from '../../../fleet/zones/findings.ts'
import type { CommandContext } from '../../command.ts'
import { oldestAsOf } from '../../select.ts'
import { changesSinceAsked } from './changed.ts'
import { maintenanceNotes, stateCounts, stateText, worstActions, worstFirst } from '../show/store-rows.ts'

const COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Store', isWhole: true },
  { key: 'zone', label: 'Zone', isWhole: true, beside: 'bare' },
  { key: 'state', label: 'State', beside: 'bare' },
  { key: 'since', label: 'Since', beside: 'labelled' },
  { key: 'finding', label: 'Finding', isLine: true },
  { key: 'impact', label: 'Impact', isLine: true },
  { key: 'next', label: 'Next', isLine: true },
]

/** Stores that the sentence of a fleet names one by one. */
const SENTENCES_MAX = 3
/** Forecasts and zones that are named. */
const LISTED_MAX = 5

/** The View of many stores: the fleet, or one zone of it. */
export function fleetHealth(context: CommandContext, seen: readonly Observation[], zone: string | undefined): View {
  const nowMs = context.clock.nowMs()
  const asOfMs = oldestAsOf(seen, nowMs)
  const ordered = worstFirst(seen)
  const troubled = ordered.filter(({ state }) => state !== 'running')
  const where = zone === undefined ? 'all stores' : `zone ${zone}`
  const findings = zoneFindings(zone === undefined ? context.zones.list().map(({ name }) => name) : [zone], seen)
  const changed = changesSinceAsked(context, zone === undefined ? 'fleet' : `zone ${zone}`, seen)
  return makeView({
    title: `Health of ${where}`,
    text: fleetText(seen, troubled, zone),
    tone: troubled.some(({ state }) => stateTone(state) === 'bad') ? 'bad' : troubled.length + findings.length > 0 ? 'warning' : 'good',
    fields: [...findingFields(findings), ...(changed ? [{ label: 'Changed', value: changed.text }] : []), ...zoneFields(seen, zone), ...forecastFields(seen)],
    columns: seen.length > 0 ? COLUMNS : [],
    rows: ordered.map((one) => healthRow(one, nowMs)),
    notes: maintenanceNotes(seen, nowMs),
    actions: worstActions(seen, nowMs),
    asOfMs,
    json: {
      items: ordered.map((one) => ({ ...observationJson(one, nowMs), checks: one.checks })),
      findings,
      changed: changed?.json ?? null,
      asOf: formatTime(asOfMs),
    },
  })
}

/** The first LISTED_MAX findings, and how many more there are. */
function findingFields(findings: readonly ZoneFinding[]): Field[] {
  const more = findings.length - LISTED_MAX
  return [...findings.slice(0, LISTED_MAX).map(findingField), ...(more > 0 ? [{ label: 'More zones', value: `${more} without a healthy store` }] : [])]
}

/** `Zone zone-2: it has no healthy store: …`, with impact and next step. */
function findingField({ zone, finding, impact, action, stores }: ZoneFinding): Field {
  return { label: `Zone ${zone}`, value: `${asSentence(finding)} ${impact} ${action}`, tone: stores.length === 0 ? 'warning' : 'bad' }
}

/** `edge-a has been Stopped since 2026-11-21 06:54:49 UTC.` */
export function healthSentence(seen: Observation): string {
  const state = stateWord(seen.state)
  return seen.sinceMs === null ? `${seen.record.name} is ${state}.` : `${seen.record.name} has been ${state} since ${formatAt(seen.sinceMs)}.`
}

/** When disks will be full at the rate of the last days, the soonest first. */
export function forecastFields(seen: readonly Observation[]): Field[] {
  const forecasts = seen
    .flatMap(({ record, checks }) => checks.flatMap(({ failsAt }) => (failsAt === undefined ? [] : [{ name: record.name, fullMs: Date.parse(failsAt) }])))
    .toSorted((a, b) => a.fullMs - b.fullMs)
  if (forecasts.length === 0) return []
  const words = forecasts.slice(0, LISTED_MAX).map(({ name, fullMs }) => `${name} about ${new Date(fullMs).toISOString().slice(0, 10)}`)
  const rest = forecasts.length > LISTED_MAX ? `; ${forecasts.length - LISTED_MAX} more later` : ''
  return [{ label: 'Full', value: `${words.join(', ')}${rest}, at the rate of the last days` }]
}

function fleetText(seen: readonly Observation[], troubled: readonly Observation[], zone: string | undefined): string {
  if (seen.length === 0) return zone === undefined ? 'No store is registered.' : `No store is attached to zone ${zone}.`
  if (troubled.length === 0) return `${plural(seen.length, 'store')}: all Running.`
  const counts = `${plural(seen.length, 'store')}: ${stateCounts(seen)}.`
  return troubled.length > SENTENCES_MAX ? counts : [counts, ...troubled.map(healthSentence)].join(' ')
}

/** Which zones have trouble, the one with the most first; empty for one zone. */
function zoneFields(seen: readonly Observation[], zone: string | undefined): Field[] {
  const zones = [...Map.groupBy(seen, ({ record }) => record.zone || 'no zone')]
  if (zone !== undefined || zones.length < 2) return []
  const troubled = zones
    .map(([name, stores]) => ({ name, count: stores.filter(({ state }) => state !== 'running').length, of: stores.length }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
  if (troubled.length === 0) return []
  const words = troubled.slice(0, LISTED_MAX).map(({ name, count, of }) => `${name}: ${count} of ${of} not Running`)
  return [{ label: 'Zones', value: `${words.join(', ')}${troubled.length > LISTED_MAX ? `; ${troubled.length - LISTED_MAX} more` : ''}` }]
}

function healthRow(one: Observation, nowMs: number): Row {
  return {
    tone: stateTone(one.state),
    cells: {
      name: one.record.name,
      zone: one.record.zone || UNKNOWN,
      state: stateText(one, nowMs),
      since: one.sinceMs === null ? UNKNOWN : `${formatAt(one.sinceMs)} (${formatDuration(one.asOfMs - one.sinceMs)})`,
      finding: one.finding === '' ? UNKNOWN : one.finding,
      impact: one.impact === '' ? UNKNOWN : one.impact,
      next: one.action === '' ? UNKNOWN : one.action,
    },
  }
}

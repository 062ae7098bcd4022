// Observed stores as rows and fields.

import { isKnownCheck } from '../../../alerts/conditions.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { formatDuration } from '../../../../protocol/units.ts'
import type { Observation } from '../../../fleet/judge.ts'
import { observationJson } from '../../../fleet/judge.ts'
import { maintenanceAt, maintenanceText } from '../../../fleet/maintenance.ts'
import type { Action, Column, Field, Row } from '../../../../protocol/views/view.ts'
import { asSentence, formatAgo, formatAt, formatBytes, percent, stateTone, stateWord, UNKNOWN } from '../../../../protocol/views/phrases.ts'
import { quoteWord } from '../../../views/quote.ts'
import { findCheck } from '../../help/terms/terms.ts'

export const STORE_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name', isWhole: true },
  { key: 'state', label: 'State' },
  { key: 'since', label: 'Since', isMinor: true },
  { key: 'zone', label: 'Zone', isWhole: true },
  { key: 'provider', label: 'Provider', isMinor: true },
  { key: 'images', label: 'Images', align: 'right', isMinor: true },
  { key: 'used', label: 'Used', align: 'right' },
  { key: 'free', label: 'Free', align: 'right' },
  { key: 'saved', label: 'Saved', align: 'right', isMinor: true },
  { key: 'url', label: 'URL', isWhole: true, isMinor: true },
]

export function storeRow(seen: Observation, nowMs: number): Row {
  const { record, store } = seen
  return {
    tone: stateTone(seen.state),
    cells: {
      name: record.name,
      state: stateText(seen, nowMs),
      since: seen.sinceMs === null ? UNKNOWN : formatAt(seen.sinceMs),
      zone: record.zone || UNKNOWN,
      provider: record.provider,
      images: store ? String(store.images.available) : UNKNOWN,
      used: store
        ? `${formatBytes(store.capacity.used)} of ${formatBytes(store.capacity.total)} (${percent(store.capacity.used, store.capacity.total)})`
        : UNKNOWN,
      free: store ? formatBytes(store.capacity.available) : UNKNOWN,
      saved: savedText(seen),
      url: record.url,
    },
  }
}

/** `Running`, or `Running, disabled, in maintenance`. */
export function stateText(seen: Observation, nowMs: number): string {
  const isDisabled = seen.store?.enabled === false
  return `${stateWord(seen.state)}${isDisabled ? ', disabled' : ''}${maintenanceAt(seen.record, nowMs) ? ', in maintenance' : ''}`
}

/** Length of the images divided by what they take: `2.7×`. */
export function savedText({ store }: Pick<Observation, 'store'>): string {
  const ratio = store?.slices.savingRatio
  return ratio === null || ratio === undefined ? UNKNOWN : `${ratio.toFixed(1)}×`
}

/** State, since when, impact and next step: the facts of `store health`. */
export function healthFields(seen: Observation, nowMs: number): Field[] {
  const fields: Field[] = [{ label: 'State', value: stateText(seen, nowMs), tone: stateTone(seen.state) }]
  if (seen.record.zone !== '') fields.push({ label: 'Zone', value: seen.record.zone })
  if (seen.sinceMs !== null) {
    fields.push({ label: 'Since', value: `${formatAt(seen.sinceMs)} (${formatDuration(nowMs - seen.sinceMs)}), the first contact that failed` })
    fields.push({ label: 'Last answer', value: seen.lastSeenMs === null ? 'never' : formatAgo(seen.lastSeenMs, nowMs) })
  }
  const maintenance = maintenanceAt(seen.record, nowMs)
  if (maintenance)
    fields.push({ label: 'Maintenance', value: `${maintenanceText(maintenance, nowMs)}. The bot places no new images here and sends no alerts about it.` })
  if (seen.finding !== '') fields.push({ label: 'Finding', value: seen.finding })
  if (seen.impact !== '') fields.push({ label: 'Impact', value: seen.impact })
  if (seen.action !== '') fields.push({ label: 'Next', value: seen.action })
  return fields
}

/** The next steps for a store in this state. */
export function storeActions(seen: Observation, nowMs: number): Action[] {
  const name = quoteWord(seen.record.name)
  return [
    { label: `Health of ${seen.record.name}`, command: `store health ${name}`, role: 'viewer' },
    ...repairActions(seen),
    ...maintenanceActions(seen, nowMs),
  ]
}

/** Commands that may help a store that is not Running. */
export function repairActions(seen: Observation): Action[] {
  if (seen.state === 'running') return []
  return [{ label: `Reconnect ${seen.record.name}`, command: `store reconnect ${quoteWord(seen.record.name)}`, role: 'operator', style: 'primary' }]
}

/** The next steps for the findings of one store: reconnect, evidence, what a check means, and silence for what is being worked on. */
export function findingActions(seen: Observation): Action[] {
  if (seen.state === 'running') return []
  const { name } = seen.record
  const word = quoteWord(name)
  const failing = seen.checks.filter(({ state }) => state === 'failed' || state === 'warning')
  const known = failing.filter((check) => findCheck(check.name) !== undefined).slice(0, EXPLAINED_MAX)
  // Several checks are silenced together with the store: one button for each would be more than a message holds.
  const check = failing.length === 1 && failing[0] && isKnownCheck(failing[0].name) ? ` check=${failing[0].name}` : ''
  return [
    ...repairActions(seen),
    { label: `Evidence of ${name}`, command: `store evidence ${word}`, role: 'operator' },
    { label: 'Silence for 2 h', command: `alert silence ${word}${check} for=2h`, role: 'operator' },
    ...known.map((one): Action => ({ label: `What is ${one.name}?`, command: `help health ${one.name}`, role: 'viewer' })),
  ]
}

/** Failing checks that have a button with their explanation. */
const EXPLAINED_MAX = 3

/** The command that ends the maintenance of a store. */
function maintenanceActions({ record }: Observation, nowMs: number): Action[] {
  if (!maintenanceAt(record, nowMs)) return []
  return [{ label: `End maintenance of ${record.name}`, command: `store maintenance ${quoteWord(record.name)} --end`, role: 'operator' }]
}

/** Which stores are in maintenance, and until when. */
export function maintenanceNotes(seen: readonly Observation[], nowMs: number): string[] {
  const until = seen.flatMap(({ record }) => {
    const maintenance = maintenanceAt(record, nowMs)
    return maintenance ? [`${record.name} ${maintenanceText(maintenance, nowMs)}`] : []
  })
  if (until.length === 0) return []
  const more = until.length > NAMED_MAX ? `; ${until.length - NAMED_MAX} more` : ''
  return [`In maintenance: ${until.slice(0, NAMED_MAX).join('; ')}${more}.`]
}

/** Stores that are named one by one; a fleet has too many to name them all. */
const NAMED_MAX = 5

/** The states from the worst to the best. */
const WORST_FIRST = ['error', 'stopped', 'degraded', 'running'] as const

/** The stores, the worst first; stores of the same state in their order. */
export function worstFirst<Seen extends Pick<Observation, 'state'>>(seen: readonly Seen[]): Seen[] {
  return seen.toSorted((a, b) => WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state))
}

/** `3 Error, 1 Stopped, 996 Running`: the number of stores in each state, the worst first. */
export function stateCounts(seen: readonly Pick<Observation, 'state'>[]): string {
  return WORST_FIRST.flatMap((state) => {
    const count = seen.filter((one) => one.state === state).length
    return count > 0 ? [`${count} ${stateWord(state)}`] : []
  }).join(', ')
}

/** One sentence and the next step for the worst of the stores that are not Running, and how many more there are. */
export function stateNotes(seen: readonly Observation[]): string[] {
  const troubled = worstFirst(seen).filter(({ state }) => state !== 'running')
  const notes = troubled
    .slice(0, NAMED_MAX)
    .map(({ record, state, finding, action }) =>
      [`${record.name} is ${stateWord(state)}${finding === '' ? '.' : `: ${asSentence(finding)}`}`, action].filter((text) => text !== '').join(' '),
    )
  return troubled.length > NAMED_MAX ? [...notes, `${troubled.length - NAMED_MAX} more stores are not Running: see store health.`] : notes
}

/** The next steps for the worst of the stores that are not Running. */
export function worstActions(seen: readonly Observation[], nowMs: number): Action[] {
  return worstFirst(seen)
    .filter(({ state }) => state !== 'running')
    .slice(0, NAMED_MAX)
    .flatMap((one) => storeActions(one, nowMs))
}

/** A store for `--json`: the description of its agent, and what the bot observed. */
export function storeJson(seen: Observation, nowMs: number): Record<string, unknown> {
  return { ...seen.store, ...observationJson(seen, nowMs), agentName: seen.store?.name ?? null, addedAt: formatTime(seen.record.addedMs) }
}

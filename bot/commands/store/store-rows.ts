// Observed stores as rows and fields.

import { formatTime } from '../../../protocol/time.ts'
import { formatDuration } from '../../../protocol/units.ts'
import type { Observation } from '../../fleet/judge.ts'
import { observationJson } from '../../fleet/judge.ts'
import type { Action, Column, Field, Row } from '../../views/view.ts'
import { asSentence, formatAgo, formatAt, formatBytes, percent, stateTone, stateWord, UNKNOWN } from '../../views/phrases.ts'
import { quoteWord } from '../line.ts'

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

export function storeRow(seen: Observation): Row {
  const { record, store } = seen
  return {
    tone: stateTone(seen.state),
    cells: {
      name: record.name,
      state: stateText(seen),
      since: seen.sinceMs === null ? UNKNOWN : formatAt(seen.sinceMs),
      zone: record.zone,
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

/** `Running`, or `Running, disabled`. */
export function stateText(seen: Observation): string {
  return `${stateWord(seen.state)}${seen.store && !seen.store.enabled ? ', disabled' : ''}`
}

/** Length of the images divided by what they take: `2.7×`. */
export function savedText({ store }: Pick<Observation, 'store'>): string {
  const ratio = store?.slices.savingRatio
  return ratio === null || ratio === undefined ? UNKNOWN : `${ratio.toFixed(1)}×`
}

/** State, since when, impact and next step: the facts of `store health`. */
export function healthFields(seen: Observation, nowMs: number): Field[] {
  const fields: Field[] = [{ label: 'State', value: stateText(seen), tone: stateTone(seen.state) }]
  if (seen.sinceMs !== null) {
    fields.push({ label: 'Since', value: `${formatAt(seen.sinceMs)} (${formatDuration(nowMs - seen.sinceMs)}), the first contact that failed` })
    fields.push({ label: 'Last answer', value: seen.lastSeenMs === null ? 'never' : formatAgo(seen.lastSeenMs, nowMs) })
  }
  if (seen.finding !== '') fields.push({ label: 'Finding', value: seen.finding })
  if (seen.impact !== '') fields.push({ label: 'Impact', value: seen.impact })
  if (seen.action !== '') fields.push({ label: 'Next', value: seen.action })
  return fields
}

/** The next steps for a store in this state. */
export function storeActions(seen: Observation): Action[] {
  const name = quoteWord(seen.record.name)
  return [{ label: `Health of ${seen.record.name}`, command: `store health ${name}`, role: 'viewer' }, ...repairActions(seen)]
}

/** Commands that may help a store that is not Running. */
export function repairActions(seen: Observation): Action[] {
  if (seen.state === 'running') return []
  return [{ label: `Reconnect ${seen.record.name}`, command: `store reconnect ${quoteWord(seen.record.name)}`, role: 'operator', style: 'primary' }]
}

/** One sentence and the next step for each store that is not Running. */
export function stateNotes(seen: readonly Observation[]): string[] {
  return seen
    .filter(({ state }) => state !== 'running')
    .map(({ record, state, finding, action }) =>
      [`${record.name} is ${stateWord(state)}${finding === '' ? '.' : `: ${asSentence(finding)}`}`, action].filter((text) => text !== '').join(' '),
    )
}

/** A store for `--json`: the description of its agent, and what the bot observed. */
export function storeJson(seen: Observation): Record<string, unknown> {
  return { ...seen.store, ...observationJson(seen), agentName: seen.store?.name ?? null, addedAt: formatTime(seen.record.addedMs) }
}

/** The time of an answer that consists of several: that of the oldest. */
export function oldest(seen: readonly Observation[], nowMs: number): number {
  return seen.reduce((least, { asOfMs }) => Math.min(least, asOfMs), nowMs)
}

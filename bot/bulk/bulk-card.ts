// A bulk run as an answer and as its card in Slack: how many of how many, what failed and why, and what to do next.

import { formatTime } from '../../protocol/time.ts'
import { formatDuration } from '../../protocol/units.ts'
import { quoteOption, quoteWord } from '../views/quote.ts'
import { formatAt, plural, progressWords } from '../../protocol/views/phrases.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { Action, Column, Field, FollowedTask, Row, Tone, View } from '../../protocol/views/view.ts'
import { bulkId, hasEnded } from './bulk-run.ts'
import type { BulkItem, BulkRun, BulkState, ItemState } from './bulk-run.ts'

/** Failures that a card has; the rest is counted. */
export const FAILURES_SHOWN_MAX = 10
/** Most images that one button restores. */
const RESTORED_MAX = 20
/** Stores with a button that cleans them up. */
const CLEANED_MAX = 4

const STATE_WORDS: Record<BulkState, string> = {
  running: 'Running',
  cancelling: 'Stopping',
  done: 'Done',
  failed: 'Not all done',
  cancelled: 'Cancelled',
}
const STATE_TONES: Record<BulkState, Tone> = { running: 'plain', cancelling: 'warning', done: 'good', failed: 'bad', cancelled: 'warning' }

const ITEM_STATES: Record<ItemState, { readonly word: string; readonly tone: Tone }> = {
  failed: { word: 'failed', tone: 'bad' },
  running: { word: 'in progress', tone: 'plain' },
  waiting: { word: 'waiting', tone: 'plain' },
  skipped: { word: 'not begun', tone: 'warning' },
  done: { word: 'done', tone: 'good' },
}

const NAME_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
]
const FAILURE_COLUMNS: readonly Column[] = [...NAME_COLUMNS, { key: 'cause', label: 'Cause', isLine: true }, { key: 'next', label: 'Next', isLine: true }]
const ITEM_COLUMNS: readonly Column[] = [
  ...NAME_COLUMNS,
  { key: 'state', label: 'State' },
  { key: 'detail', label: 'Detail', isMinor: true },
  { key: 'next', label: 'Next', isMinor: true },
]

export function bulkWord(state: BulkState): string {
  return STATE_WORDS[state]
}

export function bulkTone(state: BulkState): Tone {
  return STATE_TONES[state]
}

/** `5 of 12 images`. */
export function bulkProgress({ counts, total }: BulkRun): string {
  return `${counts.done + counts.failed} of ${plural(total, 'image')}`
}

/** `5 of 12 images done, 1 failed, 6 not begun.` */
export function bulkSummary(run: BulkRun): string {
  const { counts, total } = run
  const left = counts.waiting + counts.running + counts.skipped
  const parts = [
    `${counts.done} of ${plural(total, 'image')} done`,
    ...(counts.failed > 0 ? [`${counts.failed} failed`] : []),
    ...(left > 0 && hasEnded(run) ? [`${left} not begun`] : []),
  ]
  return `${parts.join(', ')}.`
}

/** The card of a run; `tasks` are those in progress. */
export function bulkCard(run: BulkRun, items: readonly BulkItem[], nowMs: number, tasks: readonly FollowedTask[] = []): View {
  const failed = items.filter(({ state }) => state === 'failed')
  const notes = failed.length > FAILURES_SHOWN_MAX ? [`${failed.length - FAILURES_SHOWN_MAX} more failed: task show ${bulkId(run)}`] : []
  return makeView({
    title: `${STATE_WORDS[run.state]}: ${run.title}`,
    text: `${bulkSummary(run)}${stateWords(run)}`,
    tone: STATE_TONES[run.state],
    fields: fieldsOf(run, tasks, nowMs),
    bars: tasks,
    ...(hasEnded(run) ? {} : { watch: `task show ${bulkId(run)}` }),
    columns: failed.length === 0 ? [] : FAILURE_COLUMNS,
    rows: failed.slice(0, FAILURES_SHOWN_MAX).map(failureRow),
    actions: actionsOf(run, items),
    notes,
    asOfMs: nowMs,
    json: { ...bulkJson(run), items: items.map(itemJson), asOf: formatTime(nowMs) },
  })
}

/** The whole of a run: what its card has, and each of its images with its state, those that failed first. */
export function bulkReport(run: BulkRun, items: readonly BulkItem[], nowMs: number, tasks: readonly FollowedTask[] = []): View {
  const order = Object.keys(ITEM_STATES)
  const rows = items.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.n - b.n).map(itemRow)
  return { ...bulkCard(run, items, nowMs, tasks), columns: ITEM_COLUMNS, rows, notes: [] }
}

function itemRow({ name, store, state, detail, next }: BulkItem): Row {
  const { word, tone } = ITEM_STATES[state]
  return { tone, cells: { name, store, state: word, detail, next } }
}

function stateWords({ state, cancelledBy }: BulkRun): string {
  if (state === 'cancelling') return ` ${cancelledBy} cancelled it: what is in progress goes on to its end, and nothing else begins.`
  if (state === 'cancelled') return ` ${cancelledBy} cancelled it: what was not begun is unchanged.`
  return ''
}

function fieldsOf(run: BulkRun, tasks: readonly FollowedTask[], nowMs: number): Field[] {
  const { counts, startedMs, endedMs, actor } = run
  const done = counts.done + counts.failed
  const tookMs = (endedMs ?? nowMs) - startedMs
  const leftMs = done > 0 && !hasEnded(run) ? (tookMs / done) * (counts.waiting + counts.running) : undefined
  return [
    { label: 'Run', value: bulkId(run) },
    { label: 'Asked by', value: `${actor}, ${formatAt(startedMs)}` },
    ...(endedMs === null ? [] : [{ label: 'Ended', value: `${formatAt(endedMs)}, after ${formatDuration(tookMs)}` }]),
    ...(leftMs === undefined ? [] : [{ label: 'Left', value: `about ${formatDuration(Math.max(1000, leftMs))}` }]),
    ...tasks.map(({ store, task }) => ({ label: `${task.subject} in ${store}`, value: `${task.state}, ${progressWords(task)}` })),
  ]
}

function failureRow({ name, store, detail, next }: BulkItem): Row {
  return { tone: 'bad', cells: { name, store, cause: detail, next } }
}

function actionsOf(run: BulkRun, items: readonly BulkItem[]): Action[] {
  const id = bulkId(run)
  if (run.state === 'running') return [{ label: 'Cancel', command: `task cancel ${id}`, role: 'operator', style: 'danger' }]
  if (!hasEnded(run)) return []
  const done = items.filter(({ state }) => state === 'done')
  return [
    ...(run.counts.failed + run.counts.skipped > 0 ? [{ label: 'Retry', command: `task retry ${id}`, role: 'operator', style: 'primary' } as const] : []),
    ...(run.verb === 'delete' ? restoreActions(done) : []),
    ...(run.verb === 'purge' ? cleanupActions(done) : []),
  ]
}

/** One button for all, where one command restores them. */
function restoreActions(done: readonly BulkItem[]): Action[] {
  const stores = new Set(done.map(({ store }) => store))
  const [store] = stores
  if (done.length === 0 || done.length > RESTORED_MAX || stores.size !== 1 || store === undefined) return []
  const command = ['image restore', ...done.map(({ image }) => image), quoteOption('store', store)].join(' ')
  return [{ label: `Restore ${plural(done.length, 'image')}`, command, role: 'operator' }]
}

function cleanupActions(done: readonly BulkItem[]): Action[] {
  const stores = [...new Set(done.map(({ store }) => store))].slice(0, CLEANED_MAX)
  return stores.map((store) => ({ label: `Clean up ${store}`, command: `store cleanup ${quoteWord(store)}`, role: 'operator' }))
}

/** A run for `--json`, without its items. */
export function bulkJson(run: BulkRun): Record<string, unknown> {
  const { verb, title, state, actor, startedMs, endedMs, counts, total, cancelledBy } = run
  return {
    ...{ id: bulkId(run), kind: 'bulk', command: `image ${verb}`, title, state },
    progress: { done: counts.done + counts.failed, total, unit: 'images' },
    counts,
    createdBy: actor,
    createdAt: formatTime(startedMs),
    endedAt: endedMs === null ? null : formatTime(endedMs),
    cancelledBy: cancelledBy === '' ? null : cancelledBy,
  }
}

function itemJson({ store, image, name, state, task, detail, next }: BulkItem): Record<string, unknown> {
  return { store, id: image, name, state, task: task === '' ? null : task, detail, next }
}

// What commands that change several images share: the question when they are many, the bulk run, and the answer of the console.

import { formatDuration } from '../../../protocol/units.ts'
import { formatTime } from '../../../protocol/time.ts'
import { runBulk } from '../bulk/begin.ts'
import type { BulkOrder } from '../bulk/begin.ts'
import { bulkJson } from '../../bulk/bulk-card.ts'
import type { BulkRun } from '../../bulk/bulk-run.ts'
import type { ItemResult } from '../bulk/carry-out.ts'
import type { Problem } from '../../../protocol/problems.ts'
import { formatBytes, plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { CommandContext, CommandInput } from '../command.ts'
import { gate } from '../destroy.ts'
import { REMOVAL_MS } from '../plan-promises.ts'
import type { FoundImage } from './find.ts'
import { IMAGE_COLUMNS, imageJson, imageRow } from './list/image-rows.ts'
import type { Selection } from './selection.ts'

/** Most images that a command changes without asking, when it destroys nothing. */
export const UNASKED_MAX = 20

export interface Change {
  readonly order: BulkOrder
  readonly selection: Selection
  /** `would be protected`. */
  readonly fate: string
  /** `Protected`. */
  readonly participle: string
  /** The command without its targets, and its options that do not select. */
  readonly command: string
  readonly options: readonly string[]
}

/** Changes several images in one bulk run; asks first when they are many. */
export async function changeMany(context: CommandContext, input: Pick<CommandInput, 'confirm' | 'plan'>, change: Change): Promise<View> {
  const { selection, order, participle } = change
  if (selection.found.length > UNASKED_MAX) {
    const missing = gate(context, input, planOf(change))
    if (missing) return missing
  }
  const outcome = await runBulk(context, order)
  if (outcome.kind === 'begun') return { ...outcome.view, notes: selection.notes }
  const { after, failed } = divide(selection.found, outcome.results)
  return changedView(context, { participle, run: outcome.run, after, failed, notes: selection.notes })
}

function planOf({ selection: { found, words, notes }, order, fate, command, options }: Change): Parameters<typeof gate>[2] {
  const length = found.reduce((sum, { image }) => sum + image.length, 0)
  return {
    title: order.title,
    names: [plural(found.length, 'image')],
    question: `${plural(found.length, 'image')} ${fate}.`,
    essence: found.map(({ image, store }) => `${image.id} ${store.name}`),
    promises: [
      { label: 'Bytes', value: `${plural(found.length, 'image')}, ${formatBytes(length)} long` },
      { label: 'Stores', value: [...new Set(found.map(({ store }) => store.name))].join(', ') },
      { label: 'Duration', value: `about ${formatDuration(Math.max(1000, found.length * REMOVAL_MS))}`, isEstimate: true },
    ],
    checklist: [],
    command: [command, ...words, ...options].join(' '),
    notes,
  }
}

export interface FailedImage {
  readonly one: FoundImage
  readonly error: Problem
}

/** The images of a run as they are now, and those that failed. An image that is gone is as it was before. */
export function divide(found: readonly FoundImage[], results: readonly ItemResult[]): { after: FoundImage[]; failed: FailedImage[] } {
  const after: FoundImage[] = []
  const failed: FailedImage[] = []
  for (const { item, acted } of results) {
    const one = found[item.n]
    if (!one) continue
    if (acted.kind === 'failed') failed.push({ one, error: acted.problem })
    else if (acted.kind === 'done') after.push({ ...one, image: acted.image ?? one.image })
  }
  return { after, failed }
}

interface Changed {
  readonly participle: string
  readonly run: BulkRun
  readonly after: readonly FoundImage[]
  readonly failed: readonly FailedImage[]
  readonly notes: readonly string[]
}

function changedView(context: CommandContext, { participle, run, after, failed, notes }: Changed): View {
  const asOfMs = context.clock.nowMs()
  const isDone = run.state === 'done'
  return makeView({
    outcome: isDone ? 'done' : 'failed',
    title: isDone ? `${participle} ${plural(after.length, 'image')}` : `${participle} only ${after.length} of ${plural(run.total, 'image')}`,
    text: skippedWords(run),
    tone: isDone ? 'good' : 'bad',
    columns: after.length === 0 ? [] : IMAGE_COLUMNS,
    rows: after.map(imageRow),
    notes: [...failed.map(({ one, error }) => `${one.image.name} was not ${participle.toLowerCase()}: ${error.detail} ${error.action}`), ...notes],
    asOfMs,
    json: { items: after.map(imageJson), failed: failed.map(failureJson), run: bulkJson(run), asOf: formatTime(asOfMs) },
  })
}

/** What a cancelled run has left; empty for one that was not cancelled. */
export function skippedWords({ counts }: BulkRun): string {
  return counts.skipped === 0 ? '' : `Cancelled before ${plural(counts.skipped, 'image')}: nothing was changed there.`
}

export function failureJson({ one, error }: FailedImage): Record<string, unknown> {
  return { store: one.store.name, id: one.image.id, name: one.image.name, error }
}

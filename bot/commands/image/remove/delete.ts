// `image delete I…`: moves images to the recycle bin, or removes them for good where the store keeps none; first the
// checklist and the typed name.

import type { StoreRecord } from '../../../fleet/registry.ts'
import { problem } from '../../../../protocol/problems.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { formatDuration } from '../../../../protocol/units.ts'
import { runBulk } from '../../bulk/begin.ts'
import type { BulkOutcome } from '../../bulk/begin.ts'
import { bulkJson } from '../../../bulk/bulk-card.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { View } from '../../../../protocol/views/view.ts'
import { formatBytes, formatWireTime, plural } from '../../../../protocol/views/phrases.ts'
import { defineCommand } from '../../command.ts'
import type { CommandContext } from '../../command.ts'
import { gate } from '../../destroy.ts'
import { otherCopies, removalPromises, soleNeed } from '../../plan-promises.ts'
import type { DestroyPlan } from '../../destroy.ts'
import { answerOf } from '../../select.ts'
import { divide, failureJson, skippedWords } from '../change-many.ts'
import type { FoundImage } from '../find.ts'
import { IMAGE_COLUMNS, imageJson, imageRow, restoreAction } from '../list/image-rows.ts'
import { blockedOnly, CHECKED_MAX, cleanupActions, describeImage, holdingStores, removalChecks, uniqueBytes } from './removal.ts'
import type { HoldingStore } from './removal.ts'
import { draftItems, MORE_SELECT_OPTIONS, selectImages } from '../selection.ts'
import type { Selection } from '../selection.ts'

/** Images that the question describes; the rest is counted. */
const DESCRIBED_MAX = 10

export const imageDelete = defineCommand({
  noun: 'image',
  verb: 'delete',
  summary: 'Moves images to the recycle bin',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'I', about: 'name or id of an image, or all', subject: 'image', many: true }],
  options: { store: { about: 'the store whose copy is deleted', value: 'S', subject: 'store' }, ...MORE_SELECT_OPTIONS },
  examples: ['image delete debian-12 --confirm debian-12', 'image delete all store=edge-a label=env=test'],
  async run(context, input) {
    const selection = deletable(await selectImages(context, input.targets, input.options))
    const { found } = selection
    const stores = await holdingStores(context, found)
    const refusal = gate(context, input, await planDeletion(context, selection, stores))
    if (refusal) return refusal
    const [only] = found
    if (only && found.length === 1) {
      const after = answerOf(await context.fleet.contact(only.store, (agent) => agent.images.delete(only.image.id)))
      return deletedView(context, [{ ...only, image: after ?? { ...only.image, status: 'deleted', expiresAt: null } }], stores)
    }
    const outcome = await runBulk(context, { verb: 'delete', title: `Delete ${plural(found.length, 'image')}`, items: draftItems(found) })
    if (outcome.kind === 'begun') return outcome.view
    return manyView(context, found, stores, outcome)
  },
})

/** What `all` may delete: images that are protected or in use are left out, rather than blocking the others. */
function deletable(selection: Selection): Selection {
  if (!selection.isAll) return selection
  const found = selection.found.filter((one) => removalChecks(one).every(({ passed }) => passed))
  const left = selection.found.length - found.length
  if (found.length === 0)
    throw problem('conflict', `${plural(left, 'image')} cannot be deleted now: protected, in use, or not settled.`, { action: 'See why with image show.' })
  return left === 0 ? selection : { ...selection, found, notes: [...selection.notes, `${plural(left, 'image')} left out: protected, in use, or not settled.`] }
}

function manyView(
  context: CommandContext,
  found: readonly FoundImage[],
  stores: readonly HoldingStore[],
  { run, results }: Extract<BulkOutcome, { kind: 'ended' }>,
): View {
  const { after, failed } = divide(found, results)
  const view = deletedView(context, after, stores, { failed: failed.map(failureJson), run: bulkJson(run) })
  if (run.state === 'done') return view
  const notes = failed.map(({ one, error }) => `${one.image.name} was not deleted: ${error.detail} ${error.action}`)
  const some = { title: `Deleted only ${after.length} of ${plural(found.length, 'image')}`, text: [view.text, skippedWords(run)].join(' ').trim() }
  const none = { title: 'No image was deleted', text: failed.length > 0 ? 'The notes say why.' : skippedWords(run) }
  return { ...view, ...(after.length === 0 ? none : some), outcome: 'failed', tone: 'bad', notes }
}

async function planDeletion(context: CommandContext, { found, isAll, words, notes }: Selection, stores: readonly HoldingStore[]): Promise<DestroyPlan> {
  const names = found.map(({ image }) => image.name)
  const held = await Promise.all(
    stores.map(async (one) => heldText(one, found.filter(({ store }) => store.name === one.record.name).length, await uniqueBytes(context, one.record, found))),
  )
  const copies = await otherCopies(context, found)
  return {
    title: isAll ? `Delete ${plural(found.length, 'image')}` : `Delete ${names.join(', ')}`,
    names: isAll ? [plural(found.length, 'image')] : names,
    aliases: isAll ? [] : found.map(({ image }) => image.id),
    question: [...fates(found, stores), ...held.filter((text) => text !== '')].join(' '),
    essence: [
      ...stores.map(({ record, store }) => `${record.name} ${store.retention.deletion} ${store.retention.seconds}`),
      ...found.map(({ image, store }) => `${image.id} ${store.name}`),
    ],
    promises: [...removalPromises(found), copies.promise],
    notes: [...copies.gaps, ...notes],
    approval: soleNeed(copies.sole, found, !stores.some(isWithoutBin)),
    checklist: isAll || found.length > CHECKED_MAX ? blockedOnly(found) : found.flatMap(removalChecks),
    command: ['image delete', ...words].join(' '),
  }
}

function deletedView(
  context: CommandContext,
  after: readonly FoundImage[],
  stores: readonly HoldingStore[],
  more: Readonly<Record<string, unknown>> = {},
): View {
  const names = after.map(({ image }) => image.name).join(', ')
  const asOfMs = context.clock.nowMs()
  const records = stores.map(({ record }) => record)
  const isFinal = stores.some(isWithoutBin)
  const expiry = after.map(({ image }) => (image.expiresAt === null ? image.name : `${image.name} until ${formatWireTime(image.expiresAt)}`)).join(', ')
  const ids = after.map(({ image }) => image.id).join(' ')
  const deletedText = (): string => {
    if (isFinal) return `Deleted for good. The space is free after ${cleanupLine(records)}.`
    if (stores.some(({ store }) => store.retention.deletion === 'never'))
      return `In the recycle bin: ${expiry}. ${after.length === 1 ? 'Its' : 'Their'} space stays taken.`
    return `In the recycle bin: ${expiry}. The space stays taken until then; to free it now: image purge ${ids}, then ${cleanupLine(records)}.`
  }
  return makeView({
    title: `Deleted ${names}`,
    text: deletedText(),
    tone: 'good',
    columns: IMAGE_COLUMNS,
    rows: after.map(imageRow),
    actions: isFinal ? cleanupActions(records) : after.map(restoreAction),
    asOfMs,
    json: { items: after.map(imageJson), ...more, asOf: formatTime(asOfMs) },
  })
}

function isWithoutBin({ store }: HoldingStore): boolean {
  return store.retention.deletion === 'immediate'
}

/** What would happen to the images, one sentence for each fate: the stores may have different policies. */
function fates(found: readonly FoundImage[], stores: readonly HoldingStore[]): string[] {
  const fateOf = ({ image, store }: FoundImage): string => {
    if (image.status === 'uploading' || image.status === 'pending') return 'be cancelled: its upload has not finished, and nothing of it stays'
    const retention = stores.find(({ record }) => record.name === store.name)?.store.retention
    if (retention?.deletion === 'immediate') return `be deleted for good: ${store.name} keeps no recycle bin`
    if (retention?.deletion === 'never') return `go to the recycle bin and stay there: ${store.name} keeps deleted images forever`
    return `go to the recycle bin for ${formatDuration((retention?.seconds ?? 0) * 1000)}, and then be deleted for good`
  }
  const described = (images: readonly FoundImage[]): string => {
    const more = images.length > DESCRIBED_MAX ? ` and ${images.length - DESCRIBED_MAX} more` : ''
    return `${images.slice(0, DESCRIBED_MAX).map(describeImage).join('; ')}${more}`
  }
  return [...Map.groupBy(found, fateOf)].map(([fate, images]) => `${described(images)} would ${fate}.`)
}

/** What the images hold in a store and when it becomes free; empty when the store cannot count it. */
function heldText({ record, store }: HoldingStore, count: number, bytes: number | null): string {
  if (bytes === null) return ''
  const { deletion, seconds } = store.retention
  const held = `In ${record.name} only ${count === 1 ? 'this image holds' : 'these images hold'} ${formatBytes(bytes)}`
  if (deletion === 'immediate') return `${held}: the next cleanup frees it.`
  if (deletion === 'never') return `${held}: it stays taken, because this store keeps deleted images forever.`
  return `${held}: it stays taken for ${formatDuration(seconds * 1000)}; image purge and then store cleanup free it at once.`
}

function cleanupLine(records: readonly StoreRecord[]): string {
  return records.map(({ name }) => `store cleanup ${name}`).join(' and ')
}

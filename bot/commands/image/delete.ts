// `image delete I…`: moves images to the recycle bin, or removes them for good where the store keeps none; first the
// checklist and the typed name.

import type { StoreRecord } from '../../fleet/registry.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatDuration } from '../../../protocol/units.ts'
import { makeView } from '../../views/view.ts'
import type { View } from '../../views/view.ts'
import { formatBytes, formatWireTime, plural } from '../../views/phrases.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { gate } from '../destroy.ts'
import { otherCopies, removalPromises, soleNeed } from '../plan-promises.ts'
import type { DestroyPlan } from '../destroy.ts'
import { answerOf } from '../select.ts'
import { quoteOption } from '../../views/quote.ts'
import { oneImage } from './find.ts'
import type { FoundImage } from './find.ts'
import { IMAGE_COLUMNS, imageJson, imageRow, restoreAction } from './image-rows.ts'
import { cleanupActions, describeImage, holdingStores, removalChecks, uniqueBytes } from './removal.ts'
import type { HoldingStore } from './removal.ts'

export const imageDelete = defineCommand({
  noun: 'image',
  verb: 'delete',
  summary: 'Moves images to the recycle bin',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image', many: true }],
  options: { store: { about: 'the store whose copy is deleted', value: 'S', subject: 'store' } },
  examples: ['image delete debian-12 --confirm debian-12'],
  async run(context, input) {
    const found = await Promise.all([...new Set(input.targets)].map((target) => oneImage(context, target, input.options.store)))
    const stores = await holdingStores(context, found)
    const refusal = gate(context, input, await planDeletion(context, found, stores, input.options.store))
    if (refusal) return refusal
    const after: FoundImage[] = []
    const failures: string[] = []
    for (const { store, image } of found) {
      const contact = await context.fleet.contact(store, (agent) => agent.images.delete(image.id))
      if (contact.kind === 'answered') after.push({ store, image: contact.value ?? { ...image, status: 'deleted', expiresAt: null } })
      else if (found.length === 1) answerOf(contact)
      else
        failures.push(`${image.name} was not deleted: ${contact.kind === 'refused' ? `${contact.problem.detail} ${contact.problem.action}` : contact.reason}`)
    }
    const view = deletedView(context, after, stores)
    if (failures.length === 0) return view
    const some = { title: `Deleted only ${after.length} of ${plural(found.length, 'image')}`, text: view.text }
    const none = { title: 'No image was deleted', text: 'The notes say why.' }
    return { ...view, ...(after.length === 0 ? none : some), outcome: 'failed', tone: 'bad', notes: failures }
  },
})

async function planDeletion(
  context: CommandContext,
  found: readonly FoundImage[],
  stores: readonly HoldingStore[],
  storeOption: string | undefined,
): Promise<DestroyPlan> {
  const names = found.map(({ image }) => image.name)
  const held = await Promise.all(
    stores.map(async (one) => heldText(one, found.filter(({ store }) => store.name === one.record.name).length, await uniqueBytes(context, one.record, found))),
  )
  const copies = await otherCopies(context, found)
  return {
    title: `Delete ${names.join(', ')}`,
    names,
    aliases: found.map(({ image }) => image.id),
    question: [...fates(found, stores), ...held.filter((text) => text !== '')].join(' '),
    essence: [
      ...stores.map(({ record, store }) => `${record.name} ${store.retention.deletion} ${store.retention.seconds}`),
      ...found.map(({ image, store }) => `${image.id} ${store.name}`),
    ],
    promises: [...removalPromises(found), copies.promise],
    notes: copies.gaps,
    approval: soleNeed(copies.sole, found, !stores.some(isWithoutBin)),
    checklist: found.flatMap(removalChecks),
    command: ['image delete', ...found.map(({ image }) => image.id), ...(storeOption === undefined ? [] : [quoteOption('store', storeOption)])].join(' '),
  }
}

function deletedView(context: CommandContext, after: readonly FoundImage[], stores: readonly HoldingStore[]): View {
  const names = after.map(({ image }) => image.name).join(', ')
  const asOfMs = context.clock.nowMs()
  const records = stores.map(({ record }) => record)
  const isFinal = stores.some(isWithoutBin)
  const expiry = after.map(({ image }) => (image.expiresAt === null ? image.name : `${image.name} until ${formatWireTime(image.expiresAt)}`)).join(', ')
  const ids = after.map(({ image }) => image.id).join(' ')
  const deletedText = (): string => {
    if (isFinal) return `Deleted for good. The space is free after ${cleanupLine(records)}.`
    if (stores.some(({ store }) => store.retention.deletion === 'never')) return `In the recycle bin: ${expiry}. Their space stays taken.`
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
    json: { items: after.map(imageJson), asOf: formatTime(asOfMs) },
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
  return [...Map.groupBy(found, fateOf)].map(([fate, images]) => `${images.map(describeImage).join('; ')} would ${fate}.`)
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

// `image purge I…` and `image purge --bin`: deletes images for good, from the recycle bin or without passing through it. The
// space is free after the next cleanup of the store.

import type { Image } from '../../../../protocol/images/image.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { Problem } from '../../../../protocol/problems.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { runBulk } from '../../bulk/begin.ts'
import { bulkJson } from '../../../bulk/bulk-card.ts'
import type { BulkRun } from '../../../bulk/bulk-run.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { ChecklistItem, Column, View } from '../../../../protocol/views/view.ts'
import { formatBytes, plural } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { gate } from '../../destroy.ts'
import { otherCopies, removalPromises, soleNeed } from '../../plan-promises.ts'
import type { DestroyPlan } from '../../destroy.ts'
import { askStore, oneStore, stoppedProblem } from '../../select.ts'
import { quoteOption, quoteWord } from '../../../views/quote.ts'
import { divide, skippedWords } from '../change-many.ts'
import { oneImage } from '../find.ts'
import type { FoundImage } from '../find.ts'
import { imageJson } from '../list/image-rows.ts'
import { blockedOnly, CHECKED_MAX, cleanupActions, describeImage, holdingStores, removalChecks, uniqueBytes } from './removal.ts'
import type { HoldingStore } from './removal.ts'
import { draftItems } from '../selection.ts'

/** Images that one command purges from a recycle bin; a fuller one takes several runs. */
export const BIN_PURGED_MAX = 1000
/** Images that the question names; the rest is counted. */
const NAMED_MAX = 10

const RESULT_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'length', label: 'Length', align: 'right' },
  { key: 'result', label: 'Result' },
  { key: 'id', label: 'Id', isWhole: true },
]

export const imagePurge = defineCommand({
  noun: 'image',
  verb: 'purge',
  summary: 'Deletes images for good, from the recycle bin or at once; store cleanup then frees their space',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'I', about: 'name or id of an image, deleted or not', subject: 'any-image', many: true, optional: true }],
  options: { store: { about: 'the store that holds the copy or the recycle bin', value: 'S', subject: 'store' } },
  flags: { bin: 'purges everything in the recycle bin of the store; name no image then' },
  examples: ['image purge debian-12 --confirm debian-12', 'image purge --bin store=edge-a --confirm edge-a'],
  async run(context, input) {
    const isBin = input.flags.has('bin')
    if (isBin === input.targets.length > 0) {
      throw problem('invalid-input', isBin ? 'image purge --bin purges the whole recycle bin and takes no image.' : 'image purge needs an image, or --bin.', {
        action: 'Say image purge I… for single images, or image purge --bin store=S for a recycle bin. image bin lists what is in it.',
      })
    }
    const bin = isBin ? oneStore(context, input.options.store) : undefined
    const found = bin ? await imagesInBin(context, bin) : await namedImages(context, input.targets, input.options.store)
    if (bin && found.length === 0) return emptyBin(context, bin)
    const stores = await holdingStores(context, found)
    const refusal = gate(context, input, await planPurge(context, { found, stores, bin, storeOption: input.options.store }))
    return refusal ?? purge(context, found, stores)
  },
})

interface PurgeOrder {
  readonly found: readonly FoundImage[]
  readonly stores: readonly HoldingStore[]
  /** The store whose whole recycle bin is meant. */
  readonly bin: StoreRecord | undefined
  readonly storeOption: string | undefined
}

function namedImages(context: CommandContext, targets: readonly string[], store: string | undefined): Promise<FoundImage[]> {
  return Promise.all([...new Set(targets)].map((target) => oneImage(context, target, store, 'both')))
}

function imagesInBin(context: CommandContext, store: StoreRecord): Promise<FoundImage[]> {
  return askStore(context, store, async (agent) => {
    const found: FoundImage[] = []
    for await (const image of agent.images.all({ status: 'deleted' })) if (found.push({ store, image }) >= BIN_PURGED_MAX) break
    return found
  })
}

async function planPurge(context: CommandContext, { found, stores, bin, storeOption }: PurgeOrder): Promise<DestroyPlan> {
  const named = found.slice(0, NAMED_MAX).map(describeImage)
  const more = found.length > named.length ? ` and ${found.length - named.length} more` : ''
  const frees = await Promise.all(
    stores.map(async ({ record }) => {
      const bytes = await uniqueBytes(context, record, found)
      return bytes === null ? '' : ` After that, store cleanup ${record.name} can free ${formatBytes(bytes)}.`
    }),
  )
  const copies = await otherCopies(context, found)
  const what = bin ? `${plural(found.length, 'image')} in the recycle bin of ${bin.name}` : found.map(({ image }) => image.name).join(', ')
  return {
    title: `Purge ${what}`,
    names: bin ? [bin.name] : found.map(({ image }) => image.name),
    aliases: bin ? [] : found.map(({ image }) => image.id),
    question: `${bin ? `${what}: ` : ''}${named.join('; ')}${more} would be deleted for good and could not be restored.${frees.join('')}`,
    essence: found.map(({ image, store }) => `${image.id} ${store.name} ${image.status}`),
    promises: [...removalPromises(found), copies.promise],
    approval: soleNeed(copies.sole, found, false),
    checklist: [...stores.flatMap(retentionChecks), ...(bin || found.length > CHECKED_MAX ? blockedOnly(found) : found.flatMap(removalChecks))],
    command: [
      'image purge',
      ...(bin ? ['--bin', quoteOption('store', bin.name)] : found.map(({ image }) => image.id)),
      ...(bin || storeOption === undefined ? [] : [quoteOption('store', storeOption)]),
    ].join(' '),
    notes: [...copies.gaps, ...(bin && found.length === BIN_PURGED_MAX ? [`One command purges ${BIN_PURGED_MAX} images. Run it again for the rest.`] : [])],
  }
}

/** A store that keeps deleted images forever refuses to purge. */
function retentionChecks({ record, store }: HoldingStore): ChecklistItem[] {
  if (store.retention.deletion !== 'never') return []
  const detail = `its policy keeps deleted images forever; run store edit ${quoteWord(record.name)} deletion=delayed first`
  return [{ label: `${record.name} may purge images`, passed: false, detail }]
}

interface Purged extends FoundImage {
  /** Why the image is still there; undefined once it is gone. */
  readonly failure: Problem | undefined
}

async function purge(context: CommandContext, found: readonly FoundImage[], stores: readonly HoldingStore[]): Promise<View> {
  const [only] = found
  if (only && found.length === 1) return purgedView(context, [{ ...only, failure: await purgeOne(context, only) }], stores)
  const items = draftItems(found, ({ image }) => ({ wasDeleted: image.status === 'deleted' }))
  const outcome = await runBulk(context, { verb: 'purge', title: `Purge ${plural(found.length, 'image')}`, items })
  if (outcome.kind === 'begun') return outcome.view
  const { after, failed } = divide(found, outcome.results)
  const results = [...after.map((one) => ({ ...one, failure: undefined })), ...failed.map(({ one, error }) => ({ ...one, failure: error }))]
  return purgedView(context, results, stores, outcome.run)
}

function purgedView(context: CommandContext, results: readonly Purged[], stores: readonly HoldingStore[], run?: BulkRun): View {
  const gone = results.filter(({ failure }) => failure === undefined)
  const left = results.filter(({ failure }) => failure !== undefined)
  const emptied = stores.filter(({ record }) => gone.some(({ store }) => store.name === record.name)).map(({ record }) => record)
  const cleanup = emptied.map(({ name }) => `store cleanup ${name}`).join(' and ')
  const asOfMs = context.clock.nowMs()
  const isDone = left.length === 0 && gone.length === (run?.total ?? results.length)
  const partial = gone.length === 0 ? 'No image was purged' : `Purged only ${gone.length} of ${plural(run?.total ?? results.length, 'image')}`
  return makeView({
    outcome: isDone ? 'done' : 'failed',
    title: isDone ? `Purged ${plural(gone.length, 'image')}` : partial,
    text: [
      gone.length === 0 ? 'Nothing was deleted.' : `Deleted for good: ${names(gone)}. The space is free after ${cleanup}.`,
      ...(left.length === 0 ? [] : [`Still there: ${names(left)}; the table says why.`]),
      ...(run ? [skippedWords(run)] : []).filter((text) => text !== ''),
    ].join(' '),
    tone: isDone ? 'good' : 'bad',
    columns: RESULT_COLUMNS,
    rows: results.map(({ store, image, failure }) => ({
      tone: failure ? 'bad' : 'good',
      cells: {
        name: image.name,
        store: store.name,
        length: formatBytes(image.length),
        result: failure ? `${failure.detail} ${failure.action}` : 'deleted for good',
        id: image.id,
      },
    })),
    actions: cleanupActions(emptied),
    asOfMs,
    json: {
      purged: gone.map(imageJson),
      failed: left.map(({ failure, ...one }) => ({ store: one.store.name, id: one.image.id, name: one.image.name, error: failure })),
      ...(run ? { run: bulkJson(run) } : {}),
      asOf: formatTime(asOfMs),
    },
  })
}

/** Purges one image; returns why it could not be purged, so that the others still are. */
async function purgeOne(context: CommandContext, { store, image }: FoundImage): Promise<Problem | undefined> {
  const contact = await context.fleet.contact(store, async (agent) => {
    // An image that was restored since the question is not purged.
    const now: Image = await agent.images.get(image.id)
    if (image.status === 'deleted' && now.status !== 'deleted')
      throw problem('wrong-status', `${image.name} was restored.`, { action: 'Name it if you want to purge it anyway.' })
    await agent.images.delete(image.id, { permanent: true })
  })
  if (contact.kind === 'answered') return undefined
  return contact.kind === 'refused' ? contact.problem : stoppedProblem(contact).problem
}

function emptyBin(context: CommandContext, { name }: StoreRecord): View {
  const asOfMs = context.clock.nowMs()
  return makeView({
    title: `The recycle bin of ${name} is empty`,
    text: 'There is nothing to purge.',
    asOfMs,
    json: { purged: [], failed: [], asOf: formatTime(asOfMs) },
  })
}

function names(found: readonly FoundImage[]): string {
  const more = found.length > NAMED_MAX ? ` and ${found.length - NAMED_MAX} more` : ''
  return `${found
    .slice(0, NAMED_MAX)
    .map(({ image }) => image.name)
    .join(', ')}${more}`
}

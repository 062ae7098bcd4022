// `image migrate I… to=S`: copies images to another store, checks the copies there, and then deletes the images where they were, after the checklist and the
// typed names. It is a bulk run: until a copy is checked, nothing is deleted, and what a killed bot left goes on.

import { formatTime } from '../../../../protocol/time.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { formatBytes, statusWord } from '../../../../protocol/views/phrases.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { ChecklistItem, View } from '../../../../protocol/views/view.ts'
import { endedView, runBulk } from '../../bulk/begin.ts'
import type { BulkOutcome } from '../../bulk/begin.ts'
import { storeForImages } from '../../choose-store.ts'
import { defineCommand } from '../../command.ts'
import type { CommandContext } from '../../command.ts'
import { gate } from '../../destroy.ts'
import type { DestroyPlan } from '../../destroy.ts'
import { quoteOption } from '../../../views/quote.ts'
import { checkPlacement } from '../../placement.ts'
import { problemView } from '../../run.ts'
import { oneStore, oneZone } from '../../select.ts'
import { tasksView } from '../../task/task-view.ts'
import { copyFigures, copyPromises, mayNotFit } from './copy-figures.ts'
import type { CopyFigures } from './copy-figures.ts'
import { oneImage } from '../find.ts'
import type { FoundImage } from '../find.ts'
import { imageJson } from '../list/image-rows.ts'
import { describeImage, removalChecks } from '../remove/removal.ts'
import { draftItems } from '../selection.ts'

export const imageMigrate = defineCommand({
  noun: 'image',
  verb: 'migrate',
  summary: 'Moves images to another store: copies them, checks the copies, then deletes the originals',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image', many: true }],
  options: {
    to: { about: 'the store to move it to; without it, zone= chooses one', value: 'S', subject: 'store' },
    zone: { about: 'zone that the store in to= must serve', value: 'Z', subject: 'zone' },
    from: { about: 'the store to move it from, when several have the image', value: 'S', subject: 'store' },
  },
  flags: { 'dry-run': 'only shows the plan' },
  examples: ['image migrate debian-12 to=edge-b --dry-run', 'image migrate debian-12 to=edge-b --confirm debian-12'],
  async run(context, input) {
    const { to, from } = input.options
    const zone = input.options.zone === undefined ? undefined : oneZone(context, input.options.zone).name
    if (to === undefined && zone === undefined)
      throw problem('invalid-input', 'image migrate needs to=.', { action: 'Name the store to move the image to: to=edge-b; or a zone: zone=zone-2.' })
    const target = to === undefined ? storeForImages(context, zone === undefined ? {} : { zone }) : oneStore(context, to, undefined, zone)
    checkPlacement(context, target)
    const named = await Promise.all([...new Set(input.targets)].map((text) => oneImage(context, text, from, 'listed', 'from')))
    const found = [...new Map(named.map((one) => [`${one.store.name} ${one.image.id}`, one])).values()]
    for (const { store, image } of found) {
      if (store.name === target.name) throw problem('conflict', `${image.name} is in ${target.name} already.`, { action: 'Name another store in to=.' })
      checkPlacement(context, target, { kind: image.kind })
    }
    const plan = await migrationPlan(context, found, target, from)
    if (input.flags.has('dry-run')) return dryRun(gate(context, { confirm: [], plan: undefined }, plan))
    const refusal = gate(context, input, plan)
    if (refusal) return refusal
    const outcome = await runBulk(context, { verb: 'migrate', title: plan.title, items: draftItems(found, () => ({ to: target.name })) })
    if (outcome.kind === 'begun') return outcome.view
    const [only] = found
    if (only && found.length === 1) return oneMigrated(context, only, target, outcome)
    return endedView(context, outcome.run)
  },
})

async function migrationPlan(context: CommandContext, found: readonly FoundImage[], target: StoreRecord, from: string | undefined): Promise<DestroyPlan> {
  const orders = [...Map.groupBy(found, ({ store }) => store.name).values()].map((own) => ({
    ...{ source: (own[0] as FoundImage).store, others: [], target, images: own.map(({ image }) => image) },
  }))
  const isReadable = found.every(({ image }) => image.status === 'available')
  const figures = isReadable ? await copyFigures(context, orders) : []
  const names = found.map(({ image }) => image.name)
  const [first] = found
  const source = first && found.length === 1 ? first.store.name : from
  return {
    title: `Migrate ${names.join(', ')} to ${target.name}`,
    names,
    aliases: found.map(({ image }) => image.id),
    question: found
      .map((one) => `${describeImage(one)} would be copied to ${target.name}, and deleted in ${one.store.name} once the copy is checked.`)
      .join(' '),
    essence: found.flatMap(({ image, store }) => [image.id, image.manifestDigest ?? '', store.name, target.name]),
    promises: await copyPromises(context, figures),
    checklist: [...found.flatMap(removalChecks), ...found.map(contentCheck), ...figures.map(spaceCheck)],
    command: [
      'image migrate',
      ...found.map(({ image }) => image.id),
      quoteOption('to', target.name),
      ...(source === undefined ? [] : [quoteOption('from', source)]),
    ].join(' '),
  }
}

function contentCheck({ image }: FoundImage): ChecklistItem {
  const isAvailable = image.status === 'available'
  return {
    label: `Content of ${image.name}`,
    passed: isAvailable,
    detail: isAvailable ? 'Available' : `the image is ${statusWord(image.status)}; only an Available image can be moved`,
  }
}

/** Compressed, the bytes may still fit, so this blocks nothing: the agent refuses a copy that does not. */
function spaceCheck(figures: CopyFigures): ChecklistItem {
  const detail = mayNotFit(figures) ? `may be too little: ${formatBytes(figures.missingBytes)} before compression` : 'enough, as far as it is known'
  return { label: `Space in ${figures.target.name}`, passed: true, detail }
}

/** The plan as an answer to a dry run, which changes nothing and is no refusal. */
function dryRun(plan: View | undefined): View {
  if (!plan) throw new Error('a plan without a confirmation was accepted')
  const { confirm: _confirm, ...shown } = plan
  return { ...shown, outcome: 'done' }
}

/** The answer of the console about a single image. */
function oneMigrated(context: CommandContext, found: FoundImage, target: StoreRecord, { run, results }: Extract<BulkOutcome, { kind: 'ended' }>): View {
  const acted = results[0]?.acted
  if (acted?.kind === 'done' && acted.image) return migratedView(context, found, { store: target, image: acted.image }, acted.detail)
  if (acted?.kind !== 'failed') return endedView(context, run)
  if (!acted.task) return problemView(context, acted.problem, 'failed')
  const note = `${found.image.name} is still in ${found.store.name}: nothing was deleted.`
  return { ...tasksView(`Copy of ${found.image.name} to ${target.name}`, [acted.task], context.clock.nowMs(), [note]), outcome: 'failed' }
}

function migratedView(context: CommandContext, { image, store }: FoundImage, copy: FoundImage, left: string): View {
  const asOfMs = context.clock.nowMs()
  const isOther = copy.image.id !== image.id
  return makeView({
    title: `Migrated ${image.name} to ${copy.store.name}`,
    text: isOther ? `${copy.store.name} had the same content as ${copy.image.name} (${copy.image.id}). ${left}` : left,
    tone: 'good',
    asOfMs,
    json: { ...imageJson(copy), from: store.name, to: copy.store.name, asOf: formatTime(asOfMs) },
  })
}

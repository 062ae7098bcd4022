// `image migrate I to=S`: copies an image to another store, checks the copy there, and then deletes it where it was, after the checklist and the typed
// name. Until the copy is checked, nothing is deleted; a command that was interrupted can be run again.

import { formatTime } from '../../../protocol/time.ts'
import { problem } from '../../../protocol/problems.ts'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { formatBytes, isEnded } from '../../views/phrases.ts'
import { makeView } from '../../views/view.ts'
import type { View } from '../../views/view.ts'
import { storeForImages } from '../choose-store.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { gate } from '../destroy.ts'
import { copyDuration } from '../plan-promises.ts'
import type { DestroyPlan } from '../destroy.ts'
import { quoteOption } from '../../views/quote.ts'
import { checkPlacement } from '../placement.ts'
import { askStore, oneStore, oneZone } from '../select.ts'
import { followTasks, tasksView } from '../task/task-view.ts'
import { oneImage } from './find.ts'
import type { FoundImage } from './find.ts'
import { imageJson } from './image-rows.ts'
import { orderSync } from './order-sync.ts'
import { describeImage, removalChecks } from './removal.ts'

export const imageMigrate = defineCommand({
  noun: 'image',
  verb: 'migrate',
  summary: 'Moves an image to another store: copies it, checks the copy, then deletes the original',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
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
    const found = await oneImage(context, input.targets[0] ?? '', from)
    if (found.store.name === target.name)
      throw problem('conflict', `${found.image.name} is in ${target.name} already.`, { action: 'Name another store in to=.' })
    checkPlacement(context, target, { kind: found.image.kind })
    const plan = await migrationPlan(context, found, target)
    if (input.flags.has('dry-run')) return dryRun(gate(context, { confirm: [], plan: undefined }, plan))
    const refusal = gate(context, input, plan)
    if (refusal) return refusal
    const copied = await copyTo(context, found, target)
    if (copied.outcome === 'failed') return { ...copied, notes: [...copied.notes, `${found.image.name} is still in ${found.store.name}: nothing was deleted.`] }
    const copy = await checkedCopy(context, found, target, copied)
    const deleted = await askStore(context, found.store, (agent) => agent.images.delete(found.image.id))
    return migratedView(context, found, { store: target, image: copy }, deleted)
  },
})

async function migrationPlan(context: CommandContext, found: FoundImage, target: StoreRecord): Promise<DestroyPlan> {
  const { image, store } = found
  const bytes = image.storedSize ?? image.length
  const command = ['image migrate', image.id, quoteOption('to', target.name), quoteOption('from', store.name)].join(' ')
  return {
    title: `Migrate ${image.name} to ${target.name}`,
    names: [image.name],
    aliases: [image.id],
    question: `${describeImage(found)} would be copied to ${target.name}, and deleted in ${store.name} once the copy is checked.`,
    essence: [image.id, image.manifestDigest ?? '', store.name, target.name],
    promises: [
      { label: 'Bytes', value: `at most ${formatBytes(bytes)} to copy: slices that ${target.name} has are not sent` },
      await copyDuration(context, target, bytes),
    ],
    checklist: [
      ...removalChecks(found),
      {
        label: `Content of ${image.name}`,
        passed: image.status === 'available',
        detail: image.status === 'available' ? 'Available' : `the image is ${image.status}; only an Available image can be moved`,
      },
    ],
    command,
  }
}

/** The plan as an answer to a dry run, which changes nothing and is no refusal. */
function dryRun(plan: View | undefined): View {
  if (!plan) throw new Error('a plan without a confirmation was accepted')
  const { confirm: _confirm, ...shown } = plan
  return { ...shown, outcome: 'done' }
}

/** Copies the image and waits for the end of the task. */
async function copyTo(context: CommandContext, { image, store }: FoundImage, target: StoreRecord): Promise<View> {
  const task = await orderSync(context, { source: store, target, images: [image.id] })
  let view = tasksView(`Copy of ${image.name} to ${target.name}`, [task], context.clock.nowMs())
  if (isEnded(task.task.state)) return view
  for await (const next of followTasks(context, view, context.signal)) {
    view = next
    context.onInterim?.(next)
  }
  return view
}

/** Returns the copy. Throws ProblemError unless it is available and has the content of the image. */
async function checkedCopy(context: CommandContext, { image, store }: FoundImage, target: StoreRecord, copied: View): Promise<Image> {
  const result = syncResultSchema.safeParse(copied.progress[0]?.task.result).data?.images[0]
  const copy = await askStore(context, target, (agent) => agent.images.get(result?.sameAs ?? image.id))
  const isSame = copy.length === image.length && (copy.manifestDigest === image.manifestDigest || (copy.digest !== null && copy.digest === image.digest))
  if (copy.status === 'available' && isSame) return copy
  const why = copy.status === 'available' ? 'has other content' : `is ${copy.status}`
  throw problem('conflict', `The copy of ${image.name} in ${target.name} ${why}, so the image in ${store.name} was not deleted.`, {
    action: `Look at it with image show ${copy.id}, then run the command again.`,
  })
}

function migratedView(context: CommandContext, { image, store }: FoundImage, copy: FoundImage, deleted: Image | undefined): View {
  const asOfMs = context.clock.nowMs()
  const isOther = copy.image.id !== image.id
  const left = deleted ? `It is in the recycle bin of ${store.name}.` : `It was deleted for good in ${store.name}.`
  return makeView({
    title: `Migrated ${image.name} to ${copy.store.name}`,
    text: isOther ? `${copy.store.name} had the same content as ${copy.image.name} (${copy.image.id}). ${left}` : left,
    tone: 'good',
    asOfMs,
    json: { ...imageJson(copy), from: store.name, to: copy.store.name, asOf: formatTime(asOfMs) },
  })
}

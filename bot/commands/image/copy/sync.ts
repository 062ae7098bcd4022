// `image sync I… to=S,S`: each target store pulls the slices that it lacks from the stores that have the image. The targets are asked first what they lack; a plan that is large asks
// before it runs.

import { problem } from '../../../../protocol/problems.ts'
import { syncPrioritySchema } from '../../../../protocol/sync/sync-limits.ts'
import type { SyncLimits } from '../../../../protocol/sync/sync-limits.ts'
import type { PlanPromise } from '../../../approvals/plans.ts'
import { bulkJson } from '../../../bulk/bulk-card.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { copiesWords, plural } from '../../../../protocol/views/phrases.ts'
import { quoteOption, quoteWord } from '../../../views/quote.ts'
import type { View } from '../../../../protocol/views/view.ts'
import { runBulk } from '../../bulk/begin.ts'
import { storeForImages } from '../../choose-store.ts'
import { defineCommand } from '../../command.ts'
import type { CommandContext, CommandInput } from '../../command.ts'
import { gate } from '../../destroy.ts'
import { checkPlacement } from '../../placement.ts'
import { oneZone, storesIn } from '../../select.ts'
import { tasksView } from '../../task/task-view.ts'
import { skippedWords, UNASKED_MAX } from '../change-many.ts'
import { copyFigures, copyPromises, mayNotFit } from './copy-figures.ts'
import type { CopyFigures } from './copy-figures.ts'
import type { FoundImage } from '../find.ts'
import { orderPlanned, planCopies } from './order-copies.ts'
import type { CopiesPlan } from './order-copies.ts'
import { isAllOf, selectAmong } from '../selection.ts'
import { limitsOf } from './sync-options.ts'

export const imageSync = defineCommand({
  noun: 'image',
  verb: 'sync',
  summary: 'Copies images to other stores; only missing slices are sent',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image, or all', subject: 'image', many: true }],
  options: {
    to: { about: 'stores to copy to, separated by commas; without it, zone= chooses one', value: 'S,S', subject: 'store', isMany: true },
    zone: { about: 'zone that every store in to= must serve', value: 'Z', subject: 'zone' },
    from: {
      about: 'stores to copy from, separated by commas; each target uses all that have the image, and they share the targets',
      value: 'S,S',
      subject: 'store',
      isMany: true,
    },
    label: { about: 'with all: images with these labels: env=production,team', value: 'KEY[=VALUE],…' },
    rate: { about: 'bytes per second of each copy', value: '10MB' },
    hours: { about: 'windows in which bytes move, with semicolons between them', value: '"0 22 * * * for 8h"' },
    priority: {
      about: 'low, normal or high: which of the waiting copies comes first, and its part of the rate',
      value: 'low',
      choices: syncPrioritySchema.options,
    },
  },
  flags: { 'dry-run': 'only says what would be copied' },
  examples: [
    'image sync debian-12 to=edge-b',
    'image sync debian-12 alpine to=edge-b,edge-c',
    'image sync debian-12 to=site-1,site-2 from=edge-b,edge-c',
    'image sync all from=edge-a label=env=production to=edge-b',
    'image sync debian-12 to=edge-b rate=10MB hours="0 22 * * * for 8h"',
    'image sync debian-12 zone=zone-2',
    'image sync debian-12 to=edge-b --dry-run',
  ],
  async run(context, input) {
    const { targets, options, flags } = input
    const zone = options.zone === undefined ? undefined : oneZone(context, options.zone).name
    const named = storesIn(context, options.to, zone)
    if (named.length === 0 && zone === undefined)
      throw problem('invalid-input', 'image sync needs to=.', { action: 'Name the stores to copy to: to=edge-b,edge-c; or a zone: zone=zone-2.' })
    const receivers = named.length > 0 || zone === undefined ? named : [storeForImages(context, { zone })]
    for (const receiver of receivers) checkPlacement(context, receiver)
    const origins = storesIn(context, options.from)
    const sources = origins.length === 0 ? undefined : origins
    const limits = limitsOf(options)
    const images = isAllOf(targets) ? await selectedCopies(context, sources, options.label) : targets
    const plan = await planCopies(context, { images, targets: receivers, sources })
    const what = isAllOf(targets) ? plural(images.length, 'image') : plan.label
    const title = `Sync of ${what} to ${receivers.map((store) => store.name).join(', ')}`
    if (flags.has('dry-run')) {
      const tasks = await orderPlanned(context, plan.orders, { dryRun: true, ...(limits ? { limits } : {}) })
      return tasksView(`${title} (dry run: nothing is copied)`, tasks, context.clock.nowMs(), plan.notes)
    }
    const words = Object.entries(options).flatMap(([key, value]) => (value === undefined ? [] : [quoteOption(key, value)]))
    const command = ['image sync', ...targets.map(quoteWord), ...words].join(' ')
    const figures = await copyFigures(context, plan.orders)
    const promises = await copyPromises(context, figures)
    const missing = askForCopies(context, input, { title, plan, figures, promises, command })
    if (missing) return missing
    return copy(context, { title, plan, limits, promises })
  },
})

/** Bytes that are copied without asking. */
export const UNASKED_BYTES_MAX = 1_073_741_824

interface PlannedSync {
  readonly title: string
  readonly plan: CopiesPlan
  readonly promises: readonly PlanPromise[]
}

/** Asks for the plan when it is large or may not fit, and when somebody has looked at one that has changed since. */
function askForCopies(
  context: CommandContext,
  input: Pick<CommandInput, 'confirm' | 'plan'>,
  { title, plan, figures, promises, command }: PlannedSync & { readonly figures: readonly CopyFigures[]; readonly command: string },
): View | undefined {
  const copies = plan.orders.flatMap(({ images, target }) => images.map((image) => ({ image, target })))
  const bytes = figures.reduce((sum, { missingBytes }) => sum + (missingBytes ?? 0), 0)
  const full = figures.filter(mayNotFit)
  const asks = copies.length > UNASKED_MAX || bytes > UNASKED_BYTES_MAX || full.length > 0
  if (!asks && input.plan === undefined) return undefined
  const [only] = copies
  const names = [only && copies.length === 1 ? only.image.name : plural(copies.length, 'copy', 'copies')]
  return gate(context, asks ? input : { ...input, confirm: names }, {
    title,
    names,
    aliases: only && copies.length === 1 ? [only.image.id] : [],
    question: `${copiesWords(copies.length)} would be made.${full.map(({ target }) => ` It may not fit into ${target.name}.`).join('')}`,
    essence: copies.map(({ image, target }) => `${image.id} ${image.manifestDigest ?? ''} ${target.name}`),
    promises,
    checklist: [],
    command,
    notes: plan.notes,
  })
}

/** Copies: a single image to a single store as one task, everything else as a bulk run. */
async function copy(context: CommandContext, { title, plan, limits, promises }: PlannedSync & { readonly limits: SyncLimits | undefined }): Promise<View> {
  const copies = plan.orders.flatMap((order) => order.images.map((image) => ({ image, order })))
  const planNote = `Plan: ${promises.map(({ label, value }) => `${label.toLowerCase()}: ${value}`).join('; ')}.`
  const notes = [...plan.notes, planNote]
  if (copies.length === 1 || context.isWaiting === false) {
    const tasks = await orderPlanned(context, plan.orders, limits ? { limits } : {})
    return tasksView(title, tasks, context.clock.nowMs(), notes)
  }
  const outcome = await runBulk(context, {
    ...{ verb: 'sync', title, params: limits ? { limits } : {} },
    items: copies.map(({ image, order: { source, others, target } }) => ({
      ...{ store: target.name, image: image.id, name: image.name, length: image.length },
      params: { from: [source, ...others].map(({ name }) => name) },
    })),
  })
  if (outcome.kind === 'begun') return { ...outcome.view, notes }
  const tasks = outcome.results.flatMap(({ acted }) => (acted.kind !== 'left' && acted.task ? [acted.task] : []))
  const failures = outcome.results.flatMap(({ item, acted }) =>
    acted.kind === 'failed' ? [`${item.name} was not copied to ${item.store}: ${acted.problem.detail} ${acted.problem.action}`] : [],
  )
  const view = tasksView(
    title,
    tasks,
    context.clock.nowMs(),
    [...failures, skippedWords(outcome.run), ...notes].filter((note) => note !== ''),
  )
  const json = { ...(view.json as Record<string, unknown>), run: bulkJson(outcome.run) }
  if (outcome.run.state === 'done') return { ...view, json }
  return { ...view, outcome: 'failed', tone: 'bad', text: tasks.length === 0 ? 'No image was copied.' : view.text, json }
}

/** The copies of each image that `all` means: those of the stores to copy from that have the labels and can be read. */
async function selectedCopies(context: CommandContext, sources: readonly StoreRecord[] | undefined, label: string | undefined): Promise<FoundImage[][]> {
  if (sources === undefined && label === undefined)
    throw problem('invalid-input', 'all needs something that selects: all images of the whole fleet are never meant.', { action: 'Add from= or label=.' })
  const { found } = await selectAmong(context, sources ?? context.fleet.registry.list(), { label }, 'listed')
  const readable = found.filter(({ image }) => image.status === 'available' || image.status === 'degraded')
  return [...Map.groupBy(readable, ({ image }) => image.id).values()]
}

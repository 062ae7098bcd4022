// `image sync I… to=S,S`: each target store pulls the slices that it lacks from the stores that have the image.

import { problem } from '../../../protocol/problems.ts'
import { syncPrioritySchema } from '../../../protocol/sync/sync-limits.ts'
import { storeForImages } from '../choose-store.ts'
import { defineCommand } from '../command.ts'
import { checkPlacement } from '../placement.ts'
import { oneZone } from '../select.ts'
import { tasksView } from '../task/task-view.ts'
import { orderCopies, storesIn } from './order-copies.ts'
import { limitsOf } from './sync-options.ts'

export const imageSync = defineCommand({
  noun: 'image',
  verb: 'sync',
  summary: 'Copies images to other stores; only missing slices are sent',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image', many: true }],
  options: {
    to: { about: 'stores to copy to, separated by commas; without it, zone= chooses one', value: 'S,S', subject: 'store', isMany: true },
    zone: { about: 'zone that every store in to= must serve', value: 'Z', subject: 'zone' },
    from: {
      about: 'stores to copy from, separated by commas; each target uses all that have the image, and they share the targets',
      value: 'S,S',
      subject: 'store',
      isMany: true,
    },
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
    'image sync debian-12 to=edge-b rate=10MB hours="0 22 * * * for 8h"',
    'image sync debian-12 zone=zone-2',
    'image sync debian-12 to=edge-b --dry-run',
  ],
  async run(context, { targets, options, flags }) {
    const zone = options.zone === undefined ? undefined : oneZone(context, options.zone).name
    const named = storesIn(context, options.to, zone)
    if (named.length === 0 && zone === undefined)
      throw problem('invalid-input', 'image sync needs to=.', { action: 'Name the stores to copy to: to=edge-b,edge-c; or a zone: zone=zone-2.' })
    const receivers = named.length > 0 || zone === undefined ? named : [storeForImages(context, { zone })]
    for (const receiver of receivers) checkPlacement(context, receiver)
    const origins = storesIn(context, options.from)
    const sources = origins.length === 0 ? undefined : origins
    const isDry = flags.has('dry-run')
    const limits = limitsOf(options)
    const request = { ...(isDry ? { dryRun: true } : {}), ...(limits ? { limits } : {}) }
    const order = { images: targets, targets: receivers, sources, request }
    const { tasks, label, notes } = await orderCopies(context, order)
    const title = `Sync of ${label} to ${receivers.map((store) => store.name).join(', ')}${isDry ? ' (dry run: nothing is copied)' : ''}`
    return tasksView(title, tasks, context.clock.nowMs(), notes)
  },
})

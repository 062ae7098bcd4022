// `image show I`: everything about one image, and which stores have it.

import { problem } from '../../../../protocol/problems.ts'
import { defineCommand } from '../../command.ts'
import { gapNotes, oneStore } from '../../select.ts'
import { findImages, wholeImage } from '../find.ts'
import { absentAmong, divideAbsent, findHeld, heldView, removedStores } from './held-images.ts'
import { imageView } from './image-rows.ts'

export const imageShow = defineCommand({
  noun: 'image',
  verb: 'show',
  summary: 'Shows one image: status, sizes, digests, which stores hold it and what uses it',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
  options: { store: { about: 'only the copy in this store', value: 'S', subject: 'store' } },
  examples: ['image show debian-12'],
  async run(context, { targets, options }) {
    const [text = ''] = targets
    const removed = options.store === undefined || !context.fleet.registry.find(options.store) ? removedStores(context, options.store) : []
    const isRemoved = options.store !== undefined && removed.length > 0
    const stores = options.store === undefined ? context.fleet.registry.list() : isRemoved ? [] : [oneStore(context, options.store)]
    const { asked, absent } = divideAbsent(context, stores)
    const live = await findImages(context, text, asked)
    const { found, notes } = live.found.length > 0 ? live : await findImages(context, text, asked, 'bin')
    const silences = absent.flatMap(({ silence }) => silence ?? [])
    const gaps = [...notes, ...gapNotes(silences, 'the present states of its images')]
    // A removed store is looked at only when no other has the image.
    const known = findHeld(context, [...absent, ...absentAmong(context, live.contacts)], text)
    const held = found.length + known.length > 0 ? known : findHeld(context, removed, text)
    const ids = [...new Set([...found, ...held].map(({ image }) => image.id))]
    if (ids.length === 0) throw problem('not-found', [`No store has an image "${text}".`, ...gaps].join(' '), { action: 'List them with image list.' })
    if (ids.length > 1) throw problem('conflict', `${ids.length} images match "${text}": ${ids.join(', ')}.`, { action: 'Use the id.' })
    const [first] = found
    if (!first) return heldView(context, held, gaps)
    const best = await wholeImage(context, found.find(({ image }) => image.status === 'available') ?? first)
    return imageView(`Image ${best.image.name}`, best, context.clock.nowMs(), { copies: found, held, notes: gaps })
  },
})

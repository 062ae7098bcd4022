// `image show I`: everything about one image, and which stores have it.

import { problem } from '../../../protocol/problems.ts'
import { defineCommand } from '../command.ts'
import { oneStore } from '../select.ts'
import { findImages, wholeImage } from './find.ts'
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
    const stores = options.store === undefined ? context.fleet.registry.list() : [oneStore(context, options.store)]
    const live = await findImages(context, text, stores)
    const { found, notes } = live.found.length > 0 ? live : await findImages(context, text, stores, 'bin')
    const [first] = found
    if (!first) throw problem('not-found', [`No store has an image "${text}".`, ...notes].join(' '), { action: 'List them with image list.' })
    const ids = [...new Set(found.map(({ image }) => image.id))]
    if (ids.length > 1) throw problem('conflict', `${ids.length} images match "${text}": ${ids.join(', ')}.`, { action: 'Use the id.' })
    const best = await wholeImage(context, found.find(({ image }) => image.status === 'available') ?? first)
    return imageView(`Image ${best.image.name}`, best, context.clock.nowMs(), { copies: found, notes })
  },
})

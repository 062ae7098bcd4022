// `image restore I`: restores a deleted image.

import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneImage } from './find.ts'
import { imageView } from './image-rows.ts'

export const imageRestore = defineCommand({
  noun: 'image',
  verb: 'restore',
  summary: 'Restores an image from the recycle bin',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of a deleted image', subject: 'deleted-image' }],
  options: { store: { about: 'the store whose recycle bin holds it', value: 'S', subject: 'store' } },
  async run(context, { targets, options }) {
    const { store, image } = await oneImage(context, targets[0] ?? '', options.store, 'bin')
    const restored = await askStore(context, store, (agent) => agent.images.restore(image.id))
    return imageView(`Image ${restored.name} restored`, { store, image: restored }, context.clock.nowMs())
  },
})

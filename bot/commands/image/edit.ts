// `image edit I`: changes name, description, owner and other metadata of an image; its bytes never change.

import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { EDIT_OPTIONS, parseEdit } from './edit-options.ts'
import { oneImage } from './find.ts'
import { imageView } from './image-rows.ts'

export const imageEdit = defineCommand({
  noun: 'image',
  verb: 'edit',
  summary: 'Changes name, description, kind, OS, requirements, labels, media group or owner of an image',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
  options: {
    store: { about: 'the store that holds the copy', value: 'S', subject: 'store' },
    ...EDIT_OPTIONS,
  },
  examples: ['image edit debian-12 owner=web description="Debian 12, hardened"', 'image edit debian-12 memory=1GB labels=env=production,-team'],
  async run(context, { targets, options }) {
    const { store: storeName, ...words } = options
    const found = await oneImage(context, targets[0] ?? '', storeName)
    const patch = parseEdit(words, found.image)
    const changed = await askStore(context, found.store, (agent) => agent.images.patch(found.image.id, patch))
    return imageView(`Image ${changed.name} changed`, { ...found, image: changed }, context.clock.nowMs())
  },
})

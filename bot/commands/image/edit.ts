// `image edit I`: changes name, description, owner and other metadata of an image; its bytes never change.

import { imagePatchSchema } from '../../../protocol/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneImage } from './find.ts'
import { imageView } from './image-rows.ts'

export const imageEdit = defineCommand({
  noun: 'image',
  verb: 'edit',
  summary: 'Changes name, description, kind, OS, media group or owner of an image',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
  options: {
    store: { about: 'the store that holds the copy', value: 'S', subject: 'store' },
    name: { about: 'new name', value: 'NAME' },
    description: { about: 'description', value: 'TEXT' },
    kind: { about: 'system, disk, iso, base, template, snapshot, backup or capture', value: 'KIND' },
    os: { about: 'operating system', value: 'OS' },
    mediaGroup: { about: 'media group', value: 'GROUP' },
    owner: { about: 'owner', value: 'NAME' },
  },
  examples: ['image edit debian-12 owner=web description="Debian 12, hardened"'],
  async run(context, { targets, options }) {
    const { store: storeName, ...words } = options
    const patch = imagePatchSchema.safeParse(words)
    if (!patch.success) {
      const issue = patch.error.issues[0]
      throw problem('invalid-input', `${issue?.path.join('.') || 'The change'}: ${issue?.message ?? 'not valid'}.`, {
        action: 'Correct the value and run the command again.',
      })
    }
    const found = await oneImage(context, targets[0] ?? '', storeName)
    const changed = await askStore(context, found.store, (agent) => agent.images.patch(found.image.id, patch.data))
    return imageView(`Image ${changed.name} changed`, { ...found, image: changed }, context.clock.nowMs())
  },
})

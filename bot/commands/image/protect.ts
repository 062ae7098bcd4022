// `image protect I` and `image unprotect I`: a protected image cannot be deleted.

import type { Command } from '../command.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneImage } from './find.ts'
import { imageView } from './image-rows.ts'

export const imageProtect = protection('protect', true, 'Protects an image from being deleted')
export const imageUnprotect = protection('unprotect', false, 'Removes the protection of an image')

function protection(verb: string, isProtected: boolean, summary: string): Command {
  return defineCommand({
    noun: 'image',
    verb,
    summary,
    role: 'operator',
    effect: 'write',
    targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
    options: { store: { about: 'the store that holds the copy', value: 'S', subject: 'store' } },
    examples: [`image ${verb} debian-12`],
    async run(context, { targets, options }) {
      const found = await oneImage(context, targets[0] ?? '', options.store)
      const changed = await askStore(context, found.store, (agent) => agent.images.patch(found.image.id, { protected: isProtected }))
      return imageView(`Image ${changed.name} ${verb}ed`, { ...found, image: changed }, context.clock.nowMs())
    },
  })
}

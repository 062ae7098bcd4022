// `image protect I…` and `image unprotect I…`: a protected image cannot be deleted.

import type { Command } from '../command.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { changeMany } from './change-many.ts'
import { imageView } from './list/image-rows.ts'
import { draftItems, MORE_SELECT_OPTIONS, selectImages } from './selection.ts'

export const imageProtect = protection('protect', true, 'Protects images from being deleted')
export const imageUnprotect = protection('unprotect', false, 'Removes the protection of images')

function protection(verb: 'protect' | 'unprotect', isProtected: boolean, summary: string): Command {
  return defineCommand({
    noun: 'image',
    verb,
    summary,
    role: 'operator',
    effect: 'write',
    targets: [{ name: 'I', about: 'name or id of an image, or all', subject: 'image', many: true }],
    options: { store: { about: 'the store that holds the copy', value: 'S', subject: 'store' }, ...MORE_SELECT_OPTIONS },
    examples: [`image ${verb} debian-12`, `image ${verb} debian-11 debian-12`, `image ${verb} all store=edge-a label=env=production`],
    async run(context, input) {
      const selection = await selectImages(context, input.targets, input.options)
      const [only] = selection.found
      if (!only || selection.found.length > 1) {
        const [participle, count] = [isProtected ? 'Protected' : 'Unprotected', plural(selection.found.length, 'image')]
        const fate = isProtected ? 'would be protected from deletion' : 'could be deleted again'
        const order = { verb, title: `${isProtected ? 'Protect' : 'Unprotect'} ${count}`, items: draftItems(selection.found) }
        return changeMany(context, input, { order, selection, fate, participle, command: `image ${verb}`, options: [] })
      }
      const changed = await askStore(context, only.store, (agent) => agent.images.patch(only.image.id, { protected: isProtected }))
      return imageView(`Image ${changed.name} ${verb}ed`, { ...only, image: changed }, context.clock.nowMs())
    },
  })
}

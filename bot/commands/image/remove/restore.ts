// `image restore I…`: restores deleted images. One failure does not keep the others in the recycle bin.

import { plural } from '../../../../protocol/views/phrases.ts'
import type { View } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { answerOf } from '../../select.ts'
import { changeMany } from '../change-many.ts'
import type { FoundImage } from '../find.ts'
import { imageView } from '../list/image-rows.ts'
import { draftItems, MORE_SELECT_OPTIONS, selectImages } from '../selection.ts'

const { status: _status, ...FILTERS } = MORE_SELECT_OPTIONS

export const imageRestore = defineCommand({
  noun: 'image',
  verb: 'restore',
  summary: 'Restores images from the recycle bin',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of a deleted image, or all', subject: 'deleted-image', many: true }],
  options: { store: { about: 'the store whose recycle bin holds it', value: 'S', subject: 'store' }, ...FILTERS },
  examples: ['image restore debian-12', 'image restore debian-11 debian-12 store=edge-a', 'image restore all store=edge-a label=env=production'],
  async run(context, input) {
    const selection = await selectImages(context, input.targets, input.options, 'bin')
    const [only] = selection.found
    if (only && selection.found.length === 1) return restoreOne(context, only)
    const title = `Restore ${plural(selection.found.length, 'image')}`
    return changeMany(context, input, {
      order: { verb: 'restore', title, items: draftItems(selection.found) },
      ...{ selection, fate: 'would be restored from the recycle bin', participle: 'Restored', command: 'image restore', options: [] },
    })
  },
})

async function restoreOne(context: CommandContext, found: FoundImage): Promise<View> {
  const image = answerOf(await context.fleet.contact(found.store, (agent) => agent.images.restore(found.image.id)))
  return imageView(`Image ${image.name} restored`, { ...found, image }, context.clock.nowMs())
}

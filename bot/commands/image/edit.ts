// `image edit I…`: changes name, description, owner and other metadata of images; their bytes never change.

import type { ImagePatch } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import type { View } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext, CommandInput } from '../command.ts'
import { quoteOption } from '../../views/quote.ts'
import { askStore } from '../select.ts'
import { changeMany } from './change-many.ts'
import { EDIT_OPTIONS, parseEdit } from './edit-options.ts'
import type { EditOptions } from './edit-options.ts'
import { imageView } from './list/image-rows.ts'
import { draftItems, SELECT_OPTIONS, selectImages } from './selection.ts'
import type { Selection } from './selection.ts'

export const imageEdit = defineCommand({
  noun: 'image',
  verb: 'edit',
  summary: 'Changes name, description, kind, OS, requirements, labels, media group or owner of images',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image, or all', subject: 'image', many: true }],
  options: {
    store: { about: 'the store that holds the copy', value: 'S', subject: 'store' },
    ...EDIT_OPTIONS,
    ...SELECT_OPTIONS,
  },
  examples: [
    'image edit debian-12 owner=web description="Debian 12, hardened"',
    'image edit debian-12 memory=1GB labels=env=production,-team',
    'image edit debian-11 debian-12 labels=env=production',
    'image edit all store=edge-a label=env=test labels=-env',
  ],
  async run(context, input) {
    const { store, zone, label, search, status, ...words } = input.options
    const selection = await selectImages(context, input.targets, { store, zone, label, search, status })
    const [only] = selection.found
    if (!only || selection.found.length > 1) return editMany(context, input, selection, words)
    const patch = parseEdit(words, only.image)
    const changed = await askStore(context, only.store, (agent) => agent.images.patch(only.image.id, patch))
    return imageView(`Image ${changed.name} changed`, { ...only, image: changed }, context.clock.nowMs())
  },
})

function editMany(context: CommandContext, input: Pick<CommandInput, 'confirm' | 'plan'>, selection: Selection, words: EditOptions): Promise<View> {
  if (words.name !== undefined)
    throw problem('invalid-input', 'name= names one image, and several are meant.', { action: 'Name the images one after the other.' })
  const [first] = selection.found
  const { requirements: _own, ...patch } = first ? parseEdit(words, first.image) : {}
  // What an image needs is changed in part, so each image has its own.
  const ownOf = ({ requirements }: ImagePatch): { patch?: ImagePatch } => (requirements === undefined ? {} : { patch: { requirements } })
  return changeMany(context, input, {
    order: {
      ...{ verb: 'edit', title: `Change ${plural(selection.found.length, 'image')}` },
      ...(Object.keys(patch).length > 0 ? { params: { patch } } : {}),
      items: draftItems(selection.found, ({ image }) => ownOf(parseEdit(words, image))),
    },
    ...{ selection, fate: `would be changed: ${optionWords(words).join(' ')}`, participle: 'Changed', command: 'image edit', options: optionWords(words) },
  })
}

function optionWords(words: EditOptions): string[] {
  return Object.entries(words).flatMap(([key, value]) => (value === undefined ? [] : [quoteOption(key, value)]))
}

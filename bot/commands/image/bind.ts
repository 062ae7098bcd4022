// `image bind I` and `image unbind I`: an image that an instance uses cannot be deleted.

import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { quoteOption, quoteWord } from '../../views/quote.ts'
import { askStore } from '../select.ts'
import { oneImage } from './find.ts'
import type { FoundImage } from './find.ts'
import { imageView } from './list/image-rows.ts'

const TARGETS = [{ name: 'I', about: 'name or id of an image', subject: 'image' }] as const
const OPTIONS = {
  store: { about: 'the store that holds the copy', value: 'S', subject: 'store' },
  instance: { about: 'name of the instance', value: 'NAME' },
} as const

export const imageBind = defineCommand({
  noun: 'image',
  verb: 'bind',
  summary: 'Notes that an instance uses an image, which prevents its deletion',
  role: 'operator',
  effect: 'write',
  targets: TARGETS,
  options: OPTIONS,
  examples: ['image bind debian-12 instance=vm-7'],
  async run(context, { targets, options }) {
    const instance = need(options.instance)
    const { store, image } = await oneImage(context, targets[0] ?? '', options.store)
    const changed = await askStore(context, store, (agent) => agent.images.bind(image.id, instance))
    return imageView(`Image ${changed.name} bound to ${instance}`, { store, image: changed }, context.clock.nowMs())
  },
})

export const imageUnbind = defineCommand({
  noun: 'image',
  verb: 'unbind',
  summary: 'Notes that an instance no longer uses an image; a virtual disk is deleted with its last instance',
  role: 'operator',
  effect: 'destroy',
  targets: TARGETS,
  options: OPTIONS,
  examples: ['image unbind debian-12 instance=vm-7'],
  async run(context, { targets, options, confirm, plan }) {
    const instance = need(options.instance)
    const found = await oneImage(context, targets[0] ?? '', options.store)
    const { store, image } = found
    if (!image.bindings.includes(instance))
      throw problem('not-found', `Image ${image.name} is not bound to ${instance}.`, { action: `See its bindings with image show ${image.id}.` })
    const missing = isLastOf(image, instance) ? askForDisk(context, found, { instance, confirm, plan }) : undefined
    if (missing) return missing
    const changed = await askStore(context, store, (agent) => agent.images.unbind(image.id, instance))
    const notes = isLastOf(image, instance) ? ['It was the disk of this instance and was deleted with it.'] : []
    return imageView(`Image ${changed.name} no longer bound to ${instance}`, { store, image: changed }, context.clock.nowMs(), { notes })
  },
})

/** Whether an image is the disk of an instance and of no other. */
function isLastOf({ kind, bindings }: Image, instance: string): boolean {
  return kind === 'virtualDisk' && bindings.every((name) => name === instance)
}

function askForDisk(
  context: CommandContext,
  { store, image }: FoundImage,
  input: { readonly instance: string; readonly confirm: readonly string[]; readonly plan: string | undefined },
) {
  return gate(context, input, {
    title: `Delete the disk ${image.name} of ${input.instance}`,
    names: [image.name],
    aliases: [image.id],
    question: `${image.name} is a virtual disk of ${input.instance} only. Without this binding ${store.name} deletes it.`,
    essence: [image.id, store.name, input.instance],
    checklist: [{ label: 'Protection', passed: !image.protected, detail: image.protected ? `first image unprotect ${image.id}` : 'not protected' }],
    command: ['image unbind', quoteWord(image.id), quoteOption('instance', input.instance), quoteOption('store', store.name)].join(' '),
  })
}

function need(instance: string | undefined): string {
  if (instance === undefined) throw problem('invalid-input', 'Name the instance.', { action: 'Add instance=NAME.' })
  return instance
}

// `image delete I…`: into the recycle bin, or for good where the store keeps none; first the checklist and the typed name.

import { UNIQUE_SIZE_IMAGES_MAX } from '../../../protocol/image.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { makeView } from '../../views/view.ts'
import type { ChecklistItem } from '../../views/view.ts'
import { formatBytes, formatWireTime, statusWord } from '../../views/phrases.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { gate } from '../destroy.ts'
import { askStore } from '../select.ts'
import { oneImage } from './find.ts'
import type { FoundImage } from './find.ts'
import { quoteOption } from '../line.ts'
import { IMAGE_COLUMNS, imageJson, imageRow } from './image-rows.ts'

export const imageDelete = defineCommand({
  noun: 'image',
  verb: 'delete',
  summary: 'Moves images to the recycle bin',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image', many: true }],
  options: { store: { about: 'the store whose copy goes', value: 'S', subject: 'store' } },
  examples: ['image delete debian-12 --confirm debian-12'],
  async run(context, input) {
    const found = await Promise.all([...new Set(input.targets)].map((target) => oneImage(context, target, input.options.store)))
    const stores = await Promise.all(
      [...new Map(found.map(({ store }) => [store.name, store])).values()].map(async (store) => ({
        store,
        at: await askStore(context, store, (agent) => agent.store.get()),
      })),
    )
    const isFinal = stores.some(({ at }) => at.retention.deletion === 'immediate')
    const frees = await Promise.all(stores.map(({ store }) => freedText(context, store, found)))
    const names = found.map(({ image }) => image.name)
    const refusal = gate(context, input, {
      title: `Delete ${names.join(', ')}`,
      names,
      aliases: found.map(({ image }) => image.id),
      question: [
        `${found.map(describe).join('; ')} would ${isFinal ? 'be gone for good: this store keeps no recycle bin.' : 'go to the recycle bin.'}`,
        ...frees.filter((text) => text !== ''),
      ].join(' '),
      essence: [String(isFinal), ...found.map(({ image, store }) => `${image.id} ${store.name}`)],
      checklist: found.flatMap(check),
      command: [
        'image delete',
        ...found.map(({ image }) => image.id),
        ...(input.options.store === undefined ? [] : [quoteOption('store', input.options.store)]),
      ].join(' '),
    })
    if (refusal) return refusal

    const after: FoundImage[] = []
    for (const { store, image } of found) {
      const left = await askStore(context, store, (agent) => agent.images.delete(image.id))
      after.push({ store, image: left ?? { ...image, status: 'deleted', expiresAt: null } })
    }
    const asOfMs = context.clock.nowMs()
    const expiry = after.map(({ image }) => (image.expiresAt === null ? image.name : `${image.name} until ${formatWireTime(image.expiresAt)}`))
    return makeView({
      title: `Deleted ${names.join(', ')}`,
      text: isFinal ? 'Gone for good; cleanup frees the space.' : `In the recycle bin: ${expiry.join(', ')}.`,
      tone: 'good',
      columns: IMAGE_COLUMNS,
      rows: after.map(imageRow),
      actions: isFinal
        ? []
        : after.map(({ image, store }) => ({
            label: `Restore ${image.name}`,
            command: `image restore ${image.id} ${quoteOption('store', store.name)}`,
            role: 'operator',
          })),
      asOfMs,
      json: { items: after.map(imageJson), asOf: formatTime(asOfMs) },
    })
  },
})

function describe({ store, image }: FoundImage): string {
  return `${image.name} (${image.id}, ${formatBytes(image.length)}) in ${store.name}`
}

/** What deleting all of these images of a store would free together; empty when the store cannot count it. */
async function freedText(context: CommandContext, store: StoreRecord, found: readonly FoundImage[]): Promise<string> {
  const images = found.filter((one) => one.store.name === store.name).map(({ image }) => image)
  const [first] = images
  if (!first) return ''
  // An agent that does not know the route cannot count several images; the question is asked without the figure.
  const isCountable = images.length > 1 && images.length <= UNIQUE_SIZE_IMAGES_MAX
  const contact = isCountable ? await context.fleet.contact(store, (agent) => agent.images.uniqueSize(images.map(({ id }) => id))) : undefined
  const bytes = images.length === 1 ? first.uniqueSize : contact?.kind === 'answered' ? contact.value : null
  return bytes === null ? '' : `Cleanup can then free ${formatBytes(bytes)} in ${store.name}.`
}

function check({ image }: FoundImage): ChecklistItem[] {
  const isBusy = image.status === 'creating' || image.status === 'uploading' || image.status === 'deleting'
  return [
    { label: `${image.name} is not protected`, passed: !image.protected, detail: image.protected ? `protected: image unprotect ${image.id}` : 'not protected' },
    {
      label: `${image.name} is not in use`,
      passed: image.bindings.length === 0,
      detail: image.bindings.length === 0 ? 'no bindings' : `used by ${image.bindings.join(', ')}: remove these bindings first`,
    },
    { label: `${image.name} is at rest`, passed: !isBusy, detail: isBusy ? `${statusWord(image.status)}: wait until it has ended` : statusWord(image.status) },
  ]
}

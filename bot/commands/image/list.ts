// `image list`: images of one store or of all.

import type { ImageFilter } from '../../../protocol/image.ts'
import { imageStatusSchema } from '../../../protocol/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { Image } from '../../../protocol/image.ts'
import { makeView } from '../../views/view.ts'
import type { Column, View } from '../../views/view.ts'
import { formatBytes, plural } from '../../views/phrases.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, someStores } from '../select.ts'
import type { FoundImage } from './find.ts'
import { nearest } from '../line.ts'
import { IMAGE_COLUMNS, imageJson, imageRow } from './image-rows.ts'

/** Images of one store that a list shows. */
const IMAGES_SHOWN_MAX = 5_000

export const imageList = defineCommand({
  noun: 'image',
  verb: 'list',
  summary: 'Lists images of one store or of all',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' },
    owner: { about: 'only images of this owner', value: 'NAME' },
    status: { about: `one of ${imageStatusSchema.options.join(', ')}`, value: 'STATUS' },
    name: { about: 'only images of exactly this name', value: 'NAME' },
  },
  examples: ['image list', 'image list store=edge-a status=available'],
  run(context, { options }) {
    const status = options.status === undefined ? undefined : parseStatus(options.status)
    const title = options.store === undefined ? 'Images' : `Images of ${options.store}`
    return listImages(context, title, options, { status, owner: options.owner, name: options.name }, IMAGE_COLUMNS)
  },
})

/** Lists images of the stores that are meant; what could not be asked is said. */
export async function listImages(
  context: CommandContext,
  title: string,
  where: { readonly store?: string; readonly zone?: string },
  filter: { readonly [Key in keyof ImageFilter]?: ImageFilter[Key] | undefined },
  columns: readonly Column[],
): Promise<View> {
  const contacts = await context.fleet.contactAll(someStores(context, where.store, where.zone), async (agent) => {
    const images: Image[] = []
    for await (const image of agent.images.all(filter)) {
      images.push(image)
      if (images.length >= IMAGES_SHOWN_MAX) break
    }
    return images
  })
  const found: FoundImage[] = contacts.flatMap((contact) =>
    contact.kind === 'answered' ? contact.value.map((image) => ({ store: contact.store, image })) : [],
  )
  found.sort((a, b) => a.image.name.localeCompare(b.image.name) || a.store.name.localeCompare(b.store.name))
  const cut = contacts.filter((contact) => contact.kind === 'answered' && contact.value.length >= IMAGES_SHOWN_MAX)
  const asOfMs = contacts.reduce((least, contact) => Math.min(least, contact.asOfMs), context.clock.nowMs())
  const stored = found.reduce((sum, { image }) => sum + (image.storedSize ?? 0), 0)
  const length = found.reduce((sum, { image }) => sum + image.length, 0)
  return makeView({
    title,
    text: found.length === 0 ? 'No images.' : `${plural(found.length, 'image')}, ${formatBytes(length)} long, ${formatBytes(stored)} stored`,
    columns: found.length === 0 ? [] : columns,
    rows: found.map(imageRow),
    notes: [...gapNotes(contacts, 'its images'), ...cut.map((contact) => `Only the first ${IMAGES_SHOWN_MAX} images of ${contact.store.name} are shown.`)],
    asOfMs,
    json: { items: found.map(imageJson), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
  })
}

function parseStatus(text: string): ImageFilter['status'] {
  const known = imageStatusSchema.safeParse(text)
  if (known.success) return known.data
  const meant = nearest(text, imageStatusSchema.options)
  throw problem('invalid-input', `"${text}" is not a status.`, {
    action: meant === undefined ? `Say one of: ${imageStatusSchema.options.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

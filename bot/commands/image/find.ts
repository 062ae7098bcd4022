// From what people type to the image they mean: by id, unique part of an id, or name.

import type { AgentClient } from '../../../protocol/client.ts'
import type { Image } from '../../../protocol/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { plural } from '../../views/phrases.ts'
import type { CommandContext } from '../command.ts'
import { askStore, gapNotes, isPartOf, oneStore, orUndefined } from '../select.ts'

/** Images of one store that a look-up by part walks through. */
const LOOKUP_MAX = 100_000

export interface FoundImage {
  readonly store: StoreRecord
  readonly image: Image
}

/** Every copy of an image in these stores, by id, unique part of an id, or name; notes tell which stores could not be asked. */
export async function findImages(
  context: CommandContext,
  text: string,
  stores: readonly StoreRecord[],
  bin = false,
): Promise<{ found: FoundImage[]; notes: string[] }> {
  const contacts = await context.fleet.contactAll(stores, (agent) => matchImages(agent, text, bin))
  const found = contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((image) => ({ store: contact.store, image })) : []))
  return { found, notes: gapNotes(contacts, 'its images') }
}

/** Exactly one image in exactly one store. Throws `not-found`, or `conflict` with what has to be said in addition. */
export async function oneImage(context: CommandContext, text: string, storeName: string | undefined, bin = false): Promise<FoundImage> {
  const stores = storeName === undefined ? context.fleet.registry.list() : [oneStore(context, storeName)]
  if (stores.length === 0) oneStore(context, undefined)
  const { found, notes } = await findImages(context, text, stores, bin)
  const [first] = found
  if (!first) {
    const where = bin ? 'recycle bin has' : stores.length === 1 ? `${stores[0]?.name} has no` : 'store has'
    const detail = bin ? `No ${where} an image "${text}".` : stores.length === 1 ? `${where} image "${text}".` : `No ${where} an image "${text}".`
    throw problem('not-found', [detail, ...notes].join(' '), {
      action: bin ? 'List them with image bin.' : 'List them with image list; deleted ones with image bin.',
    })
  }
  if (found.length === 1) return wholeImage(context, first)
  const ids = new Set(found.map(({ image }) => image.id))
  if (ids.size === 1)
    throw problem('conflict', `${first.image.name} is in ${found.map(({ store }) => store.name).join(' and ')}.`, { action: 'Say which copy with store=NAME.' })
  const list = found.map(({ image, store }) => `${image.id} in ${store.name}`).join(', ')
  throw problem('conflict', `${plural(ids.size, 'image')} match "${text}": ${list}.`, { action: 'Use the id.' })
}

/** The image with what only its own answer counts, such as what deleting it would free. */
export async function wholeImage(context: CommandContext, { store, image }: FoundImage): Promise<FoundImage> {
  return { store, image: await askStore(context, store, (agent) => agent.images.get(image.id)) }
}

async function matchImages(agent: AgentClient, text: string, bin: boolean): Promise<Image[]> {
  if (/^img_[0-9a-z]{26}$/.test(text)) {
    const image = await orUndefined(agent.images.get(text))
    return image && (image.status === 'deleted') === bin ? [image] : []
  }
  const byName: Image[] = []
  const byPart: Image[] = []
  let seen = 0
  for await (const image of agent.images.all(bin ? { status: 'deleted' } : {})) {
    if ((image.status === 'deleted') !== bin) continue
    if (image.name === text) byName.push(image)
    else if (isPartOf(text, image.id)) byPart.push(image)
    if (++seen >= LOOKUP_MAX) break
  }
  return byName.length > 0 ? byName : byPart
}

// Finds the image that people mean, by id, unique part of an id, or name.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Store } from '../../../protocol/store.ts'
import { actorIn } from '../permit.ts'
import type { Contact } from '../../fleet/fleet.ts'
import type { StoreFailure } from '../../fleet/store-failure.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import type { CommandContext } from '../command.ts'
import { askStore, gapNotes, isPartOf, oneStore, orUndefined } from '../select.ts'
import { withHealth } from './list/readable.ts'
import { seesImage } from './list/seen-images.ts'
import type { ImagesAnswer } from './list/readable.ts'

/** Images of one store that a search by name or part of an id reads. */
const LOOKUP_MAX = 100_000

/** Where to look for an image: among those that are listed, in the recycle bin, or in both. */
export type SearchScope = 'listed' | 'bin' | 'both'

export interface FoundImage {
  readonly store: StoreRecord
  readonly image: Image
  /** What is wrong with the store, when its health is `error`. */
  readonly storeFailure?: StoreFailure | undefined
  /** What deleting an image does in this store now; undefined until the store was asked. */
  readonly retention?: Store['retention'] | undefined
}

/** Every copy of an image in these stores, by id, unique part of an id, or name; the notes name the stores that did not answer. */
export async function findImages(
  context: CommandContext,
  text: string,
  stores: readonly StoreRecord[],
  scope: SearchScope = 'listed',
): Promise<{ found: FoundImage[]; notes: string[]; contacts: Contact<ImagesAnswer>[] }> {
  const contacts = await context.fleet.contactAll(stores, (agent, store) => withHealth(agent, store, matchImages(agent, text, scope)))
  const found = foundImages(context, contacts)
  return { found, notes: gapNotes(contacts, 'its images'), contacts }
}

/** Exactly one image in exactly one store. Throws `not-found`, or `conflict` with what to add to the command: `option` names the store in it. */
export async function oneImage(
  context: CommandContext,
  text: string,
  storeName: string | undefined,
  scope: SearchScope = 'listed',
  option: 'store' | 'from' = 'store',
): Promise<FoundImage> {
  const stores = storeName === undefined ? context.fleet.registry.list() : [oneStore(context, storeName)]
  if (stores.length === 0) oneStore(context, undefined)
  const { found, notes } = await findImages(context, text, stores, scope)
  const [first] = found
  if (!first) throw notFound(text, stores, notes, scope)
  if (found.length === 1) return wholeImage(context, first)
  const ids = new Set(found.map(({ image }) => image.id))
  if (ids.size === 1) {
    throw problem('conflict', `${first.image.name} is in ${found.map(({ store }) => store.name).join(' and ')}.`, {
      action: `Add ${option}=NAME to say which copy you mean.`,
    })
  }
  const list = found.map(({ image, store }) => `${image.id} in ${image.status === 'deleted' ? 'the recycle bin of ' : ''}${store.name}`).join(', ')
  throw problem('conflict', `${plural(ids.size, 'image')} match "${text}": ${list}.`, { action: 'Use the id.' })
}

/**
 * The images of several answers, each with its store. The tokens of the bot see every image, so images with grants and those of hidden media groups are left out for people below
 * operator: the agents do not know them.
 */
export function foundImages({ actor }: Pick<CommandContext, 'actor'>, contacts: readonly Contact<ImagesAnswer>[]): FoundImage[] {
  return contacts.flatMap((contact) => {
    if (contact.kind !== 'answered') return []
    const { images, storeFailure } = contact.value
    const there = actorIn(actor, contact.store)
    return images.filter((image) => seesImage(there, image)).map((image) => ({ store: contact.store, image, storeFailure }))
  })
}

/** The image with the figures that only the answer about a single image has, such as its unique size, and with the deletion policy of its store. */
export async function wholeImage(context: CommandContext, found: FoundImage): Promise<FoundImage> {
  if (found.storeFailure?.isUnreadable) return found
  const [image, contact] = await Promise.all([
    askStore(context, found.store, (agent) => agent.images.get(found.image.id)),
    // Without the policy, a button to delete says only that.
    context.fleet.contact(found.store, (agent) => agent.store.get()),
  ])
  return { ...found, image, ...(contact.kind === 'answered' && { retention: contact.value.retention }) }
}

function notFound(text: string, stores: readonly StoreRecord[], notes: readonly string[], scope: SearchScope): Error {
  const [only] = stores
  const where = only && stores.length === 1 ? only.name : undefined
  const details = {
    listed: where === undefined ? `No store has an image "${text}".` : `${where} has no image "${text}".`,
    bin: where === undefined ? `No recycle bin has an image "${text}".` : `The recycle bin of ${where} has no image "${text}".`,
    both: where === undefined ? `No store and no recycle bin has an image "${text}".` : `Neither ${where} nor its recycle bin has an image "${text}".`,
  }
  const action =
    scope === 'bin'
      ? 'List deleted images with image bin. One whose retention has ended is deleted for good and cannot be restored.'
      : 'List images with image list, deleted ones with image bin.'
  return problem('not-found', [details[scope], ...notes].join(' '), { action })
}

async function matchImages(agent: AgentClient, text: string, scope: SearchScope): Promise<Image[]> {
  if (/^img_[0-9a-z]{26}$/.test(text)) {
    const image = await orUndefined(agent.images.get(text))
    return image && (scope === 'both' || (image.status === 'deleted') === (scope === 'bin')) ? [image] : []
  }
  const byName: Image[] = []
  const byPart: Image[] = []
  const search = async (isBin: boolean): Promise<void> => {
    let seen = 0
    for await (const image of agent.images.all(isBin ? { status: 'deleted' } : {})) {
      if ((image.status === 'deleted') !== isBin) continue
      if (image.name === text) byName.push(image)
      else if (isPartOf(text, image.id)) byPart.push(image)
      if (++seen >= LOOKUP_MAX) break
    }
  }
  if (scope !== 'bin') await search(false)
  if (scope !== 'listed') await search(true)
  return byName.length > 0 ? byName : byPart
}

// From what people type to the thing they mean: stores by name, images and tasks by id, unique part of an id, or name.

import type { AgentClient } from '../../protocol/client.ts'
import type { Image } from '../../protocol/image.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { Task } from '../../protocol/task.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Contact, Silence } from '../fleet/fleet.ts'
import { silenceNote, silenceWords } from '../fleet/observe.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { plural } from '../views/phrases.ts'
import type { CommandContext } from './command.ts'
import { nearest } from './line.ts'

/** Characters of an id, after its prefix or at its end, that are enough to look for it. */
const ID_PART_LENGTH_MIN = 4
/** Images or tasks of one store that a look-up by part walks through. */
export const LOOKUP_MAX = 100_000

/** The store of this name; without a name the only one. Throws `not-found` or `invalid-input`. */
export function oneStore(context: CommandContext, name: string | undefined): StoreRecord {
  const stores = context.fleet.registry.list()
  if (name === undefined) {
    const [only] = stores
    if (only && stores.length === 1) return only
    if (!only) throw problem('not-found', 'No store is registered.', { action: 'Add one: store add name=… url=http://HOST:8420 token=… zone=…' })
    throw problem('invalid-input', `There are ${plural(stores.length, 'store')}: ${names(stores)}.`, { action: 'Say which one with store=NAME.' })
  }
  const found = context.fleet.registry.find(name) ?? only(stores.filter((store) => name.length >= ID_PART_LENGTH_MIN && store.storeId?.startsWith(name)))
  if (found) return found
  const meant = nearest(
    name,
    stores.map((store) => store.name),
  )
  const action =
    meant === undefined ? (stores.length > 0 ? `Registered: ${names(stores)}.` : 'Add it: store add name=… url=… token=… zone=…') : `Did you mean ${meant}?`
  throw problem('not-found', `No store is called "${name}".`, { action })
}

/** The stores of `S`, `zone=Z` or `all`; without any of them all. */
export function someStores(context: CommandContext, name: string | undefined, zone: string | undefined): StoreRecord[] {
  if (name !== undefined && name !== 'all' && !name.startsWith('zone=')) return [oneStore(context, name)]
  const stores = context.fleet.registry.list()
  if (zone === undefined) return stores
  const found = stores.filter((store) => store.zone === zone)
  if (found.length > 0) return found
  const zones = [...new Set(stores.map((store) => store.zone))]
  throw problem('not-found', `No store is in zone "${zone}".`, { action: zones.length > 0 ? `Zones: ${zones.join(', ')}.` : 'Add a store first.' })
}

/** The answer of a contact; throws what was refused, or `peer-unreachable` with since when, impact and next step. */
export function answerOf<T>(contact: Contact<T>): T {
  if (contact.kind === 'answered') return contact.value
  if (contact.kind === 'refused') throw contact.error
  throw stoppedProblem(contact)
}

/** Asks one store. Throws what `answerOf` throws. */
export async function askStore<T>(context: CommandContext, store: StoreRecord, ask: (agent: AgentClient) => Promise<T>): Promise<T> {
  return answerOf(await context.fleet.contact(store, ask))
}

export function stoppedProblem(silence: Silence): ProblemError {
  const { impact, action } = silenceWords(silence)
  return problem('peer-unreachable', silenceNote(silence, silence.reason), {
    action,
    impact,
    state: 'stopped',
    store: silence.store.name,
    since: formatTime(silence.sinceMs),
  })
}

/** What is missing from an answer because stores did not give theirs. */
export function gapNotes<T>(contacts: readonly Contact<T>[], what: string): string[] {
  return contacts.flatMap((contact) => {
    if (contact.kind === 'stopped') return [silenceNote(contact, `${what} are not in this answer.`)]
    if (contact.kind === 'refused') return [`${contact.store.name} refused (${contact.problem.detail}): ${what} are not in this answer.`]
    return []
  })
}

/** Those gaps as JSON. */
export function gapsJson<T>(contacts: readonly Contact<T>[]): { store: string; state: string; since?: string; detail: string }[] {
  return contacts.flatMap((contact) => {
    if (contact.kind === 'stopped') return [{ store: contact.store.name, state: 'stopped', since: formatTime(contact.sinceMs), detail: contact.reason }]
    if (contact.kind === 'refused') return [{ store: contact.store.name, state: 'error', detail: contact.problem.detail }]
    return []
  })
}

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

/** The one task of this id or unique part of it. Throws `not-found` or `conflict`. */
export async function oneTask(context: CommandContext, text: string): Promise<{ store: StoreRecord; task: Task }> {
  const contacts = await context.fleet.contactAll(context.fleet.registry.list(), async (agent) => {
    if (/^tsk_[0-9a-z]{26}$/.test(text)) {
      const task = await orUndefined(agent.tasks.get(text))
      return task ? [task] : []
    }
    const { items } = await agent.tasks.list({ limit: 1000 })
    return items.filter((task) => isPartOf(text, task.id))
  })
  const found = contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((task) => ({ store: contact.store, task })) : []))
  const [first] = found
  if (!first) throw problem('not-found', [`No task "${text}".`, ...gapNotes(contacts, 'its tasks')].join(' '), { action: 'List them with task list.' })
  if (found.length > 1) throw problem('conflict', `${found.length} tasks match "${text}".`, { action: 'Use the whole id: task list shows it.' })
  return first
}

function isPartOf(text: string, id: string): boolean {
  const body = text.includes('_') ? text.slice(text.indexOf('_') + 1) : text
  if (body.length < ID_PART_LENGTH_MIN) return false
  return id.startsWith(text) || id.endsWith(body) || (!text.includes('_') && id.slice(id.indexOf('_') + 1).startsWith(text))
}

async function orUndefined<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'not-found') return undefined
    throw error
  }
}

function only<T>(items: readonly T[]): T | undefined {
  return items.length === 1 ? items[0] : undefined
}

function names(stores: readonly StoreRecord[]): string {
  return stores.map((store) => store.name).join(', ')
}

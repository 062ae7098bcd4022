// From the name of a store to the store, and from a contact with its agent to the answer.

import { nearestName } from '../../protocol/nearest.ts'
import type { AgentClient } from '../../protocol/client/agent-client.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Contact, Silence } from '../fleet/fleet.ts'
import { silenceNote, silenceWords } from '../fleet/judge.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { plural } from '../../protocol/views/phrases.ts'
import type { Zone } from '../fleet/zones/zones.ts'
import type { CommandContext } from './command.ts'

/** The fewest characters of an id, after its prefix or at its end, that are accepted instead of the whole id. */
const ID_PART_LENGTH_MIN = 4

/** Most names of stores in one sentence. */
const NAMES_MAX = 20

/** The flag of commands that can answer from what the service keeps of the fleet. */
export const FRESH_FLAG = { fresh: 'asks the agents now, instead of answering from what the service keeps' } as const

/** How to name a store in a command that takes it as a target. */
export const NAME_TARGET = 'Write the name of one of them after the command.'

/**
 * The store with this name; without a name, the only store. With `zone`, only stores that serve it. Throws `not-found`, or `invalid-input` with `choose` as the
 * next step.
 */
export function oneStore(context: CommandContext, name: string | undefined, choose = 'Add store=NAME to say which one.', zone?: string): StoreRecord {
  const stores = storesServing(context, zone)
  if (name === undefined) {
    const [only] = stores
    if (only && stores.length === 1) return only
    if (!only) throw problem('not-found', 'No store is registered.', { action: 'Add one: store add name=… url=http://HOST:8420 token=… zone=…' })
    throw problem('invalid-input', `There are ${plural(stores.length, 'store')}: ${names(stores)}.`, { action: choose, needs: 'store' })
  }
  const found = context.fleet.registry.find(name) ?? only(stores.filter((store) => name.length >= ID_PART_LENGTH_MIN && store.storeId?.startsWith(name)))
  if (found && (zone === undefined || context.zones.serves(found, zone))) return found
  if (found && zone !== undefined) throw outsideZone(context, found, zone, stores)
  const meant = nearestName(
    name,
    stores.map((store) => store.name),
  )
  const action =
    meant === undefined ? (stores.length > 0 ? `Registered: ${names(stores)}.` : 'Add it: store add name=… url=… token=… zone=…') : `Did you mean ${meant}?`
  throw problem('not-found', `No store is called "${name}".`, { action })
}

/** The stores that `S`, `zone=Z` or `all` name; all stores without any of these. A store that is named with a zone must serve it. */
export function someStores(context: CommandContext, name: string | undefined, zone: string | undefined): StoreRecord[] {
  if (name !== undefined && name !== 'all' && !name.startsWith('zone=')) return [oneStore(context, name, undefined, zone)]
  const stores = context.fleet.registry.list()
  if (zone === undefined) return stores
  const found = stores.filter((store) => store.zone === zone)
  if (found.length > 0) return found
  throw noStoreIn(context, zone)
}

/** The stores in a list of names separated by commas, each once. With `zone`, each must serve it: throws `invalid-input` for one that does not. */
export function storesIn(context: CommandContext, list = '', zone?: string): StoreRecord[] {
  const names = list.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
  return [...new Map(names.map((name) => oneStore(context, name, undefined, zone)).map((store) => [store.name, store])).values()]
}

/** The zone with this name. Throws `not-found` with the nearest name. */
export function oneZone(context: CommandContext, name: string): Zone {
  const zone = context.zones.find(name)
  if (zone) return zone
  const zones = context.zones.list().map((one) => one.name)
  const meant = nearestName(name, zones)
  const known = zones.length > 0 ? `Zones: ${zones.join(', ')}.` : `Add it with zone add ${name}.`
  throw problem('not-found', `There is no zone "${name}".`, { action: meant === undefined ? known : `Did you mean ${meant}?` })
}

function noStoreIn(context: CommandContext, zone: string): ProblemError {
  const zones = [...new Set(context.fleet.registry.list().flatMap((store) => (store.zone === '' ? [] : [store.zone])))]
  const known = zones.length > 0 ? `Zones: ${zones.join(', ')}.` : 'Add a store first.'
  return problem('not-found', `No store is in zone "${zone}".`, { action: context.zones.find(zone) ? `Attach one: zone attach ${zone} STORE.` : known })
}

/** The stores that operations for a zone may use; all without one. */
function storesServing(context: CommandContext, zone: string | undefined): StoreRecord[] {
  const stores = context.fleet.registry.list()
  return zone === undefined ? stores : stores.filter((store) => context.zones.serves(store, zone))
}

function outsideZone(context: CommandContext, { name, zone: own }: StoreRecord, zone: string, serving: readonly StoreRecord[]): ProblemError {
  const where = own === '' ? 'is attached to no zone' : `is in zone "${own}"`
  const scope = context.zones.scopeOf(name)
  return problem('invalid-input', `${name} ${where}${scope === undefined ? '' : ` with the scope ${scope}`}, so it does not serve zone "${zone}".`, {
    action: serving.length > 0 ? `These stores serve it: ${names(serving)}.` : `Attach a store to it: zone attach ${zone} STORE.`,
  })
}

/** The answer of a contact. Throws the refusal of the agent, or `peer-unreachable` with since when, impact and next step. */
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

/** Notes on what is missing from an answer, one for each store that did not answer. */
export function gapNotes<T>(contacts: readonly Contact<T>[], what: string): string[] {
  return contacts.flatMap((contact) => {
    if (contact.kind === 'stopped') return [silenceNote(contact, `${what} are not in this answer.`)]
    if (contact.kind === 'refused')
      return [`${contact.store.name} refused, so ${what} are not in this answer: ${contact.problem.detail} ${contact.problem.action}`]
    return []
  })
}

/** The same gaps for `--json`. */
export function gapsJson<T>(contacts: readonly Contact<T>[]): { store: string; state: string; since?: string; detail: string }[] {
  return contacts.flatMap((contact) => {
    if (contact.kind === 'stopped') return [{ store: contact.store.name, state: 'stopped', since: formatTime(contact.sinceMs), detail: contact.reason }]
    if (contact.kind === 'refused') return [{ store: contact.store.name, state: 'error', detail: contact.problem.detail }]
    return []
  })
}

/** Whether a text is the start or the end of an id and long enough to name it. */
export function isPartOf(text: string, id: string): boolean {
  const body = text.includes('_') ? text.slice(text.indexOf('_') + 1) : text
  if (body.length < ID_PART_LENGTH_MIN) return false
  return id.startsWith(text) || id.endsWith(body) || (!text.includes('_') && id.slice(id.indexOf('_') + 1).startsWith(text))
}

/** The answer, or undefined when there is no such thing. */
export async function orUndefined<T>(asked: Promise<T>): Promise<T | undefined> {
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
  const shown = stores.slice(0, NAMES_MAX).map((store) => store.name)
  const more = stores.length - shown.length
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ')
}

/** The time of an answer that consists of several, in milliseconds since 1970: that of the oldest, `nowMs` when there is none. */
export function oldestAsOf(parts: readonly { readonly asOfMs: number }[], nowMs: number): number {
  return parts.reduce((least, { asOfMs }) => Math.min(least, asOfMs), nowMs)
}

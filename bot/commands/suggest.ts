// What pickers offer: the names that the bot itself knows, by prefix and then by any part. No agent is asked, and a person is offered only what the command may act on
// for them.

import { roleIncludes } from '../../protocol/access.ts'
import { permit, roleIn } from './permit.ts'
import type { HeldImage } from '../fleet/catalogue/held-image.ts'
import type { StorePlace } from '../fleet/registry.ts'
import { plural } from '../../protocol/views/phrases.ts'
import type { Command, CommandContext, CommandInput } from './command.ts'
import type { Subject } from '../../protocol/views/form-field.ts'
import { seesAllImages } from './image/list/seen-images.ts'

/** Most suggestions of one answer: what Slack shows. */
export const SUGGESTIONS_MAX = 100
/** The longest text to search for in characters; a longer one finds nothing. */
export const QUERY_LENGTH_MAX = 150
/** Images that one search reads at most, and the time that it takes at most in milliseconds: Slack waits for three seconds. */
const SEARCHED_IMAGES_MAX = 400_000
const SEARCH_MS_MAX = 1_000
/** Rows that are read before other work may run. */
const TURN_IMAGES = 20_000
/** Tasks that are read for one answer, and stores whose ended tasks are. */
const TASKS_MAX = 1_000
const TASK_STORES_MAX = 1_000
const IMAGE_ID = 'img_'
const TASK_ID = 'tsk_'

const NOTHING: CommandInput = { targets: [], options: {}, flags: new Set(), confirm: [], plan: undefined }

export interface Suggestion {
  /** What the command takes. */
  readonly value: string
  /** What a person reads. */
  readonly label: string
}

export interface Wanted {
  readonly command: Command
  readonly subject: Subject
  /** What was typed; empty for the first ones. */
  readonly typed: string
  /** The zone that the stores must serve. */
  readonly zone?: string | undefined
}

/** Returns what may be meant, the likeliest first, and at last what was typed itself. Nothing for people who may not run the command. */
export async function suggest(context: CommandContext, wanted: Wanted): Promise<Suggestion[]> {
  const typed = wanted.typed.trim()
  if (typed.length > QUERY_LENGTH_MAX) return []
  const permission = permit(context, wanted.command, NOTHING)
  if (permission.kind === 'refused') return []
  const known = await knownOf(permission.context, { ...wanted, typed })
  const isKnown = known.some(({ value }) => value === typed)
  // A name that the bot does not know may be valid: a new zone, or an image that the catalogue does not have.
  return typed === '' || isKnown ? known : [...known.slice(0, SUGGESTIONS_MAX - 1), { value: typed, label: `Use "${typed}"` }]
}

async function knownOf(context: CommandContext, wanted: Wanted): Promise<Suggestion[]> {
  switch (wanted.subject) {
    case 'store':
      return storesLike(context, wanted)
    case 'zone':
      return zonesLike(context, wanted)
    case 'image':
      return imagesLike(context, wanted, [false])
    case 'deleted-image':
      return imagesLike(context, wanted, [true])
    case 'any-image':
      return imagesLike(context, wanted, [false, true])
    case 'task':
      return tasksLike(context, wanted)
    case 'policy':
      return matching(
        context.policies.list().map(({ name }) => ({ value: name, label: name })),
        wanted.typed,
      )
    case 'upload':
    case 'schedule':
    case 'noun':
    case 'verb':
    case 'path':
    case 'text':
      return []
  }
}

function storesLike(context: CommandContext, { typed, zone }: Wanted): Suggestion[] {
  const places = zone === undefined ? context.fleet.registry.places() : context.fleet.registry.places().filter((place) => context.zones.serves(place, zone))
  return matching(
    places.map(({ name, zone: own }) => ({ value: name, label: own === '' ? name : `${name} · ${own}` })),
    typed,
  )
}

/** The zones with a store on which the command may act; all zones for people who have their role for the whole fleet. */
function zonesLike(context: CommandContext, { command, typed }: Wanted): Suggestion[] {
  const stores = new Map<string, number>()
  for (const { zone } of context.fleet.registry.places()) if (zone !== '') stores.set(zone, (stores.get(zone) ?? 0) + 1)
  const names = roleIncludes(context.actor.role, command.role) ? context.zones.list().map(({ name }) => name) : [...stores.keys()].toSorted()
  return matching(
    names.map((name) => ({ value: name, label: `${name} · ${plural(stores.get(name) ?? 0, 'store')}` })),
    typed,
  )
}

/** Those whose value begins with the text, then those that have it anywhere; case does not matter. */
function matching(all: readonly Suggestion[], typed: string): Suggestion[] {
  const text = typed.toLowerCase()
  const first: Suggestion[] = []
  const later: Suggestion[] = []
  for (const one of all) {
    const value = one.value.toLowerCase()
    if (value.startsWith(text)) first.push(one)
    else if (value.includes(text)) later.push(one)
    if (first.length >= SUGGESTIONS_MAX) break
  }
  return [...first, ...later].slice(0, SUGGESTIONS_MAX)
}

interface FoundImage {
  readonly image: HeldImage
  readonly store: string
  /** Copies by store and id: a search by any part finds again what the one by prefix found. */
  readonly copies: Set<string>
}

/** Images of the catalogue, by name. One that several stores have is offered once, by its name; one that a single store has, by its id. */
async function imagesLike(context: CommandContext, { typed }: Wanted, shelves: readonly boolean[]): Promise<Suggestion[]> {
  const { catalogue, clock, fleet, actor } = context
  const untilMs = clock.nowMs() + SEARCH_MS_MAX
  const places = fleet.registry.places()
  const found = new Map<string, FoundImage>()
  let read = 0
  const look = async (isPrefix: boolean): Promise<void> => {
    let sinceTurn = 0
    for (const place of places) {
      if (found.size >= SUGGESTIONS_MAX || read >= SEARCHED_IMAGES_MAX || clock.nowMs() > untilMs) return
      const held = catalogue.of(place.name)
      const isAll = seesAllImages({ role: roleIn(actor, place) })
      for (const isBin of held ? shelves : []) {
        if (!held) continue
        const filter = { isBin, isAll, limit: SUGGESTIONS_MAX }
        const images = typed.startsWith(IMAGE_ID) ? catalogue.find(held, typed, filter) : catalogue.search(held, { text: typed, isPrefix }, filter)
        for (const image of images) keepImage(found, image, place)
        read += isPrefix ? images.length : held.images
        sinceTurn += isPrefix ? images.length : held.images
      }
      // Each look at a store takes as long as about 20 rows.
      sinceTurn += 20
      if (sinceTurn < TURN_IMAGES) continue
      sinceTurn = 0
      await clock.sleep(0)
    }
  }
  await look(true)
  if (typed !== '' && !typed.startsWith(IMAGE_ID)) await look(false)
  return [...found.values()].slice(0, SUGGESTIONS_MAX).map(({ image: { id, name }, store, copies }) => {
    const where = copies.size === 1 ? store : plural(copies.size, 'copy', 'copies')
    return { value: copies.size === 1 || name.length > QUERY_LENGTH_MAX ? id : name, label: `${name} · ${where}` }
  })
}

function keepImage(found: Map<string, FoundImage>, image: HeldImage, { name: store }: StorePlace): void {
  const known = found.get(image.name)
  if (known) known.copies.add(`${store}/${image.id}`)
  else found.set(image.name, { image, store, copies: new Set([`${store}/${image.id}`]) })
}

/** Tasks in progress, then tasks that ended, the newest first, of the stores on which the command may act. */
function tasksLike(context: CommandContext, { typed }: Wanted): Suggestion[] {
  const { kept, registry } = context.fleet
  const places = new Map(registry.places().map((place) => [place.name.toLowerCase(), place]))
  const stores = [...places.values()].slice(0, TASK_STORES_MAX).map(({ name }) => name)
  const running = (kept?.states.tasks(TASKS_MAX) ?? []).map((task) => ({ ...task, words: `${task.kind} ${task.subject}` }))
  const ended = (kept?.events.list({ stores, typePrefix: 'task.', limit: TASKS_MAX }) ?? []).map(({ store, subject, message }) => ({
    store,
    id: subject,
    words: message,
  }))
  const tasks = new Map<string, Suggestion>()
  for (const { store, id, words } of [...running, ...ended]) {
    const place = places.get(store.toLowerCase())
    if (!place || tasks.has(id) || !id.startsWith(TASK_ID)) continue
    // Below operator, the words may name an image that this person does not see.
    tasks.set(id, { value: id, label: seesAllImages({ role: roleIn(context.actor, place) }) ? `${store}: ${words}` : `${store}: ${id}` })
  }
  const text = typed.toLowerCase()
  return [...tasks.values()].filter(({ value, label }) => value.toLowerCase().includes(text) || label.toLowerCase().includes(text)).slice(0, SUGGESTIONS_MAX)
}

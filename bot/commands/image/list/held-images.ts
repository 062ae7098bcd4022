// Images of stores that do not answer, from the catalogue of the bot: what each store held, and since when its files are unavailable. They are never mixed up with
// what an agent answers: their rows come after those of the agents, and say what they are.

import type { ImageFilter } from '../../../../protocol/images/image-list.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { formatDuration } from '../../../../protocol/units.ts'
import { actorIn } from '../../permit.ts'
import type { HeldStore } from '../../../fleet/catalogue/catalogue.ts'
import type { HeldImage } from '../../../fleet/catalogue/held-image.ts'
import type { Contact, Silence } from '../../../fleet/fleet.ts'
import { silenceNote } from '../../../fleet/judge.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { keptSightings } from '../../../fleet/see.ts'
import { formatAt, formatBytes, formatWireTime, plural, statusWord, UNKNOWN } from '../../../../protocol/views/phrases.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Row, View } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { imageCells } from '../../../../protocol/views/image-cells.ts'
import { seesAllImages } from './seen-images.ts'

/** Images of absent stores that one answer shows. */
const HELD_SHOWN_MAX = 5_000
/** Filters that can be applied to what the catalogue keeps. */
const KNOWN_FILTERS: ReadonlySet<string> = new Set(['status', 'owner', 'name', 'search', 'kind', 'format', 'createdAfter', 'createdBefore'])

type Filter = { readonly [Key in keyof ImageFilter]?: ImageFilter[Key] | undefined }

/** A store that does not answer, or that was removed, with what the catalogue knows of it. */
export interface AbsentStore {
  readonly held: HeldStore
  /** Since when its files are unavailable, in milliseconds since 1970. */
  readonly sinceMs: number
  /** Undefined for a store that was removed from the registry. */
  readonly silence: Silence | undefined
}

/** An image of an absent store. */
export interface AbsentImage {
  readonly absent: AbsentStore
  readonly image: HeldImage
}

/**
 * Divides stores into those to ask and those that the service knows to be silent and of which the catalogue knows the images: these are not asked, so that they
 * delay nothing. A store alone is always asked: it delays no answer about others, and its agent may run again before the service has noticed.
 */
export function divideAbsent(
  context: CommandContext,
  stores: readonly StoreRecord[],
  isAlone = stores.length === 1,
): { asked: StoreRecord[]; absent: AbsentStore[] } {
  if (isAlone) return { asked: [...stores], absent: [] }
  const sightings = keptSightings(context.fleet, stores, context.clock.nowMs())
  const asked: StoreRecord[] = []
  const absent: AbsentStore[] = []
  for (const store of stores) {
    const sighting = sightings.get(store.name)
    const known = sighting?.kind === 'stopped' ? absentOf(context, sighting) : undefined
    if (known) absent.push(known)
    else asked.push(store)
  }
  return { asked, absent }
}

/** The stores that fell silent while they were asked, if the catalogue knows their images. */
export function absentAmong<T>(context: CommandContext, contacts: readonly Contact<T>[]): AbsentStore[] {
  return contacts.flatMap((contact) => (contact.kind === 'stopped' ? (absentOf(context, contact) ?? []) : []))
}

function absentOf(context: CommandContext, silence: Silence): AbsentStore | undefined {
  const held = context.catalogue.of(silence.store.name)
  return held && (held.asOfMs !== null || held.images > 0) ? { held, sinceMs: silence.sinceMs, silence } : undefined
}

/** The stores that were removed from the registry; with a name, only those of this name. */
export function removedStores(context: CommandContext, name?: string): AbsentStore[] {
  return context.catalogue
    .removed()
    .filter((held) => name === undefined || held.name.toLowerCase() === name.toLowerCase())
    .map((held) => ({ held, sinceMs: held.removedMs ?? 0, silence: undefined }))
}

export interface HeldAnswer {
  readonly images: readonly AbsentImage[]
  /** One for each store: since when it is absent, and how old what the bot knows is. */
  readonly notes: readonly string[]
}

/** Lists the images of absent stores that pass a filter; those that the actor may not see are left out. */
export function listHeld(context: CommandContext, stores: readonly AbsentStore[], filter: Filter): HeldAnswer {
  const unknown = Object.entries(filter).flatMap(([key, value]) => (value === undefined || KNOWN_FILTERS.has(key) ? [] : [key]))
  const images: AbsentImage[] = []
  const notes: string[] = []
  for (const absent of stores) {
    if (unknown.length > 0) {
      notes.push(
        absenceNote(
          context,
          absent,
          `its images are not in this answer: the catalogue of the bot does not know ${unknown.map((key) => `${key}=`).join(', ')}.`,
        ),
      )
      continue
    }
    const found = context.catalogue.list(absent.held, { isBin: filter.status === 'deleted', isAll: seesAll(context, absent), limit: HELD_SHOWN_MAX + 1 })
    const passed = found.filter((image) => passes(filter, image))
    const room = HELD_SHOWN_MAX - images.length
    images.push(...passed.slice(0, room).map((image) => ({ absent, image })))
    const cut = passed.length > room || found.length > HELD_SHOWN_MAX ? ` Only ${Math.min(room, passed.length)} of them are shown.` : ''
    notes.push(absenceNote(context, absent, `${heldWords(context, absent.held)}${cut}`))
  }
  return { images, notes }
}

/** Finds the images of absent stores that a text names; none of those that the actor may not see. */
export function findHeld(context: CommandContext, stores: readonly AbsentStore[], text: string): AbsentImage[] {
  const search = (isBin: boolean): AbsentImage[] =>
    stores.flatMap((absent) =>
      context.catalogue.find(absent.held, text, { isBin, isAll: seesAll(context, absent), limit: HELD_SHOWN_MAX }).map((image) => ({ absent, image })),
    )
  const listed = search(false)
  const found = listed.length > 0 ? listed : search(true)
  const whole = found.filter(({ image }) => image.id === text || image.name === text)
  return whole.length > 0 ? whole : found
}

function seesAll({ actor }: CommandContext, { silence }: AbsentStore): boolean {
  return seesAllImages(silence ? actorIn(actor, silence.store) : actor)
}

/** Whether an image that cannot be read now passes: its status is that its file is unavailable, or that it is in the recycle bin. */
function passes({ status, owner, name, search, kind, format, createdAfter, createdBefore }: Filter, image: HeldImage): boolean {
  if (status !== undefined && status !== 'deleted' && status !== 'fileUnavailable') return false
  if (owner !== undefined && (image.owner ?? '') !== owner) return false
  if (name !== undefined && image.name !== name) return false
  if (search !== undefined && !image.name.toLowerCase().includes(search.toLowerCase())) return false
  if ((kind !== undefined && image.kind !== kind) || (format !== undefined && image.format !== format)) return false
  const createdMs = Date.parse(image.createdAt)
  return !(createdAfter !== undefined && createdMs <= Date.parse(createdAfter)) && !(createdBefore !== undefined && createdMs >= Date.parse(createdBefore))
}

/** `its 12 images are shown from the catalogue of the bot, as of …; their files are unavailable.` */
function heldWords({ clock }: CommandContext, { images, beyond, asOfMs }: HeldStore): string {
  const age =
    asOfMs === null
      ? 'which did not finish reading them, so that some may be missing'
      : `as of ${formatAt(asOfMs)} (${formatDuration(clock.nowMs() - asOfMs)} old)`
  const more = beyond > 0 ? ` It had ${plural(beyond, 'more image')}, beyond what the catalogue keeps.` : ''
  return `its ${plural(images, 'image')}, with the recycle bin, are from the catalogue of the bot, ${age}, and their files are unavailable.${more}`
}

function absenceNote(context: CommandContext, { held, sinceMs, silence }: AbsentStore, consequence: string): string {
  if (silence) return silenceNote({ ...silence, asOfMs: context.clock.nowMs() }, consequence)
  return `${held.name} was removed from the registry ${formatAt(sinceMs)}: ${consequence} They are back when the store is added again.`
}

/** A row with the columns of `image list` and `image bin`. */
export function heldRow({ absent, image }: AbsentImage): Row {
  const { held, silence, sinceMs } = absent
  return {
    tone: 'bad',
    cells: {
      ...imageCells(image),
      store: `${held.name} (${silence ? 'Stopped' : 'removed'})`,
      status: `${statusWord('fileUnavailable')} since ${formatAt(sinceMs)}, was ${statusWord(image.status)}`,
    },
  }
}

/** An image of an absent store for `--json`: only what the catalogue knows, and where it is from. */
export function heldJson({ absent: { held, sinceMs, silence }, image }: AbsentImage): Record<string, unknown> {
  const { isOpen: _isOpen, changedMs, status, ...members } = image
  return {
    store: held.name,
    ...members,
    status: status === 'deleted' ? 'deleted' : 'fileUnavailable',
    statusReason: silence ? silence.reason : 'The store was removed from the registry.',
    fromCatalogue: {
      lastStatus: status,
      since: formatTime(sinceMs),
      asOf: held.asOfMs === null ? null : formatTime(held.asOfMs),
      changedAt: formatTime(changedMs),
    },
  }
}

/** The View of an image that only absent stores have. */
export function heldView(context: CommandContext, copies: readonly AbsentImage[], notes: readonly string[]): View {
  const [first] = copies
  if (!first) throw new Error('an image of an absent store was shown and there is none')
  const { absent, image } = first
  const nowMs = context.clock.nowMs()
  const asOfMs = absent.held.asOfMs ?? image.changedMs
  return makeView({
    title: `Image ${image.name}`,
    tone: 'bad',
    fields: [
      { label: 'Name', value: image.name },
      { label: 'Id', value: image.id },
      { label: 'Status', value: `${statusWord('fileUnavailable')} since ${formatAt(absent.sinceMs)}`, tone: 'bad' },
      { label: 'Reason', value: absent.silence ? absent.silence.reason : `${absent.held.name} was removed from the registry.` },
      { label: 'Next', value: absent.silence ? `store health ${absent.held.name} says what to do.` : 'store add brings the store and its images back.' },
      { label: 'Stores', value: copies.map(heldCopyWords).join(', ') },
      { label: 'Known', value: `from the catalogue of the bot, as of ${formatAt(asOfMs)} (${formatDuration(nowMs - asOfMs)} old)` },
      { label: 'Kind', value: image.kind },
      { label: 'Format', value: image.format ?? UNKNOWN },
      { label: 'Length', value: formatBytes(image.length) },
      { label: 'Stored size', value: formatBytes(image.storedSize) },
      { label: 'SHA-256', value: image.digest ?? UNKNOWN },
      { label: 'Manifest', value: image.manifestDigest ?? UNKNOWN },
      { label: 'Owner', value: image.owner ?? UNKNOWN },
      { label: 'Created', value: formatWireTime(image.createdAt) },
    ],
    notes,
    asOfMs: nowMs,
    json: { ...heldJson(first), stores: copies.map(heldCopyJson), asOf: formatTime(nowMs) },
  })
}

/** `edge-a (File unavailable, was Available)`. */
export function heldCopyWords({ absent, image }: AbsentImage): string {
  return `${absent.held.name} (${statusWord('fileUnavailable')}, was ${statusWord(image.status)})`
}

export function heldCopyJson(copy: AbsentImage): Record<string, unknown> {
  return { store: copy.absent.held.name, status: 'fileUnavailable', lastStatus: copy.image.status }
}

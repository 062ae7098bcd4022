// Where the events of an answer come from: from what the service keeps while it runs, else from the agents.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { keptEvent, KEPT_EVENTS_MAX } from '../../fleet/kept-events.ts'
import type { EventPlace, KeptEvent, KeptEventFilter } from '../../fleet/kept-events.ts'
import type { Contact } from '../../fleet/fleet.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { keptSightings } from '../../fleet/see.ts'
import type { Sighting } from '../../fleet/states.ts'
import { formatAt, plural } from '../../../protocol/views/phrases.ts'
import type { CommandContext } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf } from '../select.ts'

/** Events of a page of an agent, and pages that are read from one agent. */
const PAGE_LENGTH = 200
const PAGES_READ_MAX = 5
/** Stores of which a note says what is missing. The others are counted. */
const NOTES_MAX = 10

export type EventFilter = Omit<KeptEventFilter, 'stores'>

export interface EventsRead {
  /** Newest first; at most one more than the limit of the filter. */
  readonly events: readonly KeptEvent[]
  /** What is missing from the events, and where it is. */
  readonly notes: readonly string[]
  /** The stores that did not answer, for `--json`. */
  readonly missing: ReturnType<typeof gapsJson>
  /** The stores of which the service skipped events, for `--json`. */
  readonly skipped: readonly { readonly store: string; readonly ms: number }[]
  readonly asOfMs: number
}

interface AgentEvents {
  readonly events: readonly KeptEvent[]
  /** Whether there are older events that were not read. */
  readonly isCut: boolean
}

/**
 * Returns the newest events of stores. While the service runs they come from what it keeps, so that a silent store delays nothing; only agents whose
 * events it does not follow are asked. With `isFresh`, and without the service, every agent is asked.
 */
export async function readEvents(context: CommandContext, stores: readonly StoreRecord[], filter: EventFilter, isFresh: boolean): Promise<EventsRead> {
  const { fleet, clock } = context
  const { kept } = fleet
  const nowMs = clock.nowMs()
  const wanted = { ...filter, limit: filter.limit + 1 }
  const seen = isFresh ? new Map<string, Sighting>() : keptSightings(fleet, stores, nowMs)
  const isKept = ({ name }: StoreRecord): boolean => {
    const sighting = seen.get(name)
    return sighting !== undefined && (sighting.kind !== 'answered' || (isFollowed(sighting) && kept?.events.last(name) !== undefined))
  }
  const known = stores.filter(isKept)
  const names = known.map(({ name }) => name)
  const sightings = known.flatMap(({ name }) => seen.get(name) ?? [])
  const contacts = await fleet.contactAll(
    stores.filter((store) => !isKept(store)),
    (agent, { name }) => eventsOf(agent, name, wanted),
  )
  const keptEvents = names.length > 0 && kept ? kept.events.list({ ...wanted, stores: names }) : []
  const events = [...keptEvents, ...contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.events : []))].toSorted(byPlace)
  const isWhole = events.length <= filter.limit
  const skipped = names.flatMap((store) => {
    const ms = kept?.events.skippedMs(store)
    return ms !== undefined && ms >= Math.max(filter.sinceMs ?? 0, kept?.events.oldest(store)?.timeMs ?? 0) ? [{ store, ms }] : []
  })
  return {
    events: events.slice(0, wanted.limit),
    notes: [
      ...some([...gapNotes(sightings, 'its newer events'), ...gapNotes(contacts, 'its events')], 'do not answer; store health names them'),
      ...some(
        skipped.map(({ store, ms }) => `Events of ${store} were skipped at ${formatAt(ms)}, because the interruption was too long or its event log changed.`),
        'have skipped events',
      ),
      ...(isWhole ? some(cutNotes(contacts), 'have older events') : []),
      ...(skipped.length > 0 || (isWhole && names.some((name) => hasOlder(context, name, filter)))
        ? [`The service keeps the newest ${KEPT_EVENTS_MAX} events of each store; --fresh asks the agents for more.`]
        : []),
    ],
    missing: [...gapsJson(sightings), ...gapsJson(contacts)],
    skipped,
    asOfMs: oldestAsOf([...sightings, ...contacts], nowMs),
  }
}

/** Whether the service follows the stream of a store. An agent whose stream it cannot use is asked for its health only, without its tasks. */
function isFollowed(sighting: Sighting): boolean {
  return sighting.kind === 'answered' && sighting.value.tasks !== null
}

/** Reads events of one agent, newest first, until there are enough of them. */
async function eventsOf(agent: AgentClient, store: string, filter: EventFilter): Promise<AgentEvents> {
  const { typePrefix = '', subject, severities, sinceMs = 0, before, limit } = filter
  const [severity, ...others] = severities ?? []
  const events: KeptEvent[] = []
  let cursor: string | undefined
  for (let pages = 0; pages < PAGES_READ_MAX; pages++) {
    const page = await agent.events.list({ limit: PAGE_LENGTH, cursor, ...(severity && others.length === 0 ? { severity } : {}) })
    for (const item of page.items) {
      const event = keptEvent(store, item)
      if (event.timeMs < sinceMs) return { events, isCut: false }
      const isKind = event.type.startsWith(typePrefix) && (severities?.includes(event.severity) ?? true)
      const isWanted = isKind && (subject === undefined || event.subject === subject) && (!before || byPlace(before, event) < 0)
      // The id and the time of an agent that sends rubbish have no place.
      if (!isWanted || !Number.isSafeInteger(event.id) || !Number.isFinite(event.timeMs)) continue
      events.push(event)
      if (events.length >= limit) return { events, isCut: false }
    }
    if (page.next === null) return { events, isCut: false }
    cursor = page.next
  }
  return { events, isCut: true }
}

/** Compares places: newest first, then by store, then by descending id. A moment comes after all events of its millisecond. */
function byPlace(a: EventPlace, b: EventPlace): number {
  if (a.timeMs !== b.timeMs) return b.timeMs - a.timeMs
  if (a.store === undefined || b.store === undefined) return a.store === b.store ? 0 : a.store === undefined ? 1 : -1
  const [one, other] = [a.store.toLowerCase(), b.store.toLowerCase()]
  return one === other ? (b.id ?? 0) - (a.id ?? 0) : one < other ? -1 : 1
}

/** Whether the agent of a followed store may have older events that the filter asks for. */
function hasOlder({ fleet }: CommandContext, store: string, { sinceMs = 0 }: EventFilter): boolean {
  const oldest = fleet.kept?.events.oldest(store)
  return oldest === undefined || (oldest.id > 1 && oldest.timeMs >= sinceMs)
}

function cutNotes(contacts: readonly Contact<AgentEvents>[]): string[] {
  return contacts.flatMap(({ store, ...contact }) =>
    contact.kind === 'answered' && contact.value.isCut ? [`Only the newest ${PAGES_READ_MAX * PAGE_LENGTH} events of ${store.name} were read.`] : [],
  )
}

/** The first notes, and how many stores the others are about. */
function some(notes: readonly string[], what: string): string[] {
  const more = notes.length - NOTES_MAX
  return more > 0 ? [...notes.slice(0, NOTES_MAX), `${plural(more, 'more store')} ${what}.`] : [...notes]
}

// Live pages. All tabs of one session at one address share a room: what it shows is run and rendered once, when something changed, and each tab gets what differs
// from what it has. Who looks, and with which role, is decided before every look.

import type { CommandActor } from '../../commands/command.ts'
import type { PageSession } from '../../entry/page-sessions.ts'
import type { OpenBot } from '../../open.ts'
import type { Log } from '../../system/log.ts'
import { actorOf } from '../person.ts'
import type { PeopleGroups } from '../person.ts'
import { placeAt } from '../place-at.ts'
import { isMoving, partsAt, showParts } from '../parts.tsx'
import type { ShownPart } from '../parts.tsx'
import type { Look } from '../session-context.ts'
import type { AskedMemory } from './asked-memory.ts'
import { changesFor, newsOf } from './changes.ts'
import type { Marks, MarkScope } from './marks.ts'
import { createPageStream } from './page-stream.ts'
import type { LiveEnd, PageStream } from './page-stream.ts'
import { scopeOf } from './scope.ts'

/** Most streams of one session, and of all. A browser has six connections to one server without HTTP/2. */
export const STREAMS_PER_SESSION_MAX = 8
export const STREAMS_MAX = 300
/** Most rooms that look at the same time: each may ask every store. */
const LOOKING_MAX = 4
/** How often rooms are visited, in milliseconds. */
export const TICK_MS = 1_000
/** Shortest pause between two looks of a room, in milliseconds; and its length as a multiple of what the last look took, so that a slow fleet is asked less often. */
export const PAUSE_MS_MIN = 2_000
export const PAUSE_MS_MAX = 60_000
const PAUSE_FACTOR = 5

const ENDS = {
  session: { text: 'Your session has ended. Load this page again to see how to enter.', isFinal: true },
  role: { text: 'Your role has changed. Load this page again to see what you may do now.', isFinal: true },
  gone: { text: 'This address shows nothing any more. Load it again, or go to the home page.', isFinal: true },
  done: { text: '', isFinal: true },
  stopped: { text: 'The bot stops.', isFinal: false },
} as const satisfies Record<string, LiveEnd>

export interface LiveDeps {
  readonly bot: Pick<OpenBot, 'context' | 'page' | 'roles' | 'clock'>
  readonly groups: PeopleGroups
  readonly log: Log
  readonly marks: Marks
  readonly memory: AskedMemory
  /** Ends every stream, because the service stops. */
  readonly stopping: AbortSignal | undefined
}

/** What an open page has, as it says itself. */
export interface LivePage {
  readonly session: PageSession
  readonly token: string
  /** Who looks, as the request was permitted. */
  readonly actor: CommandActor
  /** The address of the page. */
  readonly url: URL
  /** The mark with which it was rendered; empty for a page that moves. */
  readonly mark: string
  /** Versions of its parts, in their order. */
  readonly versions: readonly string[]
}

/** `full` says in a sentence why there is no stream, and what to do. */
export type LiveAnswer = { readonly kind: 'stream'; readonly body: ReadableStream<Uint8Array> } | { readonly kind: 'full'; readonly text: string }

export interface Live {
  open(page: LivePage): LiveAnswer
}

interface Tab {
  readonly stream: PageStream
  versions: readonly string[]
  /** The look of the room that it has. */
  has: number
}

interface Room {
  readonly session: PageSession
  readonly forms: Pick<Look, 'token' | 'makeOnce'>
  readonly url: URL
  readonly scope: MarkScope
  /** What the person may do, as a text: another one ends the room. */
  readonly rights: string
  readonly tabs: Set<Tab>
  mark: string
  /** Whether the session was shown this address by a request, which is in the audit log. Else the first look is recorded. */
  isRecorded: boolean
  parts: readonly ShownPart[] | undefined
  /** Counts the looks. */
  looks: number
  /** What changed in words, for people who do not see it. */
  news: string
  isMoving: boolean
  isLooking: boolean
  nextMs: number
}

/** Creates the live pages. They cost nothing while no page is open. */
export function createLive({ bot, groups, log, marks, memory, stopping }: LiveDeps): Live {
  const { clock } = bot
  const rooms = new Map<string, Room>()
  let streams = 0
  let looking = 0
  let timer: Disposable | undefined

  const rightsOf = (actor: CommandActor): string => {
    const places = actor.roleIn ? bot.context(actor, 'page').fleet.registry.places() : []
    return Bun.hash(JSON.stringify([actor.role, ...places.map((place) => [place.name, actor.roleIn?.(place)])])).toString(36)
  }
  const endRoom = (room: Room, reason: LiveEnd): void => {
    for (const { stream } of room.tabs) stream.end(reason)
  }

  const look = async (room: Room, mark: string): Promise<void> => {
    const { session, url, tabs } = room
    const startMs = clock.monotonicMs()
    room.isLooking = true
    looking++
    try {
      const actor = await actorOf(session.person, bot.roles, groups)
      if (rightsOf(actor) !== room.rights) return endRoom(room, ENDS.role)
      const context = memory.recalling(bot.context(actor, 'page'), room.isRecorded)
      room.isRecorded = true
      const seen: Look = { context, url, ...room.forms }
      const parts = await partsAt(seen)
      if (!parts || parts.some(({ view }) => view.isPrivate)) return endRoom(room, ENDS.gone)
      const shown = await showParts(seen, parts)
      room.news = newsOf(room.parts, shown)
      room.parts = shown
      room.isMoving = parts.some(({ view }) => isMoving(view))
      room.mark = mark
      room.looks++
      for (const tab of tabs) update(room, tab)
      // Only work that goes on makes the answer of a command live.
      if (!room.isMoving && placeAt(url.pathname) === undefined) endRoom(room, ENDS.done)
    } catch (error) {
      log.error('a live page failed', { error, path: url.pathname.split('/').slice(0, 2).join('/') })
    } finally {
      looking--
      room.isLooking = false
      const tookMs = clock.monotonicMs() - startMs
      room.nextMs = clock.monotonicMs() + Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, tookMs * PAUSE_FACTOR))
    }
  }

  const update = (room: Room, tab: Tab): void => {
    if (!room.parts || tab.has === room.looks || !tab.stream.isReady()) return
    const { changes, versions } = changesFor(room.parts, tab.versions, room.forms)
    tab.stream.send('parts', { mark: room.isMoving ? '' : room.mark, parts: changes, news: changes.some(({ html }) => html !== undefined) ? room.news : '' })
    tab.versions = versions
    tab.has = room.looks
  }

  const tick = (): void => {
    const nowMs = clock.monotonicMs()
    const sessions = new Set(bot.page.sessions.list().map(({ id }) => id))
    for (const room of rooms.values()) {
      for (const tab of room.tabs) {
        if (!sessions.has(room.session.id)) tab.stream.end(ENDS.session)
        else {
          update(room, tab)
          tab.stream.keepAlive()
        }
      }
      if (room.tabs.size === 0 || room.isLooking || room.nextMs > nowMs || looking >= LOOKING_MAX) continue
      const mark = marks.of(room.scope)
      if (mark !== room.mark || room.isMoving) void look(room, mark)
    }
  }

  const stop = (): void => {
    for (const room of [...rooms.values()]) endRoom(room, ENDS.stopped)
  }
  stopping?.addEventListener('abort', stop, { once: true })

  const roomOf = (key: string, { session, token, actor, url, mark }: LivePage): Room => {
    const existing = rooms.get(key)
    const isRecorded = memory.hasShown(session.id, url)
    if (existing) {
      // A page that is older than what the room has seen gets the next look.
      if (!existing.parts && existing.mark !== mark) existing.mark = ''
      return existing
    }
    const state = { parts: undefined, looks: 0, news: '', isMoving: false, isLooking: false, nextMs: 0 }
    const forms = { token, makeOnce: () => crypto.randomUUID() }
    const room: Room = {
      session,
      forms,
      url,
      scope: scopeOf(url),
      rights: rightsOf(actor),
      tabs: new Set(),
      mark: isRecorded ? mark : '',
      isRecorded,
      ...state,
    }
    rooms.set(key, room)
    return room
  }

  return {
    open(page) {
      const { session, url, actor } = page
      const own = [...rooms.values()].reduce((sum, { tabs, session: { id } }) => sum + (id === session.id ? tabs.size : 0), 0)
      if (own >= STREAMS_PER_SESSION_MAX)
        return {
          kind: 'full',
          text: `You have ${own} live pages open, which is the most. This page does not change by itself: close another one, or load it again.`,
        }
      if (streams >= STREAMS_MAX || stopping?.aborted)
        return { kind: 'full', text: `The bot has ${streams} live pages open, which is the most. This page does not change by itself: load it again.` }
      // A room of somebody whose rights have changed ends with its next look.
      const key = JSON.stringify([session.id, url.pathname + url.search, rightsOf(actor)])
      const room = roomOf(key, page)
      const stream = createPageStream(clock, () => {
        streams--
        room.tabs.delete(tab)
        if (room.tabs.size === 0) rooms.delete(key)
        if (streams === 0) {
          timer?.[Symbol.dispose]()
          timer = undefined
        }
      })
      const tab: Tab = { stream, versions: page.versions, has: 0 }
      room.tabs.add(tab)
      streams++
      timer ??= clock.every(TICK_MS, tick)
      return { kind: 'stream', body: stream.body }
    },
  }
}

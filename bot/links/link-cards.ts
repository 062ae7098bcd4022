// Cards of upload links: one message for each link, edited from "waiting for the file" to the image, or to why there is none. The events of the agents say when
// something happened, the agent then says what. Cards that have not ended are in the database, so that the bot continues them after a restart.

import { z } from 'zod'
import type { Image } from '../../protocol/images/image.ts'
import { ProblemError } from '../../protocol/problems.ts'
import type { Task } from '../../protocol/task.ts'
import type { UploadLink } from '../../protocol/upload-link.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { StreamProgress } from '../fleet/kept-events.ts'
import type { Sighting } from '../fleet/states.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Log } from '../system/log.ts'
import type { FollowedLink, View } from '../../protocol/views/view.ts'
import { isFinal, linkCard } from './link-view.ts'
import type { LinkProgress } from './link-view.ts'

/** Most cards of links that have not ended. The cards of further links say that they are not followed. */
export const LINK_CARDS_MAX = 1000
/** Shortest time between two Views that show progress, in milliseconds: Slack's edits are not faster. */
const PROGRESS_INTERVAL_MS = 3_000
/** Interval at which a store that is asked for its health, because it has no stream, is asked for its links too, in milliseconds. */
const WITHOUT_STREAM_MS = 60_000

export interface LinkCardsDeps {
  readonly database: BotDatabase
  readonly fleet: Pick<Fleet, 'contact' | 'registry'>
  readonly outbox: Pick<Outbox, 'put'>
  readonly clock: Clock
  readonly log: Log
}

export interface LinkCards {
  /** Queues the card for the channel, or for the person where the bot may not post, and follows the link. Durable when it returns. */
  open(channel: string, orElse: string, link: FollowedLink): void
  /** Takes what the streams of stores brought. */
  read(progress: readonly StreamProgress[]): void
  /** Takes the states of stores. */
  saw(sightings: readonly Sighting[]): void
  /** Stops following; the next run of the bot continues. */
  stop(): Promise<void>
}

const followedSchema = z.object({
  store: z.string(),
  id: z.string(),
  name: z.string().nullable(),
  maxLength: z.number().nullable(),
  expiresAt: z.string(),
  by: z.string(),
})

interface Card {
  readonly key: string
  readonly channel: string
  link: FollowedLink
  /** What the card says, to compare. */
  shown: string
  shownMs: number
  /** What the agent said last. */
  known: { readonly link: UploadLink; readonly image: LinkProgress['image'] } | undefined
  task: Task | undefined
  /** Whether the agent is to be asked when its store is seen the next time. */
  isDue: boolean
  /** Whether something happened since the agent was asked. */
  isWanted: boolean
  askedMs: number
  asking: Promise<void> | undefined
}

/** Opens the cards. Those of earlier runs continue as soon as their stores are seen. */
export function createLinkCards(deps: LinkCardsDeps): LinkCards {
  const { clock, log } = deps
  const rows = createRows(deps)
  const cards = new Map<string, Card>(rows.list().map((card) => [card.key, card]))
  let isStopped = false

  const show = (card: Card, progress: LinkProgress): void => {
    const isLast = isFinal(progress)
    const view = linkCard(card.link, progress, clock.nowMs())
    const shown = signOf(view)
    if (shown !== card.shown) rows.show(card, view, shown, isLast)
    else if (isLast) rows.remove(card)
    Object.assign(card, { shown, shownMs: clock.nowMs() })
    if (isLast) cards.delete(card.key)
  }

  const ask = async (card: Card): Promise<void> => {
    card.isDue = false
    card.askedMs = clock.nowMs()
    const record = deps.fleet.registry.find(card.link.store)
    if (!record) return show(card, { state: 'gone' })
    const contact = await deps.fleet.contact(record, async (agent) => {
      const link = await agent.links.get(card.link.id)
      return { link, image: link.state === 'completed' && link.imageId !== null ? await imageOf(() => agent.images.get(link.imageId ?? '')) : undefined }
    })
    if (isStopped) return
    if (contact.kind === 'answered') {
      card.known = contact.value
      const { link, image } = contact.value
      return show(card, { state: link.state, hasBegun: link.uploadId !== null, image, ...(card.task && { task: card.task }) })
    }
    if (contact.kind === 'refused' && contact.error.code === 'not-found') return show(card, { state: 'gone' })
    card.isDue = true
  }
  const askWhileWanted = async (card: Card): Promise<void> => {
    try {
      while (card.isWanted && !isStopped) {
        card.isWanted = false
        await ask(card)
      }
    } catch (error) {
      card.isDue = true
      log.error('following an upload link failed', { error, key: card.key })
    } finally {
      card.asking = undefined
    }
  }
  const want = (card: Card): void => {
    card.isWanted = true
    card.asking ??= askWhileWanted(card)
  }
  /** Returns the cards by the name that their store has now. Those of stores that were removed end. */
  const byStore = (): Map<string, Card[]> => {
    const found = new Map<string, Card[]>()
    for (const { key, store } of cards.size === 0 ? [] : rows.stores()) {
      const card = cards.get(key)
      if (!card) continue
      if (store === null) {
        show(card, { state: 'gone' })
        continue
      }
      card.link = { ...card.link, store }
      found.set(store, [...(found.get(store) ?? []), card])
    }
    return found
  }

  return {
    open(channel, orElse, link) {
      if (cards.size >= LINK_CARDS_MAX) return rows.post(channel, orElse, link)
      const card = rows.insert(channel, orElse, link)
      cards.set(card.key, card)
    },

    read(progress) {
      const found = byStore()
      for (const { store, events, hasSkipped, isReset } of progress)
        for (const card of found.get(store) ?? []) {
          const subjects = new Set([card.link.id, card.known?.link.uploadId, card.known?.link.imageId])
          // While the agent is asked, its answer may be older than the event.
          const isUnknown = card.known === undefined || card.asking !== undefined
          if (isUnknown || hasSkipped || isReset || events.some(({ subject }) => subjects.has(subject))) want(card)
        }
    },

    saw(sightings) {
      const nowMs = clock.nowMs()
      const cardsOf = byStore()
      for (const sighting of sightings) {
        if (sighting.kind !== 'answered') continue
        const { tasks } = sighting.value
        for (const card of cardsOf.get(sighting.store.name) ?? []) {
          const { known, link } = card
          const hasExpired = known?.link.state === 'open' && nowMs >= Date.parse(link.expiresAt) && card.askedMs < Date.parse(link.expiresAt)
          if (card.isDue || hasExpired || (tasks === null && nowMs - card.askedMs >= WITHOUT_STREAM_MS)) want(card)
          const found = tasks?.items.find(({ kind, subject }) => kind === 'upload' && subject === known?.link.imageId)
          if (!known || known.link.state !== 'used' || !found) continue
          card.task = { ...found, createdAt: known.link.createdAt, endedAt: null }
          if (nowMs - card.shownMs >= PROGRESS_INTERVAL_MS) show(card, { state: 'used', task: card.task })
        }
      }
    },

    async stop() {
      isStopped = true
      await Promise.all([...cards.values()].flatMap(({ asking }) => (asking ? [asking] : [])))
    },
  }
}

/** Returns the image; null when there is none any more. */
async function imageOf(get: () => Promise<Image>): Promise<Image | null> {
  try {
    return await get()
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'not-found') return null
    throw error
  }
}

interface Rows {
  list(): Card[]
  /** Returns the store of each card by its present name; null when it is not registered any more. */
  stores(): readonly { readonly key: string; readonly store: string | null }[]
  /** Queues the card of a new link and keeps it. */
  insert(channel: string, orElse: string, link: FollowedLink): Card
  /** Queues a card that is not followed. */
  post(channel: string, orElse: string, link: FollowedLink): void
  /** Queues what the card says now, and keeps or forgets it. */
  show(card: Card, view: View, shown: string, isLast: boolean): void
  remove(card: Card): void
}

function createRows({ database, outbox, clock, log }: LinkCardsDeps): Rows {
  const list = database.query<{ key: string; store: string; channel: string; card: string; shown: string }, []>('SELECT * FROM link_cards')
  const stores = database.query<{ key: string; store: string | null }, []>(
    'SELECT c.key, s.name AS store FROM link_cards AS c LEFT JOIN stores AS s ON s.name = c.store',
  )
  const insert = database.query<null, { key: string; store: string; channel: string; card: string; shown: string }>(
    'INSERT INTO link_cards (key, store, channel, card, shown) VALUES ($key, $store, $channel, $card, $shown)',
  )
  const update = database.query<null, { key: string; shown: string }>('UPDATE link_cards SET shown = $shown WHERE key = $key')
  const remove = database.query<null, { key: string }>('DELETE FROM link_cards WHERE key = $key')
  const makeCard = (key: string, channel: string, link: FollowedLink, shown: string): Card => ({
    ...{
      key,
      channel,
      link,
      shown,
      shownMs: Number.NEGATIVE_INFINITY,
      known: undefined,
      task: undefined,
      isDue: true,
      isWanted: false,
      askedMs: 0,
      asking: undefined,
    },
  })
  const insertOne = database.transaction((channel: string, orElse: string, link: FollowedLink): Card => {
    const view = linkCard(link, { state: 'open' }, clock.nowMs())
    const card = makeCard(keyOf(link), channel, link, signOf(view))
    outbox.put({ key: card.key, channel, orElse, view })
    insert.run({ key: card.key, store: link.store, channel, card: JSON.stringify(link), shown: card.shown })
    return card
  })
  const showOne = database.transaction((card: Card, view: View, shown: string, isLast: boolean) => {
    outbox.put({ key: card.key, channel: card.channel, view })
    if (isLast) remove.run({ key: card.key })
    else update.run({ key: card.key, shown })
  })
  return {
    list: () =>
      list.all().flatMap(({ key, store, channel, card, shown }) => {
        const link = followedSchema.safeParse(JSON.parse(card)).data
        if (link) return [makeCard(key, channel, { ...link, store }, shown)]
        log.warn('the card of an upload link cannot be read and is no longer followed', { key })
        remove.run({ key })
        return []
      }),
    stores: () => stores.all(),
    insert: (channel, orElse, link) => insertOne.immediate(channel, orElse, link),
    post(channel, orElse, link) {
      const view = linkCard(link, { state: 'open' }, clock.nowMs())
      outbox.put({
        key: keyOf(link),
        channel,
        orElse,
        view: { ...view, notes: ['Too many upload links are followed, so this message does not change: see link list.'] },
      })
    },
    show: (card, view, shown, isLast) => showOne.immediate(card, view, shown, isLast),
    remove: ({ key }) => void remove.run({ key }),
  }
}

/** Returns what a card says, to tell whether it has to be edited. */
function signOf({ title, text, fields, progress }: View): string {
  return JSON.stringify([title, text, fields, progress.map(({ task }) => task.progress.done)])
}

/** The message of a link. Ids of links are unique in one store only. */
function keyOf({ store, id }: FollowedLink): string {
  return `link ${id} ${store}`
}

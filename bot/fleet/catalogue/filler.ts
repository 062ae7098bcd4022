// Fills the catalogue while the service runs. The stream of each agent brings the fingerprint of its images with every state, and names an image with every event:
// a fingerprint that differs from that of the rows means that something changed. Images that events name are read one by one. Otherwise the list is read page by
// page, for few stores at a time and at a bounded rate. No question of a person reaches an agent because of the catalogue.

import { isFingerprinted } from '../../../protocol/images/fingerprint.ts'
import { PAGES_MAX } from '../../../protocol/client/walk-pages.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { StoreEvent } from '../../../protocol/event.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import type { Store } from '../../../protocol/store.ts'
import type { Fleet } from '../fleet.ts'
import type { StoreRecord } from '../registry.ts'
import type { Sighting } from '../states.ts'
import type { Clock } from '../../system/clock.ts'
import type { Log } from '../../system/log.ts'
import { STORE_IMAGES_MAX } from './catalogue.ts'
import type { Catalogue, HeldStore } from './catalogue.ts'
import { heldOf } from './held-image.ts'

/** The beginning of what is known of an agent that announces no fingerprint. */
const COUNTS = 'counts '
/** Stores whose images are read at the same time. */
export const READERS_MAX = 4
/** Images that are read in a second, of all stores together; each costs the bot about 30 µs. */
export const IMAGES_PER_SECOND = 2_000
/** Images of one page, which is one transaction of about 5 ms. */
export const PAGE_IMAGES = 250
/** What a page counts at least, in images: a request and a transaction, also for a store with few images. */
const PAGE_COST_MIN = 10
/** Images of one store that are read one by one; when events name more, the list is read. */
export const NAMED_MAX = 50
/** Shortest pause between two readings of the list of one store, in milliseconds. It is at least 20 times as long as the last reading took, and doubles while readings fail. */
const LIST_PAUSE_MS = 10_000
const LIST_PAUSE_MS_MAX = 3_600_000
const LIST_PAUSE_FACTOR = 20
/** Interval at which it is written when the kept images were last complete, in milliseconds; at once for a store that falls silent. */
const VERIFIED_MS = 60_000
const TICK_MS = 1_000
/** Time after images that events named until the state with their fingerprint has come, in milliseconds. */
const STATE_MS = 5_000

export interface CatalogueFiller extends AsyncDisposable {
  /** Takes a sighting of the stream. */
  saw(sighting: Sighting): void
  /** Takes an event of the stream. */
  read(store: string, event: StoreEvent): void
}

export interface FillerDeps {
  readonly catalogue: Catalogue
  readonly fleet: Pick<Fleet, 'client' | 'registry'>
  readonly clock: Clock
  readonly log: Log
}

/** What is known of a store since the service was started. */
interface Followed {
  record: StoreRecord
  /** The last announcement of its agent. */
  announced: string
  /** Images that the agent has, also those that are not kept. */
  count: number
  /** Images that changed, or whose digest is not known yet; undefined when there are more than NAMED_MAX. */
  named: Set<string> | undefined
  unfinished: Set<string>
  isReading: boolean
  /** Whether the images that were named did not explain the announcement: the list is read next, also when more images are named. */
  isListDue: boolean
  /** The list is not read before, and nothing is asked before, on the monotonic clock. */
  listFromMs: number
  retryFromMs: number
  pauseMs: number
  /** When the rows were last known to be complete, if that is not written yet. */
  verifiedMs: number | undefined
}

/** Starts to fill the catalogue; disposing ends readings in progress. */
export function fillCatalogue(deps: FillerDeps): CatalogueFiller {
  const { catalogue, clock, log } = deps
  const followed = new Map<string, Followed>()
  const stale = new Set<Followed>()
  const reading = new Set<Promise<void>>()
  const stop = new AbortController()
  const pace = createPace(clock, stop.signal)
  let writtenMs = clock.monotonicMs()

  const start = (): void => {
    for (const one of stale) {
      if (reading.size >= READERS_MAX || stop.signal.aborted) return
      const nowMs = clock.monotonicMs()
      if (one.isReading || nowMs < one.retryFromMs || (!hasNamed(one) && nowMs < one.listFromMs)) continue
      stale.delete(one)
      one.isReading = true
      const done = refresh({ ...deps, pace, signal: stop.signal }, one)
        .catch((error: unknown) => {
          one.retryFromMs = clock.monotonicMs() + one.pauseMs
          one.pauseMs = Math.min(LIST_PAUSE_MS_MAX, one.pauseMs * 2)
          if (!stop.signal.aborted && !(error instanceof ProblemError)) log.error('the images of a store could not be kept', { store: one.record.name, error })
        })
        .finally(() => {
          one.isReading = false
          reading.delete(done)
          if (stop.signal.aborted || followed.get(one.record.name) !== one) return
          if (hasNamed(one) || !isCurrent(catalogue.of(one.record.name), one)) stale.add(one)
          start()
        })
      reading.add(done)
    }
  }
  const writeVerified = (): void => {
    const due = [...followed.values()].flatMap((one) => {
      const { verifiedMs } = one
      const held = verifiedMs === undefined ? undefined : catalogue.of(one.record.name)
      return verifiedMs === undefined || !held ? [] : [{ one, key: held.key, asOfMs: verifiedMs }]
    })
    if (due.length === 0) return
    catalogue.verified(due)
    for (const { one } of due) one.verifiedMs = undefined
  }
  const tick = (): void => {
    try {
      if (clock.monotonicMs() - writtenMs >= VERIFIED_MS) {
        writtenMs = clock.monotonicMs()
        writeVerified()
        const names = new Set(deps.fleet.registry.list().map(({ name }) => name))
        for (const [name, one] of followed) {
          if (names.has(name)) continue
          followed.delete(name)
          stale.delete(one)
        }
      }
      catalogue.forget(clock.nowMs())
      start()
    } catch (error) {
      log.error('the catalogue could not be written', { error })
    }
  }
  const timer = clock.every(TICK_MS, tick)
  return {
    saw(sighting) {
      const { name } = sighting.store
      const known = followed.get(name)
      if (sighting.kind !== 'answered') {
        if (!known) return
        stale.delete(known)
        if (known.verifiedMs !== undefined) writtenMs = Number.NEGATIVE_INFINITY
        return
      }
      const { store } = sighting.value
      const record = deps.fleet.registry.find(name)
      if (!store || !record || record.storeId !== store.id) return
      const one: Followed = known ?? newFollowed(record)
      followed.set(name, one)
      one.record = record
      one.announced = announcementOf(store)
      one.count = store.images.available + store.images.deleted + store.images.other
      if (isCurrent(catalogue.of(name), one)) {
        one.verifiedMs = sighting.asOfMs
        one.isListDue = false
        one.named ??= new Set()
        // An event may have come before the state that it changed.
        if (!hasNamed(one)) stale.delete(one)
        return
      }
      for (const id of one.unfinished) one.named?.add(id)
      stale.add(one)
      start()
    },
    read(store, event) {
      const one = followed.get(store)
      if (!one || !event.subject.startsWith('img_')) return
      one.named?.add(event.subject)
      if (one.named && one.named.size > NAMED_MAX) one.named = undefined
      stale.add(one)
      start()
    },
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      stop.abort()
      await Promise.all(reading)
      writeVerified()
    },
  }
}

function newFollowed(record: StoreRecord): Followed {
  return {
    record,
    announced: '',
    count: 0,
    named: new Set(),
    unfinished: new Set(),
    isReading: false,
    isListDue: false,
    listFromMs: 0,
    retryFromMs: 0,
    pauseMs: LIST_PAUSE_MS,
    verifiedMs: undefined,
  }
}

function hasNamed({ named }: Followed): boolean {
  return named !== undefined && named.size > 0
}

/** The fingerprint of the images, or, from an agent that does not tell it, what changes with most changes of them. */
function announcementOf({ imagesFingerprint, images, slices }: Store): string {
  return imagesFingerprint ?? `${COUNTS}${images.available} ${images.deleted} ${images.other} ${slices.imageBytes}`
}

/**
 * Whether the rows are what the agent announced. An announcement that is no fingerprint of kept rows, because the agent tells counts only or because images are beyond
 * the bounds, is that of the last reading.
 */
function isCurrent(held: HeldStore | undefined, { announced }: Followed): boolean {
  if (!held || held.asOfMs === null) return false
  return held.fingerprint === announced || (held.announced === announced && (announced.startsWith(COUNTS) || held.beyond > 0))
}

interface ReadingDeps extends FillerDeps {
  readonly pace: Pace
  readonly signal: AbortSignal
}

/** Brings the rows of a store up to date, as far as its agent answers. Throws what the client throws. */
async function refresh(deps: ReadingDeps, one: Followed): Promise<void> {
  const held = deps.catalogue.open(one.record.name)
  if (!held) return
  const agent = deps.fleet.client(one.record)
  const isListDue = one.isListDue && deps.clock.monotonicMs() >= one.listFromMs
  if (held.asOfMs !== null && hasNamed(one) && !isListDue) {
    await readNamed(deps, agent, held, one)
    const now = deps.catalogue.of(one.record.name)
    if (now?.fingerprint === one.announced) return void (one.verifiedMs = deps.clock.nowMs())
    // The state that follows the events may not have come yet. An image without a digest is named again by each state, which must not put off the list.
    if (!one.isListDue) one.listFromMs = Math.max(one.listFromMs, deps.clock.monotonicMs() + STATE_MS)
    one.isListDue = true
    return
  }
  await readList(deps, agent, held, one)
}

/** Reads the images that events named, and those whose digest was not known. */
async function readNamed({ catalogue, clock, pace, signal }: ReadingDeps, agent: AgentClient, held: HeldStore, one: Followed): Promise<void> {
  const ids = [...(one.named ?? [])]
  one.named = new Set()
  try {
    for (const id of ids) {
      await pace.ready()
      pace.spend(1)
      const image = await orGone(agent.images.get(id, { signal }))
      one.unfinished.delete(id)
      if (image && image.id === id && isFingerprinted(image)) keep(catalogue, held, one, [image], clock.nowMs())
      else catalogue.drop(held, [id])
    }
  } catch (error) {
    for (const id of ids) one.named?.add(id)
    throw error
  }
}

/** Reads the list and the recycle bin, and removes the rows of images that are in neither. */
async function readList({ catalogue, clock, pace, signal }: ReadingDeps, agent: AgentClient, held: HeldStore, one: Followed): Promise<void> {
  const startMs = clock.monotonicMs()
  const { announced } = one
  one.named = new Set()
  one.isListDue = false
  one.unfinished.clear()
  const seen = new Set<string>()
  try {
    for (const status of [undefined, 'deleted'] as const) {
      let cursor: string | undefined
      for (let page = 0; page < PAGES_MAX && seen.size < STORE_IMAGES_MAX; page++) {
        await pace.ready()
        const { items, next } = await agent.images.list({ status, cursor, limit: PAGE_IMAGES, signal })
        pace.spend(Math.max(PAGE_COST_MIN, items.length))
        const counted = items.slice(0, STORE_IMAGES_MAX - seen.size).filter(isFingerprinted)
        for (const { id } of counted) seen.add(id)
        keep(catalogue, held, one, counted, clock.nowMs())
        if (next === null || items.length === 0) break
        cursor = next
      }
    }
    for (const page of catalogue.ids(held)) {
      const gone = page.filter((id) => !seen.has(id))
      if (gone.length > 0) catalogue.drop(held, gone)
      await clock.sleep(0, signal)
    }
    // A list that changed while it was read may lack something: the rows are complete when nothing changed meanwhile.
    const isWhole = one.announced === announced || catalogue.of(one.record.name)?.fingerprint === one.announced
    const kept = catalogue.of(one.record.name)?.images ?? 0
    const isCut = seen.size >= STORE_IMAGES_MAX || kept < seen.size
    catalogue.verified([
      { key: held.key, asOfMs: clock.nowMs(), announced: isWhole ? announced : '', beyond: isCut ? Math.max(seen.size, one.count) - kept : 0 },
    ])
  } finally {
    const tookMs = clock.monotonicMs() - startMs
    // An agent whose fingerprint never fits is not asked again and again.
    one.pauseMs = isCurrent(catalogue.of(one.record.name), one) ? LIST_PAUSE_MS : Math.min(LIST_PAUSE_MS_MAX, one.pauseMs * 2)
    one.listFromMs = clock.monotonicMs() + Math.max(one.pauseMs, LIST_PAUSE_FACTOR * tookMs)
  }
}

/** Writes images, and notes those whose digest is still to come: no event tells that it is known. */
function keep(catalogue: Catalogue, held: HeldStore, one: Followed, images: readonly Image[], nowMs: number): void {
  for (const { id, digest } of images) if (digest === null && one.unfinished.size < NAMED_MAX) one.unfinished.add(id)
  if (images.length > 0)
    catalogue.put(
      held,
      images.map((image) => heldOf(image, nowMs)),
    )
}

async function orGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ProblemError && error.isFromPeer && error.code === 'not-found') return undefined
    throw error
  }
}

/** The rate of all readings together. */
interface Pace {
  /** Waits until the images that were read are paid for. */
  ready(): Promise<void>
  /** Counts images that were read. */
  spend(images: number): void
}

/** Creates the pace. Each reader reads one page ahead of it. */
function createPace(clock: Clock, signal: AbortSignal): Pace {
  let freeMs = clock.monotonicMs()
  return {
    async ready() {
      signal.throwIfAborted()
      await clock.sleep(Math.max(0, freeMs - clock.monotonicMs()), signal)
    },
    spend(images) {
      freeMs = Math.max(clock.monotonicMs(), freeMs) + (images * 1000) / IMAGES_PER_SECOND
    },
  }
}

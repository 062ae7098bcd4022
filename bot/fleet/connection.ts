// The connection of the service to one agent: one stream of events and states, opened again after every end. What it brings goes into the
// inbox. An agent whose stream cannot be used is asked for its health at an interval instead.

import { AnswerInvalid } from '../../protocol/client/exchange.ts'
import { ProblemError } from '../../protocol/problems.ts'
import type { Clock } from '../system/clock.ts'
import type { Log } from '../system/log.ts'
import { createEventReader } from './event-reader.ts'
import type { EventReader, LastEvent } from './event-reader.ts'
import { failedContact } from './fleet.ts'
import type { Fleet } from './fleet.ts'
import type { Inbox } from './inbox.ts'
import { askFacts, learnId } from './observe.ts'
import type { Places } from './places.ts'
import type { StoreRecord } from './registry.ts'
import { readEvent, readPosition, StreamRestart } from './stream-progress.ts'
import { createStreamBudget, StreamFlood } from './stream-budget.ts'
import type { Sighting } from './states.ts'

/** Longest time without a state before a store is Stopped, in milliseconds. An agent sends one every 20 s. */
export const SILENCE_MS = 35_000
/** Longest time until the first state of a stream, in milliseconds. An agent whose file system hangs needs 2 s. */
const FIRST_STATE_MS = 12_000
/** A stream that lasted this long is opened again at once when it ends, in milliseconds. */
const STEADY_MS = 30_000
/** Shortest and longest pause before that, in milliseconds. */
const AGAIN_MS = { shortest: 500, spread: 1500 }
/** Interval at which an agent without a usable stream is asked, in milliseconds: its state is never older than STATE_AGE_MAX_MS. */
const POLL_MS = 20_000
/** Time after which a stream that could not be used is tried again, in milliseconds. */
const POLLED_MS = 300_000
/** Part of an interval by which it is made longer or shorter at random, so that stores that were lost together do not come back together. */
const JITTER = 0.2

export interface ConnectionDeps {
  readonly fleet: Pick<Fleet, 'client' | 'registry'>
  readonly clock: Clock
  readonly log: Log
  readonly inbox: Inbox
  /** Places for attempts to connect. */
  readonly attempts: Places
  /** Returns whether there is room for one more stream; `leaveStream` gives it back. */
  readonly enterStream: () => boolean
  readonly leaveStream: () => void
  /** Interval of attempts for stores without one of their own, in milliseconds; 0 for none. */
  readonly reconnectMs: number
  /** Returns a number from 0 up to, but excluding, 1. */
  readonly random: () => number
  /** The last event that was read from this store; undefined before the first. */
  readonly lastEvent: (store: string) => LastEvent | undefined
}

export interface Connection extends AsyncDisposable {
  readonly record: StoreRecord
  /** Takes a change of the registration that needs no new connection. */
  update(record: StoreRecord): void
  /** Tries to connect now. */
  reconnect(): void
  /** Ends a stream that brought no state for too long. `lateMs` is how long the bot itself stood still. */
  watch(lateMs: number): void
}

/** How a stream ended. `again`: it is wanted again from another position. */
type End = 'ended' | 'again' | 'silent' | 'failed' | 'unusable'

/** Nothing came for too long. */
class StreamSilent extends Error {
  override readonly name = 'StreamSilent'
}

/** Opens a connection after a pause; it goes on until it is disposed. */
export function openConnection(deps: ConnectionDeps, first: StoreRecord, pauseMs: number): Connection {
  const { clock, log } = deps
  const stop = new AbortController()
  let record = first
  let wake = new AbortController()
  /** The stream in progress. */
  let stream: { readonly cut: AbortController; heardMs: number; limitMs: number } | undefined
  /** Until then the agent is asked, because its stream could not be used. */
  let pollUntilMs = 0
  const reader = createEventReader(deps.lastEvent(first.name))

  const pause = async (ms: number): Promise<void> => {
    wake = new AbortController()
    try {
      await clock.sleep(ms, AbortSignal.any([stop.signal, wake.signal]))
    } catch {
      // Somebody asked to connect now, or the connection is disposed.
    }
  }
  const follow = async (): Promise<{ end: End; lastedMs: number }> => {
    const cut = new AbortController()
    const current = { cut, heardMs: clock.monotonicMs(), limitMs: FIRST_STATE_MS }
    const startMs = current.heardMs
    const onState = (): void => {
      current.heardMs = clock.monotonicMs()
      current.limitMs = SILENCE_MS
    }
    const begin = (): void => {
      current.heardMs = clock.monotonicMs()
      stream = current
    }
    try {
      const end = await followOnce(deps, { record: () => record, reader, cut: cut.signal, stop: stop.signal, begin, onState })
      return { end, lastedMs: clock.monotonicMs() - startMs }
    } finally {
      stream = undefined
    }
  }
  const run = async (): Promise<void> => {
    await pause(pauseMs)
    let hasHurried = false
    while (!stop.signal.aborted) {
      const isPolled = clock.monotonicMs() < pollUntilMs
      const { end, lastedMs } = isPolled ? { end: 'unusable' as const, lastedMs: 0 } : await follow()
      if (stop.signal.aborted) return
      if (end === 'unusable') {
        if (!isPolled) pollUntilMs = clock.monotonicMs() + POLLED_MS
        await poll(deps, record)
        await pause(POLL_MS * (1 - JITTER * deps.random()))
        continue
      }
      const mayHurry: boolean = end !== 'failed' && (!hasHurried || lastedMs >= STEADY_MS)
      hasHurried = mayHurry
      if (mayHurry) await pause(end === 'ended' ? AGAIN_MS.shortest + AGAIN_MS.spread * deps.random() : 0)
      else await pause(nextAttemptMs(record.reconnectMs ?? deps.reconnectMs, deps.random()))
    }
  }
  const running = run().catch((error: unknown) => log.error('a connection ended because of a bug', { store: record.name, error }))
  return {
    get record() {
      return record
    },
    update: (changed) => void (record = changed),
    reconnect() {
      pollUntilMs = 0
      wake.abort()
    },
    watch(lateMs) {
      if (!stream) return
      stream.heardMs += lateMs
      if (clock.monotonicMs() - stream.heardMs > stream.limitMs) stream.cut.abort(new StreamSilent())
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

/** Returns the time until the next attempt; without an interval as long as a timer allows, until somebody asks. */
export function nextAttemptMs(intervalMs: number, random: number): number {
  const longest = 2 ** 31 - 1
  return intervalMs === 0 ? longest : Math.min(longest, intervalMs * (1 - JITTER + 2 * JITTER * random))
}

interface Following {
  /** The registration as it is now. */
  readonly record: () => StoreRecord
  readonly reader: EventReader
  readonly cut: AbortSignal
  readonly stop: AbortSignal
  /** Called when the attempt begins, after it waited for its turn. */
  readonly begin: () => void
  readonly onState: () => void
}

/** Follows the stream of an agent until it ends, and puts what it brings into the inbox. */
async function followOnce(deps: ConnectionDeps, following: Following): Promise<End> {
  const { fleet, clock, inbox } = deps
  const { record, reader, cut, stop } = following
  if (!deps.enterStream()) return 'unusable'
  let leave = (): void => {}
  let lastStateMs: number | undefined
  try {
    leave = await deps.attempts.take(stop)
    following.begin()
    const signal = AbortSignal.any([stop, cut])
    const budget = createStreamBudget(() => clock.monotonicMs())
    for await (const item of fleet.client(record()).events.follow({ lastEventId: reader.startId(), signal, onBytes: budget })) {
      if (stop.aborted) return 'ended'
      if (item.kind === 'event') {
        readEvent(inbox, reader, record().name, item.event)
        continue
      }
      leave()
      following.onState()
      lastStateMs = clock.nowMs()
      const { health, store, tasks, position } = item.state
      const sighting: Sighting = { kind: 'answered', store: record(), value: { health, store, tasks }, asOfMs: lastStateMs }
      learnId(fleet, sighting)
      inbox.saw(sighting)
      // Events of another store are not those of the registered one.
      if (store && record().storeId !== null && store.id !== record().storeId) return 'failed'
      readPosition(inbox, reader, record().name, Number(position))
    }
    return lastStateMs === undefined ? 'unusable' : 'ended'
  } catch (error) {
    if (stop.aborted) return 'ended'
    return endOf(deps, record(), { error, lastStateMs })
  } finally {
    leave()
    deps.leaveStream()
  }
}

/** Puts what the end of a stream says of the store into the inbox. */
function endOf({ inbox, clock, log }: ConnectionDeps, record: StoreRecord, { error, lastStateMs }: { error: unknown; lastStateMs: number | undefined }): End {
  const asOfMs = clock.nowMs()
  if (error instanceof StreamRestart) {
    log.warn('events of a store were skipped: its event log was restored, or the interruption was too long', { store: record.name })
    return 'again'
  }
  if (error instanceof StreamSilent) {
    const reason = lastStateMs === undefined ? `${record.url} accepted the connection and sent no state.` : `${record.url} fell silent.`
    inbox.saw(stoppedSighting(record, { reason, sinceMs: lastStateMs ?? asOfMs, lastSeenMs: lastStateMs, asOfMs }))
    return 'silent'
  }
  if (error instanceof StreamFlood) {
    log.warn('a store sends more than the bot reads', { store: record.name })
    return 'unusable'
  }
  if (!(error instanceof ProblemError)) throw error
  if (error.cause instanceof AnswerInvalid) return error.cause.fault === 'cut' && lastStateMs !== undefined ? 'ended' : 'unusable'
  // An agent of an earlier version does not know the state; one with too many streams answers other requests.
  if (error.isFromPeer && ['invalid-input', 'not-found', 'limit-reached'].includes(error.code)) return 'unusable'
  inbox.saw(failedContact(record, error, asOfMs))
  return 'failed'
}

/** Asks an agent for its health and puts the answer into the inbox. */
async function poll({ fleet, clock, inbox }: ConnectionDeps, record: StoreRecord): Promise<void> {
  let sighting: Sighting
  try {
    sighting = { kind: 'answered', store: record, value: await askFacts(fleet.client(record)), asOfMs: clock.nowMs() }
    learnId(fleet, sighting)
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    sighting = failedContact(record, error, clock.nowMs())
  }
  inbox.saw(sighting)
}

interface Silent {
  readonly reason: string
  readonly sinceMs: number
  readonly lastSeenMs: number | undefined
  readonly asOfMs: number
}

function stoppedSighting(record: StoreRecord, { lastSeenMs, ...silent }: Silent): Sighting {
  return { kind: 'stopped', store: record, lastSeenMs: lastSeenMs ?? record.lastSeenMs, ...silent }
}

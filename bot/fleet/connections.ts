// The connections of the service: one for each registered store. Follows the registry, watches for silence, and writes what the connections
// saw once a second.

import type { BotDatabase } from '../system/database.ts'
import type { Clock } from '../system/clock.ts'
import type { Log } from '../system/log.ts'
import { openConnection } from './connection.ts'
import type { Connection, ConnectionDeps } from './connection.ts'
import type { CatalogueFiller } from './catalogue/filler.ts'
import { createInbox } from './inbox.ts'
import type { Inbox } from './inbox.ts'
import type { StreamProgress } from './kept-events.ts'
import type { KeptFleet } from './kept-fleet.ts'
import type { Fleet } from './fleet.ts'
import { createPlaces } from './places.ts'
import type { StoreRecord } from './registry.ts'
import { BEAT_MS } from './keeper-runs.ts'
import type { Sighting } from './states.ts'

/** Interval at which silence is noticed and sightings are written, in milliseconds. */
export const TICK_MS = 1_000
/** Interval at which the registry is read, in milliseconds. */
const REGISTRY_MS = 2_000
/** A tick that is later than this means that the bot itself stood still, in milliseconds. */
const LATE_MS = 5_000
/** Attempts to connect in progress at the same time. */
const ATTEMPTS_MAX = 128
/** Time over which the first attempts of many stores are spread, in milliseconds; for few stores, 5 ms for each. */
const SPREAD_MS = 5_000

export interface KeepFleetDeps {
  readonly fleet: Fleet & { readonly kept: KeptFleet }
  readonly database: BotDatabase
  readonly clock: Clock
  readonly log: Log
  /** Interval of attempts to reach a silent store, in milliseconds; 0 for none. */
  readonly reconnectMs: number
  /** Most streams; stores beyond are asked at an interval. */
  readonly streamsMax: number
  readonly random: () => number
  /** Receives what was seen, after it was written. */
  readonly onSightings?: (sightings: readonly Sighting[]) => void
  /** Gets what the streams bring, as the inbox does. */
  readonly catalogue?: Pick<CatalogueFiller, 'saw' | 'read'>
  /** Receives what the streams brought, after it was written. */
  readonly onProgress?: (progress: readonly StreamProgress[]) => void
}

/** Keeps the state of the fleet until it is disposed. */
export function keepFleet(deps: KeepFleetDeps): AsyncDisposable {
  const { fleet, clock } = deps
  const { kept, registry } = fleet
  const connections = new Map<string, Connection>()
  const inbox = shared(createInbox(), deps.catalogue)
  const ending = new Set<Promise<void>>()
  let streams = 0
  const connectionDeps: ConnectionDeps = {
    ...deps,
    inbox,
    attempts: createPlaces(ATTEMPTS_MAX),
    enterStream: () => streams < deps.streamsMax && ++streams > 0,
    leaveStream: () => void streams--,
    lastEvent: (store) => kept.events.last(store),
  }
  const write = createWriter(deps, inbox)
  const open = (record: StoreRecord, pauseMs: number): void => void connections.set(record.name, openConnection(connectionDeps, record, pauseMs))
  const close = (connection: Connection): void => {
    connections.delete(connection.record.name)
    inbox.drop(connection.record.name)
    const ended = endOf(connection).finally(() => ending.delete(ended))
    ending.add(ended)
  }
  const followRegistry = (isStart: boolean): void => {
    const records = new Map(registry.list().map((record) => [record.name, record]))
    for (const connection of connections.values()) {
      const record = records.get(connection.record.name)
      if (!record || !isSamePeer(record, connection.record)) close(connection)
    }
    const spreadMs = isStart ? Math.min(SPREAD_MS, records.size * 5) : 0
    for (const record of records.values()) {
      const connection = connections.get(record.name)
      if (!connection) {
        open(record, spreadMs * deps.random())
        continue
      }
      const isWanted = record.reconnectAsked !== connection.record.reconnectAsked || record.reconnectMs !== connection.record.reconnectMs
      connection.update(record)
      if (isWanted) connection.reconnect()
    }
  }
  let tickMs = clock.monotonicMs()
  let registryMs = tickMs
  const timer = clock.every(TICK_MS, () => {
    const nowMs = clock.monotonicMs()
    const lateMs = nowMs - tickMs - TICK_MS
    tickMs = nowMs
    for (const connection of connections.values()) connection.watch(lateMs > LATE_MS ? lateMs : 0)
    if (nowMs - registryMs >= REGISTRY_MS) {
      registryMs = nowMs
      attempt(deps.log, 'the registry could not be read', () => followRegistry(false))
    }
    write()
  })
  write()
  followRegistry(true)
  return {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await Promise.all([...ending, ...[...connections.values()].map(endOf)])
      write()
      attempt(deps.log, 'the end of the service could not be recorded', () => write.end())
    },
  }
}

/** The inbox, with a second reader of what comes in. */
function shared(inbox: Inbox, catalogue: KeepFleetDeps['catalogue']): Inbox {
  if (!catalogue) return inbox
  return {
    ...inbox,
    saw(sighting) {
      inbox.saw(sighting)
      catalogue.saw(sighting)
    },
    read(progress) {
      inbox.read(progress)
      if (progress.event) catalogue.read(progress.store, progress.event)
    },
  }
}

/** Whether both records are reached in the same way. */
function isSamePeer(a: StoreRecord, b: StoreRecord): boolean {
  return a.url === b.url && a.token === b.token
}

/** Returns a function that writes the inbox in one transaction, and says that the service runs. */
function createWriter({ fleet, database, clock, log, onSightings, onProgress }: KeepFleetDeps, inbox: ReturnType<typeof createInbox>) {
  const { kept } = fleet
  const run = crypto.randomUUID()
  const startedMs = clock.nowMs()
  let beatMs = Number.NEGATIVE_INFINITY
  const writeAll = database.transaction((isBeat: boolean) => {
    const { sightings, progress } = inbox.batch()
    const changes = sightings.length > 0 ? kept.states.record(sightings) : []
    if (progress.length > 0) kept.events.keep(progress, clock.nowMs())
    if (isBeat) kept.runs.beat(run, startedMs, clock.nowMs())
    return { changes, sightings, progress }
  })
  const write = (): void => {
    const nowMs = clock.monotonicMs()
    const isBeat = nowMs - beatMs >= BEAT_MS
    // What cannot be written stays in the inbox until the next time.
    attempt(log, 'the state of the fleet could not be written', () => {
      const { changes, sightings, progress } = writeAll.immediate(isBeat)
      inbox.clear()
      onSightings?.(sightings)
      if (progress.length > 0) onProgress?.(progress)
      if (isBeat) beatMs = nowMs
      for (const { store, before, after, finding } of changes) log.warn('a store changed its state', { store, from: before, to: after, finding })
    })
  }
  return Object.assign(write, { end: () => kept.runs.end(run) })
}

function attempt(log: Log, message: string, work: () => void): void {
  try {
    work()
  } catch (error) {
    log.error(message, { error })
  }
}

async function endOf(connection: Connection): Promise<void> {
  await connection[Symbol.asyncDispose]()
}

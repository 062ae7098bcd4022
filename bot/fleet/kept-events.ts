// The newest events of each store, as its stream brought them, and the position up to which the stream was read. Both are written in one
// transaction, so that a service that is killed continues exactly where it was.

import type { Severity, StoreEvent } from '../../protocol/event.ts'
import type { BotDatabase } from '../system/database.ts'
import { eventMark, MARKED_MAX } from './event-reader.ts'
import type { LastEvent } from './event-reader.ts'

/** Events that are kept for one store. Older ones are in the event log of its agent. */
export const KEPT_EVENTS_MAX = 100
/** Longest texts of a kept event, in characters. */
const TEXT_MAX = 500
const NAME_MAX = MARKED_MAX

export interface KeptEvent {
  readonly store: string
  readonly id: number
  readonly timeMs: number
  readonly type: string
  readonly severity: Severity
  readonly subject: string
  readonly message: string
  readonly actor: string
}

/** What a stream brought since the last time. */
export interface StreamProgress {
  readonly store: string
  /** Id of the last event that was read. */
  readonly position: number
  readonly events: readonly StoreEvent[]
  /** Whether events between those that are kept and these are not known here. */
  readonly hasSkipped: boolean
  /** Whether the event log of the agent is another one than before, so that the kept events are not in it. */
  readonly isReset: boolean
}

/** The place of an event among those of all stores: newest first, then by store, then by descending id. */
export interface EventPlace {
  readonly timeMs: number
  /** Both absent for a moment: the events before it. */
  readonly store?: string
  readonly id?: number
}

export interface KeptEventFilter {
  /** Names of stores. */
  readonly stores: readonly string[]
  /** The beginning of the type. */
  readonly typePrefix?: string | undefined
  /** The id of what the event is about. */
  readonly subject?: string | undefined
  /** Any of these; all severities when absent. */
  readonly severities?: readonly Severity[] | undefined
  /** Milliseconds since 1970. */
  readonly sinceMs?: number | undefined
  /** Only events that come after this place. */
  readonly before?: EventPlace | undefined
  readonly limit: number
}

interface Row {
  store: string
  event_id: number
  time_ms: number
  type: string
  severity: Severity
  subject: string
  message: string
  actor: string
}

export interface KeptEvents {
  /** Keeps events and positions; durable when it returns. */
  keep(progress: readonly StreamProgress[], nowMs: number): void
  /** Returns the last event that was read from the stream of a store; undefined before the first. */
  last(store: string): LastEvent | undefined
  /** Returns kept events in the order of their places: newest first. */
  list(filter: KeptEventFilter): KeptEvent[]
  /** Returns the oldest kept event of a store; undefined when none is kept. */
  oldest(store: string): { readonly id: number; readonly timeMs: number } | undefined
  /** Returns when events of a store were skipped for the last time, in milliseconds since 1970; undefined when they never were. */
  skippedMs(store: string): number | undefined
}

/** Creates the kept events on the bot's database. */
export function createKeptEvents(database: BotDatabase): KeptEvents {
  const insert = database.query<null, Record<string, string | number>>(
    `INSERT OR REPLACE INTO fleet_events (store, event_id, time_ms, type, severity, subject, message, actor)
     SELECT name, $id, $timeMs, $type, $severity, $subject, $message, $actor FROM stores WHERE name = $store`,
  )
  const trim = database.query<null, { store: string; kept: number }>(
    `DELETE FROM fleet_events WHERE store = $store
     AND event_id <= (SELECT event_id FROM fleet_events WHERE store = $store ORDER BY event_id DESC LIMIT 1 OFFSET $kept)`,
  )
  const forget = database.query<null, { store: string }>('DELETE FROM fleet_events WHERE store = $store')
  const move = database.query<null, { store: string; id: number; skipped: number | null }>(
    `INSERT INTO fleet_positions (store, event_id, skipped_ms) SELECT name, $id, $skipped FROM stores WHERE name = $store
     ON CONFLICT (store) DO UPDATE SET event_id = $id, skipped_ms = coalesce($skipped, skipped_ms)`,
  )
  const last = database.query<{ event_id: number; time_ms: number | null; type: string | null; subject: string | null }, { store: string }>(
    `SELECT p.event_id, e.time_ms, e.type, e.subject FROM fleet_positions AS p
     LEFT JOIN fleet_events AS e ON e.store = p.store AND e.event_id = p.event_id WHERE p.store = $store`,
  )
  const skipped = database.query<{ skipped_ms: number | null }, { store: string }>('SELECT skipped_ms FROM fleet_positions WHERE store = $store')
  const oldest = database.query<{ id: number; timeMs: number }, { store: string }>(
    'SELECT event_id AS id, time_ms AS timeMs FROM fleet_events WHERE store = $store ORDER BY event_id LIMIT 1',
  )
  const list = database.query<Row, Record<string, string | number | null>>(
    `SELECT e.* FROM fleet_events AS e JOIN json_each($stores) AS s ON e.store = s.value
     WHERE substr(e.type, 1, length($type)) = $type AND ($subject IS NULL OR e.subject = $subject) AND ($severities IS NULL OR e.severity IN (SELECT value FROM json_each($severities)))
     AND e.time_ms >= $since
     AND ($before IS NULL OR e.time_ms < $before OR (e.time_ms = $before AND (e.store > $beforeStore OR (e.store = $beforeStore AND e.event_id < $beforeId))))
     ORDER BY e.time_ms DESC, e.store, e.event_id DESC LIMIT $limit`,
  )
  const keepOne = ({ store, position, events, hasSkipped, isReset }: StreamProgress, nowMs: number): void => {
    if (isReset) forget.run({ store })
    for (const event of events.slice(-KEPT_EVENTS_MAX)) insert.run({ ...keptEvent(store, event) })
    trim.run({ store, kept: KEPT_EVENTS_MAX })
    move.run({ store, id: position, skipped: hasSkipped || isReset ? nowMs : null })
  }
  const keepAll = database.transaction((all: readonly StreamProgress[], nowMs: number) => {
    for (const progress of all) keepOne(progress, nowMs)
  })
  return {
    keep: (progress, nowMs) => keepAll.immediate(progress, nowMs),
    last(store) {
      const found = last.get({ store })
      if (!found) return undefined
      const { event_id: id, time_ms: timeMs, type, subject } = found
      return { id, mark: timeMs === null || type === null || subject === null ? undefined : eventMark(timeMs, type, subject) }
    },
    list({ stores, typePrefix = '', subject, severities, sinceMs = 0, before, limit }) {
      const rows = list.all({
        stores: JSON.stringify(stores),
        type: typePrefix,
        subject: subject ?? null,
        severities: severities ? JSON.stringify(severities) : null,
        since: sinceMs,
        before: before?.timeMs ?? null,
        beforeStore: before?.store ?? null,
        beforeId: before?.id ?? null,
        limit,
      })
      return rows.map(({ event_id: id, time_ms: timeMs, ...row }) => ({ ...row, id, timeMs }))
    },
    oldest: (store) => oldest.get({ store }) ?? undefined,
    skippedMs: (store) => skipped.get({ store })?.skipped_ms ?? undefined,
  }
}

/** Returns an event of a store as it is kept: its texts have bounds. */
export function keptEvent(store: string, { id, time, type, severity, subject, message, actor }: StoreEvent): KeptEvent {
  return {
    store,
    id: Number(id),
    timeMs: Date.parse(time),
    type: type.slice(0, NAME_MAX),
    severity,
    subject: subject.slice(0, NAME_MAX),
    message: message.slice(0, TEXT_MAX),
    actor: actor.slice(0, NAME_MAX),
  }
}

// The event log of a store: keeps a bounded number of the newest events, numbered without gaps.

import type { StoreEvent } from '../../protocol/event.ts'
import { severitySchema } from '../../protocol/event.ts'
import type { Page } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { EventLog, NewEvent } from '../contract/work.ts'
import type { AgentDatabase } from './database.ts'

/** Events that are kept, and how many more may accumulate before old ones are removed. */
const EVENTS_MAX = 100_000
const EVENTS_SLACK = 1000
/** Longest details of one event in characters of JSON. */
const DETAILS_LENGTH_MAX = 16 * 1024
const MESSAGE_LENGTH_MAX = 2000

interface EventRow {
  id: number
  time_ms: number
  type: string
  severity: string
  subject: string
  message: string
  actor: string
  details: string
}

export interface EventsDeps {
  readonly database: AgentDatabase
  readonly clock: Clock
  readonly log: Log
  /** Number of events that are kept; tests use a smaller one. */
  readonly eventsMax?: number
}

/** Creates the event log of a database. An event survives a crash of the process once `emit` has returned. */
export function createEventLog(deps: EventsDeps): EventLog {
  const { database, clock, log } = deps
  const { sql } = database
  const eventsMax = deps.eventsMax ?? EVENTS_MAX
  const slack = Math.min(EVENTS_SLACK, Math.ceil(eventsMax / 10))
  const insert = sql.query('INSERT INTO events (id, time_ms, type, severity, subject, message, actor, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  const remove = sql.query('DELETE FROM events WHERE id <= ?')
  const newest = sql.query<{ id: number | null }, []>('SELECT max(id) AS id FROM events')
  const oldest = sql.query<{ id: number | null }, []>('SELECT min(id) AS id FROM events')
  const listeners = new Set<() => void>()
  let latest = newest.get()?.id ?? 0
  let earliest = oldest.get()?.id ?? 1

  const store = (event: NewEvent): void => {
    const { type, severity, subject, message, actor = 'agent', details = {} } = event
    insert.run(latest + 1, clock.nowMs(), type, severity, subject, message.slice(0, MESSAGE_LENGTH_MAX), actor, boundedJson(details))
    latest++
    if (latest - earliest < eventsMax + slack) return
    remove.run(latest - eventsMax)
    earliest = latest - eventsMax + 1
  }

  const select = (
    where: string,
    from: number,
    { type, severity, limit }: { type?: string | undefined; severity?: string | undefined; limit: number },
    order: 'ASC' | 'DESC',
  ) => {
    const conditions = [where, ...(type === undefined ? [] : ['type = ?']), ...(severity === undefined ? [] : ['severity = ?'])]
    const values = [from, ...(type === undefined ? [] : [type]), ...(severity === undefined ? [] : [severity]), limit]
    return sql.query<EventRow, (string | number)[]>(`SELECT * FROM events WHERE ${conditions.join(' AND ')} ORDER BY id ${order} LIMIT ?`).all(...values)
  }

  return {
    emit(event) {
      try {
        store(event)
      } catch (error) {
        log.error('an event could not be saved', { event: { ...event, details: undefined }, error })
        return
      }
      for (const listener of listeners) listener()
    },

    list({ cursor, limit, ...filter }): Page<StoreEvent> {
      const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : parseEventId(cursor, 'cursor')
      const rows = select('id < ?', before, { ...filter, limit: limit + 1 }, 'DESC')
      const items = rows.slice(0, limit).map(show)
      return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null }
    },

    after: (id, filter) => select('id > ?', parseEventId(id, 'since'), filter, 'ASC').map(show),
    latestId: () => String(latest),

    onEvent(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}

function show(row: EventRow): StoreEvent {
  const { id, time_ms, type, severity, subject, message, actor, details } = row
  return { id: String(id), time: formatTime(time_ms), type, severity: severitySchema.parse(severity), subject, message, actor, details: JSON.parse(details) }
}

function parseEventId(text: string, member: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw problem('invalid-input', `${member} must be the id of an event, a whole number.`, {
      errors: [{ in: 'query', member, message: 'must be a whole number' }],
    })
  return Number(text)
}

function boundedJson(details: Record<string, unknown>): string {
  const text = JSON.stringify(details)
  return text.length <= DETAILS_LENGTH_MAX ? text : JSON.stringify({ truncated: true, length: text.length })
}

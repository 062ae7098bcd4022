// Silences: alerts of a store, a zone, or one condition of a store that are not sent until a time. They are bound to what they silence and not to an
// incident, so they survive a finding that comes and goes.

import type { BotDatabase } from '../system/database.ts'
import type { IncidentKey } from './incidents.ts'

/** Longest silence, in milliseconds. */
export const SILENCE_MS_MAX = 30 * 86_400_000
/** Most silences that are in force. */
export const SILENCES_MAX = 500
/** Longest reason, in characters. */
export const REASON_MAX = 200

/** What is silenced: a store (with an empty zone) or a zone (with an empty store), and all its conditions when `condition` is empty. */
export interface SilenceTarget {
  readonly store: string
  readonly zone: string
  readonly condition: string
}

/** Times in milliseconds since 1970. */
export interface Silence extends SilenceTarget {
  readonly id: number
  readonly untilMs: number
  readonly reason: string
  readonly createdBy: string
  readonly createdMs: number
}

export interface Silences {
  /** Adds a silence, or changes the one in force of the same target. Returns undefined when there are too many. */
  put(silence: Omit<Silence, 'id' | 'createdMs'>, nowMs: number): Silence | undefined
  /** The silences in force, by number. */
  list(nowMs: number): Silence[]
  /** Ends a silence; returns it, or undefined when none with this number is in force. */
  end(id: number, nowMs: number): Silence | undefined
}

interface Row {
  id: number
  store: string
  zone: string
  condition: string
  until_ms: number
  reason: string
  created_by: string
  created_ms: number
}

/** Creates the silences on the bot's database; a change is durable when the call returns. */
export function createSilences(database: BotDatabase): Silences {
  const insert = database.query<Row, { store: string; zone: string; condition: string; until: number; reason: string; by: string; now: number }>(
    `INSERT INTO alert_silences (store, zone, condition, until_ms, reason, created_by, created_ms)
     VALUES ($store, $zone, $condition, $until, $reason, $by, $now) RETURNING *`,
  )
  const same = database.query<null, { store: string; zone: string; condition: string }>(
    'DELETE FROM alert_silences WHERE store = $store AND zone = $zone AND condition = $condition',
  )
  const expire = database.query<null, { now: number }>('DELETE FROM alert_silences WHERE until_ms <= $now')
  const list = database.query<Row, { now: number }>('SELECT * FROM alert_silences WHERE until_ms > $now ORDER BY id')
  const end = database.query<Row, { id: number; now: number }>('DELETE FROM alert_silences WHERE id = $id AND until_ms > $now RETURNING *')
  return {
    put: database.transaction(({ store, zone, condition, untilMs, reason, createdBy }: Omit<Silence, 'id' | 'createdMs'>, now: number) => {
      expire.run({ now })
      same.run({ store, zone, condition })
      if (list.all({ now }).length >= SILENCES_MAX) return undefined
      return toSilence(insert.get({ store, zone, condition, until: untilMs, reason, by: createdBy, now }))
    }).immediate,
    list: (now) => list.all({ now }).flatMap((row) => toSilence(row) ?? []),
    end: (id, now) => toSilence(end.get({ id, now })),
  }
}

/** Returns the silence that covers an incident longest; undefined when none does. */
export function silenceOf(silences: readonly Silence[], { store, zone, condition }: IncidentKey): Silence | undefined {
  const covers = (silence: Silence): boolean => {
    if (silence.condition !== '' && silence.condition !== condition) return false
    return silence.store === '' ? silence.zone === zone : silence.store.toLowerCase() === store.toLowerCase()
  }
  return silences.filter(covers).toSorted((a, b) => b.untilMs - a.untilMs)[0]
}

function toSilence(row: Row | null): Silence | undefined {
  if (!row) return undefined
  const { until_ms: untilMs, created_by: createdBy, created_ms: createdMs, ...rest } = row
  return { ...rest, untilMs, createdBy, createdMs }
}

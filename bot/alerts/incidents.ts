// Incidents: what people see of findings that last, with their history. At most one of a store or zone and condition is open at a time.

import type { BotDatabase } from '../system/database.ts'
import type { AlertSeverity } from './conditions.ts'
import { isAtLeast } from './conditions.ts'
import type { Finding } from './findings.ts'
import { createHistory } from './history.ts'
import type { HistoryKind, HistoryLine } from './history.ts'

/** An incident that was resolved less than this long ago is opened again when its finding returns, in milliseconds. */
export const REOPEN_MS = 30 * 60_000
/** Flaps of one incident that get a line in its history; the others are only counted. */
export const FLAP_LINES_MAX = 3
/** How long resolved incidents are kept, in milliseconds, and how many of each store. */
export const RESOLVED_KEPT_MS = 90 * 86_400_000
export const RESOLVED_KEPT_MAX = 200

/** What an incident is about. `store` is empty when it is about the whole zone. */
export interface IncidentKey {
  readonly store: string
  readonly zone: string
  readonly condition: string
}

/** Times in milliseconds since 1970. */
export interface Incident extends IncidentKey, Finding {
  readonly id: number
  /** Since when the finding has been there. */
  readonly sinceMs: number
  readonly openedMs: number
  /** How often the finding came back. */
  readonly flaps: number
  readonly ackedBy: string | null
  readonly ackedMs: number | null
  readonly resolvedMs: number | null
}

export interface IncidentFilter {
  readonly store?: string | undefined
  readonly zone?: string | undefined
  /** Includes those that were resolved. */
  readonly hasResolved?: boolean
  readonly limit: number
}

export type AckOutcome = 'acknowledged' | 'unchanged' | 'resolved' | 'not-found'

export interface Incidents {
  /** Opens an incident, or the one that was resolved a short while ago again. Returns how often its finding has come back. */
  open(key: IncidentKey, finding: Finding, times: { readonly sinceMs: number; readonly nowMs: number }, isSilent: boolean): number
  /** Records that the finding of an open incident came back. */
  returned(key: IncidentKey, nowMs: number, isSilent: boolean): void
  /** Takes the finding as it is now. The severity of an open incident only rises. */
  change(key: IncidentKey, finding: Finding, nowMs: number, isSilent: boolean): void
  resolve(key: IncidentKey, nowMs: number, text: string, isSilent: boolean): void
  /** Finds one; undefined when there is none with this number. */
  find(id: number): Incident | undefined
  /** Open ones in the order of their numbers; with `hasResolved` the newest first. */
  list(filter: IncidentFilter): Incident[]
  /** Those that are open, and those that were resolved and are not settled. */
  live(): Incident[]
  /** The number of the newest line of the history of each live incident. */
  lastLines(): Map<number, number>
  /** Forgets that resolved incidents still have to be shown as resolved. */
  settle(): void
  /** Says who takes care of an incident, unless somebody did already. */
  acknowledge(id: number, by: string, nowMs: number): AckOutcome
  history(id: number): HistoryLine[]
  /** Deletes resolved incidents that are old, or too many of one store. */
  prune(nowMs: number): void
}

interface Row {
  id: number
  store: string
  zone: string
  condition: string
  severity: AlertSeverity
  finding: string
  impact: string
  action: string
  since_ms: number
  opened_ms: number
  flaps: number
  acked_by: string | null
  acked_ms: number | null
  resolved_ms: number | null
}

type Key = { store: string; zone: string; condition: string }
const OF_KEY = "store = $store AND condition = $condition AND (store <> '' OR zone = $zone)"

/** Creates the incidents on the bot's database. A change is durable when the call returns, or with the transaction of the caller. */
export function createIncidents(database: BotDatabase): Incidents {
  const history = createHistory(database)
  const findOpen = database.query<Row, Key>(`SELECT * FROM alert_incidents WHERE ${OF_KEY} AND resolved_ms IS NULL`)
  const findRecent = database.query<Row, Key & { after: number }>(
    `SELECT * FROM alert_incidents WHERE ${OF_KEY} AND resolved_ms >= $after ORDER BY id DESC LIMIT 1`,
  )
  const insert = database.query<Row, Key & { severity: string; finding: string; impact: string; action: string; since: number; now: number }>(
    `INSERT INTO alert_incidents (store, zone, condition, severity, finding, impact, action, since_ms, opened_ms)
     VALUES ($store, $zone, $condition, $severity, $finding, $impact, $action, $since, $now) RETURNING *`,
  )
  const reopen = database.query<null, { id: number; zone: string; severity: string; finding: string; impact: string; action: string; since: number }>(
    `UPDATE alert_incidents SET zone = $zone, severity = $severity, finding = $finding, impact = $impact, action = $action, since_ms = $since,
     flaps = flaps + 1, acked_by = NULL, acked_ms = NULL, resolved_ms = NULL, is_settled = 0 WHERE id = $id`,
  )
  // What channels were shown of it was told as resolved; that it is back is a message of its own.
  const forget = database.query<null, { id: number }>('DELETE FROM alert_posts WHERE incident = $id')
  const flap = database.query<null, { id: number }>('UPDATE alert_incidents SET flaps = flaps + 1 WHERE id = $id')
  const update = database.query<null, { id: number; zone: string; severity: string; finding: string; impact: string; action: string; keepsAck: number }>(
    `UPDATE alert_incidents SET zone = $zone, severity = $severity, finding = $finding, impact = $impact, action = $action,
     acked_by = iif($keepsAck, acked_by, NULL), acked_ms = iif($keepsAck, acked_ms, NULL) WHERE id = $id`,
  )
  const resolve = database.query<null, { id: number; now: number }>('UPDATE alert_incidents SET resolved_ms = $now WHERE id = $id')
  const find = database.query<Row, { id: number }>('SELECT * FROM alert_incidents WHERE id = $id')
  const listOpen = database.query<Row, { store: string | null; zone: string | null; limit: number }>(
    `SELECT * FROM alert_incidents WHERE resolved_ms IS NULL AND ($store IS NULL OR store = $store) AND ($zone IS NULL OR zone = $zone)
     ORDER BY id LIMIT $limit`,
  )
  const listAll = database.query<Row, { store: string | null; zone: string | null; limit: number }>(
    'SELECT * FROM alert_incidents WHERE ($store IS NULL OR store = $store) AND ($zone IS NULL OR zone = $zone) ORDER BY id DESC LIMIT $limit',
  )
  const live = database.query<Row, []>('SELECT * FROM alert_incidents WHERE resolved_ms IS NULL OR is_settled = 0 ORDER BY id')
  const lastLines = database.query<{ incident: number; last: number }, []>(
    `SELECT h.incident, max(h.id) AS last FROM alert_history AS h JOIN alert_incidents AS i ON i.id = h.incident
     WHERE i.resolved_ms IS NULL OR i.is_settled = 0 GROUP BY h.incident`,
  )
  const settle = database.query<null, []>('UPDATE alert_incidents SET is_settled = 1 WHERE resolved_ms IS NOT NULL AND is_settled = 0')
  const ack = database.query<null, { id: number; by: string; now: number }>('UPDATE alert_incidents SET acked_by = $by, acked_ms = $now WHERE id = $id')
  const prune = database.query<null, { before: number; kept: number }>(
    `DELETE FROM alert_incidents WHERE resolved_ms IS NOT NULL AND is_settled = 1 AND (resolved_ms < $before OR id IN (
       SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY store ORDER BY id DESC) AS place FROM alert_incidents WHERE resolved_ms IS NOT NULL)
       WHERE place > $kept))`,
  )
  const line = (incident: number, timeMs: number, kind: HistoryKind, text: string, isSilent: boolean): void =>
    history.add({ incident, timeMs, kind, text, isSilent })

  return {
    open({ store, zone, condition }, finding, { sinceMs, nowMs }, isSilent) {
      const recent = findRecent.get({ store, zone, condition, after: nowMs - REOPEN_MS })
      const { severity, finding: text, impact, action } = finding
      const facts = { zone, severity, finding: text, impact, action, since: sinceMs }
      if (recent) {
        reopen.run({ id: recent.id, ...facts })
        forget.run({ id: recent.id })
        line(recent.id, nowMs, 'returned', `Came back: ${text}`, isSilent)
        return recent.flaps + 1
      }
      const row = insert.get({ store, condition, ...facts, now: nowMs })
      if (!row) throw new Error('the insert returned no row')
      line(row.id, nowMs, 'opened', `Opened: ${text}`, isSilent)
      return 0
    },
    returned(key, nowMs, isSilent) {
      const row = findOpen.get({ ...key })
      if (!row) return
      flap.run({ id: row.id })
      if (row.flaps < FLAP_LINES_MAX) line(row.id, nowMs, 'returned', 'Came back before it was resolved.', isSilent)
    },
    change(key, found, nowMs, isSilent) {
      const row = findOpen.get({ ...key })
      if (!row) return
      const isWorse = !isAtLeast(row.severity, found.severity)
      const severity = isWorse ? found.severity : row.severity
      const { finding, impact, action } = found
      const isSame = row.finding === finding && row.impact === impact && row.action === action && row.zone === key.zone
      if (isSame && !isWorse) return
      update.run({ id: row.id, zone: key.zone, severity, finding, impact, action, keepsAck: isWorse ? 0 : 1 })
      if (isWorse) line(row.id, nowMs, 'worse', `Now ${severity}: ${finding}`, isSilent)
    },
    resolve(key, nowMs, text, isSilent) {
      const row = findOpen.get({ ...key })
      if (!row) return
      resolve.run({ id: row.id, now: nowMs })
      line(row.id, nowMs, 'resolved', text, isSilent)
    },
    find: (id) => toIncident(find.get({ id })),
    list: ({ store, zone, hasResolved, limit }) =>
      (hasResolved ? listAll : listOpen).all({ store: store ?? null, zone: zone ?? null, limit }).flatMap((row) => toIncident(row) ?? []),
    live: () => live.all().flatMap((row) => toIncident(row) ?? []),
    lastLines: () => new Map(lastLines.all().map(({ incident, last }) => [incident, last])),
    settle: () => void settle.run(),
    acknowledge: database.transaction((id: number, by: string, nowMs: number): AckOutcome => {
      const row = find.get({ id })
      if (!row) return 'not-found'
      if (row.resolved_ms !== null) return 'resolved'
      if (row.acked_by !== null) return 'unchanged'
      ack.run({ id, by, now: nowMs })
      line(id, nowMs, 'acknowledged', `Acknowledged by ${by}.`, false)
      return 'acknowledged'
    }).immediate,
    history: (id) => history.list(id),
    prune: (nowMs) => void prune.run({ before: nowMs - RESOLVED_KEPT_MS, kept: RESOLVED_KEPT_MAX }),
  }
}

function toIncident(row: Row | null): Incident | undefined {
  if (!row) return undefined
  const { since_ms: sinceMs, opened_ms: openedMs, acked_by: ackedBy, acked_ms: ackedMs, resolved_ms: resolvedMs, ...rest } = row
  const { id, store, zone, condition, severity, finding, impact, action, flaps } = rest
  return { id, store, zone, condition, severity, finding, impact, action, sinceMs, openedMs, flaps, ackedBy, ackedMs, resolvedMs }
}

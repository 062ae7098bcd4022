// The history of incidents: a bounded number of lines with times for each. The log of the service follows it by number.

import type { BotDatabase } from '../system/database.ts'

/** Lines that are kept of one incident; one that opens again and again loses its oldest. */
export const HISTORY_MAX = 100

export type HistoryKind = 'opened' | 'returned' | 'worse' | 'acknowledged' | 'silenced' | 'resolved'

export interface HistoryLine {
  readonly id: number
  readonly incident: number
  readonly timeMs: number
  readonly kind: HistoryKind
  readonly text: string
  /** The incident was silenced, or its store was in maintenance: the line is neither sent nor logged. */
  readonly isSilent: boolean
}

export interface History {
  add(line: Omit<HistoryLine, 'id'>): void
  /** Returns the lines of an incident, oldest first. */
  list(incident: number): HistoryLine[]
  /** Returns lines of all incidents after a number, oldest first. */
  after(id: number, limit: number): HistoryLine[]
}

interface Row {
  id: number
  incident: number
  time_ms: number
  kind: HistoryKind
  text: string
  is_silent: number
}

/** Creates the history on the bot's database. */
export function createHistory(database: BotDatabase): History {
  const insert = database.query<null, { incident: number; time: number; kind: string; text: string; silent: number }>(
    'INSERT INTO alert_history (incident, time_ms, kind, text, is_silent) VALUES ($incident, $time, $kind, $text, $silent)',
  )
  const trim = database.query<null, { incident: number; kept: number }>(
    `DELETE FROM alert_history WHERE incident = $incident
     AND id <= (SELECT id FROM alert_history WHERE incident = $incident ORDER BY id DESC LIMIT 1 OFFSET $kept)`,
  )
  const list = database.query<Row, { incident: number }>('SELECT * FROM alert_history WHERE incident = $incident ORDER BY id')
  const after = database.query<Row, { id: number; limit: number }>('SELECT * FROM alert_history WHERE id > $id ORDER BY id LIMIT $limit')
  return {
    add({ incident, timeMs, kind, text, isSilent }) {
      insert.run({ incident, time: timeMs, kind, text, silent: isSilent ? 1 : 0 })
      trim.run({ incident, kept: HISTORY_MAX })
    },
    list: (incident) => list.all({ incident }).map(toLine),
    after: (id, limit) => after.all({ id, limit }).map(toLine),
  }
}

function toLine({ id, incident, time_ms: timeMs, kind, text, is_silent: silent }: Row): HistoryLine {
  return { id, incident, timeMs, kind, text, isSilent: silent === 1 }
}

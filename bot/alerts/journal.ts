// Alerts as lines of the service's log, for a bot without Slack. A number in the database says which lines of the history were written, so that a killed
// service loses none; the last few can appear twice.

import type { BotDatabase } from '../system/database.ts'
import type { Log } from '../system/log.ts'
import { createHistory } from './history.ts'
import type { Incidents } from './incidents.ts'
import { spellIncident } from './words.ts'

/** Lines that are written at a time. */
const BATCH = 500

/** Returns a function that writes what is new in the history. */
export function createJournal(database: BotDatabase, incidents: Pick<Incidents, 'find'>, log: Log): () => void {
  const history = createHistory(database)
  const read = database.query<{ history: number }, []>('SELECT history FROM alert_log')
  const write = database.query<null, { history: number }>('INSERT OR REPLACE INTO alert_log (one, history) VALUES (1, $history)')
  return () => {
    const lines = history.after(read.get()?.history ?? 0, BATCH)
    const last = lines.at(-1)
    if (!last) return
    for (const { incident: id, kind, text, isSilent } of lines) {
      const incident = incidents.find(id)
      if (!incident || isSilent) continue
      const { store, zone, condition, severity, impact, action } = incident
      const fields = { alert: spellIncident(id), event: kind, store, zone, condition, severity, text, impact, action }
      if (kind === 'opened' || kind === 'worse' || kind === 'returned') log.warn('alert', fields)
      else log.info('alert', fields)
    }
    write.run({ history: last.id })
  }
}

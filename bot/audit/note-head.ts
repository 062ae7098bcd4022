// Writes the head of the audit log to the log of the service, which is kept elsewhere: rows that are removed together with the recorded head are still missing
// against a head in the journal.

import type { Clock } from '../system/clock.ts'
import type { Log } from '../system/log.ts'
import type { Audit } from './audit.ts'
import { longLogNote } from './size.ts'

/** Interval between two notes, in milliseconds. */
export const NOTE_INTERVAL_MS = 3_600_000

/** Notes the head now, every hour if it changed, and when disposed; says once that the log is long. */
export function noteHead(audit: Pick<Audit, 'head'>, clock: Pick<Clock, 'every'>, log: Log): Disposable {
  let noted = ''
  const note = (): void => {
    try {
      const head = audit.head()
      const text = head ? `${head.seq}:${head.hash}` : 'missing'
      if (text !== noted) log.info('head of the audit log', { head: text })
      noted = text
    } catch (error) {
      log.error('the head of the audit log cannot be read', { error })
    }
  }
  note()
  noteSize(audit, log)
  const timer = clock.every(NOTE_INTERVAL_MS, note)
  return {
    [Symbol.dispose]() {
      timer[Symbol.dispose]()
      note()
    },
  }
}

function noteSize(audit: Pick<Audit, 'head'>, log: Log): void {
  try {
    const entries = audit.head()?.seq ?? 0
    const note = longLogNote(entries)
    if (note !== undefined) log.warn('the audit log is long', { entries, action: note })
  } catch {
    // That the head cannot be read was logged a moment ago.
  }
}

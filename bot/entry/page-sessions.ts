// Sessions of the page. A session names a person and holds no role: what the person may do is decided at each request.

import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import type { PagePerson } from './entry-links.ts'
import { hashOf, isSecret, makeSecret } from '../system/secret.ts'

/** A session ends after this long without a request, in milliseconds. */
export const SESSION_IDLE_MS = 8 * 3_600_000
/** A session ends this long after it began, in milliseconds. */
export const SESSION_LIFE_MS = 7 * 24 * 3_600_000
/** Most sessions of one person, and of all; those that were not used for the longest time end first. */
export const SESSIONS_PER_PERSON_MAX = 10
export const SESSIONS_MAX = 1_000
/** The last use is written at most this often, in milliseconds, because each write is a write to disk. */
export const USE_NOTED_MS = 60_000
/** Longest name of a browser that is kept, in characters. */
export const BROWSER_LENGTH_MAX = 200
/** Random bytes of the id with which a session is revoked; it is no secret. */
const ID_BYTES = 6

export interface PageSession {
  readonly id: string
  readonly person: PagePerson
  /** How the browser calls itself. */
  readonly browser: string
  readonly createdMs: number
  readonly usedMs: number
  /** When it ends if it is not used again. */
  readonly endsMs: number
}

export interface PageSessions {
  /** Begins a session; its secret is returned once and stored as a hash. */
  begin(person: PagePerson, browser: string): { readonly secret: string; readonly session: PageSession }
  /** The session of a secret, and notes that it was used; undefined when it has ended. */
  find(secret: string): PageSession | undefined
  /** The sessions that have not ended, the last used first. */
  list(): PageSession[]
  /** Ends a session; returns false when there is none. */
  revoke(id: string): boolean
}

interface Row {
  id: string
  person: string
  name: string
  browser: string
  created_ms: number
  used_ms: number
  expires_ms: number
}

const LIVE = `expires_ms > $now AND used_ms > $now - ${SESSION_IDLE_MS}`

/** Creates the sessions on the bot's database, which service and consoles share. */
export function createPageSessions(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): PageSessions {
  const insert = database.query<null, Record<'id' | 'hash' | 'person' | 'name' | 'browser', string> & { now: number; expires: number }>(
    `INSERT INTO page_sessions (id, hash, person, name, browser, created_ms, used_ms, expires_ms)
     VALUES ($id, $hash, $person, $name, $browser, $now, $now, $expires)`,
  )
  const trim = database.query<null, { now: number; person: string }>(
    `DELETE FROM page_sessions WHERE NOT (${LIVE})
     OR (person = $person AND id NOT IN (SELECT id FROM page_sessions WHERE person = $person ORDER BY used_ms DESC, rowid DESC LIMIT ${SESSIONS_PER_PERSON_MAX}))
     OR id NOT IN (SELECT id FROM page_sessions ORDER BY used_ms DESC, rowid DESC LIMIT ${SESSIONS_MAX})`,
  )
  const find = database.query<Row, { hash: string; now: number }>(`SELECT * FROM page_sessions WHERE hash = $hash AND ${LIVE}`)
  const note = database.query<null, { id: string; now: number }>('UPDATE page_sessions SET used_ms = $now WHERE id = $id')
  const list = database.query<Row, { now: number }>(`SELECT * FROM page_sessions WHERE ${LIVE} ORDER BY used_ms DESC, rowid DESC`)
  const remove = database.query<{ id: string }, { id: string }>('DELETE FROM page_sessions WHERE id = $id RETURNING id')
  return {
    begin: database.transaction((person: PagePerson, browser: string) => {
      const now = clock.nowMs()
      const secret = makeSecret()
      const id = `ses_${Buffer.from(crypto.getRandomValues(new Uint8Array(ID_BYTES))).toString('hex')}`
      const row = { id, person: person.id, name: person.name, browser: browser.slice(0, BROWSER_LENGTH_MAX) }
      insert.run({ ...row, hash: hashOf(secret), now, expires: now + SESSION_LIFE_MS })
      trim.run({ now, person: person.id })
      return { secret, session: toSession({ ...row, created_ms: now, used_ms: now, expires_ms: now + SESSION_LIFE_MS }) }
    }).immediate,
    find(secret) {
      const now = clock.nowMs()
      const row = isSecret(secret) ? find.get({ hash: hashOf(secret), now }) : null
      if (!row) return undefined
      if (Math.abs(now - row.used_ms) < USE_NOTED_MS) return toSession(row)
      note.run({ id: row.id, now })
      return toSession({ ...row, used_ms: now })
    },
    list: () => list.all({ now: clock.nowMs() }).map(toSession),
    revoke: (id) => remove.all({ id }).length > 0,
  }
}

function toSession({ id, person, name, browser, created_ms: createdMs, used_ms: usedMs, expires_ms: expiresMs }: Row): PageSession {
  return { id, person: { id: person, name }, browser, createdMs, usedMs, endsMs: Math.min(expiresMs, usedMs + SESSION_IDLE_MS) }
}

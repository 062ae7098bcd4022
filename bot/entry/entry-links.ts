// One-time links into the page. A link is good for ten minutes and makes one session; looking at it does not use it, because the preview of a messenger looks too.

import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import { hashOf, isSecret, makeSecret } from '../system/secret.ts'

/** How long a link is good, in milliseconds. */
export const LINK_LIFE_MS = 600_000
/** Most unused links of one person, and of all; the oldest of them end first. */
export const LINKS_PER_PERSON_MAX = 5
export const LINKS_MAX = 200

/** Who enters: a user of Slack by id, or the user of the console, whose id is empty. */
export interface PagePerson {
  readonly id: string
  readonly name: string
}

export interface EntryLinks {
  /** Makes a link; its secret is returned once and stored as a hash. */
  issue(person: PagePerson): { readonly secret: string; readonly expiresMs: number }
  /** Who enters with a link, without using it; undefined when it has expired, was used, or was never made. */
  find(secret: string): { readonly person: PagePerson; readonly expiresMs: number } | undefined
  /** Uses a link up; undefined as for `find`. */
  use(secret: string): PagePerson | undefined
  /** Ends the unused links of a person, or of everybody. */
  revoke(person?: Pick<PagePerson, 'id'>): void
}

interface Row {
  person: string
  name: string
  expires_ms: number
}

/** Creates the links on the bot's database, which service and consoles share. */
export function createEntryLinks(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): EntryLinks {
  const insert = database.query<null, { hash: string; person: string; name: string; expires: number }>(
    'INSERT INTO page_links (hash, person, name, expires_ms) VALUES ($hash, $person, $name, $expires)',
  )
  const trim = database.query<null, { now: number; person: string }>(
    `DELETE FROM page_links WHERE expires_ms <= $now
     OR (person = $person AND hash NOT IN (SELECT hash FROM page_links WHERE person = $person ORDER BY expires_ms DESC, rowid DESC LIMIT ${LINKS_PER_PERSON_MAX}))
     OR hash NOT IN (SELECT hash FROM page_links ORDER BY expires_ms DESC, rowid DESC LIMIT ${LINKS_MAX})`,
  )
  const find = database.query<Row, { hash: string; now: number }>('SELECT person, name, expires_ms FROM page_links WHERE hash = $hash AND expires_ms > $now')
  const use = database.query<Row, { hash: string; now: number }>(
    'DELETE FROM page_links WHERE hash = $hash AND expires_ms > $now RETURNING person, name, expires_ms',
  )
  const remove = database.query<null, { person: string | null }>('DELETE FROM page_links WHERE $person IS NULL OR person = $person')
  return {
    issue: database.transaction((person: PagePerson) => {
      const secret = makeSecret()
      const now = clock.nowMs()
      const expiresMs = now + LINK_LIFE_MS
      insert.run({ hash: hashOf(secret), person: person.id, name: person.name, expires: expiresMs })
      trim.run({ now, person: person.id })
      return { secret, expiresMs }
    }).immediate,
    find(secret) {
      const row = isSecret(secret) ? find.get({ hash: hashOf(secret), now: clock.nowMs() }) : null
      return row ? { person: { id: row.person, name: row.name }, expiresMs: row.expires_ms } : undefined
    },
    use(secret) {
      const [row] = isSecret(secret) ? use.all({ hash: hashOf(secret), now: clock.nowMs() }) : []
      return row && { id: row.person, name: row.name }
    },
    revoke(person) {
      remove.run({ person: person?.id ?? null })
    },
  }
}

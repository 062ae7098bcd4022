// The pages of upload links: which store the link of a page is at. Whoever has the address of a page has the link's secret; the bot keeps its hash alone.

import type { BotDatabase } from '../system/database.ts'
import type { Clock } from '../system/clock.ts'
import { hashOf } from '../system/secret.ts'

/** How long the page of a link stays after the link expired, in milliseconds: an upload that began in time may go on, and its person reads how it ended. */
export const PAGE_LIFE_MS = 30 * 24 * 3_600_000
/** Most pages; the oldest go first. */
export const PAGES_MAX = 20_000
/** The secret of an upload link. */
const SECRET = /^slu_[A-Za-z0-9_-]{43}$/

export interface UploadPage {
  readonly store: string
  /** Id of the link. */
  readonly link: string
  /** Origin at which a browser may reach the agent. */
  readonly origin: string
}

export interface UploadPages {
  /** Makes the page of a new link and returns its path. `url` is the link itself. Durable when it returns. */
  add(link: { readonly store: string; readonly id: string; readonly url: string; readonly expiresAt: string }): string
  /** Returns the page of a secret; undefined when there is none. */
  find(secret: string): UploadPage | undefined
}

/** Creates the pages on the bot's database, which service and consoles share. */
export function createUploadPages(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): UploadPages {
  const insert = database.query<null, { hash: string; store: string; link: string; origin: string; until: number }>(
    'INSERT OR REPLACE INTO upload_pages (hash, store, link, origin, until_ms) VALUES ($hash, $store, $link, $origin, $until)',
  )
  const trim = database.query<null, { now: number }>(
    `DELETE FROM upload_pages WHERE until_ms <= $now
     OR hash IN (SELECT hash FROM upload_pages ORDER BY until_ms DESC LIMIT -1 OFFSET ${PAGES_MAX})`,
  )
  const find = database.query<UploadPage, { hash: string; now: number }>('SELECT store, link, origin FROM upload_pages WHERE hash = $hash AND until_ms > $now')
  const add = database.transaction((row: { hash: string; store: string; link: string; origin: string; until: number }, now: number) => {
    insert.run(row)
    trim.run({ now })
  })
  return {
    add({ store, id, url, expiresAt }) {
      const secret = secretOf(url)
      add.immediate({ hash: hashOf(secret), store, link: id, origin: new URL(url).origin, until: Date.parse(expiresAt) + PAGE_LIFE_MS }, clock.nowMs())
      return pagePath(secret)
    },
    find(secret) {
      return (SECRET.test(secret) && find.get({ hash: hashOf(secret), now: clock.nowMs() })) || undefined
    },
  }
}

/** Returns the secret in the URL of an upload link. Throws when it has another form. */
function secretOf(url: string): string {
  const secret = new URL(url).searchParams.get('link') ?? ''
  if (!SECRET.test(secret)) throw new Error('the agent returned a link of another form')
  return secret
}

/** Returns the path of the page of a link. */
export function pagePath(secret: string): string {
  return `/u/${secret}`
}

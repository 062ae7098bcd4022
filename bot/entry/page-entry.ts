// What commands may do with the page: make links into it, and list and end its sessions.

import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import { createEntryLinks } from './entry-links.ts'
import type { EntryLinks } from './entry-links.ts'
import { createPageAddress } from './page-address.ts'
import type { ConfiguredAddress, PageAddress } from './page-address.ts'
import { createPageSessions } from './page-sessions.ts'
import type { PageSessions } from './page-sessions.ts'

/** Used where no configuration is read. */
const ADDRESS_DEFAULT: ConfiguredAddress = { publicUrl: undefined, hostname: '127.0.0.1', port: 8422 }

export interface PageEntry {
  readonly links: EntryLinks
  readonly sessions: PageSessions
  readonly address: PageAddress
}

/** Creates the entry on the bot's database. */
export function createPageEntry(database: BotDatabase, clock: Pick<Clock, 'nowMs'>, configured: ConfiguredAddress = ADDRESS_DEFAULT): PageEntry {
  return { links: createEntryLinks(database, clock), sessions: createPageSessions(database, clock), address: createPageAddress(database, configured) }
}

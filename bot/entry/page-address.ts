// Where people reach the page: the public address of the configuration, else the address at which the service listens. The service writes the latter down, because
// links are made in other processes as well.

import type { BotDatabase } from '../system/database.ts'

/** What the configuration says. */
export interface ConfiguredAddress {
  /** Origin under which a proxy serves the page; undefined without a proxy. */
  readonly publicUrl: string | undefined
  readonly hostname: string
  readonly port: number
}

export interface PageAddress {
  /** The origin for links, without a slash at its end. */
  origin(): string
  /** Whether a service serves the page of this home. After a crash of the service it is still said to. */
  isServed(): boolean
  /** Whether only browsers on this machine reach it. */
  isLocal(): boolean
  /** Writes down where the service listens; undefined when it stops. */
  note(url: string | undefined): void
}

/** Creates the address on the bot's database. */
export function createPageAddress(database: BotDatabase, configured: ConfiguredAddress): PageAddress {
  const find = database.query<{ url: string }, []>('SELECT url FROM page_address')
  const put = database.query<null, { url: string }>('INSERT OR REPLACE INTO page_address (id, url) VALUES (1, $url)')
  const remove = database.query('DELETE FROM page_address')
  const origin = (): string => configured.publicUrl ?? find.get()?.url ?? originOf(configured.hostname, configured.port)
  return {
    origin,
    isServed: () => find.get() !== null,
    isLocal: () => /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(origin()).hostname),
    note(url) {
      if (url === undefined) remove.run()
      else put.run({ url })
    },
  }
}

/** The origin of an address to listen at. A wildcard address is reached as the machine itself. */
export function originOf(hostname: string, port: number): string {
  const reached = hostname === '0.0.0.0' || hostname === '::' ? 'localhost' : hostname
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`
}

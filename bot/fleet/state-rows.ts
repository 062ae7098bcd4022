// Reads the rows of states of stores. A document is parsed once for each version: in a fleet of 1,000 stores few change between two reads, and to read and parse
// all of them takes 10 ms.

import type { BotDatabase } from '../system/database.ts'
import type { Sighting } from './states.ts'

/** How old a state is, and of what kind. */
export interface StateHead {
  readonly kind: Sighting['kind']
  /** When the store was seen, in milliseconds since 1970. */
  readonly asOfMs: number
}

export interface StateRow extends StateHead {
  /** Shared by those who read it; nobody may change it. */
  readonly document: unknown
}

export interface StateRows {
  /** Returns the row of a store, whatever the case of its name. */
  find(store: string): StateRow | undefined
  /** Returns the wanted rows by the name of their store in lower case. */
  all(isWanted: (head: StateHead) => boolean): Map<string, StateRow>
}

interface Head extends StateHead {
  readonly store: string
  /** A random text of each write, so that it never stands for two documents. */
  readonly version: string
}

type Parsed = Head & StateRow

/** Creates the reader on the bot's database. */
export function createStateRows(database: BotDatabase): StateRows {
  const heads = database.query<Head, []>('SELECT store, kind, as_of_ms AS asOfMs, version FROM fleet_states')
  const whole = database.query<Head & { document: string }, { store: string }>(
    'SELECT store, kind, as_of_ms AS asOfMs, version, document FROM fleet_states WHERE store = $store',
  )
  const parsed = new Map<string, Parsed>()
  const find = (store: string): Parsed | undefined => {
    const row = whole.get({ store })
    if (!row) return undefined
    const now: Parsed = { ...row, document: JSON.parse(row.document) as unknown }
    parsed.set(store.toLowerCase(), now)
    return now
  }
  return {
    find,
    all(isWanted) {
      const found = new Map<string, StateRow>()
      const names = new Set<string>()
      for (const head of heads.all()) {
        const key = head.store.toLowerCase()
        names.add(key)
        if (!isWanted(head)) continue
        const known = parsed.get(key)
        const row = known?.version === head.version ? known : find(head.store)
        if (row) found.set(key, row)
      }
      for (const key of parsed.keys()) if (!names.has(key)) parsed.delete(key)
      return found
    },
  }
}

// Marks of what the bot knows: two marks are the same as long as nothing changed between them that a page of the same scope shows. A few queries make one, so a
// page is rendered again only when there is something to see.

import type { Roles } from '../../access/roles.ts'
import type { BotDatabase } from '../../system/database.ts'

/** What a page shows: one store or the whole fleet, and whether questions that people asked are part of it, as in the audit log. */
export interface MarkScope {
  /** Name of a store; undefined for the fleet. */
  readonly store: string | undefined
  readonly hasReads: boolean
}

export interface Marks {
  /** Returns the mark of this moment. */
  of(scope: MarkScope): string
}

/** Creates the marks on the bot's database, which consoles change too. */
export function createMarks(database: BotDatabase, roles: Pick<Roles, 'list'>): Marks {
  type Parts = Record<'a' | 'b' | 'c' | 'd', number | string | null>
  const fleet = database.query<Parts, []>(
    `SELECT (SELECT total(event_id) FROM fleet_positions) AS a, (SELECT max(id) FROM fleet_changes) AS b,
     (SELECT count(*) FROM stores) AS c, (SELECT max(id) FROM alert_history) AS d`,
  )
  // When a store was last seen is no change: looking at it is a sighting.
  const one = database.query<Parts, { store: string }>(
    `SELECT (SELECT event_id FROM fleet_positions WHERE store = $store) AS a, (SELECT state || coalesce(json_extract(document, '$.tasks'), '') FROM fleet_states WHERE store = $store) AS b,
     (SELECT count(*) FROM stores WHERE name = $store) AS c, (SELECT max(id) FROM alert_history) AS d`,
  )
  const newest = database.query<{ seq: number | null }, []>('SELECT max(seq) AS seq FROM audit')
  // Everything that a command changes is in the audit log, in whichever process it ran.
  const written = database.query<{ seq: number | null }, { after: number }>("SELECT max(seq) AS seq FROM audit WHERE seq > $after AND effect <> 'read'")
  let readTo = newest.get()?.seq ?? 0
  let change = readTo
  return {
    of({ store, hasReads }) {
      const { a, b, c, d } = (store === undefined ? fleet.get() : one.get({ store })) ?? {}
      const last = newest.get()?.seq ?? 0
      change = written.get({ after: readTo })?.seq ?? change
      readTo = last
      return Bun.hash(JSON.stringify([a, b, c, d, change, hasReads ? last : 0, roles.list()])).toString(36)
    },
  }
}

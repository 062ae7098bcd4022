// Changes of the states of stores, such as from Running to Stopped: a bounded number of the newest for each store.

import type { HealthState } from '../../protocol/health.ts'
import type { BotDatabase } from '../system/database.ts'

/** Changes that are kept for one store: one that flaps does not displace those of others. */
export const CHANGES_MAX = 100

export interface StateChange {
  readonly id: number
  readonly store: string
  readonly timeMs: number
  readonly before: HealthState
  readonly after: HealthState
}

export interface StateChanges {
  add(change: { readonly store: string; readonly timeMs: number; readonly before: string; readonly after: string }): void
  /** Returns the changes after an id, oldest first. */
  after(id: number): StateChange[]
  /** Returns the id of the newest change; 0 when there was none. */
  latestId(): number
}

interface Row {
  id: number
  store: string
  time_ms: number
  before: HealthState
  after: HealthState
}

/** Creates the changes on the bot's database. */
export function createStateChanges(database: BotDatabase): StateChanges {
  const insert = database.query<null, { store: string; timeMs: number; before: string; after: string }>(
    'INSERT INTO fleet_changes (store, time_ms, before, after) VALUES ($store, $timeMs, $before, $after)',
  )
  const trim = database.query<null, { store: string; kept: number }>(
    'DELETE FROM fleet_changes WHERE store = $store AND id <= (SELECT id FROM fleet_changes WHERE store = $store ORDER BY id DESC LIMIT 1 OFFSET $kept)',
  )
  const after = database.query<Row, { id: number }>('SELECT * FROM fleet_changes WHERE id > $id ORDER BY id')
  // AUTOINCREMENT remembers the last id, also when its row was removed.
  const latest = database.query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'fleet_changes'")
  return {
    add(change) {
      insert.run(change)
      trim.run({ store: change.store, kept: CHANGES_MAX })
    },
    after: (id) => after.all({ id }).map(({ time_ms: timeMs, ...row }) => ({ ...row, timeMs })),
    latestId: () => latest.get()?.seq ?? 0,
  }
}

// The machines of findings in the bot's database, so that a hold-down goes on after a restart. Only findings that are or were lately bad have one.

import type { BotDatabase } from '../system/database.ts'
import type { Machine } from './hold-down.ts'
import type { IncidentKey } from './incidents.ts'

export interface KeptMachine extends IncidentKey, Machine {
  /** The first observation of the finding, in milliseconds since 1970. */
  readonly sinceMs: number
}

export interface Machines {
  all(): KeptMachine[]
  put(machine: KeptMachine): void
  remove(key: IncidentKey): void
}

interface Row {
  store: string
  zone: string
  condition: string
  recent: number
  good: number
  flaps: number
  is_open: number
  since_ms: number
}

type Key = { store: string; zone: string; condition: string }

/** Creates the machines on the bot's database. The machine of a store has an empty zone, so that it stays the same when its store moves to another zone. */
export function createMachines(database: BotDatabase): Machines {
  const all = database.query<Row, []>('SELECT * FROM alert_findings')
  const put = database.query<null, Key & { recent: number; good: number; flaps: number; open: number; since: number }>(
    `INSERT OR REPLACE INTO alert_findings (store, zone, condition, recent, good, flaps, is_open, since_ms)
     VALUES ($store, $zone, $condition, $recent, $good, $flaps, $open, $since)`,
  )
  const remove = database.query<null, Key>('DELETE FROM alert_findings WHERE store = $store AND zone = $zone AND condition = $condition')
  return {
    all: () => all.all().map(({ is_open: isOpen, since_ms: sinceMs, ...row }) => ({ ...row, isOpen: isOpen === 1, sinceMs })),
    put: ({ store, zone, condition, recent, good, flaps, isOpen, sinceMs }) =>
      void put.run({ store, zone, condition, recent, good, flaps, open: isOpen ? 1 : 0, since: sinceMs }),
    remove: ({ store, zone, condition }) => void remove.run({ store, zone, condition }),
  }
}

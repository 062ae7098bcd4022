// The hypervisors that are bound to stores: each to one store at most, the one that gets the captures of its instances.

import { problem } from '../../protocol/problems.ts'
import type { BotDatabase } from '../system/database.ts'

/** Most hypervisors that are bound to one store. */
export const HYPERVISORS_MAX = 256

export interface Hypervisors {
  /** Returns the names of the hypervisors that are bound to a store. */
  of(store: string): string[]
  /** Returns the name of the store to which a hypervisor is bound; undefined for none. */
  storeOf(hypervisor: string): string | undefined
  /** Binds a hypervisor that is not bound to another store. Throws `conflict` and `limit-reached`. */
  bind(hypervisor: string, store: string, nowMs: number): void
  /** Returns whether the hypervisor was bound to the store. */
  unbind(hypervisor: string, store: string): boolean
  /** Binds all hypervisors of a store to another one. */
  move(from: string, to: string): void
}

/** Creates the bound hypervisors on the bot's database; a change is durable when the call returns. */
export function createHypervisors(database: BotDatabase): Hypervisors {
  const of = database.query<{ hypervisor: string }, { store: string }>('SELECT hypervisor FROM store_hypervisors WHERE store = $store ORDER BY hypervisor')
  const find = database.query<{ store: string }, { hypervisor: string }>('SELECT store FROM store_hypervisors WHERE hypervisor = $hypervisor')
  const insert = database.query<null, { hypervisor: string; store: string; now: number }>(
    'INSERT OR IGNORE INTO store_hypervisors (hypervisor, store, bound_ms) VALUES ($hypervisor, $store, $now)',
  )
  const remove = database.query<null, { hypervisor: string; store: string }>('DELETE FROM store_hypervisors WHERE hypervisor = $hypervisor AND store = $store')
  const move = database.query<null, { from: string; to: string }>('UPDATE store_hypervisors SET store = $to WHERE store = $from')
  const namesOf = (store: string): string[] => of.all({ store }).map(({ hypervisor }) => hypervisor)
  return {
    of: namesOf,
    storeOf: (hypervisor) => find.get({ hypervisor })?.store,
    bind: database.transaction((hypervisor: string, store: string, nowMs: number) => {
      const other = find.get({ hypervisor })?.store
      if (other !== undefined && other.toLowerCase() !== store.toLowerCase())
        throw problem('conflict', `${hypervisor} is bound to ${other}. Nothing was changed.`, {
          action: `Unbind it first: store unbind ${other} hypervisor=${hypervisor}.`,
        })
      if (other === undefined && namesOf(store).length >= HYPERVISORS_MAX)
        throw problem('limit-reached', `${store} has ${HYPERVISORS_MAX} hypervisors.`, { action: 'Unbind one that is not needed with store unbind.' })
      insert.run({ hypervisor, store, now: nowMs })
    }).immediate,
    unbind: (hypervisor, store) => remove.run({ hypervisor, store }).changes > 0,
    move: (from, to) => void move.run({ from, to }),
  }
}

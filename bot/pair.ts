// Pairs the bot with a store without asking: what `start` does with the agent it has just started.

import { createRegistry } from './fleet/registry.ts'
import { systemClock } from './system/clock.ts'
import { openDatabase } from './system/database.ts'

export interface Pairing {
  readonly name: string
  readonly url: string
  readonly token: string
  readonly zone: string
  readonly provider?: string
}

/**
 * Registers a store, or brings address and token of the registered one up to date. Doing it again changes nothing; which
 * store it is, the next contact tells.
 */
export function pairStore(home: string, pairing: Pairing): void {
  using database = openDatabase(home)
  const registry = createRegistry(database)
  const { name, url, token, zone, provider = 'local' } = pairing
  if (registry.find(name)) registry.change(name, { url, token, storeId: null })
  else registry.add({ name, url, token, zone, provider, storeId: null }, systemClock.nowMs())
}

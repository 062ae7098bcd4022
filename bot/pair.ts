// Pairs the bot with a store without a connection test: `run start` does so with the agent that it has started.

import { homeKeyPath } from './system/key-file.ts'
import { openVault } from './credentials/vault.ts'
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
 * Registers a store, or updates address and token of the registered one. Repeating it changes nothing. The id of the store is learned at
 * the next contact.
 */
export function pairStore(home: string, pairing: Pairing, keyFiles: readonly string[] = []): void {
  using database = openDatabase(home)
  const registry = createRegistry(database, openVault({ database, clock: systemClock, keyFiles, homeKeyFile: homeKeyPath(home) }))
  const { name, url, token, zone, provider = 'local' } = pairing
  if (registry.find(name)) registry.change(name, { url, token, storeId: null })
  else registry.add({ name, url, token, zone, provider, storeId: null }, systemClock.nowMs())
}

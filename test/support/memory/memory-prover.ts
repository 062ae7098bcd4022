// The key of a store that is kept in memory.

import { openStoreKey } from '../../../agent/access/store-key.ts'
import type { Prover } from '../../../agent/contract/access.ts'

/** Creates a store's key that is not stored. */
export async function createMemoryProver(storeId: string): Promise<Prover> {
  const key = await openStoreKey({ readKey: async () => undefined, writeKey: async () => {}, onUnusable: () => {} })
  return { storeId, ...key }
}

// A real sealer whose key is kept in memory.

import { openSealer } from '../../../agent/access/sealer.ts'
import type { Sealer } from '../../../agent/contract/access.ts'

/** Creates a sealer; the same word creates the same key. */
export function openTestSealer(word = 'a key for tests'): Promise<Sealer> {
  const key = Bun.SHA256.hash(word, 'base64url')
  return openSealer({
    readKey: async () => key,
    writeKey: async () => {},
    onUnusable: () => {
      throw new Error('the key of a test cannot be used')
    },
  })
}

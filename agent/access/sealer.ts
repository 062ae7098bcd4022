// Encrypts the secrets that the agent has to store for a time, such as the token of another store while a sync is queued or running. A copy of the
// agent's database alone does not reveal them, since the key is stored elsewhere.

import type { Sealer } from '../contract/access.ts'
import { newSealingKey, toBase64Url, fromBase64Url } from './credentials.ts'

/** AES-GCM (NIST SP 800-38D) with a random 96-bit nonce for each secret. One key seals far fewer than the 2^32 secrets allowed. */
const NONCE_BYTES = 12
const PREFIX = 'v1.'

export interface SealerDeps {
  /** Returns the stored key; undefined when no key is stored. */
  readonly readKey: () => Promise<string | undefined>
  /** Stores a new key where only the agent can read it; durable when it resolves. */
  readonly writeKey: (key: string) => Promise<void>
  /** Called when the stored key is damaged and a new key replaces it: secrets sealed with the old key are lost. */
  readonly onUnusable: () => void
}

/** Opens the sealer of a store. The first start creates its key. */
export async function openSealer(deps: SealerDeps): Promise<Sealer> {
  const key = await importKey(deps)
  const parameters = (nonce: Uint8Array<ArrayBuffer>, purpose: string) => ({ name: 'AES-GCM', iv: nonce, additionalData: new TextEncoder().encode(purpose) })
  return {
    async seal(secret, purpose) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
      const sealed = new Uint8Array(await crypto.subtle.encrypt(parameters(nonce, purpose), key, new TextEncoder().encode(secret)))
      return PREFIX + toBase64Url(Uint8Array.of(...nonce, ...sealed))
    },
    async open(sealed, purpose) {
      try {
        if (!sealed.startsWith(PREFIX)) return undefined
        const bytes = fromBase64Url(sealed.slice(PREFIX.length))
        const nonce = bytes.subarray(0, NONCE_BYTES)
        return new TextDecoder().decode(await crypto.subtle.decrypt(parameters(nonce, purpose), key, bytes.subarray(NONCE_BYTES)))
      } catch {
        // The text is not base64url, was modified, or was sealed with another key or for another purpose. The caller treats all cases alike.
        return undefined
      }
    },
  }
}

async function importKey({ readKey, writeKey, onUnusable }: SealerDeps): Promise<CryptoKey> {
  const load = (text: string): Promise<CryptoKey> => crypto.subtle.importKey('raw', fromBase64Url(text), 'AES-GCM', false, ['encrypt', 'decrypt'])
  const kept = await readKey()
  if (kept !== undefined) {
    try {
      return await load(kept)
    } catch {
      onUnusable()
    }
  }
  const made = newSealingKey()
  await writeKey(made)
  return load(made)
}

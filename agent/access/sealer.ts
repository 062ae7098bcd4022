// Seals the secrets that the agent has to keep for a time, such as the token of another store while a sync waits or runs:
// a copy of the agent's database alone opens nothing.

import type { Sealer } from '../contract/access.ts'
import { newSealingKey, toBase64Url, fromBase64Url } from './credentials.ts'

/** AES-GCM (NIST SP 800-38D): a random 96-bit nonce for each secret; far below 2^32 secrets are sealed with one key. */
const NONCE_BYTES = 12
const PREFIX = 'v1.'

export interface SealerDeps {
  /** The kept key as text, or undefined when there is none yet. */
  readonly readKey: () => Promise<string | undefined>
  /** Keeps a new key where only the agent can read it; durable when it resolves. */
  readonly writeKey: (key: string) => Promise<void>
  /** Told when the kept key cannot be used and another one takes its place: what was sealed with it cannot be opened. */
  readonly onUnusable: () => void
}

/** Opens the sealer of a store; its key is made at the first start. */
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
        // Not base64url, another key or purpose, or changed: which of them makes no difference to whoever needs the secret.
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

// The Ed25519 key of a store, with which it proves to other stores that a grant is for it. The private part never leaves the state folder.

import { fromBase64Url, toBase64Url } from './credentials.ts'

/** The key of this store. */
export interface StoreKey {
  /** The public part as base64url, 43 characters. */
  readonly publicKey: string
  /** Returns the signature of these bytes as base64url, 86 characters. */
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<string>
}

export interface StoreKeyDeps {
  /** Returns the stored key; undefined when no key is stored. */
  readonly readKey: () => Promise<string | undefined>
  /** Stores a new key where only the agent can read it; durable when it resolves. */
  readonly writeKey: (key: string) => Promise<void>
  /** Called when the stored key is damaged and a new one replaces it: grants for the old key are refused. */
  readonly onUnusable: () => void
}

/** `<private>.<public>`, each 32 bytes as base64url. */
const STORED = /^([\w-]{43})\.([\w-]{43})$/
const ALGORITHM = 'Ed25519'
const PROBE = new TextEncoder().encode('slipway')

/** Opens the key of a store. The first start creates it. */
export async function openStoreKey({ readKey, writeKey, onUnusable }: StoreKeyDeps): Promise<StoreKey> {
  const kept = await readKey()
  if (kept !== undefined) {
    const key = await load(kept)
    if (key) return key
    onUnusable()
  }
  // The algorithm decides that there are two keys (WebCrypto §28).
  const { privateKey } = (await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as CryptoKeyPair
  const made = await crypto.subtle.exportKey('jwk', privateKey)
  const text = `${made.d}.${made.x}`
  const key = await load(text)
  if (!key) throw new Error('a new key of the store cannot be used')
  await writeKey(text)
  return key
}

/** Returns a stored key; undefined when it is damaged. */
async function load(text: string): Promise<StoreKey | undefined> {
  const [, d, x] = STORED.exec(text) ?? []
  if (d === undefined || x === undefined) return undefined
  try {
    const key = await crypto.subtle.importKey('jwk', { kty: 'OKP', crv: ALGORITHM, d, x }, ALGORITHM, false, ['sign'])
    const sign: StoreKey['sign'] = async (bytes) => toBase64Url(new Uint8Array(await crypto.subtle.sign(ALGORITHM, key, bytes)))
    return (await isSignedBy(x, await sign(PROBE), PROBE)) ? { publicKey: x, sign } : undefined
  } catch {
    // WebCrypto names no reason that would help: the caller replaces the key.
    return undefined
  }
}

/** Returns whether a signature of these bytes was made with the private part of a public key. False for text that is neither. */
export async function isSignedBy(publicKey: string, signature: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey('raw', fromBase64Url(publicKey), ALGORITHM, false, ['verify'])
    return await crypto.subtle.verify(ALGORITHM, key, fromBase64Url(signature), bytes)
  } catch {
    return false
  }
}

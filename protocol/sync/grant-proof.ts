// The proof that a request with a grant comes from the store that the grant is for. Each store has an Ed25519 key (RFC 8032). A source sends a nonce,
// and the target signs it together with the token of the grant. docs/protocol.md, "Proof of the target".

import { z } from 'zod'

/** Header of a request: `<UUID>.<key>` without a nonce yet, else `<UUID>.<key>.<nonce>.<signature>`. */
export const PROOF_HEADER = 'slipway-proof'
/** Header of an answer: the nonce to sign. */
export const NONCE_HEADER = 'slipway-nonce'

// Written out, because \w stands for more letters in the regular expressions of other languages.
const PUBLIC_KEY = /^[A-Za-z0-9_-]{43}$/
const NONCE = /^[\w-]{8,64}$/
const PROOF = /^([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\.([\w-]{43})(?:\.([\w-]{8,64})\.([\w-]{86}))?$/

/** Public Ed25519 key of a store: 32 bytes as base64url. */
export const storeKeySchema = z.string().regex(PUBLIC_KEY, 'must be the public key of a store: 43 characters of base64url')

/** What a target says about itself. */
export interface GrantProof {
  /** UUID of the store. */
  readonly storeId: string
  /** Its public key as base64url. */
  readonly key: string
  /** Absent before the first nonce. */
  readonly signed?: { readonly nonce: string; readonly signature: string }
}

/** Returns the value of the header. */
export function formatProof({ storeId, key, signed }: GrantProof): string {
  return signed ? `${storeId}.${key}.${signed.nonce}.${signed.signature}` : `${storeId}.${key}`
}

/** Returns the proof in the value of a header; undefined for any other text. */
export function parseProof(text: string): GrantProof | undefined {
  const [, storeId, key, nonce, signature] = PROOF.exec(text) ?? []
  if (storeId === undefined || key === undefined) return undefined
  return { storeId, key, ...(nonce === undefined || signature === undefined ? {} : { signed: { nonce, signature } }) }
}

/** Returns whether text has the form of a nonce. */
export function isNonce(text: string): boolean {
  return NONCE.test(text)
}

/** Returns the bytes that are signed. They contain the token, so the signature for one grant proves nothing for another. */
export function proofBytes(storeId: string, nonce: string, token: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`slipway-grant-proof\n${storeId}\n${nonce}\n${token}`)
}

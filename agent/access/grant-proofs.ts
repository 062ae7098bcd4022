// Checks that a request with a grant comes from the store that it says. A nonce is the time and a MAC of it, so that none has to be remembered; it is
// valid for a while in this process only.

import { isNonce, parseProof, proofBytes } from '../../protocol/sync/grant-proof.ts'
import type { Clock } from '../contract/runtime.ts'
import { fromBase64Url, isEqualConstantTime, toBase64Url } from './credentials.ts'
import { isSignedBy } from './store-key.ts'

/** How long a nonce can be used, in milliseconds: for so long, who has read a signed request on a line without TLS can send others with its headers. */
export const NONCE_MS = 600_000
const TIME_BYTES = 8
const MAC_BYTES = 16

/** The store that sent a request. */
export interface ProvenStore {
  readonly storeId: string
  /** Its public key as base64url. */
  readonly key: string
}

export type ProofOutcome =
  | { readonly kind: 'proven'; readonly by: ProvenStore }
  /** The request says nothing about its store. */
  | { readonly kind: 'none' }
  /** The store has to sign a nonce, which is too old or was not given yet. */
  | { readonly kind: 'stale' }
  /** The header is not valid, or the signature is not that of the key. */
  | { readonly kind: 'invalid' }

export interface GrantProofs {
  /** Returns a new nonce. */
  nonce(): Promise<string>
  /** Checks the header of a request with the token of a grant. */
  check(header: string | null, token: string): Promise<ProofOutcome>
}

/** Creates the checks of this process. */
export async function createGrantProofs({ clock }: { readonly clock: Pick<Clock, 'monotonicMs'> }): Promise<GrantProofs> {
  const key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const nonceOf = async (time: Uint8Array<ArrayBuffer>): Promise<string> => {
    const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, time)).subarray(0, MAC_BYTES)
    return toBase64Url(Uint8Array.of(...time, ...mac))
  }
  const isFresh = async (nonce: string): Promise<boolean> => {
    const bytes = isNonce(nonce) ? fromBase64Url(nonce) : new Uint8Array(0)
    if (bytes.byteLength !== TIME_BYTES + MAC_BYTES) return false
    const time = new Uint8Array(bytes.subarray(0, TIME_BYTES))
    if (!isEqualConstantTime(nonce, await nonceOf(time))) return false
    return clock.monotonicMs() - new DataView(time.buffer).getFloat64(0) < NONCE_MS
  }
  return {
    nonce() {
      const time = new Uint8Array(TIME_BYTES)
      new DataView(time.buffer).setFloat64(0, clock.monotonicMs())
      return nonceOf(time)
    },
    async check(header, token) {
      if (header === null) return { kind: 'none' }
      const proof = parseProof(header.trim())
      if (!proof) return { kind: 'invalid' }
      const { storeId, key: publicKey, signed } = proof
      if (!signed || !(await isFresh(signed.nonce).catch(() => false))) return { kind: 'stale' }
      const isSigned = await isSignedBy(publicKey, signed.signature, proofBytes(storeId, signed.nonce, token))
      return isSigned ? { kind: 'proven', by: { storeId, key: publicKey } } : { kind: 'invalid' }
    },
  }
}

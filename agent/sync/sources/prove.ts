// Proves to a source that a request with a grant comes from this store. The nonce that a source gave is signed once, and asked for again when the source
// refuses it.

import type { Fetch } from '../../../protocol/client/exchange.ts'
import { formatProof, isNonce, NONCE_HEADER, PROOF_HEADER, proofBytes } from '../../../protocol/sync/grant-proof.ts'
import { isGrantToken } from '../../../protocol/sync/sync-grant.ts'
import type { Prover } from '../../contract/access.ts'

/**
 * Returns a fetch that adds the proof to each request with this token. Requests with other tokens are sent as they are: only the user of a grant has to
 * prove which store it is.
 */
export function createProvingFetch(send: Fetch, { storeId, publicKey, sign }: Prover, token: string): Fetch {
  if (!isGrantToken(token)) return send
  let signed: { readonly nonce: string; readonly signature: string } | undefined
  const sendProof: Fetch = (url, init) => {
    const headers = new Headers(init.headers)
    headers.set(PROOF_HEADER, formatProof({ storeId, key: publicKey, ...(signed ? { signed } : {}) }))
    return send(url, { ...init, headers })
  }
  return async (url, init) => {
    const response = await sendProof(url, init)
    const nonce = response.headers.get(NONCE_HEADER)
    // A source of an earlier version ignores the header.
    if (response.status !== 401 || nonce === null || !isNonce(nonce)) return response
    await response.body?.cancel()
    signed = { nonce, signature: await sign(proofBytes(storeId, nonce, token)) }
    return sendProof(url, init)
  }
}

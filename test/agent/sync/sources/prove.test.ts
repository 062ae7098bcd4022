// Which requests carry a proof of the store, and which answers ask for another one.

import { expect, test } from 'bun:test'
import { createProvingFetch } from '../../../../agent/sync/sources/prove.ts'
import { GRANT_TOKEN_PREFIX } from '../../../../protocol/sync/sync-grant.ts'

const NONCE = 'abcdefgh'

/** Sends a request to a source with these answers, in order. Returns the proofs that it saw, and the status of the answer. */
async function send(token: string, ...answers: readonly { readonly status: number; readonly nonce?: string }[]) {
  const proofs: (string | null)[] = []
  const cancelled: number[] = []
  const prover = { storeId: 'own', publicKey: 'key', sign: async () => 'signature' }
  const source = async (_url: string, init: RequestInit): Promise<Response> => {
    proofs.push(new Headers(init.headers).get('slipway-proof'))
    const { status, nonce } = answers[Math.min(proofs.length, answers.length) - 1] ?? { status: 500 }
    const body = new ReadableStream({ cancel: () => void cancelled.push(status) })
    return new Response(body, { status, headers: nonce === undefined ? {} : { 'slipway-nonce': nonce } })
  }
  const { status } = await createProvingFetch(source, prover, token)('http://hub/v1/store', { headers: { accept: 'application/json' } })
  return { proofs, cancelled, status }
}
const GRANT = `${GRANT_TOKEN_PREFIX}secret`

test('a request with another token than a grant proves nothing', async () => {
  expect(await send('secret', { status: 401, nonce: NONCE })).toEqual({ proofs: [null], cancelled: [], status: 401 })
})

test('a request with a grant is sent again with the nonce of the refusal, once, and the refusal is not read', async () => {
  expect(await send(GRANT, { status: 401, nonce: NONCE }, { status: 200 })).toEqual({
    proofs: ['own.key', `own.key.${NONCE}.signature`],
    cancelled: [401],
    status: 200,
  })
  expect((await send(GRANT, { status: 401, nonce: NONCE })).proofs).toHaveLength(2)
})

test.each([
  ['an answer', { status: 200, nonce: NONCE }],
  ['a refusal for another reason', { status: 402, nonce: NONCE }],
  ['a refusal without a nonce, as of an earlier version', { status: 401 }],
  ['a refusal with a nonce of seven letters', { status: 401, nonce: 'abcdefg' }],
])('%s is what the request gets', async (_what, answer) => {
  expect(await send(GRANT, answer)).toEqual({ proofs: ['own.key'], cancelled: [], status: answer.status })
})

// Grants between stores and the proof of the store that uses one: by a key in the order, by the first use, and without a proof.

import { describe, expect, test } from 'bun:test'
import { openAccess } from '../../../agent/access/access.ts'
import { NONCE_MS } from '../../../agent/access/grant-proofs.ts'
import { openStoreKey } from '../../../agent/access/store-key.ts'
import type { Prover } from '../../../agent/contract/access.ts'
import { createProvingFetch } from '../../../agent/sync/sources/prove.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { formatProof, parseProof, proofBytes } from '../../../protocol/sync/grant-proof.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryProver } from '../../support/memory/memory-prover.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'

const IMAGE = 'img_0123456789abcdefghjkmnpqrs'
const TARGET = '11111111-2222-4333-8444-555555555555'
const OTHER = '99999999-2222-4333-8444-555555555555'

async function open(kept = createMemoryKeptValues(), clock = createManualClock()) {
  const access = await openAccess({ kept, clock, emit: () => {}, configuredSecret: 'the-configured-secret', writeFirstSecret: async () => {} })
  const maker = await access.authenticator.byToken('the-configured-secret')
  if (!maker) throw new Error('no maker')
  /** Sends a request as an agent does; returns the name of the actor, the code of the refusal, or undefined for an unknown token. */
  const use = async (token: string, prover: Prover | undefined): Promise<string | undefined> => {
    const answer = async (header: string | null): Promise<Response> => {
      try {
        return new Response((await access.authenticator.byToken(token, header))?.name ?? '')
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error
        return new Response(error.code, { status: error.problem.status, headers: error.headers })
      }
    }
    const send = async (_url: string, init: RequestInit): Promise<Response> => answer(new Headers(init.headers).get('slipway-proof'))
    const response = await (prover ? createProvingFetch(send, prover, token) : send)('http://source', {})
    return (await response.text()) || undefined
  }
  return { ...access, kept, clock, maker, use }
}

describe('a grant for the key of a store', () => {
  test('is refused to everybody else, also under the same UUID', async () => {
    const { grants, maker, use } = await open()
    const target = await createMemoryProver(TARGET)
    const { token } = await grants.create({ images: [IMAGE], target: TARGET, targetKey: target.publicKey, hours: 2 }, maker)
    expect(await use(token, undefined)).toBe('unauthenticated')
    expect(await use(token, await createMemoryProver(TARGET))).toBe('grant-bound')
    expect(await use(token, { ...target, storeId: OTHER })).toBe('grant-bound')
    expect(await use(token, target)).toBe(`store ${TARGET}`)
  })

  test('is refused to who knows the key but cannot sign with it', async () => {
    const { grants, maker, use } = await open()
    const target = await createMemoryProver(TARGET)
    const thief = await createMemoryProver(TARGET)
    const { token } = await grants.create({ images: [IMAGE], targetKey: target.publicKey, hours: 2 }, maker)
    expect(await use(token, { ...target, sign: thief.sign })).toBe('grant-bound')
  })

  test('needs a proof for this grant', async () => {
    const { grants, maker, authenticator } = await open()
    const target = await createMemoryProver(TARGET)
    const order = { images: [IMAGE], targetKey: target.publicKey, hours: 2 }
    const [first, second] = [await grants.create(order, maker), await grants.create(order, maker)]
    const nonce = await nonceOf(authenticator.byToken(first.token, null))
    const signature = await target.sign(proofBytes(TARGET, nonce, first.token))
    const header = formatProof({ storeId: TARGET, key: target.publicKey, signed: { nonce, signature } })
    expect(await authenticator.byToken(first.token, header)).toMatchObject({ role: 'viewer' })
    expect(await codeOf(authenticator.byToken(second.token, header))).toBe('grant-bound')
  })

  test('needs a nonce of this process that is not too old', async () => {
    const { grants, maker, authenticator, clock, kept } = await open()
    const target = await createMemoryProver(TARGET)
    const { token } = await grants.create({ images: [IMAGE], targetKey: target.publicKey, hours: 2 }, maker)
    const headerFor = async (nonce: string): Promise<string> =>
      formatProof({ storeId: TARGET, key: target.publicKey, signed: { nonce, signature: await target.sign(proofBytes(TARGET, nonce, token)) } })
    const header = await headerFor(await nonceOf(authenticator.byToken(token, null)))
    await clock.advance(NONCE_MS - 1)
    expect(await authenticator.byToken(token, header)).toBeDefined()
    await clock.advance(1)
    expect(await codeOf(authenticator.byToken(token, header))).toBe('unauthenticated')
    for (const made of ['a'.repeat(32), 'A'.repeat(8), 'b'.repeat(64)])
      expect(await codeOf(authenticator.byToken(token, await headerFor(made)))).toBe('unauthenticated')
    const restarted = await open(kept, clock)
    const fresh = await headerFor(await nonceOf(authenticator.byToken(token, null)))
    expect(await codeOf(restarted.authenticator.byToken(token, fresh))).toBe('unauthenticated')
  })

  test.each(['', 'x', TARGET, `${TARGET}.short`, `${TARGET}.${'k'.repeat(43)}.${'n'.repeat(32)}`, `${TARGET}.${'k'.repeat(43)}.nonce123.short`])(
    'is refused with the header %j',
    async (header) => {
      const { grants, maker, authenticator } = await open()
      const { token } = await grants.create({ images: [IMAGE], hours: 2 }, maker)
      expect(parseProof(header)).toBeUndefined()
      expect(await codeOf(authenticator.byToken(token, header))).toBe('grant-bound')
    },
  )
})

test('each use lets a grant for repairs last 30 days longer, for a year at most', async () => {
  const { grants, maker, use, clock, tokens, kept } = await open()
  const target = await createMemoryProver(TARGET)
  const { token } = await grants.create({ images: [IMAGE], target: TARGET, targetKey: target.publicKey, hours: 2, healing: true }, maker)
  const expiresAt = () => tokens.list().find(({ grant }) => grant !== null)?.expiresAt
  const days = async (count: number): Promise<string | undefined> => {
    await clock.advance(count * 86_400_000)
    return use(token, target)
  }
  expect(expiresAt()).toBe('2026-01-31T00:00:00.000Z')
  // Who cannot prove itself does not prolong it.
  await clock.advance(20 * 86_400_000)
  expect(await use(token, undefined)).toBe('unauthenticated')
  expect(expiresAt()).toBe('2026-01-31T00:00:00.000Z')
  expect(await days(0)).toBe(`store ${TARGET}`)
  expect(expiresAt()).toBe('2026-02-20T00:00:00.000Z')
  expect((await open(kept, clock)).tokens.list().at(-1)?.expiresAt).toBe('2026-02-20T00:00:00.000Z')
  for (let day = 20; day < 360; day += 20) expect(await days(20)).toBe(`store ${TARGET}`)
  expect(expiresAt()).toBe('2027-01-02T00:00:00.000Z')
  expect(await days(6)).toBeUndefined()
})

describe('a grant without a key', () => {
  test('is bound to the first store that proves itself, also after a restart', async () => {
    const first = await open()
    const { token } = await first.grants.create({ images: [IMAGE], hours: 2 }, first.maker)
    // An agent of an earlier version proves nothing.
    expect(await first.use(token, undefined)).toBe('another store')
    const target = await createMemoryProver(TARGET)
    expect(await first.use(token, target)).toBe('another store')
    expect(first.tokens.list().at(-1)?.grant).toEqual({ images: [IMAGE], target: null, createdBy: 'admin', key: target.publicKey })
    const second = await open(first.kept, first.clock)
    expect(await second.use(token, undefined)).toBe('unauthenticated')
    expect(await second.use(token, await createMemoryProver(OTHER))).toBe('grant-bound')
    expect(await second.use(token, target)).toBe('another store')
  })

  test('is refused to a store that says that it is another one than the target', async () => {
    const { grants, maker, use } = await open()
    const { token } = await grants.create({ images: [IMAGE], target: TARGET, hours: 2 }, maker)
    expect(await use(token, await createMemoryProver(OTHER))).toBe('grant-bound')
    expect(await use(token, await createMemoryProver(TARGET))).toBe(`store ${TARGET}`)
  })
})

test('tokens of other kinds are sent without a proof', async () => {
  const sent: (string | null)[] = []
  const send = async (_url: string, init: RequestInit): Promise<Response> => {
    sent.push(new Headers(init.headers).get('slipway-proof'))
    return new Response()
  }
  await createProvingFetch(send, await createMemoryProver(TARGET), 'a-token')('http://source', {})
  expect(sent).toEqual([null])
})

describe('the key of a store', () => {
  test('is the same after a restart, and replaced when it is damaged', async () => {
    let kept: string | undefined
    let unusable = 0
    const deps = { readKey: async () => kept, writeKey: async (key: string) => void (kept = key), onUnusable: () => void unusable++ }
    const first = await openStoreKey(deps)
    expect(first.publicKey).toMatch(/^[\w-]{43}$/)
    expect((await openStoreKey(deps)).publicKey).toBe(first.publicKey)
    expect(unusable).toBe(0)
    const mine = kept ?? ''
    const { publicKey: other } = await createMemoryProver(OTHER)
    for (const damaged of ['', 'text', `${mine.slice(0, 43)}.${other}`]) {
      kept = damaged
      expect((await openStoreKey(deps)).publicKey).not.toBe(first.publicKey)
    }
    expect(unusable).toBe(3)
  })
})

async function codeOf(refused: Promise<unknown>): Promise<string> {
  return refused.then(
    () => 'accepted',
    (error: unknown) => (error instanceof ProblemError ? error.code : String(error)),
  )
}

async function nonceOf(refused: Promise<unknown>): Promise<string> {
  return refused.then(
    () => '',
    (error: unknown) => (error instanceof ProblemError ? (error.headers['slipway-nonce'] ?? '') : ''),
  )
}

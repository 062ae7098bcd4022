// Tokens at their bounds: how many, how often the last use is kept, and which of them make a first token superfluous.

import { describe, expect, test } from 'bun:test'
import { hashSecret } from '../../../agent/access/credentials.ts'
import { openTokens } from '../../../agent/access/tokens.ts'
import type { Tokens } from '../../../agent/access/tokens.ts'
import type { KeptValues } from '../../../agent/contract/store.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'

const ADMIN = { name: 'admin', role: 'admin' } as const
const NOW_MS = Date.UTC(2026, 0, 1)

/** A token as it is kept. */
function keptToken(id: string, members: { role?: string; expiresMs?: number | null; hash?: string } = {}): object {
  return { id, name: id, role: 'viewer', hash: id, createdMs: 0, expiresMs: null, lastUsedMs: null, isConfigured: false, ...members }
}

async function open(keptTokens: readonly object[], options: { kept?: KeptValues; configured?: string } = {}) {
  const kept = options.kept ?? createMemoryKeptValues()
  if (!options.kept) kept.write('tokens', keptTokens)
  const clock = createManualClock(NOW_MS)
  const written: string[] = []
  const events: NewEvent[] = []
  const tokens: Tokens = await openTokens({
    kept,
    clock,
    emit: (event) => void events.push(event),
    configuredSecret: options.configured,
    writeFirstSecret: async (secret) => void written.push(secret),
  })
  return { tokens, kept, clock, written, events }
}

describe('a store', () => {
  const many = (count: number): object[] => [keptToken('tok_admin', { role: 'admin' }), ...Array.from({ length: count - 1 }, (_, i) => keptToken(`tok_${i}`))]

  test('has 1000 tokens at most', async () => {
    const { tokens } = await open(many(999))
    await tokens.create({ name: 'last', role: 'viewer' }, ADMIN)
    await expect(tokens.create({ name: 'one more', role: 'viewer' }, ADMIN)).rejects.toMatchObject({ code: 'limit-reached' })
    expect(tokens.list()).toHaveLength(1000)
  })

  test('does not count tokens that have expired', async () => {
    const { tokens } = await open([...many(999), keptToken('tok_over', { expiresMs: NOW_MS })])
    await tokens.create({ name: 'last', role: 'viewer' }, ADMIN)
    expect(tokens.list()).toHaveLength(1000)
    expect(tokens.find('tok_over')).toBeUndefined()
  })
})

describe('a token', () => {
  test('acts for a user and groups, each once and without the prefix that grants have', async () => {
    const { tokens } = await open([keptToken('tok_admin', { role: 'admin' })])
    const made = await tokens.create({ name: 'laptop', role: 'viewer', subject: 'user:ann', groups: ['web', 'group:ops', 'web'] }, ADMIN)
    expect(made).toMatchObject({ subject: 'ann', groups: ['ops', 'web'] })
    expect(await tokens.bySecret(made.token)).toEqual({ name: 'laptop', role: 'viewer', subject: 'ann', groups: ['ops', 'web'], tokenId: made.id })
    const plain = await tokens.create({ name: 'script', role: 'viewer' }, ADMIN)
    expect(plain).toMatchObject({ subject: null, groups: [] })
    expect(await tokens.bySecret(plain.token)).toEqual({ name: 'script', role: 'viewer', tokenId: plain.id })
    expect((await tokens.create({ name: 'odd', role: 'viewer', subject: 'user:' }, ADMIN)).subject).toBe('user:')
  })

  test('of an earlier version acts for nobody', async () => {
    const { tokens } = await open([keptToken('tok_admin', { role: 'admin' }), keptToken('tok_old', { hash: await hashSecret('slp_old') })])
    expect(tokens.find('tok_old')).toMatchObject({ subject: null, groups: [] })
    expect(await tokens.bySecret('slp_old')).toEqual({ name: 'tok_old', role: 'viewer', tokenId: 'tok_old' })
  })
})

describe('a rotation', () => {
  const ANN = { subject: 'ann', groups: ['web'], expiresMs: NOW_MS + 1000 }

  test('replaces the secret at once and keeps everything else, durably', async () => {
    const first = await open([keptToken('tok_admin', { role: 'admin' }), { ...keptToken('tok_1', { hash: await hashSecret('slp_old') }), ...ANN }])
    await first.tokens.bySecret('slp_old')
    const { token, ...shown } = await first.tokens.rotate('tok_1', ADMIN)
    expect(token).toMatch(/^slp_[\w-]{43}$/)
    expect(shown).toMatchObject({
      id: 'tok_1',
      name: 'tok_1',
      role: 'viewer',
      subject: 'ann',
      groups: ['web'],
      expiresAt: '2026-01-01T00:00:01.000Z',
      lastUsedAt: null,
    })
    for (const { tokens } of [first, await open([], { kept: first.kept })]) {
      expect(await tokens.bySecret('slp_old')).toBeUndefined()
      expect(await tokens.bySecret(token)).toMatchObject({ subject: 'ann', tokenId: 'tok_1' })
      expect(tokens.list().map(({ id }) => id)).toEqual(['tok_admin', 'tok_1'])
    }
    expect(first.events).toEqual([
      { type: 'token.rotated', severity: 'info', subject: 'tok_1', actor: 'admin', message: 'admin rotated the viewer token "tok_1".' },
    ])
  })

  test('is refused for a token that is unknown, has expired, or comes from the configuration', async () => {
    const { tokens } = await open([keptToken('tok_over', { expiresMs: NOW_MS })], { configured: 'configured' })
    for (const id of ['tok_none', 'tok_over']) await expect(tokens.rotate(id, ADMIN)).rejects.toMatchObject({ code: 'not-found' })
    const [configured] = tokens.list().filter(({ role }) => role === 'admin')
    await expect(tokens.rotate(configured?.id ?? '', ADMIN)).rejects.toMatchObject({ code: 'conflict' })
    expect(await tokens.bySecret('configured')).toMatchObject({ role: 'admin' })
  })
})

describe('the time of the last use', () => {
  test('is kept once in 60 seconds', async () => {
    const { tokens, kept, clock } = await open([keptToken('tok_admin', { role: 'admin' }), keptToken('tok_used', { hash: await hashSecret('slp_used') })])
    const keptUse = (): unknown => (kept.read('tokens') as { id: string; lastUsedMs: number | null }[]).find(({ id }) => id === 'tok_used')?.lastUsedMs
    const useAfter = async (ms: number): Promise<unknown> => {
      clock.advance(ms)
      await tokens.bySecret('slp_used')
      return keptUse()
    }
    expect(await useAfter(59_999)).toBeNull()
    expect(await useAfter(1)).toBe(NOW_MS + 60_000)
    expect(await useAfter(59_999)).toBe(NOW_MS + 60_000)
    expect(await useAfter(1)).toBe(NOW_MS + 120_000)
  })
})

describe('the first token', () => {
  test.each([
    ['nothing', [], 1],
    ['a viewer without an end', [keptToken('tok_1')], 1],
    ['an admin whose token ends', [keptToken('tok_1', { role: 'admin', expiresMs: NOW_MS + 1000 })], 1],
    ['both of them', [keptToken('tok_1'), keptToken('tok_2', { role: 'admin', expiresMs: NOW_MS + 1000 })], 1],
    ['an admin without an end', [keptToken('tok_1', { role: 'admin' })], 0],
  ])('with %s kept: %d', async (_what, keptTokens, count) => {
    expect((await open(keptTokens)).written).toHaveLength(count)
  })

  test('of the configuration stays the same token at every start', async () => {
    const first = await open([], { configured: 'configured' })
    const [token] = first.tokens.list()
    expect(first.tokens.list()).toHaveLength(1)
    const second = await open([], { kept: first.kept, configured: 'configured' })
    expect(second.tokens.list()).toEqual([token as NonNullable<typeof token>])
  })
})

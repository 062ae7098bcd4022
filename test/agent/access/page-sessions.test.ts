// Sessions of the page: when they end, with what they end, and how many there may be.

import { beforeEach, describe, expect, test } from 'bun:test'
import { createPageSessions, PAGE_IDLE_MS, PAGE_LIFE_MS, PAGE_SESSIONS_MAX, PAGE_SESSIONS_PER_TOKEN_MAX } from '../../../agent/access/page-sessions.ts'
import type { PageSessions } from '../../../agent/access/page-sessions.ts'
import { openTokens } from '../../../agent/access/tokens.ts'
import type { Tokens } from '../../../agent/access/tokens.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'

const MAKER = { name: 'test', role: 'admin' } as const

let clock: ManualClock
let tokens: Tokens
let sessions: PageSessions

beforeEach(async () => {
  clock = createManualClock()
  tokens = await openTokens({ kept: createMemoryKeptValues(), clock, emit: () => {}, configuredSecret: undefined, writeFirstSecret: async () => {} })
  sessions = createPageSessions({ clock, byHash: (hash) => tokens.byHash(hash) })
})

async function begin(token: string): Promise<string> {
  const secret = await sessions.begin(token)
  if (secret === undefined) throw new Error('the token is not valid')
  return secret
}

describe('a session of the page', () => {
  test('acts for its token, and no secret of either is kept', async () => {
    const { id, token } = await tokens.create({ name: 'ann', role: 'uploader', subject: 'user:ann' }, MAKER)
    const secret = await begin(token)
    expect(await sessions.find(secret)).toEqual({ name: 'ann', role: 'uploader', subject: 'ann', tokenId: id })
    expect(await sessions.find(token)).toBeUndefined()
    expect(await sessions.find(`${secret}x`)).toBeUndefined()
    expect(await sessions.begin('slp_unknown')).toBeUndefined()
  })

  test('ends after its idle time, which each request renews, and after its life in any case', async () => {
    const { token } = await tokens.create({ name: 'ann', role: 'viewer' }, MAKER)
    const idle = await begin(token)
    clock.advance(PAGE_IDLE_MS - 1)
    expect(await sessions.find(idle)).toBeDefined()
    clock.advance(PAGE_IDLE_MS)
    expect(await sessions.find(idle)).toBeUndefined()
    const used = await begin(token)
    for (let ms = 0; ms + PAGE_IDLE_MS / 2 < PAGE_LIFE_MS; ms += PAGE_IDLE_MS / 2) {
      expect(await sessions.find(used)).toBeDefined()
      clock.advance(PAGE_IDLE_MS / 2)
    }
    expect(await sessions.find(used)).toBeDefined()
    clock.advance(PAGE_IDLE_MS / 2)
    expect(await sessions.find(used)).toBeUndefined()
  })

  test('ends with its token: deleted, expired, or with a new secret', async () => {
    const deleted = await tokens.create({ name: 'deleted', role: 'viewer' }, MAKER)
    const rotated = await tokens.create({ name: 'rotated', role: 'viewer' }, MAKER)
    const expired = await tokens.create({ name: 'expired', role: 'viewer', ttlSeconds: 60 }, MAKER)
    const secrets = [await begin(deleted.token), await begin(rotated.token), await begin(expired.token)]
    for (const secret of secrets) expect(await sessions.find(secret)).toBeDefined()
    tokens.remove(deleted.id, MAKER)
    await tokens.rotate(rotated.id, MAKER)
    clock.advance(60_000)
    for (const secret of secrets) expect(await sessions.find(secret)).toBeUndefined()
    expect(await sessions.begin(expired.token)).toBeUndefined()
  })

  test('is ended by a form of its own page only', async () => {
    const { token } = await tokens.create({ name: 'ann', role: 'viewer' }, MAKER)
    const [one, other] = [await begin(token), await begin(token)]
    expect(await sessions.end(one, await sessions.formToken(other))).toBe(false)
    expect(await sessions.end(one, '')).toBe(false)
    expect(await sessions.find(one)).toBeDefined()
    expect(await sessions.end(one, await sessions.formToken(one))).toBe(true)
    expect(await sessions.find(one)).toBeUndefined()
    expect(await sessions.find(other)).toBeDefined()
  })

  test('that was idle longest ends when its token has too many', async () => {
    const { token } = await tokens.create({ name: 'ann', role: 'viewer' }, MAKER)
    const first = await begin(token)
    const second = await begin(token)
    for (let i = 2; i < PAGE_SESSIONS_PER_TOKEN_MAX; i++) await begin(token)
    expect(await sessions.find(first)).toBeDefined()
    await begin(token)
    expect(await sessions.find(second)).toBeUndefined()
    expect(await sessions.find(first)).toBeDefined()
  })

  test('that was idle longest ends when all tokens have too many', async () => {
    sessions = createPageSessions({ clock, byHash: () => MAKER })
    const secrets: string[] = []
    for (let i = 0; i < PAGE_SESSIONS_MAX; i++) secrets.push(await begin(`token ${Math.floor(i / PAGE_SESSIONS_PER_TOKEN_MAX)}`))
    expect(await sessions.find(secrets[0] ?? '')).toBeDefined()
    const last = await begin('one more')
    expect(await sessions.find(secrets[1] ?? '')).toBeUndefined()
    for (const secret of [secrets[0], secrets[2], last]) expect(await sessions.find(secret ?? '')).toBeDefined()
  })
})

// Partners: what is remembered of the stores that this one synced with, for how long, and what makes it forget one.

import { expect, test } from 'bun:test'
import { openSealer } from '../../../../agent/access/sealer.ts'
import type { KeptValues } from '../../../../agent/contract/store.ts'
import type { NewEvent } from '../../../../agent/contract/work.ts'
import { openPartners, PARTNER_MS_MAX, PARTNERS_MAX } from '../../../../agent/sync/origins/partners.ts'
import { joinOrigins } from '../../../../agent/sync/heal/heal-sources.ts'
import { createOrigins } from '../../../../agent/sync/origins/origins.ts'
import { ProblemError, makeProblem } from '../../../../protocol/problems.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createMemoryProver } from '../../../support/memory/memory-prover.ts'
import { createMemoryKeptValues } from '../../../support/memory/memory-state.ts'
import { until } from '../../../support/until.ts'

const OWN_ID = '11111111-2222-4333-8444-555555555555'
const idOf = (n: number): string => `22222222-2222-4333-8444-${String(n).padStart(12, '0')}`
const partner = (n: number, changes = {}) => ({
  storeId: idOf(n),
  name: `hub-${n}`,
  url: `http://hub-${n}.example`,
  token: `slg_${'a'.repeat(43)}`,
  ...changes,
})

const sealers = new Map<number, ReturnType<typeof sealerOf>>()
async function sealerOf() {
  let key: string | undefined
  return openSealer({ readKey: async () => key, writeKey: async (made) => void (key = made), onUnusable: () => {} })
}

async function open(kept: KeptValues = createMemoryKeptValues(), clock = createManualClock(), key = 1) {
  if (!sealers.has(key)) sealers.set(key, sealerOf())
  const sealer = (await sealers.get(key)) ?? (await sealerOf())
  const events: NewEvent[] = []
  const points: string[] = []
  /** Hosts that refuse the grant. */
  const refusing = new Set<string>()
  const proofs: (string | null)[] = []
  const partners = await openPartners({
    clock,
    log: createMemoryLog(),
    emit: (event) => void events.push(event),
    kept,
    sealer,
    prover: await createMemoryProver(OWN_ID),
    crashPoint: (point) => void points.push(point),
    isServing: true,
    async fetch(url, init) {
      const { host } = new URL(url)
      proofs.push(new Headers(init.headers).get('slipway-proof'))
      if (!refusing.has(host)) return Response.json({ id: idOf(Number(/\d+/.exec(host)?.[0])), name: host, protocol: { sync: [1, 2] } })
      const { problem } = new ProblemError(makeProblem('unauthenticated', 'The token is unknown or has expired.'))
      return Response.json(problem, { status: 401, headers: { 'content-type': 'application/problem+json' } })
    },
  })
  return { partners, kept, clock, events, points, refusing, proofs }
}

test('a partner is asked at once with a proof, and kept sealed', async () => {
  const first = await open()
  await first.partners.remember(partner(1))
  expect(first.points).toEqual(['partners:kept'])
  await until('it answers', async () => first.partners.list()[0]?.state === 'reachable')
  expect(first.proofs).toEqual([expect.stringMatching(new RegExp(`^${OWN_ID}\\.[\\w-]{43}$`))])
  const { token, ...shown } = partner(1)
  expect(first.partners.list()).toEqual([{ ...shown, state: 'reachable', sinceMs: first.clock.nowMs() }])
  expect(JSON.stringify(first.kept.read('sync-partners'))).not.toContain(token)
  expect(first.events).toEqual([
    {
      type: 'partner.remembered',
      severity: 'info',
      subject: OWN_ID,
      message: 'Damage can be repaired from store hub-1, which made a grant for that.',
      details: { partner: 'hub-1', storeId: idOf(1), url: 'http://hub-1.example' },
    },
  ])
  const second = await open(first.kept, first.clock)
  expect(second.partners.list()).toMatchObject([shown])
  // The key that sealed the token is lost with the state folder.
  expect((await open(first.kept, first.clock, 2)).partners.list()).toEqual([])
})

test('a newer grant of the same store, or at the same address, takes the place of the older one', async () => {
  const { partners, events } = await open()
  await partners.remember(partner(1))
  await partners.remember(partner(1, { url: 'http://hub-7.example', name: 'moved' }))
  expect(partners.list().map(({ name, url }) => [name, url])).toEqual([['moved', 'http://hub-7.example']])
  await partners.remember(partner(2, { url: 'http://hub-7.example' }))
  expect(partners.list().map(({ storeId }) => storeId)).toEqual([idOf(2)])
  expect(events.map(({ type }) => type)).toEqual(['partner.remembered'])
})

test('the oldest of too many partners makes room', async () => {
  expect(PARTNERS_MAX).toBe(16)
  const { partners } = await open()
  for (let n = 1; n <= 17; n++) await partners.remember(partner(n))
  expect(partners.list().map(({ name }) => name)).toEqual(Array.from({ length: 16 }, (_one, i) => `hub-${17 - i}`))
})

test('a name that is not one is replaced by the host', async () => {
  const { partners } = await open()
  await partners.remember(partner(1, { name: 'x'.repeat(10_000) }))
  await partners.remember(partner(2, { name: '' }))
  expect(partners.list().map(({ name }) => name)).toEqual(['hub-2.example', 'hub-1.example'])
})

test('a partner is forgotten a year after the last sync with it', async () => {
  expect(PARTNER_MS_MAX).toBe(366 * 86_400_000)
  const { partners, clock, kept, events } = await open()
  await partners.remember(partner(1))
  await clock.advance(PARTNER_MS_MAX)
  expect(partners.list()).toHaveLength(1)
  await clock.advance(3_600_000)
  expect(partners.list()).toEqual([])
  expect(kept.read('sync-partners')).toEqual([])
  expect(events.at(-1)).toMatchObject({
    type: 'partner.forgotten',
    message: 'Damage is not repaired from store hub-1 any more: there was no sync with it for a year.',
  })
})

test('a partner that refuses its grant is forgotten, the others stay', async () => {
  const { partners, refusing, events } = await open()
  await partners.remember(partner(1))
  refusing.add('hub-2.example')
  await partners.remember(partner(2))
  await until('it is forgotten', async () => partners.list().length === 1)
  expect(partners.list()).toMatchObject([{ name: 'hub-1' }])
  expect(events.at(-1)).toMatchObject({
    type: 'partner.forgotten',
    message: 'Damage is not repaired from store hub-2 any more: its grant for repairs has ended.',
    details: { partner: 'hub-2', storeId: idOf(2), url: 'http://hub-2.example' },
  })
})

test('repairs ask origins before partners, and a store that is both once', async () => {
  const { partners, clock } = await open()
  await partners.remember(partner(1))
  await partners.remember(partner(2))
  const origins = createOrigins({
    clock,
    log: createMemoryLog(),
    settings: [{ name: 'origin', url: 'http://origin.example', token: 'viewer' }],
    storeId: OWN_ID,
    fetch: async () => Response.json({ id: idOf(1), name: 'origin', protocol: { sync: [2] } }),
  })
  const joined = joinOrigins(origins, partners.origins)
  expect(joined.list().map(({ name }) => name)).toEqual(['origin', 'hub-2', 'hub-1'])
  expect((await joined.usable()).map(({ name, kind }) => [name, kind])).toEqual([
    ['origin', 'origin'],
    ['hub-2', 'partner'],
  ])
})

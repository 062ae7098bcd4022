// Policies and their runs in the bot's database.

import { describe, expect, test } from 'bun:test'
import { createRegistry } from '../../../bot/fleet/registry.ts'
import { nextRunMs } from '../../../bot/policies/cron.ts'
import { createPolicies, POLICIES_MAX } from '../../../bot/policies/policies.ts'
import type { Policies } from '../../../bot/policies/policies.ts'
import type { Policy } from '../../../bot/policies/policy.ts'
import { createPolicyRuns, LEASE_MS, RUNS_KEPT } from '../../../bot/policies/runs.ts'
import type { PolicyRuns } from '../../../bot/policies/runs.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { BotDatabase } from '../../../bot/system/database.ts'
import { NOW_MS, policy as terms } from './fleet.ts'

function stored(more: Partial<Policy> = {}): Policy {
  return { ...terms(), cron: '0 3 * * *', timezone: 'UTC', paused: false, createdMs: NOW_MS, anchorMs: NOW_MS, ...more }
}

function open(): { database: BotDatabase; policies: Policies; runs: PolicyRuns } {
  const database = openMemoryDatabase()
  return { database, policies: createPolicies(database), runs: createPolicyRuns(database) }
}

const SCHEDULED = { policy: 'p', cause: 'schedule', actor: 'policies' } as const
const SUCCESS = { outcome: 'succeeded', result: 'Nothing to copy', action: '', failures: [] } as const

describe('policies', () => {
  test.each<[string, Partial<Policy>]>([
    ['keeps', { rule: { kind: 'keep', copies: 3 }, scope: { kind: 'zone', zone: 'zone-1' } }],
    ['keeps everywhere', { scope: { kind: 'all' }, kinds: ['template', 'base'], paused: true }],
    ['follows', { rule: { kind: 'follow', source: 'hub' }, scope: { kind: 'store', store: 'edge-a' }, graceMs: 5 }],
    ['has labels', { labels: [{ key: 'env', value: 'a=b' }, { key: 'team', value: undefined }, { key: 'empty', value: '' }] }], // prettier-ignore
  ])('one that %s is read as it was added', (_what, more) => {
    const { policies } = open()
    const policy = stored(more)
    policies.add(policy)
    expect(policies.find('P')).toEqual(policy)
    expect(policies.list()).toEqual([policy])
  })

  test('a name is taken once, whatever its case is', () => {
    const { policies } = open()
    policies.add(stored())
    policies.add(stored({ name: 'q' }))
    expect(() => policies.add(stored({ name: 'P' }))).toThrow('There is a policy P already.')
    expect(() => policies.change('q', { name: 'p' })).toThrow('There is a policy p already.')
    expect(policies.change('q', { name: 'Q' })).toMatchObject({ name: 'Q' })
    expect(policies.change('none', { paused: true })).toBeUndefined()
    expect([policies.remove('q'), policies.remove('q')]).toEqual([true, false])
  })

  test('their number is bounded', () => {
    const { policies } = open()
    for (let i = 0; i < POLICIES_MAX; i++) policies.add(stored({ name: `p${i}` }))
    expect(() => policies.add(stored({ name: 'more' }))).toThrow('There are 200 policies.')
  })

  test('follow the name of a store, and name another one on request', () => {
    const { database, policies } = open()
    const registry = createRegistry(database)
    registry.add({ name: 'hub', url: 'http://a', token: 't', zone: 'hub', provider: 'local', storeId: null }, NOW_MS)
    policies.add(stored({ name: 'f', rule: { kind: 'follow', source: 'hub' }, scope: { kind: 'zone', zone: 'hub' } }))
    policies.add(stored({ name: 'k', scope: { kind: 'store', store: 'hub' } }))
    registry.change('hub', { name: 'centre' })
    expect(policies.list().map(({ rule, scope }) => [rule, scope])).toEqual([
      [
        { kind: 'follow', source: 'centre' },
        { kind: 'zone', zone: 'hub' },
      ],
      [
        { kind: 'keep', copies: 2 },
        { kind: 'store', store: 'centre' },
      ],
    ])
    policies.repoint('centre', 'edge-b')
    expect(policies.find('f')?.rule).toEqual({ kind: 'follow', source: 'edge-b' })
    expect(policies.find('k')?.scope).toEqual({ kind: 'store', store: 'edge-b' })
  })
})

describe('times', () => {
  const at = (anchorMs: number, nowMs: number, more: Partial<Policy> = {}): number | null => nextRunMs(stored({ anchorMs, ...more }), nowMs)
  const three = Date.UTC(2026, 0, 2, 3)

  test('missed times are one time in the past, and a pause has no next time', () => {
    expect(at(NOW_MS, NOW_MS)).toBe(three)
    expect(at(NOW_MS, NOW_MS + 10 * 86_400_000)).toBe(three)
    expect(at(NOW_MS, NOW_MS, { paused: true })).toBeNull()
    expect(at(NOW_MS, NOW_MS, { timezone: 'Europe/Berlin' })).toBe(Date.UTC(2026, 0, 2, 2))
  })

  test('an anchor in the future, from a clock that was wrong, delays nothing', () => {
    expect(at(NOW_MS + 1e10, NOW_MS)).toBe(three)
  })
})

describe('runs', () => {
  test('one is recorded with the time from which the policy waits, and a second one only after its end', () => {
    const { policies, runs } = open()
    policies.add(stored())
    const run = runs.begin({ ...SCHEDULED, policy: 'P' }, NOW_MS + 5)
    expect(run).toMatchObject({ policy: 'p', startedMs: NOW_MS + 5, isOrdered: false, leaseMs: NOW_MS + 5 + LEASE_MS, endedMs: null, copies: [] })
    expect(policies.find('p')?.anchorMs).toBe(NOW_MS + 5)
    expect(runs.begin(SCHEDULED, NOW_MS + 9)).toBeUndefined()
    // The time that fell into the run has passed.
    expect(policies.find('p')?.anchorMs).toBe(NOW_MS + 9)
    expect(runs.end(run?.id ?? 0, SUCCESS, NOW_MS + 10)).toBe(true)
    expect(runs.end(run?.id ?? 0, { ...SUCCESS, outcome: 'failed' }, NOW_MS + 11)).toBe(false)
    expect(runs.list('p')).toMatchObject([{ outcome: 'succeeded', endedMs: NOW_MS + 10 }])
    expect(runs.begin(SCHEDULED, NOW_MS + 12)?.id).toBeGreaterThan(run?.id ?? 0)
    expect(runs.begin({ ...SCHEDULED, policy: 'none' }, NOW_MS)).toBeUndefined()
  })

  test('what it ordered is kept until it ends', () => {
    const { policies, runs } = open()
    policies.add(stored())
    const id = runs.begin(SCHEDULED, NOW_MS)?.id ?? 0
    const copies = [{ name: 'a', imageId: 'img_a', target: 'edge-b', source: 'hub', taskId: 'tsk_1' }]
    const findings = [{ kind: 'unmet' as const, subject: 'b', text: 'b cannot be copied.', action: 'Make room.' }]
    runs.change(id, { copies, findings, isOrdered: true, removed: 2 })
    expect(runs.open()).toMatchObject([{ copies, findings, isOrdered: true, removed: 2 }])
    const failures = [{ name: 'a', target: 'edge-b', reason: 'It failed.', action: 'Try again.' }]
    runs.end(id, { outcome: 'failed', result: '1 not', action: 'Try again.', failures }, NOW_MS)
    runs.change(id, { removed: 9 })
    expect(runs.list('p')).toMatchObject([{ copies: [], findings, failures, removed: 2, action: 'Try again.' }])
    expect(runs.open('p')).toEqual([])
  })

  test('another process takes over after the lease, or at once when it must, but never a run that has ordered everything', () => {
    const { policies, runs } = open()
    policies.add(stored())
    const id = runs.begin(SCHEDULED, NOW_MS)?.id ?? 0
    expect(runs.acquire(id, NOW_MS + LEASE_MS - 1, false)).toBe(false)
    expect(runs.acquire(id, NOW_MS + LEASE_MS, false)).toBe(true)
    expect(runs.acquire(id, NOW_MS + LEASE_MS, false)).toBe(false)
    expect(runs.acquire(id, NOW_MS, true)).toBe(true)
    runs.change(id, { isOrdered: true })
    expect(runs.acquire(id, NOW_MS + 10 * LEASE_MS, true)).toBe(false)
  })

  test('only the newest are kept, they follow the name of their policy, and go with it', () => {
    const { policies, runs } = open()
    policies.add(stored())
    for (let i = 0; i < RUNS_KEPT + 3; i++) runs.end(runs.begin(SCHEDULED, NOW_MS + i)?.id ?? 0, SUCCESS, NOW_MS + i)
    expect(runs.list('p')).toHaveLength(RUNS_KEPT)
    expect(runs.list('p')[0]?.startedMs).toBe(NOW_MS + RUNS_KEPT + 2)
    policies.change('p', { name: 'renamed' })
    expect(runs.list('renamed')).toHaveLength(RUNS_KEPT)
    policies.remove('renamed')
    expect(runs.list('renamed')).toEqual([])
  })
})

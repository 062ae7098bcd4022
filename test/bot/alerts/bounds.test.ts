// Bounds of silences and subscriptions, and which findings and channels belong to which store.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { findingsOf } from '../../../bot/alerts/findings.ts'
import { createSilences } from '../../../bot/alerts/silences.ts'
import { createSubscriptions, isWanted } from '../../../bot/alerts/subscriptions.ts'
import { judge } from '../../../bot/fleet/judge.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { storeOf } from '../commands/scripted-fleet.ts'
import { openAlertScene } from './scene.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('at most 500 silences are in force; one that is over, or replaced, makes room', () => {
  using database = openMemoryDatabase()
  const silences = createSilences(database)
  const put = (store: string, untilMs: number, nowMs: number) =>
    silences.put({ store, zone: 'zone-1', condition: '', untilMs, reason: '', createdBy: 'ann' }, nowMs)
  database.transaction(() => {
    for (let i = 0; i < 500; i++) expect(put(`store-${i}`, i === 0 ? 1000 : 5000, 0)).toBeDefined()
  })()
  expect(put('one-more', 5000, 0)).toBeUndefined()
  expect(silences.list(0)).toHaveLength(500)
  expect(put('store-7', 6000, 0)?.untilMs).toBe(6000)
  expect(put('one-more', 5000, 1000)?.store).toBe('one-more')
})

test('at most 200 subscriptions are kept; a known one still changes', () => {
  using database = openMemoryDatabase()
  const subscriptions = createSubscriptions(database)
  const put = (store: string, severity: 'info' | 'critical' = 'info') =>
    subscriptions.put({ channel: 'C1', store, zone: '', severity, createdBy: 'ann' }, {}, 0)
  database.transaction(() => {
    for (let i = 0; i < 200; i++) expect(put(`store-${i}`)).toBeDefined()
  })()
  expect(put('one-more')).toBeUndefined()
  expect(put('STORE-7', 'critical')).toBeDefined()
  expect(subscriptions.list()[0]?.subscriptions).toHaveLength(200)
})

test('a subscription of a store wants the alerts of this store in any case, and of no other', () => {
  const wanted = { channel: 'C1', store: 'Edge-A', zone: '', severity: 'info', createdBy: 'ann' } as const
  const channel = { channel: 'C1', isThreaded: true, remindMs: 0, subscriptions: [wanted] }
  const wants = (store: string): boolean => isWanted(channel, { store, zone: 'zone-1', condition: 'store-stopped' }, 'critical')
  expect([wants('edge-a'), wants('edge-b'), wants('')]).toEqual([true, false, false])
})

describe('findings', () => {
  test('of a store in error whose checks are all well are that error, and nothing of its zone', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    const store = it.bot.fleet.registry.find('edge-a')
    if (!store) throw new Error('edge-a is not registered')
    const checks = [{ name: 'process', state: 'ok' as const, measured: '', limit: null, impact: '', action: '' }]
    const health = { state: 'error' as const, checks, asOf: '2026-01-01T00:00:00.000Z' }
    const found = findingsOf(judge({ kind: 'answered', store, value: { health, store: storeOf({ name: 'edge-a' }), tasks: null }, asOfMs: 0 }))
    expect(found.get('store-error')).toMatchObject({ severity: 'critical' })
    expect(found.get('store-stopped')).toBe('good')
    expect([...found.keys()]).not.toContain('zone-down')
  })
})

test('an incident that opens again says so in its history and in one line of the log', () => {
  using it = openAlertScene({ 'edge-a': 'zone-1' })
  const failFor = (seconds: number): void => {
    it.see({ 'edge-a': 'stopped' })
    it.pass(seconds)
    it.see({ 'edge-a': {} })
  }
  failFor(60)
  expect(it.lines.map(({ event }) => event)).toEqual(['opened'])
  it.pass(20 * 60)
  failFor(60)
  expect(it.lines.map(({ event, text }) => [event, text])).toEqual([
    ['opened', 'Opened: http://edge-a.example fell silent.'],
    ['resolved', 'Resolved.'],
    ['returned', 'Came back: http://edge-a.example fell silent.'],
  ])
})

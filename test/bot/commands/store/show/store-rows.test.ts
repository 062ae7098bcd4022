// Observed stores in words: rows, facts, next steps, and how many of a large fleet are named.

import { describe, expect, test } from 'bun:test'
import {
  findingActions,
  healthFields,
  maintenanceNotes,
  repairActions,
  savedText,
  stateCounts,
  stateNotes,
  stateText,
  storeActions,
  storeRow,
  worstActions,
  worstFirst,
} from '../../../../../bot/commands/store/show/store-rows.ts'
import type { Observation } from '../../../../../bot/fleet/judge.ts'
import type { StoreRecord } from '../../../../../bot/fleet/registry.ts'
import { storeOf } from '../../scripted-fleet.ts'

const NOW_MS = Date.UTC(2026, 0, 1, 12)
const RECORD: StoreRecord = {
  ...{ name: 'edge-a', url: 'http://edge-a.example', token: 't', zone: 'zone-1', provider: 'local', storeId: null, addedMs: 0 },
  ...{ lastSeenMs: null, stoppedSinceMs: null, stoppedReason: null, reconnectMs: null, reconnectAsked: 0, maintenance: null },
} as unknown as StoreRecord

/** An observation of edge-a that is Running and of which nothing else is known. */
function observed(change: Partial<Observation> = {}, record: Partial<StoreRecord> = {}): Observation {
  return {
    ...{ record: { ...RECORD, ...record }, state: 'running', sinceMs: null, lastSeenMs: null, finding: '', impact: '', action: '', checks: [] },
    ...{ store: null, tasks: null, asOfMs: NOW_MS },
    ...change,
  }
}
const maintenance = { untilMs: NOW_MS + 3_600_000, reason: 'new disks', by: 'ann' }
const checkOf = (name: string, state: 'passed' | 'warning' | 'failed') =>
  ({ name, state, finding: 'f', impact: 'i', action: 'a' }) as unknown as Observation['checks'][number]
const commands = (actions: readonly { readonly command: string }[]): string[] => actions.map(({ command }) => command)

describe('the row of a store', () => {
  test('has what its agent said', () => {
    const store = storeOf({
      capacity: { total: 1e12, used: 2.5e11, free: 7.5e11, reserved: 0, available: 7e11 },
      images: { available: 7, deleted: 1, other: 2 },
    })
    expect(storeRow(observed({ store }), NOW_MS)).toEqual({
      tone: 'good',
      cells: {
        ...{ name: 'edge-a', state: 'Running', since: '–', zone: 'zone-1', provider: 'local', images: '7', used: '250 GB of 1.0 TB (25 %)' },
        ...{ free: '700 GB', saved: '3.0×', url: 'http://edge-a.example' },
      },
    })
  })

  test('has dashes for what is not known', () => {
    expect(storeRow(observed({ state: 'stopped', sinceMs: NOW_MS }, { zone: '' }), NOW_MS)).toEqual({
      tone: 'bad',
      cells: {
        ...{ name: 'edge-a', state: 'Stopped', since: '2026-01-01 12:00:00 UTC', zone: '–', provider: 'local', images: '–', used: '–' },
        ...{ free: '–', saved: '–', url: 'http://edge-a.example' },
      },
    })
    expect(savedText({ store: { ...storeOf(), slices: { ...storeOf().slices, savingRatio: null } } })).toBe('–')
  })

  test.each([
    [observed(), 'Running'],
    [observed({ store: storeOf({ enabled: true }) }), 'Running'],
    [observed({ store: storeOf({ enabled: false }) }, { maintenance }), 'Running, disabled, in maintenance'],
    [observed({ state: 'degraded' }, { maintenance: { ...maintenance, untilMs: NOW_MS } }), 'Degraded'],
  ])('says its state, and what an operator decided', (seen, text) => {
    expect(stateText(seen, NOW_MS)).toBe(text)
  })
})

describe('the facts of a store', () => {
  test('are its state alone while nothing else is known', () => {
    expect(healthFields(observed({}, { zone: '' }), NOW_MS)).toEqual([{ label: 'State', value: 'Running', tone: 'good' }])
  })

  test('say since when it is silent, its maintenance, and what to do', () => {
    const seen = observed(
      { state: 'stopped', sinceMs: NOW_MS - 60_000, lastSeenMs: NOW_MS - 90_000, finding: 'No answer.', impact: 'No uploads.', action: 'Start it.' },
      { maintenance },
    )
    expect(healthFields(seen, NOW_MS).map(({ label, value }) => `${label}: ${value}`)).toEqual([
      'State: Stopped, in maintenance',
      'Zone: zone-1',
      'Since: 2026-01-01 11:59:00 UTC (1 min), the first contact that failed',
      'Last answer: 2026-01-01 11:58:30 UTC (1 min 30 s ago)',
      'Maintenance: until 2026-01-01 13:00:00 UTC (1 h left), by ann: new disks. The bot places no new images here and sends no alerts about it.',
      'Finding: No answer.',
      'Impact: No uploads.',
      'Next: Start it.',
    ])
    expect(healthFields(observed({ sinceMs: 0 }), NOW_MS)).toContainEqual({ label: 'Last answer', value: 'never' })
  })
})

describe('the next steps', () => {
  test('of a store that is Running are its health, and the end of its maintenance', () => {
    expect(commands(storeActions(observed(), NOW_MS))).toEqual(['store health edge-a'])
    expect(commands(storeActions(observed({}, { maintenance }), NOW_MS))).toEqual(['store health edge-a', 'store maintenance edge-a --end'])
    expect([repairActions(observed()), findingActions(observed({ checks: [checkOf('free-space', 'failed')] }))]).toEqual([[], []])
  })

  test('of another store are to reconnect, and for whom', () => {
    expect(storeActions(observed({ state: 'error' }), NOW_MS)).toEqual([
      { label: 'Health of edge-a', command: 'store health edge-a', role: 'viewer' },
      { label: 'Reconnect edge-a', command: 'store reconnect edge-a', role: 'operator', style: 'primary' },
    ])
  })

  test.each([
    ['no check', [], ['alert silence edge-a for=2h']],
    ['one check', [checkOf('free-space', 'failed'), checkOf('process', 'passed')], ['alert silence edge-a check=free-space for=2h', 'help health free-space']],
    ['one warning', [checkOf('free-space', 'warning')], ['alert silence edge-a check=free-space for=2h', 'help health free-space']],
    ['a check that the bot does not know', [checkOf('odd', 'failed')], ['alert silence edge-a for=2h']],
    [
      'four checks',
      ['free-space', 'process', 'mount-path', 'index-database'].map((name) => checkOf(name, 'failed')),
      ['alert silence edge-a for=2h', 'help health free-space', 'help health process', 'help health mount-path'],
    ],
  ])('for the findings of %s silence and explain it', (_what, checks, lines) => {
    expect(commands(findingActions(observed({ state: 'error', checks })))).toEqual(['store reconnect edge-a', 'store evidence edge-a', ...lines])
  })
})

describe('many stores', () => {
  const states = ['running', 'stopped', 'degraded', 'error', 'stopped'] as const
  const fleet = states.map((state, i) => observed({ state }, { name: `edge-${i}` }))
  const silent = (count: number): Observation[] =>
    Array.from({ length: count }, (_unused, i) => observed({ state: 'stopped', finding: 'no answer' }, { name: `s${i}` }))

  test('are ordered by their state, the worst first, and counted', () => {
    expect(worstFirst(fleet).map(({ record }) => record.name)).toEqual(['edge-3', 'edge-1', 'edge-4', 'edge-2', 'edge-0'])
    expect([stateCounts(fleet), stateCounts([])]).toEqual(['1 Error, 2 Stopped, 1 Degraded, 1 Running', ''])
  })

  test('have a sentence for the first five that are not Running', () => {
    expect(stateNotes(fleet.slice(0, 2))).toEqual(['edge-1 is Stopped.'])
    expect(stateNotes([observed({ state: 'error', finding: 'The disk is gone', action: 'Mount it.' })])).toEqual([
      'edge-a is Error: The disk is gone. Mount it.',
    ])
    expect(stateNotes(silent(5))).toHaveLength(5)
    expect(stateNotes(silent(7)).slice(4)).toEqual(['s4 is Stopped: no answer.', '2 more stores are not Running: see store health.'])
  })

  test('have the next steps of the first five that are not Running', () => {
    expect(commands(worstActions(fleet.slice(0, 2), NOW_MS))).toEqual(['store health edge-1', 'store reconnect edge-1'])
    expect(worstActions(silent(7), NOW_MS)).toHaveLength(10)
  })

  test('in maintenance are named, at most five', () => {
    const many = (count: number): Observation[] =>
      Array.from({ length: count }, (_unused, i) => observed({}, { name: `m${i}`, maintenance: { ...maintenance, reason: '' } }))
    const words = (i: number): string => `m${i} until 2026-01-01 13:00:00 UTC (1 h left), by ann`
    expect(maintenanceNotes([observed()], NOW_MS)).toEqual([])
    expect(maintenanceNotes([observed(), ...many(1)], NOW_MS)).toEqual([`In maintenance: ${words(0)}.`])
    expect(maintenanceNotes(many(5), NOW_MS)).toEqual([`In maintenance: ${[0, 1, 2, 3, 4].map(words).join('; ')}.`])
    expect(maintenanceNotes(many(7), NOW_MS)).toEqual([`In maintenance: ${[0, 1, 2, 3, 4].map(words).join('; ')}; 2 more.`])
  })
})

// What changed of stores since somebody looked, in words.

import { expect, test } from 'bun:test'
import { changesAfter } from '../../../../../bot/commands/store/health/changed.ts'
import { forecastFields, healthSentence } from '../../../../../bot/commands/store/health/fleet-health.ts'
import type { Observation } from '../../../../../bot/fleet/judge.ts'
import type { HealthState } from '../../../../../protocol/health.ts'

const seenOf = (name: string, state: HealthState = 'running', more: object = {}): Observation =>
  ({ record: { name, zone: '' }, state, sinceMs: null, checks: [], ...more }) as unknown as Observation

/** The words for stores that were in these states, one after the other, before they are what they are now. */
function textOf(changes: readonly (readonly [store: string, before: HealthState])[], seen: readonly Observation[]): string {
  const asked: number[] = []
  const after = (id: number) => (asked.push(id), changes.map(([store, before]) => ({ store, before })) as never)
  const { text, json } = changesAfter({ changes: { after } as never }, { askedMs: 0, changeId: 7 }, seen, 'since noon')
  expect([asked, json['since']]).toEqual([[7], '1970-01-01T00:00:00.000Z'])
  return text
}

test.each<[Parameters<typeof textOf>[0], readonly Observation[], string]>([
  [[], [seenOf('a')], 'nothing since noon'],
  [[['A', 'stopped']], [seenOf('a')], 'since noon: a was Stopped and is Running'],
  [[['b', 'stopped']], [seenOf('a')], 'nothing since noon'],
  [
    [
      ['a', 'running'],
      ['a', 'stopped'],
    ],
    [seenOf('a')],
    'since noon: a is Running again',
  ],
  [
    [
      ['a', 'running'],
      ['a', 'stopped'],
      ['a', 'running'],
    ],
    [seenOf('a', 'error')],
    'since noon: a was Running and is Error (changed 3 times)',
  ],
])('%j', (changes, seen, text) => {
  expect(textOf(changes, seen)).toBe(text)
})

test('five stores that changed are named, the others counted', () => {
  const names = (count: number): string[] => Array.from({ length: count }, (_unused, i) => `s${i}`)
  const text = (count: number): string =>
    textOf(
      names(count).map((name) => [name, 'stopped']),
      names(count).map((name) => seenOf(name)),
    )
  expect(text(5)).toEndWith('; s4 was Stopped and is Running')
  expect(text(7)).toEndWith('; s4 was Stopped and is Running; 2 more')
})

test('a state has its beginning where it is known', () => {
  expect(healthSentence(seenOf('a', 'degraded'))).toBe('a is Degraded.')
  expect(healthSentence(seenOf('a', 'stopped', { sinceMs: 0 }))).toBe('a has been Stopped since 1970-01-01 00:00:00 UTC.')
})

test('five disks that will be full are named, the soonest first', () => {
  const full = (count: number): Observation[] =>
    Array.from({ length: count }, (_unused, i) => seenOf(`s${i}`, 'running', { checks: [{ failsAt: `2026-01-${String(20 - i)}T10:00:00.000Z` }, {}] }))
  expect(forecastFields([seenOf('a')])).toEqual([])
  expect(forecastFields(full(2))).toEqual([{ label: 'Full', value: 's1 about 2026-01-19, s0 about 2026-01-20, at the rate of the last days' }])
  expect(forecastFields(full(5))[0]?.value).toEndWith(', s0 about 2026-01-20, at the rate of the last days')
  expect(forecastFields(full(7))[0]?.value).toEndWith(', s2 about 2026-01-18; 2 more later, at the rate of the last days')
})

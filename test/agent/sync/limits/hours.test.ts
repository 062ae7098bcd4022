// Hours of syncs at given times.

import { describe, expect, test } from 'bun:test'
import { allHoursAt, hoursAt, refuseHours } from '../../../../agent/sync/limits/hours.ts'
import { formatSyncHours, parseSyncHours } from '../../../../protocol/sync/sync-limits.ts'

const NIGHT = { cron: '0 22 * * *', minutes: 480 }
const at = (text: string): number => Date.parse(text)
const shown = (state: ReturnType<typeof hoursAt>): string => {
  const [kind, ms] = state.kind === 'open' ? ['until', state.untilMs] : ['from', state.fromMs]
  return `${state.kind} ${kind} ${ms === Infinity ? 'ever' : new Date(ms).toISOString()}`
}

describe('a window', () => {
  test.each([
    ['2026-01-05T21:59:59.999Z', 'closed from 2026-01-05T22:00:00.000Z'],
    ['2026-01-05T22:00:00.000Z', 'open until 2026-01-06T06:00:00.000Z'],
    ['2026-01-06T05:59:59.999Z', 'open until 2026-01-06T06:00:00.000Z'],
    ['2026-01-06T06:00:00.000Z', 'closed from 2026-01-06T22:00:00.000Z'],
  ])('of the night at %s is %s', (time, state) => {
    expect(shown(hoursAt([NIGHT], 'UTC', at(time)))).toBe(state)
  })

  test('is in the time zone', () => {
    expect(shown(hoursAt([NIGHT], 'Europe/Berlin', at('2026-01-05T20:30:00Z')))).toBe('closed from 2026-01-05T21:00:00.000Z')
    expect(shown(hoursAt([NIGHT], 'Europe/Berlin', at('2026-01-05T21:00:00Z')))).toBe('open until 2026-01-06T05:00:00.000Z')
  })
})

describe('several windows', () => {
  const windows = [NIGHT, { cron: '0 12 * * 6', minutes: 60 }]

  test('are open when one of them is', () => {
    expect(shown(hoursAt(windows, 'UTC', at('2026-01-10T12:30:00Z')))).toBe('open until 2026-01-10T13:00:00.000Z')
    expect(shown(hoursAt(windows, 'UTC', at('2026-01-10T07:00:00Z')))).toBe('closed from 2026-01-10T12:00:00.000Z')
  })

  test('without one, every time is open', () => {
    expect(shown(hoursAt([], 'UTC', 0))).toBe('open until ever')
  })
})

describe('hours of a sync and of the store', () => {
  test('must both be open', () => {
    const early = { cron: '0 4 * * *', minutes: 240 }
    const lists = [[NIGHT], [early]]
    expect(shown(allHoursAt(lists, 'UTC', at('2026-01-05T23:00:00Z')))).toBe('closed from 2026-01-06T04:00:00.000Z')
    expect(shown(allHoursAt(lists, 'UTC', at('2026-01-06T05:00:00Z')))).toBe('open until 2026-01-06T06:00:00.000Z')
    expect(shown(allHoursAt(lists, 'UTC', at('2026-01-06T07:00:00Z')))).toBe('closed from 2026-01-07T04:00:00.000Z')
    expect(shown(allHoursAt([[NIGHT], []], 'UTC', at('2026-01-05T23:00:00Z')))).toBe('open until 2026-01-06T06:00:00.000Z')
  })

  test('that never meet are looked at again after a day', () => {
    const lists = [[NIGHT], [{ cron: '0 12 * * *', minutes: 60 }]]
    expect(shown(allHoursAt(lists, 'UTC', at('2026-01-05T23:00:00Z')))).toBe('closed from 2026-01-06T23:00:00.000Z')
  })
})

test('hours that cannot be used are refused with the reason', () => {
  const refuse = (cron: string): string | undefined => refuseHours([NIGHT, { cron, minutes: 1 }], 'UTC', 0)
  expect(refuse('0 12 * * *')).toBeUndefined()
  expect(refuse('0 0 12 * * *')).toBe('"0 0 12 * * *" must have five fields, such as "0 22 * * *" (minute, hour, day, month, weekday)')
  expect(refuse('0 0 30 2 *')).toBe('"0 0 30 2 *" never opens')
  expect(refuse('0 99 * * *')).toStartWith('"0 99 * * *" is not a cron expression: ')
})

test('the text of a window is parsed and formatted', () => {
  expect(parseSyncHours('0 22 * * * for 8h')).toEqual(NIGHT)
  expect(parseSyncHours('  0  22 * * 1-5   FOR 90m ')).toEqual({ cron: '0 22 * * 1-5', minutes: 90 })
  for (const text of ['', '0 22 * * *', '0 22 * * for 8h', '0 22 * * * for ever', '0 22 * * * for 30s', '0 22 * * * for 8d', '0 22 * * * for 0h'])
    expect([text, parseSyncHours(text)]).toEqual([text, undefined])
  expect([formatSyncHours(NIGHT), formatSyncHours({ cron: '5 1 * * *', minutes: 90 })]).toEqual(['0 22 * * * for 8h', '5 1 * * * for 90m'])
})

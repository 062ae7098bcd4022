// Samples in the database: roll-up, gaps, bounds, retention, and clocks that jump.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { HOUR_MS, MINUTE_MS, DAY_MS } from '../../../bot/samples/keys.ts'
import { mergeSamples } from '../../../bot/samples/sample.ts'
import type { Sample } from '../../../bot/samples/sample.ts'
import { FLEET_SERIES } from '../../../bot/samples/samples.ts'
import { POINTS_MAX, readSeries } from '../../../bot/samples/series.ts'
import { propertyOptions } from '../../support/properties.ts'
import { MIDNIGHT_MS, minuteOf, openSamples } from './fixture.ts'

const one = (used: number): ReadonlyMap<string, Sample> => new Map([['a', minuteOf(used)]])

describe('recording', () => {
  test('keeps every minute, and every hour as the minutes of it merged, whatever is missing', () => {
    const minutes = fc.uniqueArray(fc.nat(4 * 60), { minLength: 1, maxLength: 120 }).map((all) => all.toSorted((a, b) => a - b))
    fc.assert(
      fc.property(minutes, (at) => {
        using opened = openSamples()
        const { samples } = opened
        for (const minute of at) samples.record(one(1000 + minute * 3), MIDNIGHT_MS + minute * MINUTE_MS)
        const end = MIDNIGHT_MS + DAY_MS
        const found = samples.minutes('a', MIDNIGHT_MS, end)
        expect(found.map(({ timeMs, sample }) => [(timeMs - MIDNIGHT_MS) / MINUTE_MS, sample.used])).toEqual(at.map((minute) => [minute, 1000 + minute * 3]))
        const lastHour = Math.floor((at.at(-1) ?? 0) / 60)
        const byHour = [...Map.groupBy(at, (minute) => Math.floor(minute / 60))].filter(([hour]) => hour < lastHour)
        expect(samples.hours('a', MIDNIGHT_MS, end)).toEqual(
          byHour.map(([hour, all]) => ({ timeMs: MIDNIGHT_MS + hour * HOUR_MS, sample: mergeSamples(all.map((minute) => minuteOf(1000 + minute * 3))) })),
        )
      }),
      propertyOptions(12),
    )
  })

  test('adds up the fleet, and keeps the first sample of a minute', () => {
    using opened = openSamples()
    const stores = new Map([
      ['a', minuteOf(100)],
      ['b', minuteOf(50)],
    ])
    opened.samples.record(stores, MIDNIGHT_MS)
    opened.samples.record(one(999), MIDNIGHT_MS + 30_000)
    const found = (id: string) => opened.samples.minutes(id, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS).map(({ sample }) => sample.used)
    expect([found('a'), found('b'), found(FLEET_SERIES), found('unknown')]).toEqual([[100], [50], [150], []])
  })

  test('of a minute is there completely or not at all', () => {
    using opened = openSamples()
    opened.samples.record(one(1), MIDNIGHT_MS)
    opened.database.run(`CREATE TRIGGER full BEFORE INSERT ON sample_minutes WHEN NEW.key % 1048576 = 2 BEGIN SELECT RAISE(ABORT, 'disk is full'); END`)
    const stores = new Map([...one(2), ['b', minuteOf(3)]])
    expect(() => opened.samples.record(stores, MIDNIGHT_MS + HOUR_MS)).toThrow('disk is full')
    expect(opened.count('sample_minutes')).toBe(2)
    expect(opened.count('sample_blocks')).toBe(0)
    opened.database.run('DROP TRIGGER full')
    opened.samples.record(stores, MIDNIGHT_MS + HOUR_MS)
    expect(opened.samples.hours('a', 0, MIDNIGHT_MS + DAY_MS)).toHaveLength(1)
    expect(opened.samples.minutes('b', 0, MIDNIGHT_MS + DAY_MS)).toHaveLength(1)
  })
})

describe('retention', () => {
  test('is two days of minutes and 400 days of hours, in a bounded number of rows', () => {
    using opened = openSamples(new Set(['a']))
    const { samples } = opened
    const recordDays = (from: number, to: number): void => {
      for (let hour = from * 24; hour <= to * 24; hour++) samples.record(one(hour), MIDNIGHT_MS + hour * HOUR_MS)
    }
    const oldest = (): number => (samples.hours('a', 0, Number.MAX_SAFE_INTEGER)[0]?.timeMs ?? 0) - MIDNIGHT_MS
    recordDays(0, 3)
    expect([opened.count('sample_minutes'), opened.count('sample_blocks')]).toEqual([2, 2 * (48 + 3)])
    recordDays(400, 402)
    expect(oldest()).toBe(2 * DAY_MS)
    recordDays(402, 404)
    const nowMs = MIDNIGHT_MS + 404 * DAY_MS
    expect(samples.minutes('a', 0, nowMs + 1).map(({ timeMs }) => (nowMs - timeMs) / HOUR_MS)).toEqual(Array.from({ length: 49 }, (_unused, i) => 48 - i))
    expect(oldest()).toBe(400 * DAY_MS)
    expect([opened.count('sample_minutes'), opened.count('sample_blocks')]).toEqual([2, 2 * (48 + 4)])
  })

  test('of a store that was removed ends with its last sample, and its number is free again', () => {
    const registered = new Set(['a', 'b'])
    using opened = openSamples(registered)
    opened.samples.record(new Map([...one(1), ['b', minuteOf(2)]]), MIDNIGHT_MS)
    registered.delete('b')
    for (const day of [1, 399, 400]) opened.samples.record(one(1), MIDNIGHT_MS + day * DAY_MS)
    expect(opened.samples.hours('b', 0, Number.MAX_SAFE_INTEGER)).toHaveLength(1)
    opened.samples.record(one(1), MIDNIGHT_MS + 401 * DAY_MS + HOUR_MS)
    expect(opened.samples.hours('b', 0, Number.MAX_SAFE_INTEGER)).toEqual([])
    expect(opened.count('sample_series')).toBe(2)
    opened.samples.record(new Map([['c', minuteOf(3)]]), MIDNIGHT_MS + 402 * DAY_MS)
    expect(opened.samples.hours('c', 0, Number.MAX_SAFE_INTEGER)).toEqual([])
    expect(opened.samples.minutes('c', 0, Number.MAX_SAFE_INTEGER)).toHaveLength(1)
  })
})

describe('a clock', () => {
  test('that was set back a little records nothing until the time is there again', () => {
    using opened = openSamples()
    for (const minute of [10, 11, 7, 8, 11, 12]) opened.samples.record(one(minute), MIDNIGHT_MS + minute * MINUTE_MS)
    expect(opened.samples.minutes('a', 0, MIDNIGHT_MS + DAY_MS).map(({ sample }) => sample.used)).toEqual([10, 11, 12])
  })

  test('that was wrong for a while leaves nothing in the future', () => {
    using opened = openSamples()
    const { samples } = opened
    samples.record(one(1), MIDNIGHT_MS)
    for (const hour of [900, 901, 925]) samples.record(one(2), MIDNIGHT_MS + hour * HOUR_MS)
    for (const minute of [1, 2, 61]) samples.record(one(3), MIDNIGHT_MS + minute * MINUTE_MS)
    const end = MIDNIGHT_MS + 1000 * HOUR_MS
    expect(samples.minutes('a', 0, end).every(({ sample }) => sample.used !== 2)).toBe(true)
    expect(samples.minutes('a', 0, end).map(({ sample }) => sample.used)).toEqual([3, 3, 3])
    expect(samples.hours('a', 0, end).map(({ timeMs }) => timeMs)).toEqual([MIDNIGHT_MS])
  })
})

describe('a series', () => {
  test('has gaps where nothing is known, and never a value between', () => {
    using opened = openSamples()
    for (const minute of [0, 1, 5]) opened.samples.record(one(minute), MIDNIGHT_MS + minute * MINUTE_MS)
    const { points, startMs, stepMs } = readSeries(opened.samples, 'a', { nowMs: MIDNIGHT_MS + 6 * MINUTE_MS, spanMs: HOUR_MS })
    expect([stepMs, startMs]).toEqual([MINUTE_MS, MIDNIGHT_MS + 7 * MINUTE_MS - HOUR_MS])
    expect(points.slice(-7).map((point) => point?.used)).toEqual([0, 1, undefined, undefined, undefined, 5, undefined])
  })

  test('of any span has at most 1,000 points, and the current hour', () => {
    using opened = openSamples()
    for (const minute of [0, 59, 60, 61]) opened.samples.record(one(minute), MIDNIGHT_MS + minute * MINUTE_MS)
    const nowMs = MIDNIGHT_MS + 61 * MINUTE_MS
    for (const spanMs of [2 * HOUR_MS, 6 * HOUR_MS, 2 * DAY_MS, 30 * DAY_MS, 400 * DAY_MS, 4000 * DAY_MS]) {
      const { points, stepMs } = readSeries(opened.samples, 'a', { nowMs, spanMs })
      expect(points.length).toBeLessThanOrEqual(POINTS_MAX)
      expect(points.length * stepMs).toBeGreaterThanOrEqual(Math.min(spanMs, POINTS_MAX * stepMs))
      expect(points.reduce((sum, point) => sum + (point?.measured ?? 0), 0)).toBe(4)
      expect(points.at(-1)?.usedMax).toBe(61)
    }
  })
})

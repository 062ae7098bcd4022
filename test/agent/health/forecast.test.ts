// The forecast of a full store.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { addSpaceSample, forecastFullMs, SAMPLE_EVERY_MS } from '../../../agent/health/forecast.ts'
import type { SpaceSample } from '../../../agent/health/forecast.ts'

const START = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000
const DAY = 24 * HOUR

function line(hours: number, firstBytes: number, bytesPerHour: number): SpaceSample[] {
  return Array.from({ length: hours + 1 }, (_, hour) => ({ atMs: START + hour * HOUR, availableBytes: firstBytes + hour * bytesPerHour }))
}

describe('forecastFullMs', () => {
  test('finds the time at which free space reaches zero', () => {
    const nowMs = START + 48 * HOUR
    const found = forecastFullMs(line(48, 1_000_000, -10_000), nowMs) ?? 0
    expect(Math.abs(found - (START + 100 * HOUR))).toBeLessThan(1000)
  })

  test('returns nothing for samples of less than a day, for growing space, and for a time years ahead', () => {
    expect(forecastFullMs([], START)).toBeNull()
    expect(forecastFullMs(line(23, 1_000_000, -10_000), START + DAY)).toBeNull()
    expect(forecastFullMs(line(48, 1_000_000, 10), START + 2 * DAY)).toBeNull()
    expect(forecastFullMs(line(48, 1_000_000, 0), START + 2 * DAY)).toBeNull()
    expect(forecastFullMs(line(48, 1e15, -10), START + 2 * DAY)).toBeNull()
  })

  test('is never in the past', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000_000), { minLength: 25, maxLength: 200 }), fc.nat(DAY), (bytes, laterMs) => {
        const samples = bytes.map((availableBytes, hour) => ({ atMs: START + hour * HOUR, availableBytes }))
        const nowMs = START + bytes.length * HOUR + laterMs
        const found = forecastFullMs(samples, nowMs)
        return found === null || found >= nowMs
      }),
    )
  })
})

describe('addSpaceSample', () => {
  test('adds one sample per hour and keeps two weeks', () => {
    let samples: readonly SpaceSample[] = []
    for (let minute = 0; minute < 30 * 24 * 60; minute += 10)
      samples = addSpaceSample(samples, { atMs: START + minute * 60_000, availableBytes: minute }) ?? samples
    expect(samples).toHaveLength(14 * 24)
    for (const [index, sample] of samples.entries()) if (index > 0) expect(sample.atMs - (samples[index - 1]?.atMs ?? 0)).toBe(SAMPLE_EVERY_MS)
  })

  test('drops samples of the future, which a wrong clock created', () => {
    const wrong = { atMs: START + 365 * DAY, availableBytes: 1 }
    expect(
      addSpaceSample([{ atMs: START, availableBytes: 2 }, wrong], { atMs: START + DAY, availableBytes: 3 })?.map((sample) => sample.availableBytes),
    ).toEqual([2, 3])
  })
})

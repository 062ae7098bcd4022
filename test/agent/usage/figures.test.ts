// The arithmetic of usage, against figures worked out by hand.

import { describe, expect, test } from 'bun:test'
import { addTo, figuresOf, monthsOf, noSum, parsePrice } from '../../../agent/usage/figures.ts'

const ms = (text: string): number => Date.parse(text)
const GB = 1_000_000_000

/** The figures of some bytes over a range. */
function figures(from: string, to: string, length: number, price?: string) {
  const sum = noSum()
  for (const part of monthsOf(ms(from), ms(to))) addTo(sum, part, { length, storedSize: Math.floor(length / 4), ms: part.toMs - part.fromMs })
  return figuresOf(sum, price === undefined ? undefined : parsePrice(price))
}

describe('months', () => {
  test('are those of UTC, the first and last cut to the range', () => {
    expect(monthsOf(ms('2026-01-31T23:59:59.999Z'), ms('2026-03-01T00:00:00.001Z'))).toEqual([
      { month: '2026-01', fromMs: ms('2026-01-31T23:59:59.999Z'), toMs: ms('2026-02-01T00:00:00Z'), days: 31 },
      { month: '2026-02', fromMs: ms('2026-02-01T00:00:00Z'), toMs: ms('2026-03-01T00:00:00Z'), days: 28 },
      { month: '2026-03', fromMs: ms('2026-03-01T00:00:00Z'), toMs: ms('2026-03-01T00:00:00.001Z'), days: 31 },
    ])
    expect(monthsOf(5, 5)).toEqual([])
    expect(monthsOf(6, 5)).toEqual([])
  })

  test('have 24 hours a day, also when clocks change', () => {
    // In Europe, clocks change on 29 March and 25 October 2026; in UTC they do not.
    expect(figures('2026-03-01T00:00:00Z', '2026-04-01T00:00:00Z', GB).gbHours).toBe('744.000000')
    expect(figures('2026-10-01T00:00:00Z', '2026-11-01T00:00:00Z', GB).gbHours).toBe('744.000000')
    expect(figures('2026-11-01T00:00:00Z', '2026-12-01T00:00:00Z', GB).gbHours).toBe('720.000000')
    expect(figures('2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z', GB).gbHours).toBe('696.000000')
  })
})

describe('the cost', () => {
  test('of a whole month is the price, however many hours the month has', () => {
    for (const [from, to] of [
      ['2026-01-01', '2026-02-01'],
      ['2026-02-01', '2026-03-01'],
      ['2026-04-01', '2026-05-01'],
      ['2028-02-01', '2028-03-01'],
    ])
      expect(figures(`${from}T00:00:00Z`, `${to}T00:00:00Z`, 10 * GB, '0.05').cost).toBe('0.500000')
  })

  test('of a part of a month is its share of the hours', () => {
    // 12 hours of 720 in November, 12 of 744 in December.
    expect(figures('2026-11-01T00:00:00Z', '2026-11-01T12:00:00Z', GB, '1').cost).toBe('0.016667')
    expect(figures('2026-12-01T00:00:00Z', '2026-12-01T12:00:00Z', GB, '1').cost).toBe('0.016129')
    // Both together: 1/60 + 1/62.
    expect(figures('2026-11-30T12:00:00Z', '2026-12-01T12:00:00Z', GB, '1').cost).toBe('0.032796')
  })

  test('is exact for prices that a binary fraction cannot hold, and for very large images', () => {
    expect(figures('2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z', GB, '0.1').cost).toBe('1.200000')
    expect(figures('2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z', 8_000_000_000_000_004, '0.000000001').cost).toBe('0.096000')
    expect(figures('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z', 9_007_199_254_740_991, '999999999.999999999').cost).toBe('9007199254740990.990993')
  })

  test('is rounded half up', () => {
    expect(figures('2026-04-01T00:00:00Z', '2026-05-01T00:00:00Z', GB / 2, '0.000001').cost).toBe('0.000001')
    expect(figures('2026-04-01T00:00:00Z', '2026-05-01T00:00:00Z', GB / 2, '0.000000999').cost).toBe('0.000000')
  })

  test('is null without a price, and the stored size has its own sum', () => {
    expect(figures('2026-04-01T00:00:00Z', '2026-04-01T02:00:00Z', 4 * GB)).toEqual({ gbHours: '8.000000', storedGbHours: '2.000000', cost: null })
  })
})

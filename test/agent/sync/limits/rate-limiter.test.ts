// The limiter on a clock under control: the rate over every window, fair parts by priority, no starvation.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { CATCH_UP_MS, createRateLimiter } from '../../../../agent/sync/limits/rate-limiter.ts'
import type { RateShare, ShareOptions } from '../../../../agent/sync/limits/rate-limiter.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { until } from '../../../support/until.ts'

interface Passed {
  readonly atMs: number
  readonly bytes: number
  readonly share: number
}

/** Syncs that take the next bytes as soon as they may, for a time of the manual clock. */
async function runShares(rate: number | undefined, shares: readonly (ShareOptions & { readonly pieces: readonly number[] })[], forMs: number) {
  const clock = createManualClock()
  const limiter = createRateLimiter({ clock, bytesPerSecond: () => rate })
  const passed: Passed[] = []
  const ended = new AbortController()
  const open = shares.map(({ pieces, ...options }, number) => {
    const share = limiter.open(options)
    const pull = async (): Promise<void> => {
      for (let i = 0; clock.monotonicMs() <= forMs; i++) {
        const bytes = pieces[i % pieces.length] ?? 1
        await share.take(bytes, ended.signal)
        passed.push({ atMs: clock.monotonicMs(), bytes, share: number })
      }
    }
    void pull().catch(() => {})
    return share
  })
  for (let ms = 0; ms <= forMs; ms += 10) {
    await settle()
    clock.advance(10)
  }
  ended.abort(new Error('the test has ended'))
  for (const share of open) share[Symbol.dispose]()
  return passed.filter(({ atMs }) => atMs <= forMs)
}

/** Lets everything run that does not wait for the clock. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Returns how many bytes more than the rate allows passed in the worst window that begins and ends with a piece. */
function worstExcess(passed: readonly Passed[], rate: number): number {
  let worst = -Infinity
  let sum = 0
  let least = 0
  for (const { atMs, bytes } of passed) {
    // Sum of bytes minus what the rate allows, against its least value before this piece.
    least = Math.min(least, sum - (rate * atMs) / 1000)
    sum += bytes
    worst = Math.max(worst, sum - (rate * atMs) / 1000 - least)
  }
  return worst
}

const pieces = fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 1, maxLength: 8 })
const priority = fc.constantFrom('low' as const, 'normal' as const, 'high' as const)
const bytesOf = (passed: readonly Passed[], share: number): number => passed.filter((one) => one.share === share).reduce((sum, { bytes }) => sum + bytes, 0)

describe('the rate', () => {
  test('of the store is not exceeded over any window, beyond one piece and the catch-up time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 65_536, max: 1_000_000 }),
        fc.array(fc.record({ pieces, priority }), { minLength: 1, maxLength: 5 }),
        async (rate, shares) => {
          const passed = await runShares(rate, shares, 3000)
          expect(worstExcess(passed, rate)).toBeLessThanOrEqual(65_536 + (rate * CATCH_UP_MS) / 1000 + 1)
        },
      ),
      { numRuns: 15 },
    )
  })

  test('of a sync is not exceeded either, whatever the store allows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 65_536, max: 500_000 }), pieces, fc.option(fc.constant(2_000_000), { nil: undefined }), async (own, list, rate) => {
        const passed = await runShares(rate, [{ pieces: list, priority: 'normal', bytesPerSecond: own }], 2000)
        expect(worstExcess(passed, own)).toBeLessThanOrEqual(65_536 + (own * CATCH_UP_MS) / 1000 + 1)
      }),
      { numRuns: 15 },
    )
  })

  test('is used', async () => {
    const passed = await runShares(100_000, [{ pieces: [1000, 3000], priority: 'normal' }], 10_000)
    expect(bytesOf(passed, 0)).toBeGreaterThan(990_000)
    expect(bytesOf(passed, 0)).toBeLessThan(1_010_000)
  })
})

describe('shares', () => {
  test('of one priority get equal parts, whatever the sizes of their pieces are', async () => {
    const shares = [[1000], [16_000], [250, 8000], [4000]].map((list) => ({ pieces: list, priority: 'normal' as const }))
    const passed = await runShares(400_000, shares, 20_000)
    for (const number of shares.keys()) {
      expect(bytesOf(passed, number)).toBeGreaterThan(1_950_000)
      expect(bytesOf(passed, number)).toBeLessThan(2_050_000)
    }
  })

  test('of a higher priority get more, and none starves', async () => {
    const passed = await runShares(
      700_000,
      (['high', 'low', 'normal'] as const).map((one) => ({ pieces: [5000], priority: one })),
      10_000,
    )
    expect([0, 1, 2].map((number) => Math.round(bytesOf(passed, number) / 100_000))).toEqual([40, 10, 20])
  })

  test('leave what they do not use to the others', async () => {
    const shares = [
      { pieces: [2000], priority: 'high' as const, bytesPerSecond: 100_000 },
      { pieces: [2000], priority: 'low' as const },
    ]
    const passed = await runShares(400_000, shares, 10_000)
    expect([0, 1].map((number) => Math.round(bytesOf(passed, number) / 100_000))).toEqual([10, 30])
  })

  test('have no claim on a time in which they were idle', async () => {
    const clock = createManualClock()
    const limiter = createRateLimiter({ clock, bytesPerSecond: () => 100_000 })
    const [busy, idle] = [limiter.open({ priority: 'normal' }), limiter.open({ priority: 'normal' })]
    let busyBytes = 0
    let idleBytes = 0
    const pull = async (share: RateShare, count: (bytes: number) => void): Promise<void> => {
      for (;;) {
        await share.take(1000)
        count(1000)
      }
    }
    void pull(busy, (bytes) => void (busyBytes += bytes))
    for (let i = 0; i < 500; i++) {
      await settle()
      clock.advance(10)
    }
    const before = busyBytes
    void pull(idle, (bytes) => void (idleBytes += bytes))
    for (let i = 0; i < 200; i++) {
      await settle()
      clock.advance(10)
    }
    expect(Math.abs(busyBytes - before - idleBytes)).toBeLessThanOrEqual(2000)
  })
})

describe('without limits', () => {
  test('bytes pass at once and any number may be on the way', async () => {
    const limiter = createRateLimiter({ clock: createManualClock(), bytesPerSecond: () => undefined })
    const share = limiter.open({ priority: 'low' })
    for (let i = 0; i < 100; i++) await share.take(1_000_000_000)
    expect(share.inFlightMax()).toBe(Infinity)
  })
})

describe('a change', () => {
  test('of the rate applies within a second', async () => {
    const clock = createManualClock()
    let rate: number | undefined = 1000
    const share = createRateLimiter({ clock, bytesPerSecond: () => rate }).open({ priority: 'normal' })
    await share.take(100_000)
    let passed = false
    void share.take(1).then(() => (passed = true))
    await clock.untilSleeping(1)
    rate = undefined
    clock.advance(1000)
    await until('it passes', () => passed)
  })

  test('an abort rejects with its reason and leaves the order of the others', async () => {
    const clock = createManualClock()
    const share = createRateLimiter({ clock, bytesPerSecond: () => 1000 }).open({ priority: 'normal' })
    await share.take(1000)
    const stop = new AbortController()
    const stopped = share.take(5000, stop.signal)
    let passed = false
    void share.take(1).then(() => (passed = true))
    stop.abort(new Error('stop'))
    await expect(stopped).rejects.toThrow('stop')
    await expect(share.take(1, stop.signal)).rejects.toThrow('stop')
    clock.advance(1000)
    await until('the other passes', () => passed)
  })

  test('disposing a share lets its bytes pass, and the others get its part', async () => {
    const clock = createManualClock()
    const limiter = createRateLimiter({ clock, bytesPerSecond: () => 100_000 })
    const [one, two] = [limiter.open({ priority: 'normal' }), limiter.open({ priority: 'normal' })]
    expect([one.inFlightMax(), two.inFlightMax()]).toEqual([100_000, 100_000])
    await one.take(1_000_000)
    const waiting = one.take(1_000_000)
    one[Symbol.dispose]()
    await waiting
    await one.take(1)
    expect(two.inFlightMax()).toBe(200_000)
    expect(limiter.open({ priority: 'high', bytesPerSecond: 70_000 }).inFlightMax()).toBeCloseTo(Math.min(140_000, (2 * 100_000 * 4) / 6), 5)
  })
})

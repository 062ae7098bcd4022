// The board of checks: fast answers, bounded waits, events on change.

import { describe, expect, test } from 'bun:test'
import type { Finding, HealthCheck } from '../../../agent/contract/health.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import { createHealth } from '../../../agent/health/health.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { until } from '../../support/until.ts'

const OK: Finding = { state: 'ok', measured: 'well', limit: null, impact: '', action: '' }
const FAILED: Finding = { state: 'failed', measured: 'gone', limit: null, impact: 'Nothing works.', action: 'Mount it.' }

function createFixture(...measures: { name: string; isVital?: boolean; measure: HealthCheck['measure'] }[]) {
  const clock = createManualClock()
  const events: NewEvent[] = []
  const log = createMemoryLog()
  const checks = measures.map(({ isVital = false, ...check }) => ({ ...check, isVital }))
  const health = createHealth({ checks, clock, log, emit: (event) => void events.push(event) })
  return { clock, events, log, health, [Symbol.dispose]: () => health[Symbol.dispose]() }
}

describe('state', () => {
  const measure = (state: Finding['state']) => () => ({ ...FAILED, state })
  const cases: [string, boolean, Finding['state'], string][] = [
    ['running', true, 'ok', 'running'],
    ['running', true, 'unknown', 'running'],
    ['degraded', true, 'warning', 'degraded'],
    ['degraded', false, 'failed', 'degraded'],
    ['error', true, 'failed', 'error'],
  ]
  for (const [expected, isVital, state, _] of cases) {
    test(`is ${expected} with a ${isVital ? 'vital' : 'lesser'} check that is ${state}`, async () => {
      using fixture = createFixture({ name: 'well', measure: () => OK }, { name: 'it', isVital, measure: measure(state) })
      expect((await fixture.health.current()).state).toBe(expected as 'running')
    })
  }
})

describe('current', () => {
  test('measures on its own schedule, independent of the number of requests', async () => {
    let measured = 0
    using fixture = createFixture({ name: 'a', measure: () => (measured++, OK) })
    await Promise.all(Array.from({ length: 20 }, () => fixture.health.current()))
    await fixture.health.current()
    expect(measured).toBe(1)
    fixture.clock.advance(1499)
    await fixture.health.current()
    expect(measured).toBe(1)
    fixture.clock.advance(1)
    await Promise.all(Array.from({ length: 20 }, () => fixture.health.current()))
    expect(measured).toBe(2)
  })

  test('measures less often while no requests come', async () => {
    let measured = 0
    using fixture = createFixture({ name: 'a', measure: () => (measured++, OK) })
    await fixture.health.current()
    for (let i = 0; i < 60; i++) {
      fixture.clock.advance(1000)
      await fixture.clock.sleep(0)
    }
    // Every 1.5 s for ten seconds after the request, every 9 s after that.
    expect(measured).toBeGreaterThanOrEqual(10)
    expect(measured).toBeLessThanOrEqual(14)
  })

  test('returns the last result while a check hangs, and reports the hang after two seconds', async () => {
    let isHanging = false
    const { promise, resolve } = Promise.withResolvers<Finding>()
    let started = 0
    using fixture = createFixture({
      name: 'mount-path',
      isVital: true,
      measure() {
        started++
        return isHanging ? promise : OK
      },
    })
    const { clock, health } = fixture
    expect((await health.current()).state).toBe('running')
    isHanging = true
    clock.advance(1500)
    expect(started).toBe(2)
    expect((await health.current()).state).toBe('running')
    clock.advance(500)
    const impatient = health.current()
    await clock.untilSleeping(1)
    clock.advance(25)
    expect((await impatient).state).toBe('running')
    clock.advance(1475)
    await until('the hang is reported', async () => {
      const asked = health.current()
      clock.advance(25)
      return (await asked).state === 'error'
    })
    clock.advance(60_000)
    expect((await health.refresh()).checks[0]?.measured).toMatch(/^no answer for 1 min/)
    expect(started).toBe(2)
    isHanging = false
    resolve(OK)
    await until('health is running again', async () => (await health.refresh()).state === 'running')
    await health.refresh()
    expect(started).toBeGreaterThan(2)
  })

  test('treats a check that throws as failed, and logs why', async () => {
    using fixture = createFixture({
      name: 'broken',
      measure() {
        throw new Error('no such table')
      },
    })
    const { checks } = await fixture.health.current()
    expect(checks[0]).toMatchObject({ state: 'failed', measured: 'the check itself failed' })
    expect(JSON.stringify(checks)).not.toContain('table')
    expect(fixture.log.lines).toMatchObject([{ level: 'error', message: 'a health check threw' }])
  })
})

describe('events', () => {
  test('report each change once, also without requests', async () => {
    let finding = OK
    using fixture = createFixture({ name: 'mount-path', measure: () => finding })
    const { clock, events, health } = fixture
    const round = async (next: Finding) => {
      finding = next
      clock.advance(1500)
      await health.refresh()
    }
    for (const next of [OK, FAILED, FAILED, { ...FAILED, state: 'unknown' as const }, OK, OK]) await round(next)
    expect(events.map(({ type, severity, subject, message }) => [type, severity, subject, message])).toEqual([
      ['health.changed', 'error', 'mount-path', 'mount-path: gone. Nothing works. Mount it.'],
    ])
    await round(FAILED)
    await round(OK)
    expect(events.map(({ severity }) => severity)).toEqual(['error', 'error', 'info'])
  })
})

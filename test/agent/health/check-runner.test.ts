// How long an answer waits for a check.

import { describe, expect, test } from 'bun:test'
import type { Finding } from '../../../agent/contract/health.ts'
import { createCheckRunner } from '../../../agent/health/check-runner.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

const OK: Finding = { state: 'ok', measured: 'well', limit: null, impact: '', action: '' }

/** A runner and a check that ends when the test says so. `stall` is time that passes while the event loop does not run. */
function createFixture() {
  const clock = createManualClock()
  let stalledMs = 0
  const measure = createCheckRunner({ clock: { ...clock, monotonicMs: () => clock.monotonicMs() + stalledMs }, log: createMemoryLog() })
  const { promise, resolve } = Promise.withResolvers<Finding>()
  const check = { name: 'mount-path', isVital: true, measure: () => promise }
  return { clock, measure: () => measure(check), end: () => resolve(OK), stall: (ms: number) => void (stalledMs += ms) }
}

describe('a check', () => {
  test('is late after two seconds, for everybody who asks', async () => {
    const { clock, measure, end } = createFixture()
    let state = ''
    const first = measure().then((found) => (state = found.state))
    clock.advance(1999)
    await clock.sleep(0)
    expect(state).toBe('')
    clock.advance(1)
    await first
    expect(state).toBe('failed')
    expect(await measure()).toMatchObject({ state: 'failed', measured: 'no answer for 2 s', limit: '2 s' })
    clock.advance(7000)
    expect((await measure()).measured).toBe('no answer for 9 s')
    end()
    expect((await measure()).state).toBe('failed')
    await clock.sleep(0)
    expect((await measure()).state).toBe('ok')
  })

  test('is not late because the process got no core', async () => {
    const { clock, measure, end, stall } = createFixture()
    const first = measure()
    clock.advance(100)
    stall(5000)
    const second = measure()
    await clock.sleep(0)
    clock.advance(1800)
    await clock.sleep(0)
    end()
    expect([(await first).state, (await second).state]).toEqual(['ok', 'ok'])
  })
})

// Plans when schedules fire.

import { describe, expect, test } from 'bun:test'
import { judgeCron, nextRunMs, planSchedules } from '../../../agent/schedule/plan.ts'
import type { ScheduleTiming } from '../../../agent/schedule/plan.ts'

const at = (text: string): number => Date.parse(text)

function timing(more: Partial<ScheduleTiming> = {}): ScheduleTiming {
  return { name: 'scrub', cron: '0 3 * * *', timezone: 'UTC', paused: false, running: false, anchorMs: at('2026-01-01T00:00:00Z'), notBeforeMs: 0, ...more }
}

describe('nextRunMs', () => {
  test('is the first time after the anchor, in its time zone', () => {
    expect(nextRunMs(timing(), at('2026-01-01T01:00:00Z'))).toBe(at('2026-01-01T03:00:00Z'))
    expect(nextRunMs(timing({ timezone: 'Europe/Berlin' }), at('2026-01-01T01:00:00Z'))).toBe(at('2026-01-01T02:00:00Z'))
    expect(nextRunMs(timing({ paused: true }), at('2026-01-01T01:00:00Z'))).toBeNull()
  })

  test('runs once for the hour that daylight saving time skips, and once in the hour it repeats', () => {
    const spring = timing({ cron: '30 2 * * *', timezone: 'Europe/Berlin', anchorMs: at('2026-03-28T12:00:00Z') })
    const first = nextRunMs(spring, at('2026-03-28T13:00:00Z')) ?? 0
    const second = nextRunMs({ ...spring, anchorMs: first }, first) ?? 0
    expect(new Date(first).toISOString().slice(0, 10)).toBe('2026-03-29')
    expect(new Date(second).toISOString().slice(0, 10)).toBe('2026-03-30')
    const autumn = timing({ cron: '30 2 * * *', timezone: 'Europe/Berlin', anchorMs: at('2026-10-24T12:00:00Z') })
    const one = nextRunMs(autumn, at('2026-10-24T13:00:00Z')) ?? 0
    const two = nextRunMs({ ...autumn, anchorMs: one }, one) ?? 0
    expect(two - one).toBeGreaterThan(20 * 3_600_000)
  })

  test('is not delayed by an anchor in the future', () => {
    expect(nextRunMs(timing({ anchorMs: at('2030-01-01T00:00:00Z') }), at('2026-01-01T01:00:00Z'))).toBe(at('2026-01-01T03:00:00Z'))
  })
})

describe('planSchedules', () => {
  test('starts due schedules, once for any number of missed times, and skips those still running', () => {
    const nowMs = at('2026-01-09T04:00:00Z')
    expect(planSchedules([timing(), timing({ name: 'cleanup', cron: '0 5 * * *', anchorMs: nowMs })], nowMs)).toEqual({ start: ['scrub'], skip: [] })
    expect(planSchedules([timing({ running: true })], nowMs)).toEqual({ start: [], skip: ['scrub'] })
    expect(planSchedules([timing({ paused: true })], nowMs)).toEqual({ start: [], skip: [] })
    expect(planSchedules([timing({ anchorMs: nowMs })], nowMs)).toEqual({ start: [], skip: [] })
  })

  test('waits after a failed start', () => {
    const nowMs = at('2026-01-09T04:00:00Z')
    expect(planSchedules([timing({ notBeforeMs: nowMs + 1 })], nowMs).start).toEqual([])
    expect(planSchedules([timing({ notBeforeMs: nowMs })], nowMs).start).toEqual(['scrub'])
  })
})

describe('judgeCron', () => {
  test('accepts five fields that fire at some time', () => {
    for (const cron of ['* * * * *', '17 3 * * *', '*/10 * * * *', '0 0 29 2 *', ' 5  4 * * SUN '])
      expect(judgeCron(cron, 'UTC', 0)).toEqual({ kind: 'accepted' })
    for (const cron of ['', '* * * *', '* * * * * *', '@daily', '60 * * * *', '0 0 30 2 *', 'a b c d e']) expect(judgeCron(cron, 'UTC', 0).kind).toBe('refused')
  })
})

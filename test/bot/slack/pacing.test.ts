// How often messages are edited, and how long the bot tries to reach Slack.

import { describe, expect, test } from 'bun:test'
import { keepConnecting } from '../../../bot/slack/keep-connecting.ts'
import type { KeptConnection } from '../../../bot/slack/keep-connecting.ts'
import { createPacing, EDIT_INTERVAL_MS, EDITS_PER_MINUTE } from '../../../bot/slack/pacing.ts'
import { SlackUnreachable } from '../../../bot/slack/slack-unreachable.ts'
import { createLog } from '../../../bot/system/log.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../support/memory/manual-clock.ts'

describe('edits', () => {
  test('of one message are three seconds apart, whatever happens to others', () => {
    const clock = createManualClock()
    const pacing = createPacing(clock)
    expect([pacing.tryEdit('a'), pacing.tryEdit('a'), pacing.tryEdit('b')]).toEqual([true, false, true])
    clock.advance(2999)
    expect(pacing.tryEdit('a')).toBe(false)
    clock.advance(1)
    expect([pacing.tryEdit('a'), pacing.tryEdit('a')]).toEqual([true, false])
  })

  test('of all messages are at most 45 in a minute', () => {
    expect([EDIT_INTERVAL_MS, EDITS_PER_MINUTE]).toEqual([3000, 45])
    const clock = createManualClock()
    const pacing = createPacing(clock)
    for (let n = 0; n < 45; n++) {
      expect(pacing.tryEdit(String(n))).toBe(true)
      clock.advance(100)
    }
    expect(pacing.tryEdit('next')).toBe(false)
    // The first edit was 4.5 s ago.
    clock.advance(60_000 - 4500 - 1)
    expect(pacing.tryEdit('next')).toBe(false)
    clock.advance(1)
    expect([pacing.tryEdit('next'), pacing.tryEdit('other')]).toEqual([true, false])
    clock.advance(100)
    expect(pacing.tryEdit('other')).toBe(true)
  })

  test('that wait are made at the first moment that both limits allow', async () => {
    const clock = createManualClock()
    const pacing = createPacing(clock)
    await pacing.waitForEdit('a')
    const waiting = pacing.waitForEdit('a').then(() => clock.monotonicMs())
    await clock.untilSleeping(1)
    clock.advance(EDIT_INTERVAL_MS)
    expect(await waiting).toBe(3000)
    expect(pacing.tryEdit('a')).toBe(false)
    const stop = new AbortController()
    const stopped = pacing.waitForEdit('a', stop.signal)
    stop.abort(new Error('enough'))
    await expect(stopped).rejects.toThrow('enough')
  })
})

interface Attempts {
  readonly clock: ManualClock
  readonly reports: string[]
  readonly kept: Promise<KeptConnection>
  /** Attempts so far, and connections that were closed. */
  readonly counts: { attempts: number; closed: number }
}

/** Tries to connect; each attempt ends as `outcomes` says, the last one again and again. */
function attempt(...outcomes: readonly ('connected' | 'unreachable' | 'refused')[]): Attempts {
  const clock = createManualClock()
  const reports: string[] = []
  const counts = { attempts: 0, closed: 0 }
  const connect = async (): Promise<AsyncDisposable> => {
    const outcome = outcomes[Math.min(counts.attempts++, outcomes.length - 1)]
    if (outcome === 'unreachable') throw new SlackUnreachable('No answer.')
    if (outcome === 'refused') throw new Error('invalid_auth')
    return { [Symbol.asyncDispose]: async () => void counts.closed++ }
  }
  const log = createLog({ clock, level: 'error', write: () => {} })
  return { clock, reports, counts, kept: keepConnecting({ connect, clock, log, report: (status) => void reports.push(status) }) }
}

describe('the connection to Slack', () => {
  test('is reported and closed at the end', async () => {
    const { reports, kept, counts } = attempt('connected')
    const connection = await kept
    expect(reports).toEqual(['Connecting to Slack', 'Connected to Slack'])
    expect(counts).toEqual({ attempts: 1, closed: 0 })
    await connection[Symbol.asyncDispose]()
    expect(counts).toEqual({ attempts: 1, closed: 1 })
  })

  test('is tried again after 2 s, 4 s and so on up to a minute', async () => {
    const { clock, reports, kept, counts } = attempt(...Array.from({ length: 7 }, () => 'unreachable' as const), 'connected')
    const connection = await kept
    const delays: number[] = []
    for (const seconds of [2, 4, 8, 16, 32, 60, 60]) {
      await clock.untilSleeping(1)
      expect(reports.at(-1)).toBe(`Not connected since 2026-01-01T00:00:00.000Z: No answer. Retrying in ${seconds} s`)
      const before = counts.attempts
      clock.advance(seconds * 1000 - 1)
      for (let turn = 0; turn < 5; turn++) await Promise.resolve()
      expect(counts.attempts).toBe(before)
      clock.advance(1)
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      delays.push(seconds)
      expect(counts.attempts).toBe(before + 1)
    }
    expect(reports.at(-1)).toBe('Connected to Slack')
    await connection[Symbol.asyncDispose]()
    expect(counts.closed).toBe(1)
  })

  test('that Slack refuses ends the start, and later the service', async () => {
    await expect(attempt('refused').kept).rejects.toThrow('invalid_auth')
    const { clock, kept } = attempt('unreachable', 'refused')
    const connection = await kept
    await clock.untilSleeping(1)
    clock.advance(2000)
    await expect(connection.failed).rejects.toThrow('invalid_auth')
  })

  test('that takes long does not keep the bot from starting, nor from stopping', async () => {
    const clock = createManualClock()
    const reports: string[] = []
    let closed = 0
    const late = Promise.withResolvers<AsyncDisposable>()
    const log = createLog({ clock, level: 'error', write: () => {} })
    let isStarted = false
    const starting = keepConnecting({ connect: () => late.promise, clock, log, report: (status) => void reports.push(status) }).then((connection) => {
      isStarted = true
      return connection
    })
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    }
    await clock.untilSleeping(1)
    clock.advance(29_999)
    await turns()
    expect(isStarted).toBe(false)
    clock.advance(1)
    const connection = await starting
    expect(reports).toEqual(['Connecting to Slack'])

    let isStopped = false
    const stopping = connection[Symbol.asyncDispose]().then(() => (isStopped = true))
    await clock.untilSleeping(1)
    clock.advance(1999)
    await turns()
    expect(isStopped).toBe(false)
    clock.advance(1)
    await stopping
    // A connection that comes after the stop is closed.
    late.resolve({ [Symbol.asyncDispose]: async () => void closed++ })
    await turns()
    expect(closed).toBe(1)
  })

  test('is not tried again after a stop', async () => {
    const { clock, kept, counts } = attempt('unreachable')
    const connection = await kept
    await clock.untilSleeping(1)
    await connection[Symbol.asyncDispose]()
    clock.advance(120_000)
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect(counts).toEqual({ attempts: 1, closed: 0 })
  })
})

// How often messages are edited, and how long the bot tries to reach Slack.

import { describe, expect, test } from 'bun:test'
import { keepConnecting } from '../../../../bot/slack/receive/keep-connecting.ts'
import type { KeptConnection } from '../../../../bot/slack/receive/keep-connecting.ts'
import { createPacing, EDIT_INTERVAL_MS, EDITS_PER_MINUTE } from '../../../../bot/slack/send/pacing.ts'
import type { Pacing } from '../../../../bot/slack/send/pacing.ts'
import { SlackUnreachable } from '../../../../bot/slack/receive/slack-unreachable.ts'
import { createLog } from '../../../../bot/system/log.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../../support/memory/manual-clock.ts'

describe('edits', () => {
  /** Edits the message if that is allowed now. */
  const editor = (pacing: Pacing) => (key: string) => {
    const isAllowed = pacing.mayEdit(key)
    if (isAllowed) pacing.countEdit(key)
    return isAllowed
  }

  test('of one message are three seconds apart, whatever happens to others', () => {
    const clock = createManualClock()
    const edit = editor(createPacing(clock))
    expect([edit('a'), edit('a'), edit('b')]).toEqual([true, false, true])
    clock.advance(2999)
    expect(edit('a')).toBe(false)
    clock.advance(1)
    expect([edit('a'), edit('a')]).toEqual([true, false])
  })

  test('of all messages are at most 45 in a minute', () => {
    expect([EDIT_INTERVAL_MS, EDITS_PER_MINUTE]).toEqual([3000, 45])
    const clock = createManualClock()
    const edit = editor(createPacing(clock))
    for (let n = 0; n < 45; n++) {
      expect(edit(String(n))).toBe(true)
      clock.advance(100)
    }
    expect(edit('next')).toBe(false)
    // The first edit was 4.5 s ago.
    clock.advance(60_000 - 4500 - 1)
    expect(edit('next')).toBe(false)
    clock.advance(1)
    expect([edit('next'), edit('other')]).toEqual([true, false])
    clock.advance(100)
    expect(edit('other')).toBe(true)
  })
})

test('posts in one channel are a second apart, also when the clock was set back', () => {
  const clock = createManualClock()
  const pacing = createPacing(clock)
  const may = (...channels: string[]) => channels.map((channel) => pacing.mayPost(channel))
  expect(may('C1', 'C1')).toEqual([true, true])
  pacing.countPost('C1')
  clock.advance(999)
  expect(may('C1', 'C2')).toEqual([false, true])
  clock.advance(1)
  expect(may('C1')).toEqual([true])
  const times = [100_000, 50_000]
  const back = createPacing({ nowMs: () => times.shift() ?? 50_000 })
  back.countPost('C1')
  expect(back.mayPost('C1')).toBe(true)
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

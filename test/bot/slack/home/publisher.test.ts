// Publishing of home tabs: within the rate that Slack takes, each person once, and nobody forgotten.

import { describe, expect, test } from 'bun:test'
import type { HomeView } from '@slack/types'
import { createPublisher } from '../../../../bot/slack/home/publisher.ts'
import type { Published } from '../../../../bot/slack/home/publisher.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const EMPTY: HomeView = { type: 'home', blocks: [] }

/** A publisher whose Slack answers like this. */
function openPublisher(answer: (user: string) => Published = () => ({ kind: 'done' })) {
  const clock = createManualClock()
  const log = createMemoryLog()
  const published: string[] = []
  const publisher = createPublisher({
    make: async () => EMPTY,
    publish: async (user) => (published.push(user), answer(user)),
    clock,
    log,
  })
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2000; turn++) await Promise.resolve()
  }
  return { clock, log, published, publisher, settle }
}

describe('publishing', () => {
  test('is at most 80 in a minute, and each person once however often it was asked for', async () => {
    const it = openPublisher()
    for (let n = 0; n < 100; n++) it.publisher.request(`U${n}`)
    for (let n = 0; n < 100; n++) it.publisher.request(`U${n}`)
    await it.settle()
    // The first was taken before it was asked for again.
    expect(it.published).toHaveLength(80)
    it.clock.advance(59_999)
    await it.settle()
    expect(it.published).toHaveLength(80)
    it.clock.advance(1)
    await it.settle()
    expect(it.published.slice(80)).toEqual([...Array.from({ length: 20 }, (_unused, n) => `U${n + 80}`), 'U0'])
    await it.publisher[Symbol.asyncDispose]()
  })

  test('waits as long as Slack says, and then publishes the same home', async () => {
    let isLimited = true
    const it = openPublisher(() => (isLimited ? { kind: 'limited', afterMs: 5_000 } : { kind: 'done' }))
    it.publisher.request('U1')
    await it.settle()
    it.clock.advance(4_999)
    await it.settle()
    expect(it.published).toEqual(['U1'])
    isLimited = false
    it.clock.advance(1)
    await it.settle()
    expect(it.published).toEqual(['U1', 'U1'])
    expect(it.log.lines).toEqual([])
  })

  test('that Slack refuses, or that fails, is logged and does not stop the others', async () => {
    const it = openPublisher((user) => {
      if (user === 'U2') throw new Error('broken')
      return user === 'U1' ? { kind: 'refused', reason: 'not_enabled' } : { kind: 'done' }
    })
    for (const user of ['U1', 'U2', 'U3']) it.publisher.request(user)
    await it.settle()
    expect(it.published).toEqual(['U1', 'U2', 'U3'])
    expect(it.log.lines).toMatchObject([
      { level: 'warn', fields: { user: 'U1', reason: 'not_enabled' } },
      { level: 'error', fields: { user: 'U2' } },
    ])
  })

  test('serves the first 1,000 who wait', async () => {
    let isLimited = true
    const it = openPublisher(() => (isLimited ? { kind: 'limited', afterMs: 60_000 } : { kind: 'done' }))
    it.publisher.request('U0')
    await it.settle()
    isLimited = false
    for (let n = 1; n <= 1_100; n++) it.publisher.request(`U${n}`)
    for (let minute = 0; minute < 15; minute++) {
      it.clock.advance(60_000)
      await it.settle()
    }
    expect([new Set(it.published).size, it.published.at(-1)]).toEqual([1_000, 'U999'])
  })

  test('serves nobody after it was stopped', async () => {
    const it = openPublisher(() => ({ kind: 'limited', afterMs: 60_000 }))
    it.publisher.request('U0')
    await it.settle()
    it.publisher.request('U1')
    await it.publisher[Symbol.asyncDispose]()
    it.publisher.request('U1')
    await it.settle()
    expect(it.published).toEqual(['U0'])
  })

  test('waits ten minutes at most, whatever Slack says', async () => {
    const it = openPublisher(() => ({ kind: 'limited', afterMs: 86_400_000 }))
    it.publisher.request('U1')
    await it.settle()
    it.clock.advance(599_999)
    await it.settle()
    expect(it.published).toEqual(['U1'])
    it.clock.advance(1)
    await it.settle()
    expect(it.published).toEqual(['U1', 'U1'])
  })

  test('asked for while a home is made publishes it once more', async () => {
    const it = openPublisher((user) => {
      if (it.published.length === 1) it.publisher.request(user)
      return { kind: 'done' }
    })
    it.publisher.request('U1')
    await it.settle()
    expect(it.published).toEqual(['U1', 'U1'])
    // It has stopped meanwhile, and starts again.
    it.publisher.request('U2')
    await it.settle()
    expect(it.published).toEqual(['U1', 'U1', 'U2'])
  })
})

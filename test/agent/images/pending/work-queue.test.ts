// The queue for background work: short items run first, every item runs eventually, and no account delays others.

import { describe, expect, test } from 'bun:test'
import { createWorkQueue } from '../../../../agent/images/pending/work-queue.ts'
import type { WorkOptions } from '../../../../agent/images/pending/work-queue.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

/** Creates a queue that runs one item at a time, is blocked until `run`, and records the order. */
function createFixture() {
  const clock = createManualClock()
  const failures: string[] = []
  const order: string[] = []
  const queue = createWorkQueue({ clock, concurrency: 1, onFailure: (key) => void failures.push(key) })
  const gate = Promise.withResolvers<void>()
  queue.add('gate', () => gate.promise)
  const add = (key: string, options: WorkOptions = {}): void =>
    queue.add(
      key,
      async () => {
        order.push(key)
      },
      options,
    )
  const run = async (): Promise<string[]> => {
    gate.resolve()
    await queue.idle()
    return order
  }
  return { clock, queue, failures, add, run }
}

describe('work queue', () => {
  test('runs short work before long work', async () => {
    const { add, run } = createFixture()
    add('long', { costMs: 60_000 })
    add('middle', { costMs: 500 })
    add('short', { costMs: 10 })
    expect(await run()).toEqual(['short', 'middle', 'long'])
  })

  test('runs a long item before a short one that is added after the long one is due', async () => {
    const { clock, add, run } = createFixture()
    add('long', { costMs: 60_000 })
    clock.advance(30_000)
    add('soon', { costMs: 10 })
    clock.advance(40_000)
    add('late', { costMs: 10 })
    expect(await run()).toEqual(['soon', 'long', 'late'])
  })

  test('alternates between accounts, even if one of them adds many items first', async () => {
    const { add, run } = createFixture()
    for (let i = 1; i <= 4; i++) add(`ann ${i}`, { account: 'ann', costMs: 100 })
    for (let i = 1; i <= 2; i++) add(`bob ${i}`, { account: 'bob', costMs: 100 })
    expect(await run()).toEqual(['ann 1', 'bob 1', 'ann 2', 'bob 2', 'ann 3', 'ann 4'])
  })

  test('runs a key once, at the position where it was first added', async () => {
    const { add, run } = createFixture()
    add('a', { costMs: 10 })
    add('b', { costMs: 20 })
    add('a', { costMs: 1000 })
    expect(await run()).toEqual(['a', 'b'])
  })

  test.each([1, 2, 3])('an account whose %i items have run owes nothing', async (count) => {
    const { queue, add, run } = createFixture()
    for (let i = 1; i <= count; i++) add(`ann ${i}`, { account: 'ann', costMs: 60_000 })
    await run()
    const gate = Promise.withResolvers<void>()
    const order: string[] = []
    queue.add('second gate', () => gate.promise)
    queue.add('bob', async () => void order.push('bob'), { account: 'bob', costMs: 1000 })
    queue.add('ann', async () => void order.push('ann'), { account: 'ann', costMs: 10 })
    gate.resolve()
    await queue.idle()
    expect(order).toEqual(['ann', 'bob'])
  })

  test('reports failures and continues', async () => {
    const { queue, failures, add, run } = createFixture()
    queue.add('broken', async () => {
      throw new Error('no')
    })
    add('next', { costMs: 10 })
    expect(await run()).toEqual(['next'])
    expect(failures).toEqual(['broken'])
  })

  test('ends: what runs is aborted and awaited, what waits is dropped, and nothing is added any more', async () => {
    const clock = createManualClock()
    const failures: string[] = []
    const order: string[] = []
    const queue = createWorkQueue({ clock, concurrency: 2, onFailure: (key) => void failures.push(key) })
    const stopped = Promise.withResolvers<void>()
    for (const key of ['a', 'b', 'c'])
      queue.add(key, async (signal) => {
        order.push(`${key} runs`)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        await stopped.promise
        order.push(`${key} ended by ${String(signal.reason)}`)
        throw new Error('stopped')
      })
    const disposed = queue[Symbol.asyncDispose]().then(() => order.push('disposed'))
    queue.add('late', async () => void order.push('late'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(order).toEqual(['a runs', 'b runs'])
    stopped.resolve()
    await disposed
    expect(order).toEqual(['a runs', 'b runs', 'a ended by Error: the agent is stopping', 'b ended by Error: the agent is stopping', 'disposed'])
    expect(failures).toEqual([])
  })
})

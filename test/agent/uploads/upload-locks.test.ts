// Turns: one holder, in order, who is asked while others wait.

import { describe, expect, test } from 'bun:test'
import { createTurns } from '../../../agent/uploads/upload-locks.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

describe('a turn', () => {
  test('is had at once when nobody has it, and per upload', async () => {
    const turns = createTurns(createManualClock())
    using a = await turns.take('a', 1000)
    using b = await turns.take('b', 1000)
    expect(a?.asked.aborted).toBe(false)
    expect(b).toBeDefined()
    expect(turns.held).toBe(2)
  })

  test('goes on in order, and every holder is asked while somebody waits', async () => {
    const turns = createTurns(createManualClock())
    const first = await turns.take('a', 1000)
    const order: number[] = []
    const others = [1, 2, 3].map(async (n) => {
      using turn = await turns.take('a', 1000)
      order.push(n)
      expect(turn?.asked.aborted).toBe(n < 3)
    })
    expect(first?.asked.aborted).toBe(true)
    first?.[Symbol.dispose]()
    await Promise.all(others)
    expect(order).toEqual([1, 2, 3])
    expect(turns.held).toBe(0)
  })

  test('is given up after the wait, and then not handed to the one who left', async () => {
    const clock = createManualClock()
    const turns = createTurns(clock)
    const first = await turns.take('a', 1000)
    const waiting = turns.take('a', 1000)
    clock.advance(1000)
    expect(await waiting).toBeUndefined()
    first?.[Symbol.dispose]()
    expect(turns.held).toBe(0)
    using again = turns.tryTake('a')
    expect(again).toBeDefined()
  })

  test('that was disposed twice is given once', async () => {
    const turns = createTurns(createManualClock())
    const first = await turns.take('a', 1000)
    first?.[Symbol.dispose]()
    const second = turns.tryTake('a')
    first?.[Symbol.dispose]()
    expect(turns.tryTake('a')).toBeUndefined()
    second?.[Symbol.dispose]()
  })

  test('that ends lets idle resolve when it was the last', async () => {
    const turns = createTurns(createManualClock())
    const first = await turns.take('a', 1000)
    const second = turns.take('a', 1000)
    let isIdle = false
    const idle = turns.idle().then(() => (isIdle = true))
    first?.[Symbol.dispose]()
    const held = await second
    expect(isIdle).toBe(false)
    held?.[Symbol.dispose]()
    await idle
  })
})

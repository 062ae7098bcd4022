// Upload locks: one holder at a time, waiters in order, and a signal to the holder when another request waits.

import { describe, expect, test } from 'bun:test'
import { createUploadLocks } from '../../../agent/uploads/upload-locks.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

describe('an upload lock', () => {
  test('is acquired immediately when no request holds it, and is per upload', async () => {
    const locks = createUploadLocks(createManualClock())
    using a = await locks.acquire('a', 1000)
    using b = await locks.acquire('b', 1000)
    expect(a?.contended.aborted).toBe(false)
    expect(b).toBeDefined()
    expect(locks.held).toBe(2)
  })

  test('is passed on in order, and signals its holder while others wait', async () => {
    const locks = createUploadLocks(createManualClock())
    const first = await locks.acquire('a', 1000)
    const order: number[] = []
    const others = [1, 2, 3].map(async (n) => {
      using lock = await locks.acquire('a', 1000)
      order.push(n)
      expect(lock?.contended.aborted).toBe(n < 3)
    })
    expect(first?.contended.aborted).toBe(true)
    first?.[Symbol.dispose]()
    await Promise.all(others)
    expect(order).toEqual([1, 2, 3])
    expect(locks.held).toBe(0)
  })

  test('is not acquired after the time limit, and is not passed to the waiter that timed out', async () => {
    const clock = createManualClock()
    const locks = createUploadLocks(clock)
    const first = await locks.acquire('a', 1000)
    const waiting = locks.acquire('a', 1000)
    clock.advance(1000)
    expect(await waiting).toBeUndefined()
    first?.[Symbol.dispose]()
    expect(locks.held).toBe(0)
    using again = locks.tryAcquire('a')
    expect(again).toBeDefined()
  })

  test('leaves no timer behind when it is passed on in time', async () => {
    const clock = createManualClock()
    const signals: (AbortSignal | undefined)[] = []
    const locks = createUploadLocks({ sleep: (ms, signal) => (signals.push(signal), clock.sleep(ms, signal)) })
    const first = await locks.acquire('a', 1000)
    const waiting = locks.acquire('a', 1000)
    first?.[Symbol.dispose]()
    using second = await waiting
    expect([second?.contended.aborted, signals.map((signal) => signal?.aborted)]).toEqual([false, [true]])
  })

  test('is passed on once if it is released twice', async () => {
    const locks = createUploadLocks(createManualClock())
    const first = await locks.acquire('a', 1000)
    first?.[Symbol.dispose]()
    const second = locks.tryAcquire('a')
    first?.[Symbol.dispose]()
    expect(locks.tryAcquire('a')).toBeUndefined()
    second?.[Symbol.dispose]()
  })

  test('has at most 32 waiting requests and refuses the next one immediately', async () => {
    const locks = createUploadLocks(createManualClock())
    const holder = await locks.acquire('a', 1000)
    let acquired = 0
    const waiting = Array.from({ length: 32 }, async () => {
      using lock = await locks.acquire('a', 1000)
      if (lock) acquired++
    })
    // The clock stands still, so a request that waits would never resolve.
    const outcome = locks.acquire('a', 1000).then((lock) => (lock ? 'acquired' : 'refused'))
    expect(await Promise.race([outcome, Bun.sleep(0).then(() => 'waiting')])).toBe('refused')
    using other = await locks.acquire('b', 1000)
    expect(other).toBeDefined()
    holder?.[Symbol.dispose]()
    await Promise.all(waiting)
    expect(acquired).toBe(32)
    using again = await locks.acquire('a', 1000)
    expect(again).toBeDefined()
  })

  test('is idle when the last holder has released it', async () => {
    const locks = createUploadLocks(createManualClock())
    const first = await locks.acquire('a', 1000)
    const second = locks.acquire('a', 1000)
    let isIdle = false
    const idle = locks.idle().then(() => (isIdle = true))
    first?.[Symbol.dispose]()
    const held = await second
    expect(isIdle).toBe(false)
    held?.[Symbol.dispose]()
    await idle
  })
})

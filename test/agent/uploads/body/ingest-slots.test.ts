// Ingest slots: never more than the count, in the order of the requests.

import { describe, expect, test } from 'bun:test'
import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { createIngestSlots, isSlotDue } from '../../../../agent/uploads/body/ingest-slots.ts'
import type { IngestSlot } from '../../../../agent/uploads/body/ingest-slots.ts'

const never = new AbortController().signal

describe('ingest slots', () => {
  test('never exceed their count, and are acquired in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.boolean(), { maxLength: 40 }), async (count, steps) => {
        const slots = createIngestSlots(count, () => 0)
        const held: IngestSlot[] = []
        const order: number[] = []
        let asked = 0
        for (const isTake of steps) {
          if (isTake) {
            const n = asked++
            void slots.acquire(never).then((slot) => {
              order.push(n)
              held.push(slot)
            })
          } else {
            held.shift()?.[Symbol.dispose]()
          }
          await Promise.resolve()
          await Promise.resolve()
          await Promise.resolve()
          expect(held.length).toBeLessThanOrEqual(count)
          expect(slots.held).toBe(Math.min(count, held.length + slots.waiting))
        }
        expect(order).toEqual(order.toSorted((a, b) => a - b))
      }),
    )
  })

  test('are never more than the present count for those that come, whatever it was before', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.boolean(), fc.integer({ min: 1, max: 5 })), { maxLength: 40 }), async (steps) => {
        const slots = createIngestSlots(1, () => 0)
        const held: IngestSlot[] = []
        let asked = 0
        let count = 1
        for (const step of steps) {
          const before = held.length
          if (typeof step === 'number') slots.resize((count = step))
          else if (step) {
            asked++
            void slots.acquire(never).then((slot) => held.push(slot))
          } else held.shift()?.[Symbol.dispose]()
          for (let turn = 0; turn < 5; turn++) await Promise.resolve()
          expect([slots.count, slots.held]).toEqual([count, held.length])
          expect(held.length).toBeLessThanOrEqual(Math.max(count, before))
          // Nobody waits while a slot is free.
          expect(slots.waiting === 0 || held.length >= count).toBe(true)
        }
        slots.resize(100)
        for (let turn = 0; turn < 5; turn++) await Promise.resolve()
        expect([slots.waiting, asked >= held.length]).toEqual([0, true])
      }),
    )
  })

  test('are not waited for after an abort', async () => {
    const slots = createIngestSlots(1, () => 0)
    const first = await slots.acquire(never)
    const stop = new AbortController()
    const second = slots.acquire(stop.signal)
    stop.abort(new Error('enough'))
    expect(await second.catch((error: Error) => error.message)).toBe('enough')
    expect(slots.waiting).toBe(0)
    first[Symbol.dispose]()
    expect(slots.held).toBe(0)
  })

  test('that were waited for leave nothing at the signal, and an abort afterwards takes no slot away', async () => {
    const slots = createIngestSlots(1, () => 0)
    const first = await slots.acquire(never)
    const stop = new AbortController()
    const second = slots.acquire(stop.signal)
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1)
    first[Symbol.dispose]()
    await second
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
    stop.abort(new Error('enough'))
    expect([slots.held, slots.waiting]).toEqual([1, 0])
    expect(await slots.acquire(stop.signal).catch((error: Error) => error.message)).toBe('enough')
  })

  test('released twice are free once', async () => {
    const slots = createIngestSlots(2, () => 0)
    const first = await slots.acquire(never)
    await slots.acquire(never)
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    expect(slots.held).toBe(1)
  })

  test('are idle since the last one was released', async () => {
    let nowMs = 1000
    const slots = createIngestSlots(2, () => nowMs)
    expect(slots.idleMs).toBe(Number.POSITIVE_INFINITY)
    const [first, second] = [await slots.acquire(never), await slots.acquire(never)]
    expect([first.sinceMs, slots.idleMs]).toEqual([1000, 0])
    nowMs = 1500
    first[Symbol.dispose]()
    expect(slots.idleMs).toBe(0)
    second[Symbol.dispose]()
    expect(slots.idleMs).toBe(0)
    nowMs = 1800
    expect(slots.idleMs).toBe(300)
  })

  test.each([
    // Another body waits, held for this long, silent for this long.
    [false, 100_000, 1999, false],
    [false, 0, 2000, true],
    [true, 0, 49, false],
    [true, 0, 50, true],
    [true, 4999, 0, false],
    [true, 5000, 0, true],
    [false, 5000, 0, false],
  ])('is due while another waits (%p), after %d ms with %d ms of silence: %p', async (isWanted, heldMs, quietMs, isDue) => {
    const slots = createIngestSlots(1, () => 1000)
    const slot = await slots.acquire(never)
    const stop = new AbortController()
    if (isWanted) slots.acquire(stop.signal).catch(() => {})
    expect(isSlotDue(slots, slot, 1000 + heldMs, quietMs)).toBe(isDue)
    stop.abort(new Error('enough'))
  })
})

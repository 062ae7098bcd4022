// Ingest slots: never more than the count, in the order of the requests.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
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
})

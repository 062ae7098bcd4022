// Places: never too many, in order.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createPlaces } from '../../../../agent/uploads/body/ingest-slots.ts'
import type { Place } from '../../../../agent/uploads/body/ingest-slots.ts'

const never = new AbortController().signal

describe('places', () => {
  test('are never more than there are, and go to whoever came first', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.boolean(), { maxLength: 40 }), async (count, steps) => {
        const places = createPlaces(count, () => 0)
        const held: Place[] = []
        const order: number[] = []
        let asked = 0
        for (const isTake of steps) {
          if (isTake) {
            const n = asked++
            void places.take(never).then((place) => {
              order.push(n)
              held.push(place)
            })
          } else {
            held.shift()?.[Symbol.dispose]()
          }
          await Promise.resolve()
          await Promise.resolve()
          await Promise.resolve()
          expect(held.length).toBeLessThanOrEqual(count)
          expect(places.held).toBe(Math.min(count, held.length + places.waiting))
        }
        expect(order).toEqual(order.toSorted((a, b) => a - b))
      }),
    )
  })

  test('are not waited for after an abort', async () => {
    const places = createPlaces(1, () => 0)
    const first = await places.take(never)
    const stop = new AbortController()
    const second = places.take(stop.signal)
    stop.abort(new Error('enough'))
    expect(await second.catch((error: Error) => error.message)).toBe('enough')
    expect(places.waiting).toBe(0)
    first[Symbol.dispose]()
    expect(places.held).toBe(0)
  })
})

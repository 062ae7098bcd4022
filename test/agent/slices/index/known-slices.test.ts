// Sets of slices in memory: the filter, the set that gc marks, and the pins.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createFilter, viewFilter } from '../../../../agent/slices/index/filter.ts'
import { KnownSlices } from '../../../../agent/slices/index/known-slices.ts'
import { createLiveSet } from '../../../../agent/slices/write/live-set.ts'
import { createPins } from '../../../../agent/slices/write/pins.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'

const digest = (n: number): Uint8Array => Bun.SHA256.hash(String(n)) as Uint8Array
const ZEROS = new Uint8Array(32)
const numbers = fc.uniqueArray(fc.nat({ max: 100_000 }), { maxLength: 400 })

describe('filter', () => {
  test('never denies what was added, also through its buffer and beyond its capacity', () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 500 }), (added, capacity) => {
        const filter = createFilter(capacity)
        for (const n of added) filter.add(digest(n))
        const view = viewFilter(filter.buffer, capacity)
        for (const n of added) expect(filter.mayHave(digest(n)) && view.mayHave(digest(n))).toBe(true)
      }),
      propertyOptions(50),
    )
  })

  test('rarely mistakes a new slice for a stored one', () => {
    const filter = createFilter(20_000)
    for (let n = 0; n < 20_000; n++) filter.add(digest(n))
    let wrong = 0
    for (let n = 20_000; n < 40_000; n++) if (filter.mayHave(digest(n))) wrong++
    expect(wrong / 20_000).toBeLessThan(0.01)
    expect(createFilter(1000).mayHave(digest(1))).toBe(false)
  })
})

describe('known slices', () => {
  test('say that a slice is new only after they were built from all rows', async () => {
    const known = new KnownSlices(0)
    expect(known.isCertainlyNew(digest(1))).toBe(false)
    await known.rebuild(3, [digest(1)], async (filter) => filter.add(digest(2)))
    expect([1, 2, 3].map((n) => known.isCertainlyNew(digest(n)))).toEqual([false, false, true])
    known.add(digest(3))
    expect(known.isCertainlyNew(digest(3))).toBe(false)
  })

  test('forget what was removed when they are built again, and keep what is added meanwhile', async () => {
    const known = new KnownSlices(0)
    await known.rebuild(1, [digest(1)], async () => {})
    await known.rebuild(1, [digest(2)], async () => known.add(digest(3)))
    expect([1, 2, 3].map((n) => known.isCertainlyNew(digest(n)))).toEqual([true, false, false])
    const before = known.filter
    await expect(known.rebuild(1, [digest(4)], () => Promise.reject(new Error('EIO')))).rejects.toThrow('EIO')
    expect(known.filter).toBe(before)
    known.add(digest(5))
    expect([4, 5].map((n) => known.isCertainlyNew(digest(n)))).toEqual([true, false])
  })

  test('are worn when more were added than they have room for', async () => {
    const known = new KnownSlices(0)
    await known.rebuild(1_048_575, [], async () => {})
    expect(known.filter.capacity).toBe(2_097_150)
    await known.rebuild(524_288, [], async () => {})
    expect(known.filter.capacity).toBe(1_048_576)
    for (let n = 0; n < 524_288; n++) known.add(ZEROS)
    expect(known.isWorn).toBe(false)
    known.add(ZEROS)
    expect(known.isWorn).toBe(true)
  })
})

describe('live set', () => {
  test('behaves as a set, however many slices are added', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5000 }), { maxLength: 3000 }), (added) => {
        const set = createLiveSet(1)
        const model = new Set(added)
        for (const n of added) set.add(digest(n))
        expect(set.size).toBe(model.size)
        for (let n = 0; n < 200; n++) expect(set.has(digest(n))).toBe(model.has(n))
      }),
      propertyOptions(20),
    )
  })

  test('accepts digests of zeros', () => {
    const set = createLiveSet(10)
    expect(set.has(new Uint8Array(32))).toBe(false)
    set.add(new Uint8Array(32))
    expect(set.has(new Uint8Array(32))).toBe(true)
  })
})

describe('pins', () => {
  test('last until the last hold releases them', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = createRandom(seed)
        const pins = createPins()
        const holds = [pins.hold(), pins.hold(), pins.hold()]
        const held: Set<number>[] = holds.map(() => new Set())
        const batches: { numbers: Set<number>; release: () => void }[] = []
        for (let step = 0; step < 60; step++) {
          const i = random.below(holds.length)
          const action = random.below(10)
          const n = random.below(12)
          if (action < 6) {
            holds[i]?.add(digest(n))
            held[i]?.add(n)
          } else if (action < 8) {
            const release = holds[i]?.take() ?? (() => {})
            batches.push({ numbers: held[i] ?? new Set(), release })
            held[i] = new Set()
          } else if (action < 9 && batches.length > 0) {
            const [batch] = batches.splice(random.below(batches.length), 1)
            batch?.release()
            batch?.release()
          } else {
            holds[i]?.release()
            held[i] = new Set()
          }
          for (let m = 0; m < 12; m++) {
            const isHeld = held.some((set) => set.has(m)) || batches.some((batch) => batch.numbers.has(m))
            expect(pins.has(digest(m))).toBe(isHeld)
          }
        }
      }),
      propertyOptions(50),
    )
  })

  test('are seen by a watch if they exist at its start or are added during it, also after their release', () => {
    const pins = createPins()
    const hold = pins.hold()
    hold.add(digest(1))
    const watch = pins.watch()
    hold.add(digest(2))
    hold.release()
    expect([1, 2, 3].map((n) => watch.isTouched(digest(n)))).toEqual([true, true, false])
    hold.add(digest(1))
    watch[Symbol.dispose]()
    hold.add(digest(3))
    expect(watch.isTouched(digest(3))).toBe(false)
    using later = pins.watch()
    expect([1, 2, 3].map((n) => later.isTouched(digest(n)))).toEqual([true, false, true])
  })

  test('are seen by a watch in bounded memory, however many there are', () => {
    const pins = createPins()
    using watch = pins.watch()
    const count = 1_300_000
    const words = new Uint32Array(8)
    const bytes = new Uint8Array(words.buffer)
    // As evenly distributed as digests, but faster to make (the finalizer of MurmurHash3).
    const one = (n: number): Uint8Array => {
      for (let i = 0; i < 8; i++) {
        let word = Math.imul(n + 1, 0x9e37_79b1) + i * 0x85eb_ca77
        word = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b)
        word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35)
        words[i] = word ^ (word >>> 16)
      }
      return bytes
    }
    const before = process.memoryUsage().external
    const hold = pins.hold()
    for (let n = 0; n < count; n++) {
      hold.add(one(n))
      if (n % 1000 === 0) hold.release()
    }
    hold.release()
    expect(process.memoryUsage().external - before).toBeLessThan(160 * 1024 * 1024)
    for (let n = 0; n < count; n += 997) expect(watch.isTouched(one(n))).toBe(true)
    let others = 0
    for (let n = count; n < count + 10_000; n++) if (watch.isTouched(one(n))) others++
    expect(others).toBeLessThan(500)
  }, 60_000)
})

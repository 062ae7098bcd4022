// Pins: counted by hold, moved in batches, and seen by every watch, also after their release. The set of fingerprints that watches use.

import { describe, expect, test } from 'bun:test'
import { createLiveSet } from '../../../../agent/slices/write/live-set.ts'
import { createPins } from '../../../../agent/slices/write/pins.ts'

const digest = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(`slice ${n}`) as Uint8Array)

describe('a pin', () => {
  test('lasts until every hold that has it is released', () => {
    const pins = createPins()
    const [one, other] = [pins.hold(), pins.hold()]
    expect(pins.has(digest(1))).toBe(false)
    one.add(digest(1))
    one.add(digest(1))
    other.add(digest(1))
    one.release()
    expect(pins.has(digest(1))).toBe(true)
    one.release()
    expect(pins.has(digest(1))).toBe(true)
    other.release()
    expect(pins.has(digest(1))).toBe(false)
  })

  test('that was taken is released with its batch alone, once', () => {
    const pins = createPins()
    const hold = pins.hold()
    hold.add(digest(1))
    const release = hold.take()
    hold.add(digest(1))
    hold.add(digest(2))
    hold.release()
    expect([pins.has(digest(1)), pins.has(digest(2))]).toEqual([true, false])
    const other = pins.hold()
    other.add(digest(1))
    release()
    release()
    expect(pins.has(digest(1))).toBe(true)
    other.release()
    expect(pins.has(digest(1))).toBe(false)
  })
})

describe('a watch', () => {
  test('sees what is pinned before and during it, also after its release, and nothing after its end', () => {
    const pins = createPins()
    const hold = pins.hold()
    hold.add(digest(1))
    const early = pins.hold()
    early.add(digest(4))
    early.release()
    const watch = pins.watch()
    hold.add(digest(2))
    hold.release()
    expect([1, 2, 3, 4].map((n) => watch.isTouched(digest(n)))).toEqual([true, true, false, false])
    watch[Symbol.dispose]()
    hold.add(digest(3))
    expect(watch.isTouched(digest(3))).toBe(false)
  })

  test('sees a slice again that the same hold had already', () => {
    const pins = createPins()
    const hold = pins.hold()
    hold.add(digest(1))
    hold.release()
    using watch = pins.watch()
    expect(watch.isTouched(digest(1))).toBe(false)
    hold.add(digest(1))
    expect(watch.isTouched(digest(1))).toBe(true)
  })

  test('misses none of more than a million slices, and few others count as touched', () => {
    const pins = createPins()
    using watch = pins.watch()
    const hold = pins.hold()
    const numbered = Buffer.alloc(32)
    const count = 1024 * 1024 + 1000
    // Digests are uniformly random: a multiplicative sequence is close enough, and quick.
    const set = (n: number): Buffer => {
      for (let word = 0; word < 8; word++) numbered.writeUInt32LE(Math.imul(n + 1 + word * 7919, 2_654_435_761) >>> 0, word * 4)
      return numbered
    }
    for (let n = 0; n < count; n++) {
      hold.add(set(n))
      if (n % 1000 === 0) hold.release()
    }
    let found = 0
    for (let n = 0; n < count; n++) if (watch.isTouched(set(n))) found++
    expect(found).toBe(count)
    // The first 1,048,576 are told apart from digests that only differ in a bit that a filter does not use.
    const isTwinTouched = (n: number): boolean => {
      const twin = Buffer.from(set(n))
      twin[4] = (twin[4] ?? 0) ^ 0x10
      return watch.isTouched(twin)
    }
    // What is told apart already does not go into the filter as well.
    hold.add(set(0))
    expect([0, 1, 1_048_574, 1_048_575, 1_048_576, 1_048_577].map(isTwinTouched)).toEqual([false, false, false, false, true, true])
    let wrong = 0
    for (let n = 0; n < 10_000; n++) if (watch.isTouched(digest(n))) wrong++
    expect(wrong).toBeLessThan(10)
  }, 30_000)
})

describe('the live set', () => {
  test.each([0, 100, 5000])('with room for %i has what was added, once each, and nothing else', (expected) => {
    const set = createLiveSet(expected)
    expect([set.size, set.has(digest(0))]).toEqual([0, false])
    for (let round = 0; round < 2; round++) for (let n = 0; n < 3000; n++) set.add(digest(n))
    expect(set.size).toBe(3000)
    for (let n = 0; n < 3000; n++) expect(set.has(digest(n))).toBe(true)
    for (let n = 3000; n < 6000; n++) expect(set.has(digest(n))).toBe(false)
  })

  test('tells digests apart by any of their first eight bytes, except the lowest bit of the fifth', () => {
    for (let byte = 0; byte < 8; byte++) {
      const set = createLiveSet(0)
      const other = Uint8Array.from(new Uint8Array(32))
      other[byte] = 0x80
      set.add(new Uint8Array(32))
      expect(set.has(other)).toBe(false)
      set.add(other)
      expect([set.has(other), set.size]).toEqual([true, 2])
    }
    const set = createLiveSet(0)
    set.add(Uint8Array.of(0, 0, 0, 0, 1))
    expect(set.has(Uint8Array.of(0, 0, 0, 0, 0))).toBe(true)
  })

  test('keeps digests that begin at the same slot, at the end of the table too', () => {
    const set = createLiveSet(0)
    // The lowest ten bits of the first word choose one of 1024 slots.
    const colliding = Array.from({ length: 40 }, (_, n) => Uint8Array.of(0xff, 0x03, n, 0, 2 * n, 0, 0, 0))
    for (const one of colliding) set.add(one)
    for (const one of colliding) expect(set.has(one)).toBe(true)
    expect(set.size).toBe(40)
    expect(set.has(Uint8Array.of(0xff, 0x03, 41, 0, 82, 0, 0, 0))).toBe(false)
  })
})

// The set of a gc: what it was given is in it, and a fingerprint uses every bit of the first eight bytes of a digest but one.

import { describe, expect, test } from 'bun:test'
import { createLiveSet } from '../../../../agent/slices/write/live-set.ts'
import { createRandom } from '../../../support/properties.ts'

/** A digest of zeros with one bit set. */
function withBit(bit: number): Uint8Array {
  const digest = new Uint8Array(32)
  digest[bit >> 3] = 1 << (bit & 7)
  return digest
}

describe('a fingerprint', () => {
  test('differs for digests that differ in one of the first 64 bits; the lowest bit of byte 4 is always set', () => {
    const set = createLiveSet(100)
    set.add(new Uint8Array(32))
    expect(set.size).toBe(1)
    const found: number[] = []
    for (let bit = 0; bit < 256; bit++) if (set.has(withBit(bit))) found.push(bit)
    expect(found).toEqual([32, ...Array.from({ length: 192 }, (_, i) => 64 + i)])
    for (let bit = 0; bit < 64; bit++) set.add(withBit(bit))
    expect(set.size).toBe(64)
  })

  test('of a digest of zeros is not taken for a free slot', () => {
    const set = createLiveSet(100)
    expect(set.has(new Uint8Array(32))).toBe(false)
    set.add(new Uint8Array(32))
    expect(set.has(new Uint8Array(32))).toBe(true)
    set.add(new Uint8Array(32))
    expect(set.size).toBe(1)
  })
})

describe('digests that share a slot', () => {
  test('are kept apart, also across the end of the table', () => {
    // The smallest table has 1024 slots: the low 10 bits of a digest choose the slot.
    const set = createLiveSet(1)
    const digests = Array.from({ length: 8 }, (_, i) => Uint8Array.from([0xff, 0x03, i, 0, ...new Uint8Array(28)]))
    for (const [i, digest] of digests.entries()) {
      expect(set.has(digest)).toBe(false)
      set.add(digest)
      expect(set.size).toBe(i + 1)
    }
    expect(digests.map((digest) => set.has(digest))).toEqual(digests.map(() => true))
    expect(set.has(Uint8Array.from([0xff, 0x03, 8, 0, ...new Uint8Array(28)]))).toBe(false)
  })
})

describe('growth', () => {
  test.each([0, 1, 511, 512, 513, 3000])('from room for %i slices keeps 5000', (expected) => {
    const random = createRandom(7)
    const [added, others] = [1, 2].map(() => Array.from({ length: 5000 }, () => random.bytes(32)))
    const set = createLiveSet(expected)
    for (const digest of added ?? []) set.add(digest)
    expect(set.size).toBe(5000)
    expect(added?.every((digest) => set.has(digest))).toBe(true)
    expect(others?.some((digest) => set.has(digest))).toBe(false)
  })
})

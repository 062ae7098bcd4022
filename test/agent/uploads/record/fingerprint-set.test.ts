// The set of slices in a token's own uploads: behaves like a set of digests until it is full, and has a bounded size.

import { describe, expect, test } from 'bun:test'
import { createFingerprintSet } from '../../../../agent/uploads/record/fingerprint-set.ts'
import { OWN_SLICES_BYTES_MAX, OWN_SLICES_MAX } from '../../../../agent/uploads/record/own-slices.ts'
import { createRandom } from '../../../support/properties.ts'

function digestsOf(seed: number, count: number): Uint8Array[] {
  const bytes = createRandom(seed).bytes(32 * count)
  return Array.from({ length: count }, (_, i) => new Uint8Array(bytes.subarray(32 * i, 32 * i + 32)))
}

describe('createFingerprintSet', () => {
  test('contains each added digest once, and nothing else', () => {
    const [added, others] = [digestsOf(1, 20_000), digestsOf(2, 20_000)]
    const set = createFingerprintSet(100_000)
    for (const digest of [...added, ...added.slice(0, 1000)]) expect(set.add(digest)).toBe(true)
    expect(set.size).toBe(20_000)
    expect(added.every((digest) => set.has(digest))).toBe(true)
    expect(others.some((digest) => set.has(digest))).toBe(false)
  })

  test('tells slices apart by each of the first 96 bits of their digests', () => {
    for (const [digest] of [digestsOf(4, 1), digestsOf(5, 1)]) {
      const set = createFingerprintSet(10)
      set.add(digest!)
      const confused = Array.from({ length: 96 }, (_, bit) => bit).filter((bit) => {
        const other = new Uint8Array(digest!)
        other[bit >> 3]! ^= 1 << (bit & 7)
        return set.has(other)
      })
      expect(confused).toEqual([])
    }
  })

  test('contains digests of which two thirds are zeros, also after it has grown', () => {
    const set = createFingerprintSet(10_000)
    const digests = Array.from({ length: 3000 }, (_, i) => {
      const digest = new Uint8Array(32)
      new DataView(digest.buffer).setUint32(4 * (i % 3), 1 + i)
      return digest
    })
    expect(digests.filter((digest) => set.has(digest))).toEqual([])
    for (const digest of digests) set.add(digest)
    expect([set.size, digests.filter((digest) => !set.has(digest))]).toEqual([3000, []])
  })

  test('accepts nothing more when it is full, and keeps its content', () => {
    const set = createFingerprintSet(100)
    const digests = digestsOf(3, 200)
    expect(digests.map((digest) => set.add(digest)).filter(Boolean)).toHaveLength(100)
    expect(digests.map((digest) => set.has(digest)).filter(Boolean)).toHaveLength(100)
  })

  test('of one owner uses at most a quarter of the total memory', () => {
    const set = createFingerprintSet(OWN_SLICES_MAX)
    const digest = new Uint8Array(32)
    const view = new DataView(digest.buffer)
    for (let i = 1; i <= OWN_SLICES_MAX; i++) {
      view.setUint32(0, i)
      view.setUint32(8, Math.imul(i, 0x9e37_79b1))
      set.add(digest)
    }
    expect(set.size).toBe(OWN_SLICES_MAX)
    expect(set.bytes).toBeLessThanOrEqual(OWN_SLICES_BYTES_MAX / 4)
  })
})

// The encoding of the journal: round trips, and detection of every change.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import {
  decodeJournalHeader,
  decodeRecord,
  encodeJournalHeader,
  encodeRecord,
  joinEntries,
  packedLength,
  packEntries,
  recordLength,
  unpackEntries,
} from '../../../../agent/uploads/record/journal-codec.ts'

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => bytes.some((byte) => byte !== 0))
const entry: fc.Arbitrary<ManifestEntry> = fc.record({ length: fc.integer({ min: 1, max: 4 << 20 }), digest: fc.option(digest) })
const record = fc.record({
  entries: fc.array(entry, { maxLength: 20 }).map(packEntries),
  tail: fc.uint8Array({ maxLength: 500 }),
  offset: fc.maxSafeNat(),
  timeMs: fc.maxSafeNat(),
})
const seed = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

describe('a record', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(record, seed, (written, check) => {
        const { bytes, check: next } = encodeRecord(written, check)
        expect(recordLength(bytes.subarray(0, 40))).toBe(bytes.byteLength)
        const read = decodeRecord(bytes, check)
        expect(read?.check).toBe(next)
        expect(read?.record.offset).toBe(written.offset)
        expect(read?.record.timeMs).toBe(written.timeMs)
        expect(Buffer.compare(read?.record.entries ?? Buffer.alloc(0), written.entries)).toBe(0)
        expect(Buffer.compare(read?.record.tail ?? Buffer.alloc(0), written.tail)).toBe(0)
      }),
    )
  })

  test('is invalid with any bit changed, and after a record other than its predecessor', () => {
    fc.assert(
      fc.property(record, seed, fc.nat(), seed, (written, check, bit, other) => {
        const { bytes } = encodeRecord(written, check)
        if (other !== check) expect(decodeRecord(bytes, other)).toBeUndefined()
        const at = bit % (bytes.byteLength * 8)
        bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7))
        expect(decodeRecord(bytes, check)).toBeUndefined()
      }),
    )
  })
})

describe('a header', () => {
  test('returns its check, and undefined with any bit changed', () => {
    fc.assert(
      fc.property(seed, fc.nat({ max: 255 }), (salt, bit) => {
        const { bytes, check } = encodeJournalHeader(salt)
        expect(decodeJournalHeader(bytes)).toBe(check)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(decodeJournalHeader(bytes)).toBeUndefined()
      }),
    )
  })
})

describe('packed entries', () => {
  test('are unpacked unchanged', () => {
    fc.assert(
      fc.property(fc.array(entry), fc.array(entry), (a, b) => {
        const packed = joinEntries([packEntries(a), packEntries(b)])
        expect([...unpackEntries(packed)].map(({ length, digest: name }) => ({ length, digest: name && [...name] }))).toEqual(
          [...a, ...b].map(({ length, digest: name }) => ({ length, digest: name && [...name] })),
        )
        expect(packedLength(packed)).toBe([...a, ...b].reduce((sum, { length }) => sum + length, 0))
      }),
    )
  })

  test('split a run of zeros longer than 32 bits', () => {
    const packed = packEntries([{ length: 5 * 2 ** 32 + 7, digest: null }])
    expect(packedLength(packed)).toBe(5 * 2 ** 32 + 7)
    expect([...unpackEntries(packed)].every(({ digest: name }) => name === null)).toBe(true)
  })
})

// Codecs of packs and records: what is written is read back, and every flipped bit is detected.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  encodePackFooter,
  encodePackHeader,
  packHeaderFault,
  packPath,
  parsePackFile,
  readToc,
  readTrailer,
  TOC_ROW_BYTES,
  TRAILER_BYTES,
} from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, readRecordHeader, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'

const header = fc
  .record({
    seed: fc.nat(),
    codec: fc.constantFrom(0, 1),
    length: fc.integer({ min: 1, max: 4 * 1024 * 1024 }),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ seed, codec, length, part }) => {
    const stored = createRandom(seed).bytes(64)
    return { digest: new Uint8Array(createRandom(seed + 1).bytes(32)), codec, length, storedLength: Math.floor(length * part), checksum: checksumOf(stored) }
  })

/** Rows of a pack with adjacent records. */
function rowsOf(seed: number, count: number): { rows: PackRow[]; end: number } {
  const random = createRandom(seed)
  let end = 16
  const rows = Array.from({ length: count }, () => {
    const length = 1 + random.below(100_000)
    const row = { digest: random.bytes(32), offset: end, length, storedLength: 1 + random.below(length) }
    end += RECORD_HEADER_BYTES + row.storedLength
    return row
  })
  return { rows, end }
}

/** Calls back with the bytes, one bit flipped at a time. */
function eachFlip(bytes: Buffer, look: (flipped: Buffer, at: number) => void): void {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    look(flipped, bit >> 3)
  }
}

describe('record header', () => {
  test('is read back as it was written, anywhere in a buffer', () => {
    fc.assert(
      fc.property(header, fc.integer({ min: 0, max: 100 }), (written, at) => {
        const buffer = Buffer.alloc(at + RECORD_HEADER_BYTES)
        writeRecordHeader(buffer, at, written)
        expect(readRecordHeader(buffer, at)).toEqual({ ...written, digest: Buffer.from(written.digest) })
      }),
      propertyOptions(100),
    )
  })

  test('detects every flipped bit', () => {
    const written = fc.sample(header, { numRuns: 1, seed: 5 })[0]
    if (!written) throw new Error('no sample')
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES)
    writeRecordHeader(bytes, 0, written)
    eachFlip(bytes, (flipped) => expect(readRecordHeader(flipped, 0)).toBeUndefined())
  })

  test('is refused when it is cut off or out of bounds', () => {
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES)
    const written = { digest: new Uint8Array(32), codec: 0, length: 10, storedLength: 10, checksum: 1n }
    writeRecordHeader(bytes, 0, written)
    expect(readRecordHeader(bytes.subarray(0, RECORD_HEADER_BYTES - 1), 0)).toBeUndefined()
    for (const wrong of [{ codec: 2 }, { length: 0, storedLength: 0 }, { storedLength: 11 }, { length: 4 * 1024 * 1024 + 1 }]) {
      writeRecordHeader(bytes, 0, { ...written, ...wrong })
      expect(readRecordHeader(bytes, 0)).toBeUndefined()
    }
  })
})

describe('pack header', () => {
  test('is valid as written, and detects every flipped bit', () => {
    const bytes = encodePackHeader()
    expect(packHeaderFault(bytes)).toBeUndefined()
    eachFlip(bytes, (flipped) => expect(packHeaderFault(flipped)).toBeString())
    expect(packHeaderFault(bytes.subarray(0, 12))).toBeString()
  })

  test('names another version', () => {
    const bytes = encodePackHeader()
    bytes.writeUInt32LE(2, 8)
    expect(packHeaderFault(bytes)).toContain('version 2')
  })
})

describe('footer', () => {
  test('returns the rows', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 50 }), (seed, count) => {
        const { rows, end } = rowsOf(seed, count)
        const footer = encodePackFooter(rows, end)
        const trailer = readTrailer(footer.subarray(-TRAILER_BYTES), end + footer.length)
        expect(trailer).toMatchObject({ offset: end, count })
        if (trailer) expect(readToc(footer.subarray(0, count * TOC_ROW_BYTES), trailer)).toEqual(rows)
      }),
      propertyOptions(50),
    )
  })

  test('detects every flipped bit', () => {
    const { rows, end } = rowsOf(3, 4)
    const footer = encodePackFooter(rows, end)
    eachFlip(footer, (flipped) => {
      const trailer = readTrailer(flipped.subarray(-TRAILER_BYTES), end + flipped.length)
      expect(trailer && readToc(flipped.subarray(0, flipped.length - TRAILER_BYTES), trailer)).toBeUndefined()
    })
  })

  test('is refused anywhere except at the end of its pack', () => {
    const { rows, end } = rowsOf(3, 4)
    const trailer = encodePackFooter(rows, end).subarray(-TRAILER_BYTES)
    expect(readTrailer(trailer, end)).toBeUndefined()
    expect(readTrailer(trailer.subarray(1), end)).toBeUndefined()
  })

  test('is refused when its rows extend beyond the records', () => {
    const { rows, end } = rowsOf(3, 4)
    const footer = encodePackFooter(rows, end - 1)
    const trailer = readTrailer(footer.subarray(-TRAILER_BYTES), end - 1 + footer.length)
    expect(trailer && readToc(footer.subarray(0, footer.length - TRAILER_BYTES), trailer)).toBeUndefined()
  })
})

describe('pack file', () => {
  test('has its name in its path', () => {
    const name = '0123456789abcdef0123456789abcdef'
    expect(packPath(name)).toBe(`01/${name}.pack`)
    expect(parsePackFile(`${name}.pack`)).toBe(name)
    for (const other of ['x.pack', `${name}.tmp`, `.${name}.pack`, `${name.toUpperCase()}.pack`]) expect(parsePackFile(other)).toBeUndefined()
  })
})

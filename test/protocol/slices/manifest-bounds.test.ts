// Numbers in the header of a manifest and in its entries, as literals (docs/format.md): the last that is read, and the first that is refused.

import { describe, expect, test } from 'bun:test'
import { checkBlock, decodeManifestHeader, viewEntries } from '../../../protocol/slices/manifest.ts'

/** A header by hand: magic, version, entries, zeros, length of the image. */
function headerOf({ version = 1, entries = 1n, zeros = 0, length = 1n }: { version?: number; entries?: bigint; zeros?: number; length?: bigint }): Buffer {
  const bytes = Buffer.alloc(32)
  bytes.write('SLIPWAYM', 0, 'latin1')
  bytes.writeUInt32LE(version, 8)
  bytes.writeBigUInt64LE(entries, 12)
  bytes.writeUInt32LE(zeros, 20)
  bytes.writeBigUInt64LE(length, 24)
  return bytes
}

describe('a header', () => {
  test.each([
    [headerOf({ entries: 53_687_089n }), { count: 53_687_089, imageLength: 1 }],
    [headerOf({ length: 2n ** 53n - 1n }), { count: 1, imageLength: 9_007_199_254_740_991 }],
    [headerOf({ entries: 0n, length: 0n }), { count: 0, imageLength: 0 }],
    [Buffer.concat([headerOf({}), Buffer.alloc(1)]), { count: 1, imageLength: 1 }],
  ])('is read: %#', (bytes, header) => {
    expect(decodeManifestHeader(bytes)).toEqual(header)
  })

  test.each([
    [headerOf({ entries: 53_687_090n }), '53687090 entries, the limit is 53687089'],
    [headerOf({ length: 2n ** 53n }), 'the image length is not a safe integer'],
    [headerOf({ entries: 0n, length: 1n }), 'the manifest has a length but no entries'],
    [headerOf({ zeros: 1 }), 'bytes are set in its header that must be zero'],
    [headerOf({ zeros: 0x8000_0000 }), 'bytes are set in its header that must be zero'],
    [headerOf({ version: 0 }), 'version 0 is not known here (known: 1)'],
    [headerOf({ version: 2 }), 'version 2 is not known here (known: 1)'],
    [headerOf({}).subarray(0, 31), 'shorter than the smallest manifest'],
    [Buffer.from(headerOf({}).with(0, 0x54)), 'does not begin with SLIPWAYM'],
    [Buffer.from(headerOf({}).with(7, 0x4e)), 'does not begin with SLIPWAYM'],
  ])('is refused: %#: %s', (bytes, fault) => {
    expect(() => decodeManifestHeader(bytes)).toThrow(fault)
  })
})

describe('entries', () => {
  /** Checks entries that begin at these offsets; zeros where the second value is null. */
  const check = (entries: readonly (readonly [offset: number, digest: number | null])[], end: number, wasZero = false): boolean => {
    const bytes = Buffer.alloc(entries.length * 40)
    for (const [i, [offset, digest]] of entries.entries()) {
      bytes.writeBigUInt64LE(BigInt(offset), i * 40)
      if (digest !== null) bytes.writeUInt8(digest, i * 40 + 39)
    }
    return checkBlock(viewEntries(bytes, 0, entries.length, end), wasZero)
  }

  test('have slices of at most 4 MiB, and zeros of any length', () => {
    expect(check([[0, 1]], 4_194_304)).toBe(false)
    expect(() => check([[0, 1]], 4_194_305)).toThrow('entry 0 is 4194305 bytes long, the limit is 4194304')
    expect(check([[0, null]], 2 ** 45)).toBe(true)
  })

  test('follow each other from the beginning of the image', () => {
    expect(
      check(
        [
          [0, 1],
          [1, 1],
          [2, null],
        ],
        3,
      ),
    ).toBe(true)
    expect(() => check([[1, 1]], 3)).toThrow('entry 0 begins at 1')
    expect(() =>
      check(
        [
          [0, 1],
          [0, 1],
        ],
        3,
      ),
    ).toThrow('entry 0 ends before it begins')
    expect(() =>
      check(
        [
          [0, 1],
          [3, 1],
        ],
        3,
      ),
    ).toThrow('entry 1 ends before it begins')
  })

  test('do not continue a run of zeros, also not of the block before', () => {
    expect(() =>
      check(
        [
          [0, null],
          [1, null],
        ],
        3,
      ),
    ).toThrow('entry 1 continues a run of zeros')
    expect(() => check([[0, null]], 3, true)).toThrow('entry 0 continues a run of zeros')
    expect(check([[0, 1]], 3, true)).toBe(false)
  })
})

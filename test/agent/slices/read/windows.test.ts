// Windows of an image: which entries are read together, and the pieces that a reader gets from them.

import { describe, expect, test } from 'bun:test'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import { createSliceCache } from '../../../../agent/slices/read/slice-cache.ts'
import { pieces, planWindows } from '../../../../agent/slices/read/windows.ts'
import { SliceUnreadable } from '../../../../agent/contract/slices.ts'
import { isPossible, sliceKey } from '../../../../agent/slices/packs/slice-row.ts'
import { createRandom } from '../../../support/properties.ts'

const KIB = 1024
const MIB = 1024 * KIB

const digest = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(`slice ${n}`) as Uint8Array)
const slice = (length: number, n = 0): ManifestEntry => ({ length, digest: digest(n) })

/** Returns the index of the first entry and the count of entries of each window. */
async function windowsOf(entries: readonly ManifestEntry[], start: number, end: number): Promise<[first: number, count: number][]> {
  const { manifest } = await encodeManifest(entries)
  const windows: [number, number][] = []
  for await (const { first, entries: own } of planWindows(manifest, start, end)) windows.push([first, own.length])
  return windows
}

const repeat = (count: number, entry: (n: number) => ManifestEntry): ManifestEntry[] => Array.from({ length: count }, (_, n) => entry(n))

describe('a window', () => {
  test.each<[string, ManifestEntry[], [start: number, end: number], [number, number][]]>([
    [
      'ends once it has 2 MiB',
      repeat(5, () => slice(MIB)),
      [0, 5 * MIB],
      [
        [0, 2],
        [2, 2],
        [4, 1],
      ],
    ],
    [
      'is not ended by one byte less',
      [slice(2 * MIB - 1), slice(1), slice(1)],
      [0, 2 * MIB + 1],
      [
        [0, 2],
        [2, 1],
      ],
    ],
    [
      'begins at the entry of the first byte',
      repeat(4, () => slice(MIB)),
      [MIB + 5, 4 * MIB],
      [
        [1, 2],
        [3, 1],
      ],
    ],
    [
      'counts its own bytes alone',
      [slice(2 * MIB), slice(2 * MIB - 1), slice(1), slice(5)],
      [0, 4 * MIB + 5],
      [
        [0, 1],
        [1, 2],
        [3, 1],
      ],
    ],
    ['ends before the entry after the last byte', repeat(4, () => slice(MIB)), [0, MIB], [[0, 1]]],
    ['has the entry of the last byte', repeat(4, () => slice(MIB)), [0, MIB + 1], [[0, 2]]],
    [
      'has 1024 entries at most',
      repeat(1030, () => slice(1)),
      [0, 1030],
      [
        [0, 1024],
        [1024, 6],
      ],
    ],
    ['counts no bytes of zeros', repeat(4, (n) => (n % 2 === 0 ? { length: 3 * MIB, digest: null } : slice(MIB))), [0, 8 * MIB], [[0, 4]]],
  ])('%s', async (_what, entries, [start, end], expected) => {
    expect(await windowsOf(entries, start, end)).toEqual(expected)
  })
})

/** The pieces of one window over entries, in [start, end). */
function piecesOf(
  entries: readonly { readonly length: number; readonly zero?: boolean }[],
  start: number,
  end: number,
): { lengths: number[]; bytes: Buffer; image: Buffer } {
  const slices = new Map<string, Uint8Array>()
  const parts: Buffer[] = []
  let offset = 0
  const own = entries.map(({ length, zero = false }, n) => {
    const bytes = zero ? Buffer.alloc(length) : createRandom(n).bytes(length)
    parts.push(bytes)
    if (!zero) slices.set(sliceKey(digest(n)), bytes)
    const entry = { offset, length, digest: zero ? null : digest(n) }
    offset += length
    return entry
  })
  const yielded = [...pieces({ first: 0, entries: own }, slices, start, end)].map((piece) => Buffer.from(piece))
  return { lengths: yielded.map(({ length }) => length), bytes: Buffer.concat(yielded), image: Buffer.concat(parts) }
}

describe('pieces', () => {
  test.each<[string, { length: number; zero?: boolean }[], [start: number, end: number], number[]]>([
    ['are whole slices of 32 KiB or more', [{ length: 32 * KIB }, { length: 100 * KIB }], [0, 132 * KIB], [32 * KIB, 100 * KIB]],
    ['join shorter slices', [{ length: 32 * KIB - 1 }, { length: 1 }, { length: 5 }], [0, 32 * KIB + 5], [32 * KIB + 5]],
    ['join up to 128 KiB', Array.from({ length: 9 }, () => ({ length: 16 * KIB })), [0, 144 * KIB], [128 * KIB, 16 * KIB]],
    ['of one byte are joined and given too', [{ length: 1 }], [0, 1], [1]],
    ['of one byte are given before a long slice', [{ length: 1 }, { length: 32 * KIB }], [0, 32 * KIB + 1], [1, 32 * KIB]],
    ['of 32 KiB are not joined with what is before them', [{ length: 10 }, { length: 32 * KIB }], [0, 32 * KIB + 10], [10, 32 * KIB]],
    [
      'have no byte more than 128 KiB when they are joined',
      [...Array.from({ length: 8 }, () => ({ length: 16 * KIB })), { length: 1 }],
      [0, 128 * KIB + 1],
      [128 * KIB, 1],
    ],
    ['join what fits', Array.from({ length: 5 }, () => ({ length: 30 * KIB })), [0, 150 * KIB], [120 * KIB, 30 * KIB]],
    ['end before a long slice', [{ length: 10 }, { length: 40 * KIB }, { length: 10 }], [0, 40 * KIB + 20], [10, 40 * KIB, 10]],
    ['end before zeros', [{ length: 10 }, { length: 20, zero: true }, { length: 10 }], [0, 40], [10, 20, 10]],
    ['of zeros have 1 MiB at most', [{ length: 2 * MIB + 3, zero: true }], [0, 2 * MIB + 3], [MIB, MIB, 3]],
    ['of zeros are never empty', [{ length: 2 * MIB, zero: true }], [0, 2 * MIB], [MIB, MIB]],
    [
      'begin and end within slices',
      [{ length: 40 * KIB }, { length: 40 * KIB }, { length: 100, zero: true }],
      [100, 80 * KIB + 50],
      [40 * KIB - 100, 40 * KIB, 50],
    ],
    ['of one slice', [{ length: 100 }], [10, 20], [10]],
  ])('%s', (_what, entries, [start, end], lengths) => {
    const read = piecesOf(entries, start, end)
    expect(read.lengths).toEqual(lengths)
    expect(read.bytes.equals(read.image.subarray(start, end))).toBe(true)
  })

  test.each([9, 11])('of a slice with %i bytes where the manifest says 10 are refused', (length) => {
    const entry = { offset: 0, length: 10, digest: digest(1) }
    const slices = new Map([[sliceKey(digest(1)), new Uint8Array(length)]])
    expect(() => [...pieces({ first: 0, entries: [entry] }, slices, 0, 10)]).toThrow(SliceUnreadable)
  })

  test('of a slice that was not loaded are refused', () => {
    expect(() => [...pieces({ first: 0, entries: [{ offset: 0, length: 10, digest: digest(1) }] }, new Map(), 0, 10)]).toThrow('0 bytes')
  })
})

describe('the cache of slices', () => {
  test('has 32 MiB, and forgets what was used longest ago', () => {
    const cache = createSliceCache()
    for (let n = 0; n < 8; n++) cache.add(String(n), new Uint8Array(4 * MIB))
    expect(cache.get('0')).toHaveLength(4 * MIB)
    cache.add('8', new Uint8Array(1))
    expect(['0', '1', '2', '8'].map((key) => cache.get(key)?.length)).toEqual([4 * MIB, undefined, 4 * MIB, 1])
    cache.add('8', new Uint8Array(2))
    expect(cache.get('8')).toHaveLength(1)
    cache.add('9', new Uint8Array(4 * MIB - 1))
    expect(['0', '3', '4', '9'].map((key) => cache.get(key)?.length)).toEqual([4 * MIB, 4 * MIB, 4 * MIB, 4 * MIB - 1])
  })

  test('keeps a slice and not the buffer that it was read into', () => {
    const cache = createSliceCache()
    const [large, own] = [new Uint8Array(MIB), new Uint8Array(10)]
    cache.add('part', large.subarray(5, 15))
    cache.add('own', own)
    expect(cache.get('part')?.buffer.byteLength).toBe(10)
    expect(cache.get('own')).toBe(own)
  })
})

test.each([
  [16, 1, 1, true],
  [16, 4 * MIB, 4 * MIB, true],
  [16, 4 * MIB + 1, 1, false],
  [16, 10, 11, false],
  [16, 10, 10, true],
  [0, 10, 10, false],
  [16, 0, 0, false],
  [16, 10, 0, false],
  [16.5, 10, 10, false],
  [16, 10.5, 10, false],
  [-16, 10, 10, false],
])('a record at %d with %d bytes, %d stored, is possible: %p', (offset, length, storedLength, expected) => {
  expect(isPossible({ pack: 1, offset, length, storedLength })).toBe(expected)
})

// Header extensions of qcow2: the bounds of the directory of dirty bitmaps.

import { describe, expect, test } from 'bun:test'
import { readExtensions } from '../../../../../agent/images/formats/qcow2/extensions.ts'

const HEADER = 112
const BITMAPS = 0x2385_2875

/** Reads a header that has one list of bitmaps. */
function read(count: number, bytes: bigint, offset = 65_536n, length = 24): ReturnType<typeof readExtensions> {
  const header = new Uint8Array(4096)
  const view = new DataView(header.buffer)
  view.setUint32(HEADER, BITMAPS)
  view.setUint32(HEADER + 4, length)
  view.setUint32(HEADER + 8, count)
  view.setBigUint64(HEADER + 16, bytes)
  view.setBigUint64(HEADER + 24, offset)
  return readExtensions(header, HEADER, 4096)
}

test.each<[count: number, bytes: bigint]>([
  [1, 1n],
  [65_535, 100n],
  [3, 67_108_864n],
])('%i bitmaps in a directory of %p bytes are read', (count, bytes) => {
  expect(read(count, bytes)).toEqual({ bitmaps: { count, offset: 65_536, bytes: Number(bytes) }, refusals: [] })
})

test.each<[count: number, bytes: bigint, offset: bigint, length: number]>([
  [0, 100n, 65_536n, 24],
  [65_536, 100n, 65_536n, 24],
  [1, 0n, 65_536n, 24],
  [1, 67_108_865n, 65_536n, 24],
  [1, 2n ** 63n, 65_536n, 24],
  [1, 100n, 2n ** 63n, 24],
  [1, 100n, 65_536n, 16],
  [1, 100n, 65_536n, 32],
])('%i bitmaps in a directory of %p bytes at %p, in an extension of %p bytes, are refused', (count, bytes, offset, length) => {
  expect(read(count, bytes, offset, length)).toEqual({ bitmaps: null, refusals: ['its list of dirty bitmaps is not valid'] })
})

const DATA_FILE = 0x4441_5441
const KEYS = 0x0537_be77
const CLUSTER = 65_536

/** Writes extensions one after another, each padded to 8 bytes, and reads them from a file of which only some bytes are there. */
function walk(extensions: readonly (readonly [type: number, length: number])[], { end = CLUSTER, there = CLUSTER } = {}) {
  const header = new Uint8Array(CLUSTER)
  const view = new DataView(header.buffer)
  let at = HEADER
  for (const [type, length] of extensions) {
    view.setUint32(at, type)
    view.setUint32(at + 4, length)
    if (type === BITMAPS) {
      view.setUint32(at + 8, 1)
      view.setBigUint64(at + 16, 100n)
      view.setBigUint64(at + 24, 65_536n)
    }
    at += 8 + Math.ceil(length / 8) * 8
  }
  return readExtensions(header.subarray(0, there), HEADER, end)
}

const UNKNOWN = 0x1234_5678
const FOUND = { count: 1, offset: 65_536, bytes: 100 }

test.each<[string, readonly (readonly [number, number])[], object]>([
  ['none', [], { bitmaps: null, refusals: [] }],
  [
    'an unknown one of 5 bytes before a list',
    [
      [UNKNOWN, 5],
      [BITMAPS, 24],
    ],
    { bitmaps: FOUND, refusals: [] },
  ],
  [
    'an unknown one of 8 bytes before a list',
    [
      [UNKNOWN, 8],
      [BITMAPS, 24],
    ],
    { bitmaps: FOUND, refusals: [] },
  ],
  [
    'an empty one before a list',
    [
      [UNKNOWN, 0],
      [BITMAPS, 24],
    ],
    { bitmaps: FOUND, refusals: [] },
  ],
  [
    'a list behind the end of extensions',
    [
      [0, 0],
      [BITMAPS, 24],
    ],
    { bitmaps: null, refusals: [] },
  ],
  [
    'two lists',
    [
      [BITMAPS, 24],
      [BITMAPS, 24],
    ],
    { bitmaps: null, refusals: ['it has two lists of dirty bitmaps'] },
  ],
  ['an external file', [[DATA_FILE, 9]], { bitmaps: null, refusals: ['it names an external file for its data'] }],
  ['keys', [[KEYS, 16]], { bitmaps: null, refusals: ['it has the key material of an encrypted disk'] }],
  [
    'a file, keys and a list',
    [
      [DATA_FILE, 9],
      [KEYS, 16],
      [BITMAPS, 24],
    ],
    { bitmaps: FOUND, refusals: ['it names an external file for its data', 'it has the key material of an encrypted disk'] },
  ],
])('extensions: %s', (_what, extensions, finding) => {
  expect(walk(extensions)).toEqual(finding as ReturnType<typeof walk>)
})

const CUT_OFF = 'its header is cut off, so it cannot be checked'
const LONGER = 'a header extension is longer than the first cluster'

describe('an extension at the end of the first cluster', () => {
  test('may fill it, and not pass it', () => {
    expect(walk([[UNKNOWN, CLUSTER - HEADER - 8]])).toEqual({ bitmaps: null, refusals: [] })
    expect(walk([[UNKNOWN, CLUSTER - HEADER - 7]])).toEqual({ bitmaps: null, refusals: [LONGER] })
    expect(walk([[UNKNOWN, 0xffff_ffff]])).toEqual({ bitmaps: null, refusals: [LONGER] })
  })

  test('is not looked for in the last 7 bytes', () => {
    expect(walk([[BITMAPS, 8]], { end: HEADER + 7 })).toEqual({ bitmaps: null, refusals: [] })
    expect(walk([[BITMAPS, 0]], { end: HEADER + 8 }).refusals).toEqual(['its list of dirty bitmaps is not valid'])
  })
})

test.each([HEADER + 7, HEADER + 8, HEADER + 23])('a file of %p bytes, whose extensions are longer, is cut off', (there) => {
  expect(walk([[UNKNOWN, 16]], { there }).refusals).toEqual([CUT_OFF])
})

test('a file that ends with its last extension is whole, and the content of one that is cut off is not used', () => {
  expect(walk([], { there: HEADER + 8 })).toEqual({ bitmaps: null, refusals: [] })
  expect(walk([[DATA_FILE, 16]], { there: HEADER + 12 }).refusals).toEqual([CUT_OFF])
})

test('extensions that pass the 64 KiB that are read are too long', () => {
  const tooLong = { bitmaps: null, refusals: ['its header extensions are too long'] }
  expect(walk([[UNKNOWN, CLUSTER - HEADER - 8]], { end: 2 * CLUSTER })).toEqual(tooLong)
  expect(walk([[UNKNOWN, CLUSTER - HEADER - 7]], { end: 2 * CLUSTER })).toEqual(tooLong)
})

// Header extensions of qcow2: the bounds of the directory of dirty bitmaps.

import { expect, test } from 'bun:test'
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

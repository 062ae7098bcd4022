// Bounds of a journal's records, as literals (docs/format.md): a header beyond them is not believed, so nothing is read for it.

import { expect, test } from 'bun:test'
import { packEntries, recordLength } from '../../../../agent/uploads/record/journal-codec.ts'

/** The header of a record with this many entries and tail bytes; its check is not looked at. */
function headerOf(entries: number, tailBytes: number): Uint8Array {
  const bytes = Buffer.alloc(40)
  bytes.write('ULR1', 0, 'latin1')
  bytes.writeUInt32LE(entries, 4)
  bytes.writeUInt32LE(tailBytes, 8)
  return bytes
}

test.each([
  [0, 0, 40],
  [1, 1, 77],
  [65_536, 0, 2_359_336],
  [65_537, 0, undefined],
  [0, 4_194_304, 4_194_344],
  [0, 4_194_305, undefined],
  [65_536, 4_194_304, 6_553_640],
])('a record of %i entries and %i tail bytes has %p bytes', (entries, tailBytes, length) => {
  expect(recordLength(headerOf(entries, tailBytes))).toBe(length)
})

test('a header needs 40 bytes, and its magic number', () => {
  expect(recordLength(headerOf(1, 1).subarray(0, 39))).toBeUndefined()
  expect(recordLength(headerOf(1, 1).with(0, 0x56))).toBeUndefined()
})

test.each([
  [4_294_967_295, [4_294_967_295]],
  [4_294_967_296, [4_294_967_295, 1]],
  [8_589_934_590, [4_294_967_295, 4_294_967_295]],
  [8_589_934_591, [4_294_967_295, 4_294_967_295, 1]],
])('a run of %i zeros is packed as entries of %p bytes', (length, lengths) => {
  const packed = packEntries([{ length, digest: null }])
  const view = new DataView(packed.buffer)
  expect(packed.byteLength).toBe(36 * lengths.length)
  expect(lengths.map((_, i) => view.getUint32(36 * i, true))).toEqual(lengths)
})

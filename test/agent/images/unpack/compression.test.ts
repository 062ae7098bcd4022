// The compressions by their first bytes: all of them count, and nothing else does.

import { expect, test } from 'bun:test'
import { COMPRESSION_BYTES, compressionOf } from '../../../../agent/images/unpack/compression.ts'

test.each([
  ['1f8b08', 'gzip'],
  ['fd377a585a00', 'xz'],
  ['28b52ffd', 'zstd'],
  ['502a4d18', 'zstd'],
  ['5f2a4d18', 'zstd'],
] as const)('%s begins a file of %s', (hex, compression) => {
  const head = Buffer.from(hex, 'hex')
  expect(compressionOf(head)).toBe(compression)
  expect(compressionOf(Buffer.concat([head, Buffer.from('more')]))).toBe(compression)
  for (let at = 0; at < head.byteLength; at++) {
    const other = Buffer.from(head)
    other[at] = (other[at] ?? 0) ^ 0x80
    expect(compressionOf(other)).toBeUndefined()
  }
  expect(compressionOf(head.subarray(0, -1))).toBeUndefined()
})

test('six bytes are enough to recognise each of them', () => {
  expect(COMPRESSION_BYTES).toBe(6)
})

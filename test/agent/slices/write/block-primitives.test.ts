// The primitives of the cutter: where slices are cut depends on them, so they must never change.

import { expect, test } from 'bun:test'
import { BLOCK_PRIMITIVES } from '../../../../agent/slices/write/block-primitives.ts'

// The values are those of XXH3_64bits in the reference implementation, `xxhsum -H3`.
test.each([
  ['', 0x2d06_8005_38d3_94c2n],
  ['abc', 0x78af_5f94_892f_3950n],
])('blocks are hashed by XXH3 with seed 0: %p', (text, hash) => {
  expect(BLOCK_PRIMITIVES.hash(Buffer.from(text))).toBe(hash)
})

test.each([
  [0, 4096, true],
  [1, 4095, true],
  [5000, 5001, true],
  [0, 4097, false],
  [4096, 4097, false],
  [4096, 4100, false],
  [4090, 4097, false],
  [0, 8192, false],
  [4097, 8192, true],
])('the bytes %i to %i of zeros with one other byte at 4096 are all zero: %p', (start, end, isZero) => {
  const bytes = Buffer.alloc(8192)
  bytes[4096] = 1
  expect(BLOCK_PRIMITIVES.isZero(bytes, start, end)).toBe(isZero)
})

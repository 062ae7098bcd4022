// The bits of a filter: which a digest sets, whatever is before it in its buffer. Runs on disk have such filters.

import { expect, test } from 'bun:test'
import { viewFilter } from '../../../../agent/slices/index/filter.ts'

/** Blocks of 64 bytes; the first four bytes of a digest choose one. */
const BLOCKS = 2 ** 17

test.each<[string, [number, number, number, number], number]>([
  ['the first block', [0, 0, 0, 0], 0],
  ['the second block, by the second byte', [0, 0x80, 0, 0], 1],
  ['block 128, by the third byte', [0, 0, 0x40, 0], 128],
  ['the middle one, by the fourth byte', [0, 0, 0, 0x80], BLOCKS / 2],
  ['the last one', [0xff, 0xff, 0xff, 0xff], BLOCKS - 1],
])('a digest sets eight bits of one block: %s', (_what, first, block) => {
  const filter = viewFilter(new ArrayBuffer(BLOCKS * 64), 1)
  const digest = Buffer.alloc(32, 0xee)
  // Pairs of word and bit; what follows them counts for nothing.
  digest.set([...first, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 31])
  filter.add(Buffer.concat([Buffer.alloc(48, 0x11), digest]), 48)
  const words = new Uint32Array(filter.buffer)
  expect([...words.subarray(block * 16, block * 16 + 16)]).toEqual([1, 2, 4, 8, 16, 32, 64, 2 ** 31, 0, 0, 0, 0, 0, 0, 0, 0])
  expect(words.reduce((count, word) => count + (word === 0 ? 0 : 1), 0)).toBe(8)
  expect(filter.mayHave(digest)).toBe(true)
  for (let at = 0; at < 20; at++) {
    // Another block, or another word or bit of this one.
    const other = Buffer.from(digest)
    other.writeUInt8(other.readUInt8(at) ^ (at === 0 ? 0 : at < 4 ? 0x80 : 8), at)
    expect([at, filter.mayHave(other)]).toEqual([at, at === 0])
  }
})

// The filter of slices: how large it is, which bits it sets, and how often it says "maybe" for a slice that was never added.

import { expect, test } from 'bun:test'
import { createFilter, filterBytes, viewFilter } from '../../../../agent/slices/index/filter.ts'

const digest = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(`slice ${n}`) as Uint8Array)

test.each([
  [0, 16, 64],
  [1, 16, 64],
  [32, 16, 64],
  [33, 16, 128],
  [1000, 16, 2048],
  [1000, 12, 1536],
  [85, 12, 128],
])('for %i slices of %i bits it has %i bytes', (capacity, bitsPerSlice, bytes) => {
  expect(filterBytes(capacity, bitsPerSlice)).toBe(bytes)
})

test('says "maybe" for every slice that was added, and for less than 1 % of the others when it is full', () => {
  const filter = createFilter(20_000)
  expect(filter.capacity).toBe(20_000)
  expect(filter.mayHave(digest(0))).toBe(false)
  for (let n = 0; n < 20_000; n++) filter.add(digest(n))
  let [found, wrong] = [0, 0]
  for (let n = 0; n < 20_000; n++) if (filter.mayHave(digest(n))) found++
  for (let n = 20_000; n < 40_000; n++) if (filter.mayHave(digest(n))) wrong++
  expect(found).toBe(20_000)
  expect(wrong).toBeLessThan(200)
})

test('sets eight bits of one block, which the first four bytes of the digest choose', () => {
  // Four blocks of 16 words. The first four bytes, little-endian, are 2^30 or more and less than 2^31: the second block.
  const words = new Uint32Array(64)
  const filter = viewFilter(words.buffer, 4)
  const key = Uint8Array.from([0xff, 0xff, 0xff, 0x7f, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 15, 31, ...new Uint8Array(12)])
  filter.add(key)
  const expected = new Uint32Array(64)
  for (const [word, bit] of [...[0, 1, 2, 3, 4, 5, 6].map((n) => [n, n] as const), [15, 31] as const]) expected[16 + word] = (1 << bit) >>> 0
  expect([...words]).toEqual([...expected])
  expect(filter.mayHave(key)).toBe(true)
  // One bit less, in any of the eight places, and the digest is certainly new.
  for (const word of [0, 1, 2, 3, 4, 5, 6, 15]) {
    const kept = words[16 + word] ?? 0
    words[16 + word] = 0
    expect(filter.mayHave(key)).toBe(false)
    words[16 + word] = kept
  }
})

// Runs have filters on disk: an agent that chose another block for a digest would miss what an older one has stored.
test.each([
  [[0xff, 0x7f, 0, 0], 0],
  [[0, 0x80, 0, 0], 0],
  [[0, 0, 1, 0], 1],
  [[0, 0, 0x80, 0], 0x80],
  [[0, 0, 0, 1], 0x100],
  [[0, 0, 0xff, 0x7f], 0x7fff],
  [[0, 0, 0, 0x80], 0x8000],
  [[0xff, 0xff, 0xff, 0xff], 0xffff],
])('of 65,536 blocks, %j begins a digest of block %i', (beginning, block) => {
  const filter = createFilter(2 ** 21)
  filter.add(Uint8Array.from([...beginning, ...new Uint8Array(28)]))
  const words = new Uint32Array(filter.buffer)
  expect([words.length, words.findIndex((word) => word !== 0)]).toEqual([65_536 * 16, block * 16])
})

test('adds a digest that begins anywhere in a buffer', () => {
  const [at, alone] = [createFilter(10), createFilter(10)]
  at.add(Buffer.concat([Buffer.alloc(7, 9), digest(5)]), 7)
  alone.add(digest(5))
  expect(new Uint8Array(at.buffer)).toEqual(new Uint8Array(alone.buffer))
})

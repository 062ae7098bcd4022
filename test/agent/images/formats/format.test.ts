// What detectors share: marks at their offsets, and sizes of 64 bits.

import { expect, test } from 'bun:test'
import { safeSize, startsWith, viewOf } from '../../../../agent/images/formats/format.ts'

const bytes = Buffer.from('xabc\u00ff', 'latin1')

test.each([
  ['xab', 0, true],
  ['abc', 1, true],
  ['c\u00ff', 3, true],
  ['', 5, true],
  ['abd', 1, false],
  ['bbc', 1, false],
  ['c\u00ffd', 3, false],
  ['', 6, false],
])('%p at byte %i: %p', (text, at, isThere) => {
  expect(startsWith(bytes, text, at)).toBe(isThere)
  if (at === 0) expect(startsWith(bytes, text)).toBe(isThere)
})

test('a view has the bytes of its array and no others', () => {
  const part = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 4)
  expect([viewOf(part).byteLength, viewOf(part).getUint8(0)]).toEqual([3, 2])
})

test('a size is a number up to the largest that a number has exactly', () => {
  expect([safeSize(0n), safeSize(2n ** 53n - 1n), safeSize(2n ** 53n)]).toEqual([0, 9_007_199_254_740_991, null])
})

// Digests: the text form of 32 bytes, and nothing else.

import { expect, test } from 'bun:test'
import { digestIn, formatDigest, parseDigest } from '../../../protocol/slices/digest.ts'

test('32 bytes have a text form; 31 and 33 are refused', () => {
  expect(String(formatDigest(new Uint8Array(32).fill(0xab)))).toBe(`sha256:${'ab'.repeat(32)}`)
  expect(() => formatDigest(new Uint8Array(31))).toThrow('a digest has 32 bytes, not 31')
  expect(() => formatDigest(new Uint8Array(33))).toThrow('a digest has 32 bytes, not 33')
})

test('a digest inside of bytes is a copy; one that is cut off is refused', () => {
  const bytes = new Uint8Array(40).fill(7, 8)
  const digest = digestIn(bytes, 8)
  bytes.fill(0)
  expect(digest).toEqual(new Uint8Array(32).fill(7))
  expect(() => digestIn(bytes, 9)).toThrow('there are no 32 bytes at 9 of 40')
})

test('text is a digest only in lower case and at its length', () => {
  expect(String(parseDigest(`sha256:${'0a'.repeat(32)}`))).toBe(`sha256:${'0a'.repeat(32)}`)
  for (const text of [`sha256:${'0A'.repeat(32)}`, `sha256:${'0a'.repeat(31)}`, `sha256:${'0a'.repeat(33)}`, `sha512:${'0a'.repeat(32)}`, ''])
    expect(parseDigest(text)).toBeUndefined()
})

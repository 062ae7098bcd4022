// Digests as text, as bytes and in fields of HTTP, against values that are known from elsewhere.

import { expect, test } from 'bun:test'
import { digestBytes, formatDigest, formatDigestField, sha256, toHex } from '../../../protocol/slices/digest.ts'

/** 00 01 02 … 1f. */
const COUNTING = Uint8Array.from({ length: 32 }, (_, i) => i)
const COUNTING_TEXT = 'sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'

test('32 bytes become text and the same bytes again', () => {
  expect(String(formatDigest(COUNTING))).toBe(COUNTING_TEXT)
  expect([...digestBytes(formatDigest(COUNTING))]).toEqual([...COUNTING])
})

test('hex has two lower-case digits for each byte', () => {
  expect(toHex(Uint8Array.of(0, 9, 10, 15, 16, 171, 255))).toBe('00090a0f10abff')
  expect(toHex(new Uint8Array(0))).toBe('')
})

test('SHA-256 is that of FIPS 180-4', async () => {
  expect(String(await sha256(new Uint8Array(Buffer.from('abc'))))).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  expect(String(await sha256(new Uint8Array(0)))).toBe('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})

test('a field of HTTP has the digest in Base64 (RFC 9530, appendix A)', async () => {
  expect(formatDigestField(await sha256(new Uint8Array(0)))).toBe('sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:')
})

// Secrets and signatures against values that were computed elsewhere.

import { describe, expect, test } from 'bun:test'
import { createLinkSigner, fromBase64Url, hashSecret, isEqualConstantTime, newSecret, toBase64Url } from '../../../agent/access/credentials.ts'

test('a secret is the prefix and 32 random bytes', () => {
  const secret = newSecret()
  expect(secret).toMatch(/^slp_[\w-]{43}$/)
  expect(fromBase64Url(secret.slice('slp_'.length))).toHaveLength(32)
  expect(newSecret()).not.toBe(secret)
})

test('a hash is SHA-256 in hex (FIPS 180-2, appendix B.1)', async () => {
  expect(await hashSecret('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

test('base64url has no padding and two characters of its own (RFC 4648 §5)', () => {
  expect(toBase64Url(Uint8Array.of(0xfb, 0xff))).toBe('-_8')
  expect(fromBase64Url('-_8')).toEqual(Uint8Array.of(0xfb, 0xff))
})

describe('isEqualConstantTime', () => {
  test.each([
    ['abc', 'abc', true],
    ['xbc', 'abc', false],
    ['axc', 'abc', false],
    ['abx', 'abc', false],
    ['abc', 'abcd', false],
    ['', '', true],
  ])('%j and %j: %p', (a, b, isEqual) => {
    expect(isEqualConstantTime(a, b)).toBe(isEqual)
  })
})

describe('a link signer', () => {
  const KEY = toBase64Url(new Uint8Array(32).fill(7))

  test('signs with HMAC-SHA256 over the text of the body', async () => {
    const link = await (await createLinkSigner(KEY)).sign({ a: 1 })
    const hmac = new Bun.CryptoHasher('sha256', new Uint8Array(32).fill(7)).update('eyJhIjoxfQ').digest()
    expect(link).toBe(`eyJhIjoxfQ.${toBase64Url(hmac)}`)
    expect(await (await createLinkSigner(KEY)).open(link)).toEqual({ a: 1 })
  })

  test('opens nothing that it did not sign', async () => {
    const signer = await createLinkSigner(KEY)
    const [body = '', signature = ''] = (await signer.sign({ a: 1 })).split('.')
    for (const link of ['', body, `${body}.`, `.${signature}`, `eyJhIjoyfQ.${signature}`, `${body}.${'A'.repeat(43)}`, `${body}.${signature}.${signature}`])
      expect(await signer.open(link)).toBeUndefined()
  })
})

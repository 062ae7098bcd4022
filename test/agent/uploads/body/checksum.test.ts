// Checksums of bodies: parsed strictly, computed in pieces, and compared to the last byte.

import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { CHECKSUM_ALGORITHMS, isSameDigest, parseChecksum, startChecksum } from '../../../../agent/uploads/body/checksum.ts'

describe('digests', () => {
  test('are equal only when every byte is equal', () => {
    const digest = new Uint8Array(createHash('sha256').update('image').digest())
    expect(isSameDigest(digest, digest.slice())).toBe(true)
    for (let at = 0; at < digest.byteLength; at++) {
      const other = digest.slice()
      other[at] = (other[at] ?? 0) ^ 1
      expect([at, isSameDigest(digest, other)]).toEqual([at, false])
    }
  })

  test('of different lengths are not equal', () => {
    const digest = Uint8Array.of(1, 2, 3, 4)
    expect(isSameDigest(digest, digest.subarray(0, 3))).toBe(false)
    expect(isSameDigest(digest.subarray(0, 3), digest)).toBe(false)
    expect(isSameDigest(new Uint8Array(0), digest)).toBe(false)
  })

  test('of a body in pieces equal those of the complete body', () => {
    const known = {
      // The check value of CRC-32 (ISO 3309).
      crc32: 'cbf43926',
      md5: createHash('md5').update('123456789').digest('hex'),
      sha1: createHash('sha1').update('123456789').digest('hex'),
      sha256: createHash('sha256').update('123456789').digest('hex'),
    }
    expect(CHECKSUM_ALGORITHMS.toSorted().join()).toBe(Object.keys(known).join())
    for (const algorithm of CHECKSUM_ALGORITHMS) {
      const checksum = startChecksum(algorithm)
      for (const piece of ['1234', '', '56789']) checksum.update(Buffer.from(piece))
      expect([algorithm, Buffer.from(checksum.digest()).toString('hex')]).toEqual([algorithm, known[algorithm]])
    }
  })
})

describe('an Upload-Checksum', () => {
  test('is parsed', () => {
    expect(parseChecksum(`CRC32 ${btoa('abcd')}`)).toEqual({ algorithm: 'crc32', expected: new Uint8Array(Buffer.from('abcd')), field: 'Upload-Checksum' })
  })

  test.each([
    ['crc32', 4],
    ['md5', 16],
    ['sha1', 20],
    ['sha256', 32],
  ])('with %s has %i bytes', (algorithm, length) => {
    const header = (bytes: number): string => `${algorithm} ${Buffer.alloc(bytes, 7).toString('base64')}`
    expect(parseChecksum(header(length)).expected).toEqual(new Uint8Array(length).fill(7))
    for (const other of [length - 1, length + 1]) expect(() => parseChecksum(header(other))).toThrow(`(${length} bytes)`)
  })

  test.each(['sha512 AAAA', `crc32 ${btoa('abc')}`, `crc32 ${btoa('abcde')}`, 'crc32', 'crc32 ab_d', `crc32 ${btoa('abcd')} x`])('is refused: %s', (header) => {
    expect(() => parseChecksum(header)).toThrow('Upload-Checksum')
  })
})

// Decompression of streams: the result does not depend on how the bytes arrive, and whatever is wrong with them is a fault and no other error.

import { describe, expect, test } from 'bun:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { compressionOf, UnpackFault } from '../../../../agent/images/unpack/compression.ts'
import type { Compression } from '../../../../agent/images/unpack/compression.ts'
import { decode } from '../../../../agent/images/unpack/decoders.ts'
import { createRandom, runSeed } from '../../../support/properties.ts'
import { seededBytes } from '../../../support/images/image-store.ts'

const PLAIN = Buffer.concat([seededBytes(1500, 1), new Uint8Array(2000), seededBytes(600, 2)])
/** `xz -0 --check=crc32` of four bytes `slip`. */
const XZ = Buffer.from('/Td6WFoAAAFpIt42AgAhAQwAAACPmEGcAQADc2xpcAD4Qzn9AAEYBGvp8KWQQpkNAQAAAAABWVo=', 'base64')
const PACKED: Readonly<Record<'gzip' | 'zstd', Uint8Array>> = { gzip: gzipSync(PLAIN), zstd: zstdCompressSync(PLAIN) }

async function* pieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += length) yield bytes.subarray(at, at + length)
}

/** Returns the unpacked bytes, or the clause of the fault. Every other error fails the test. */
async function unpacked(compression: Compression, bytes: Uint8Array, pieceLength = 65_536): Promise<Buffer | string> {
  const found: Uint8Array[] = []
  try {
    for await (const piece of decode(compression, pieces(bytes, pieceLength))) found.push(new Uint8Array(piece))
    return Buffer.concat(found)
  } catch (error) {
    if (error instanceof UnpackFault) return error.message
    throw error
  }
}

describe.each(['gzip', 'zstd'] as const)('%s', (compression) => {
  const one = PACKED[compression]
  const whole = Buffer.concat([one, one, one])
  const lengths = [1, 2, 3, 7, 64, one.byteLength - 1, one.byteLength, one.byteLength + 1, 2 * one.byteLength, whole.byteLength]

  test.each(lengths)('unpacks three members in pieces of %d bytes', async (length) => {
    expect(await unpacked(compression, whole, length)).toEqual(Buffer.concat([PLAIN, PLAIN, PLAIN]))
  })
  test.each(lengths)('finds what is missing or too much in pieces of %d bytes', async (length) => {
    expect(await unpacked(compression, whole.subarray(0, -1), length)).toBe('it is cut off')
    expect(await unpacked(compression, Buffer.concat([whole, new Uint8Array(9)]), length)).toBe(
      `bytes follow its last ${compression === 'gzip' ? 'gzip member' : 'zstd frame'}`,
    )
    expect(typeof (await unpacked(compression, Buffer.concat([whole, Buffer.from('other bytes')]), length))).toBe('string')
  })
})

describe('xz', () => {
  test('unpacks one and several streams, and zeros between them', async () => {
    expect(String(await unpacked('xz', XZ))).toBe('slip')
    for (const length of [1, 5, 1000]) expect(String(await unpacked('xz', Buffer.concat([XZ, new Uint8Array(8), XZ]), length))).toBe('slipslip')
  })
  test.each([
    ['without its end', XZ.subarray(0, -1), 'it is cut off'],
    ['followed by other bytes', Buffer.concat([XZ, Buffer.from('other bytes that follow')]), 'bytes that are not xz follow its last stream'],
    ['with changed data', Buffer.from(XZ).fill(0, 28, 30), 'it is damaged: its data do not match its checksums'],
  ])('%s', async (_name, bytes, clause) => {
    expect(await unpacked('xz', bytes)).toBe(clause)
  })
})

test('a compression is recognised by its first bytes', () => {
  expect([PACKED.gzip, PACKED.zstd, XZ, Buffer.from('502a4d18', 'hex'), PLAIN, new Uint8Array(0)].map((bytes) => compressionOf(bytes))).toEqual([
    'gzip',
    'zstd',
    'xz',
    'zstd',
    undefined,
    undefined,
  ])
})

test('changed bytes are unpacked or are a fault, and never another error', async () => {
  const random = createRandom(runSeed())
  const end = performance.now() + 3000
  let faults = 0
  for (let round = 0; round < 500 && performance.now() < end; round++) {
    const [compression, bytes] = random.pick([['gzip', PACKED.gzip] as const, ['zstd', PACKED.zstd] as const, ['xz', XZ] as const])
    const changed = Buffer.from(bytes)
    for (let i = 0; i < 1 + random.below(3); i++) changed[random.below(changed.byteLength)] = random.below(256)
    if (typeof (await unpacked(compression, changed, 1 + random.below(changed.byteLength))) === 'string') faults++
  }
  expect(faults).toBeGreaterThan(10)
})

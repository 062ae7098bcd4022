// The structure of zstd files (RFC 8878 §3.1), field by field, however the bytes arrive.

import { describe, expect, test } from 'bun:test'
import { UnpackFault } from '../../../../agent/images/unpack/compression.ts'
import { createZstdFrames } from '../../../../agent/images/unpack/zstd-frames.ts'
import { zstdFrame } from '../../../support/images/zstd-frames.ts'
import type { ZstdFrameParts } from '../../../support/images/zstd-frames.ts'

const MIB = 1024 * 1024
const RAW = { kind: 'raw', bytes: new Uint8Array(300).fill(7) } as const
const ZEROS = { kind: 'zeros', length: 5000 } as const

/** Returns the clause of the fault, or `whole`; the same for bytes that arrive at once and one by one. */
function check(bytes: Uint8Array): string {
  const [atOnce, single] = [bytes.byteLength, 1].map((step) => {
    const frames = createZstdFrames()
    try {
      for (let at = 0; at < bytes.byteLength; at += step) frames.push(bytes.subarray(at, at + step))
      frames.end()
      return 'whole'
    } catch (error) {
      if (error instanceof UnpackFault) return error.message
      throw error
    }
  })
  expect(single).toBe(atOnce ?? '')
  return atOnce ?? ''
}

function skippable(kind: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(8 + length, 9)
  bytes.writeUInt32LE(0x184d_2a50 + kind)
  bytes.writeUInt32LE(length, 4)
  return bytes
}

describe('a frame is whole', () => {
  test.each<[string, Omit<ZstdFrameParts, 'blocks'>]>([
    ['with a window and no size', { window: 0x58 }],
    ['with a window and a size of 2 bytes', { window: 0x58, contentSize: 300, sizeBytes: 2 }],
    ['with a window and a size of 4 bytes', { window: 0x58, contentSize: 300, sizeBytes: 4 }],
    ['with a window and a size of 8 bytes', { window: 0x58, contentSize: 300, sizeBytes: 8 }],
    ['of a single segment and a size of 1 byte', { contentSize: 30, sizeBytes: 1 }],
    ['of a single segment and a size of 2 bytes', { contentSize: 300, sizeBytes: 2 }],
    ['of a single segment and a size of 4 bytes', { contentSize: 300, sizeBytes: 4 }],
    ['of a single segment and a size of 8 bytes', { contentSize: 300, sizeBytes: 8 }],
    ['with a checksum', { window: 0x58, hasChecksum: true }],
  ])('%s', (_what, parts) => {
    const frame = zstdFrame({ ...parts, blocks: [RAW, ZEROS, RAW] })
    expect(check(frame)).toBe('whole')
    expect(check(frame.subarray(0, -1))).toBe('it is cut off')
    expect(check(Buffer.concat([frame, frame]))).toBe('whole')
    expect(check(Buffer.concat([frame, Buffer.of(0x28)]))).toBe('bytes follow its last zstd frame')
    expect(check(Buffer.concat([frame, new Uint8Array(4)]))).toBe('bytes follow its last zstd frame')
  })

  test('with blocks of up to 128 KiB', () => {
    const large = { kind: 'raw', bytes: new Uint8Array(131_072).fill(7) } as const
    const frame = zstdFrame({ window: 0x58, hasChecksum: true, blocks: [large, { ...large, bytes: large.bytes.subarray(1) }, ZEROS] })
    expect(check(frame)).toBe('whole')
    expect(check(frame.subarray(0, -1))).toBe('it is cut off')
    expect(check(frame.subarray(0, 100_000))).toBe('it is cut off')
  })

  test('among skippable frames, of any kind and length', () => {
    const frame = zstdFrame({ window: 0x58, blocks: [ZEROS] })
    expect(check(Buffer.concat([skippable(0, 0), frame, skippable(15, 1000)]))).toBe('whole')
    expect(check(Buffer.concat([frame, skippable(7, 10).subarray(0, -1)]))).toBe('it is cut off')
    for (const kind of [-1, 16]) expect(check(Buffer.concat([frame, skippable(kind, 0)]))).toBe('bytes follow its last zstd frame')
  })
})

describe('the window', () => {
  const refused = (bytes: number): string => `it needs a window of ${bytes} bytes; the limit is 67108864 (compress it with zstd -19, or --long=26)`

  test.each([
    // The exponent is in the upper five bits, eighths are in the lower three.
    [0x80, 'whole'],
    [0x7f, 'whole'],
    [0x81, refused(72 * MIB)],
    [0x87, refused(120 * MIB)],
    [0x88, refused(128 * MIB)],
  ])('of the descriptor %i', (window, outcome) => {
    expect(check(zstdFrame({ window, blocks: [RAW] }))).toBe(outcome)
  })

  test('of a single segment is its size', () => {
    for (const sizeBytes of [4, 8] as const) {
      expect(check(zstdFrame({ contentSize: 64 * MIB, sizeBytes, blocks: [RAW] }))).toBe('whole')
      expect(check(zstdFrame({ contentSize: 64 * MIB + 1, sizeBytes, blocks: [RAW] }))).toBe(refused(64 * MIB + 1))
    }
    // A size beside a window says nothing about memory.
    expect(check(zstdFrame({ window: 0, contentSize: 1024 ** 4, sizeBytes: 8, blocks: [RAW] }))).toBe('whole')
  })
})

test('a dictionary, a reserved bit and a reserved kind of block are refused', () => {
  expect(check(zstdFrame({ window: 0x58, dictionaryId: 1, blocks: [RAW] }))).toBe('its zstd frame needs a dictionary')
  expect(check(zstdFrame({ window: 0x58, isReservedBitSet: true, blocks: [RAW] }))).toBe('its zstd frame sets a reserved bit')
  const reserved = { kind: 'any', type: 3, size: 1, bytes: new Uint8Array(1) } as const
  expect(check(zstdFrame({ window: 0x58, blocks: [reserved] }))).toBe('it has a zstd block of a reserved kind')
  const compressed = { kind: 'any', type: 2, size: 5, bytes: new Uint8Array(5) } as const
  expect(check(zstdFrame({ window: 0x58, blocks: [compressed, RAW] }))).toBe('whole')
})

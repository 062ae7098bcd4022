// The end of a zstd frame, against frames that zstd compresses and headers written field by field (RFC 8878 §3.1.1).

import { describe, expect, test } from 'bun:test'
import { constants, zstdCompressSync } from 'node:zlib'
import { zstdFrameLength } from '../../../agent/convert/zstd-frame.ts'
import { createRandom } from '../../support/properties.ts'

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd] as const
/** The last block, raw and empty. */
const EMPTY = [1, 0, 0] as const
const bytesOf = (...bytes: readonly number[]): Uint8Array => Uint8Array.from(bytes)
const frame = (...bytes: readonly number[]): number | undefined => zstdFrameLength(bytesOf(...MAGIC, ...bytes))

describe('the length of a frame', () => {
  test('is that of what zstd compresses, whatever follows it', () => {
    const { ZSTD_c_checksumFlag, ZSTD_c_contentSizeFlag, ZSTD_c_windowLog } = constants
    // Contents whose frames have blocks of each kind, and each length of the field with the size.
    const contents = [
      Buffer.alloc(0),
      Buffer.from('x'),
      createRandom(1).bytes(300),
      Buffer.alloc(70_000, 'abc'),
      createRandom(2).bytes(400_000),
      Buffer.alloc(1_000_000),
    ]
    for (const content of contents) {
      for (const checksum of [0, 1]) {
        for (const size of [0, 1]) {
          const params = { [ZSTD_c_checksumFlag]: checksum, [ZSTD_c_contentSizeFlag]: size, [ZSTD_c_windowLog]: 17 }
          const bytes = zstdCompressSync(content, { params })
          expect(zstdFrameLength(bytes)).toBe(bytes.length)
          expect(zstdFrameLength(Buffer.concat([bytes, bytes, Buffer.alloc(9, 255)]))).toBe(bytes.length)
          for (const cut of [1, 2, 3, 4, 5]) expect(zstdFrameLength(bytes.subarray(0, -cut))).toBeUndefined()
        }
      }
    }
  })

  test.each<[string, readonly number[], number | undefined]>([
    ['a window and no size', [0x00, 0x00, ...EMPTY], 9],
    ['one segment, a size of 1 byte', [0x20, 0, ...EMPTY], 9],
    ['a window, a size of 2 bytes', [0x40, 0x00, 0, 0, ...EMPTY], 11],
    ['one segment, a size of 2 bytes', [0x60, 0, 0, ...EMPTY], 10],
    ['a window, a size of 4 bytes', [0x80, 0x00, 0, 0, 0, 0, ...EMPTY], 13],
    ['a window, a size of 8 bytes', [0xc0, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, ...EMPTY], 17],
    ['a checksum', [0x04, 0x00, ...EMPTY, 1, 2, 3, 4], 13],
    ['a checksum that is cut off', [0x04, 0x00, ...EMPTY, 1, 2, 3], undefined],
    ['an unused bit, which decoders ignore', [0x10, 0x00, ...EMPTY], 9],
    ['the reserved bit', [0x08, 0x00, ...EMPTY], undefined],
    ['a dictionary of 1 byte', [0x01, 0x00, 7, ...EMPTY], undefined],
    ['a dictionary of 2 bytes', [0x02, 0x00, 7, 7, ...EMPTY], undefined],
    ['a dictionary of 4 bytes', [0x03, 0x00, 7, 7, 7, 7, ...EMPTY], undefined],
    ['a window of 8 MiB', [0x00, 13 << 3, ...EMPTY], 9],
    ['a window of 9 MiB', [0x00, (13 << 3) | 1, ...EMPTY], undefined],
    ['a window of 7.5 MiB', [0x00, (12 << 3) | 7, ...EMPTY], 9],
    ['a window of 15 MiB', [0x00, (13 << 3) | 7, ...EMPTY], undefined],
    ['a window of 3.75 TiB', [0x00, 0xff, ...EMPTY], undefined],
    ['one segment whose size looks like a long window', [0x20, 0xff, ...EMPTY], 9],
    ['a raw block of 2 bytes before the last', [0x00, 0x00, 2 << 3, 0, 0, 8, 8, ...EMPTY], 14],
    ['a repeated byte, of which the frame has one', [0x00, 0x00, 0x02 | 1, 0x10, 0, 8], 10],
    ['a compressed block of 2 bytes', [0x00, 0x00, 0x04 | 1 | (2 << 3), 0, 0, 8, 8], 11],
    ['a block of the reserved kind', [0x00, 0x00, 0x06 | 1, 0, 0], undefined],
    ['a repeated byte for 128 KiB', [0x00, 0x00, 0x03, 0x00, 0x10, 8], 10],
    ['a repeated byte for more than 128 KiB', [0x00, 0x00, 0x0b, 0x00, 0x10, 8], undefined],
    ['no block', [0x00, 0x00], undefined],
    ['no last block', [0x00, 0x00, 0, 0, 0, 0, 0, 0], undefined],
  ])('of %s', (_name, bytes, length) => {
    expect(frame(...bytes)).toBe(length)
  })

  test('is unknown without the magic number, and for fewer bytes than a header', () => {
    expect(zstdFrameLength(bytesOf(0x29, 0xb5, 0x2f, 0xfd, 0x00, 0x00, ...EMPTY))).toBeUndefined()
    // A frame that decoders skip.
    expect(zstdFrameLength(bytesOf(0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0))).toBeUndefined()
    for (let length = 0; length < 9; length++) expect(zstdFrameLength(bytesOf(...MAGIC, 0, 0, ...EMPTY).subarray(0, length))).toBeUndefined()
  })
})

// The structure of a zstd frame: its declared length is the one that is expected, whatever follows it.

import { describe, expect, test } from 'bun:test'
import { zstdFrameFault } from '../../../../agent/slices/packs/zstd-frame.ts'
import { zstdFrame } from '../../../support/images/zstd-frames.ts'

const LENGTH = 32 * 1024
const BLOCKS = [{ kind: 'zeros', length: LENGTH }] as const

test('a frame that declares another length than the slice is refused before it is decompressed', () => {
  expect(zstdFrameFault(zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }), LENGTH)).toBeUndefined()
  for (const contentSize of [0, 1, LENGTH - 1, LENGTH + 1, 2 ** 32 - 1, 2 ** 40])
    expect(zstdFrameFault(zstdFrame({ contentSize, sizeBytes: 8, blocks: BLOCKS }), LENGTH)).toBe(`it announces ${contentSize} bytes for a slice of ${LENGTH}`)
})

describe('a frame', () => {
  const zeros = (length: number) => [{ kind: 'zeros', length }] as const

  test.each([
    [1, 200],
    [2, 256],
    [2, 65_791],
    [4, 65_792],
    [8, 131_072],
  ] as const)('may announce its length in %i bytes', (sizeBytes, length) => {
    expect(zstdFrameFault(zstdFrame({ contentSize: length, sizeBytes, blocks: zeros(length) }), length)).toBeUndefined()
  })

  test('may need a window of 8 MiB, and no longer one', () => {
    const windowed = (window: number): Uint8Array => zstdFrame({ contentSize: LENGTH, window, blocks: BLOCKS })
    expect(zstdFrameFault(windowed(13 << 3), LENGTH)).toBeUndefined()
    expect(zstdFrameFault(windowed((13 << 3) + 1), LENGTH)).toBe('it needs a window of more than 8388608 bytes')
    expect(zstdFrameFault(windowed((12 << 3) + 7), LENGTH)).toBeUndefined()
  })

  test.each<[string, Uint8Array, string]>([
    ['with a reserved bit', zstdFrame({ contentSize: LENGTH, isReservedBitSet: true, blocks: BLOCKS }), 'it sets a reserved bit'],
    ['with a dictionary', zstdFrame({ contentSize: LENGTH, dictionaryId: 1, blocks: BLOCKS }), 'it needs a dictionary'],
    ['without its length', zstdFrame({ window: 80, blocks: BLOCKS }), 'it does not announce its length'],
    ['with another first byte', zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }).with(0, 0x29), 'it is not a zstd frame'],
    ['of five bytes', zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }).subarray(0, 5), 'it is not a zstd frame'],
    ['of six bytes', zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }).subarray(0, 6), 'it is cut off'],
    ['that ends in its length', zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }).subarray(0, 8), 'it is cut off'],
    ['that ends after its length', zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }).subarray(0, 9), 'it is cut off'],
    ['without the last byte of its block', zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }).subarray(0, -1), 'it is cut off'],
    ['without the last byte of its checksum', zstdFrame({ contentSize: LENGTH, hasChecksum: true, blocks: BLOCKS }).subarray(0, -1), 'it is cut off'],
    ['with a byte behind it', Buffer.concat([zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }), new Uint8Array(1)]), '1 bytes follow the frame'],
  ])('%s is refused', (_what, bytes, fault) => {
    expect(zstdFrameFault(bytes, LENGTH)).toBe(fault)
  })

  test('may have a checksum', () => {
    expect(zstdFrameFault(zstdFrame({ contentSize: LENGTH, hasChecksum: true, blocks: BLOCKS }), LENGTH)).toBeUndefined()
  })
})

describe('blocks', () => {
  const fault = (blocks: Parameters<typeof zstdFrame>[0]['blocks'], length = 131_072): string | undefined =>
    zstdFrameFault(zstdFrame({ contentSize: length, blocks }), length)
  const compressed = (size: number) => ({ kind: 'any', type: 2, size, bytes: new Uint8Array(size) }) as const

  test('have at most 128 KiB', () => {
    expect(fault([compressed(131_072)])).toBeUndefined()
    expect(fault([compressed(131_073)])).toBe('it has a block of 131073 bytes')
    expect(fault([{ kind: 'zeros', length: 131_072 }])).toBeUndefined()
    expect(fault([{ kind: 'zeros', length: 131_073 }], 200_000)).toBe('it has a block of 131073 bytes')
  })

  test('are of three kinds', () => {
    expect(fault([{ kind: 'any', type: 3, size: 1, bytes: new Uint8Array(1) }])).toBe('it has a block of a reserved kind')
    expect(fault([{ kind: 'raw', bytes: new Uint8Array(100) }, compressed(5), { kind: 'zeros', length: 7 }])).toBeUndefined()
  })

  test('are not empty, except for the last one', () => {
    const empty = { kind: 'raw', bytes: new Uint8Array(0) } as const
    expect(fault([compressed(5), empty])).toBeUndefined()
    expect(fault([empty, compressed(5)])).toBe('it has an empty block before the last one')
  })

  test('hold no more than the frame announces', () => {
    expect(
      fault(
        [
          { kind: 'zeros', length: 60 },
          { kind: 'raw', bytes: new Uint8Array(40) },
        ],
        100,
      ),
    ).toBeUndefined()
    expect(
      fault(
        [
          { kind: 'zeros', length: 60 },
          { kind: 'raw', bytes: new Uint8Array(41) },
        ],
        100,
      ),
    ).toBe('its blocks hold more than 100 bytes')
    // What a compressed block holds is known only when it is decompressed.
    expect(fault([{ kind: 'zeros', length: 100 }, compressed(5)], 100)).toBeUndefined()
  })
})

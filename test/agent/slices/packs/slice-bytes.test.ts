// From stored bytes to a slice: exactly the declared bytes, from exactly one zstd frame, in bounded memory.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { constants, zstdCompressSync } from 'node:zlib'
import { CODEC_RAW, CODEC_ZSTD } from '../../../../protocol/slices/frames.ts'
import { SLICE_LENGTH_MAX } from '../../../../protocol/slices/manifest.ts'
import { sliceBytes, SliceBytesInvalid } from '../../../../agent/slices/packs/slice-bytes.ts'
import { contentOf, stretchesArbitrary } from '../../../support/images/slice-model.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'
import { skippableFrame, zstdFrame } from '../../../support/images/zstd-frames.ts'

const KIB = 1024
const text = Buffer.from('a line that repeats itself\n'.repeat(1200))
const packed = Bun.zstdCompressSync(text, { level: 1 })
const checksummed = zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
const block = { kind: 'zeros', length: 32 * KIB } as const

const outcome = (stored: Uint8Array, length: number, codec: number = CODEC_ZSTD): Promise<unknown> =>
  sliceBytes({ codec, length, stored }).then(
    (bytes) => whole(bytes),
    (error: unknown) => error,
  )

/** Length and digest: comparing megabytes byte by byte is slow. */
const whole = (bytes: Uint8Array): string => `${bytes.byteLength} bytes, sha256 ${Bun.SHA256.hash(bytes, 'hex')}`

describe('a slice', () => {
  test('is decompressed whatever zstd level, size and form of header it was compressed with', async () => {
    await fc.assert(
      fc.asyncProperty(stretchesArbitrary({ stretchesMax: 4, lengthMax: 100_000 }), fc.constantFrom(1, 3, 9), async (stretches, level) => {
        const content = contentOf(stretches)
        fc.pre(content.length > 0)
        const stored = Bun.zstdCompressSync(content, { level })
        if (stored.length <= content.length) expect(await outcome(stored, content.length)).toBe(whole(content))
        expect(await outcome(content, content.length, CODEC_RAW)).toBe(whole(content))
      }),
      propertyOptions(40),
    )
    for (const length of [255, 256, 257, 65_535, 65_536, 65_791, 65_792, 1_000_000, SLICE_LENGTH_MAX]) {
      const content = Buffer.alloc(length, 'x')
      expect(await outcome(Bun.zstdCompressSync(content), length)).toBe(whole(content))
    }
    for (const sizeBytes of [2, 4, 8] as const)
      expect(await outcome(zstdFrame({ contentSize: 32 * KIB, sizeBytes, blocks: [block] }), 32 * KIB)).toBe(whole(Buffer.alloc(32 * KIB)))
  })

  test('is decompressed from a frame with many blocks and an empty last one, with a window and a checksum', async () => {
    const zeros = { kind: 'zeros', length: 8 * KIB } as const
    const last = { kind: 'raw', bytes: new Uint8Array(0) } as const
    const window = 0x58
    expect(await outcome(zstdFrame({ contentSize: 32 * KIB, window, blocks: [zeros, zeros, zeros, zeros, last] }), 32 * KIB)).toBe(
      whole(Buffer.alloc(32 * KIB)),
    )
    expect(await outcome(checksummed, text.length)).toBe(whole(text))
  })
})

describe('stored bytes are refused', () => {
  const half = packed.subarray(0, packed.length >> 1)
  const sized = (parts: Partial<Parameters<typeof zstdFrame>[0]>): Uint8Array => zstdFrame({ contentSize: 32 * KIB, blocks: [block], ...parts })

  test.each<[string, Uint8Array, number]>([
    ['a second frame', Buffer.concat([packed, packed]), text.length],
    ['a second, empty frame', Buffer.concat([packed, Bun.zstdCompressSync(new Uint8Array(0))]), text.length],
    ['trailing bytes', Buffer.concat([packed, new Uint8Array(3)]), text.length],
    ['a skippable frame before', Buffer.concat([skippableFrame(10), packed]), text.length],
    ['a skippable frame alone', skippableFrame(1000), 1000],
    ['a skippable frame behind', Buffer.concat([packed, skippableFrame(10)]), text.length],
    ['a bomb of several frames', Buffer.concat(Array.from({ length: 900 }, () => Bun.zstdCompressSync(new Uint8Array(32 * KIB)))), 32 * KIB],
    ['a frame without content size', zstdFrame({ window: 0x58, blocks: [block] }), 32 * KIB],
    ['a bomb without content size', zstdFrame({ window: 0x58, blocks: Array.from({ length: 5000 }, () => ({ ...block, length: 128 * KIB })) }), 32 * KIB],
    ['more blocks than it announces', sized({ blocks: Array.from({ length: 5000 }, () => ({ ...block, length: 128 * KIB })) }), 32 * KIB],
    ['one byte more than it announces', sized({ blocks: [block, { kind: 'zeros', length: 1 }] }), 32 * KIB],
    ['fewer blocks than it announces', sized({ blocks: [{ kind: 'zeros', length: KIB }] }), 32 * KIB],
    ['another content size', packed, text.length + 1],
    ['a content size of 2^64 - 1', sized({ contentSize: Number.MAX_SAFE_INTEGER, sizeBytes: 8 }), 32 * KIB],
    ['a window of 3.75 TB', sized({ window: 0xff }), 32 * KIB],
    ['a window of 9 MiB', sized({ window: 0x69 }), 32 * KIB],
    ['a dictionary', sized({ dictionaryId: 7 }), 32 * KIB],
    ['a reserved bit', sized({ isReservedBitSet: true }), 32 * KIB],
    ['a reserved kind of block', sized({ blocks: [{ kind: 'any', type: 3, size: 1, bytes: new Uint8Array(1) }] }), 32 * KIB],
    ['a block beyond 128 KiB', sized({ contentSize: 256 * KIB, blocks: [{ kind: 'zeros', length: 256 * KIB }] }), 256 * KIB],
    ['empty blocks', sized({ blocks: [{ kind: 'raw', bytes: new Uint8Array(0) }, block] }), 32 * KIB],
    ['a compressed block that is none', sized({ blocks: [{ kind: 'any', type: 2, size: 100, bytes: createRandom(1).bytes(100) }] }), 32 * KIB],
    ['a wrong checksum', sized({ hasChecksum: true }), 32 * KIB],
    ['half a frame', half, text.length],
    ['a frame without its checksum', checksummed.subarray(0, checksummed.length - 4), text.length],
    ['nothing', new Uint8Array(0), 32 * KIB],
    ['a magic number', packed.subarray(0, 4), 32 * KIB],
    ['more bytes than the slice has', Bun.zstdCompressSync(createRandom(1).bytes(1000)), 1000],
  ])('%s', async (_what, stored, length) => {
    expect(await outcome(stored, length)).toBeInstanceOf(SliceBytesInvalid)
  })

  test('cut at any byte', async () => {
    for (let end = 0; end < packed.length; end++) expect(await outcome(packed.subarray(0, end), text.length)).toBeInstanceOf(SliceBytesInvalid)
  })

  test('of no length, beyond the longest slice, of another codec, and raw with another length', async () => {
    for (const [codec, length, stored] of [
      [CODEC_ZSTD, 0, Bun.zstdCompressSync(new Uint8Array(0))],
      [CODEC_RAW, 0, new Uint8Array(0)],
      [CODEC_ZSTD, SLICE_LENGTH_MAX + 1, Bun.zstdCompressSync(new Uint8Array(SLICE_LENGTH_MAX + 1))],
      [CODEC_RAW, 99, new Uint8Array(100)],
      [CODEC_RAW, 101, new Uint8Array(100)],
      [7, 100, new Uint8Array(100)],
    ] as const)
      expect(await outcome(stored, length, codec)).toBeInstanceOf(SliceBytesInvalid)
  })
})

test('decompression bombs take no memory', async () => {
  const program = `
    import { sliceBytes } from './agent/slices/packs/slice-bytes.ts'
    import { zstdFrame } from './test/support/images/zstd-frames.ts'
    const blocks = (count) => Array.from({ length: count }, () => ({ kind: 'zeros', length: 131072 }))
    const one = Bun.zstdCompressSync(new Uint8Array(32768))
    const bombs = [
      [Buffer.concat(Array.from({ length: 30000 }, () => one)), 32768],
      [Buffer.concat(Array.from({ length: 30000 }, () => one)), 4194304],
      [zstdFrame({ window: 0x58, blocks: blocks(200000) }), 4194304],
      [zstdFrame({ contentSize: 4194304, blocks: blocks(200000) }), 4194304],
      [zstdFrame({ contentSize: 2 ** 40, sizeBytes: 8, blocks: blocks(200000) }), 4194304],
      [zstdFrame({ contentSize: 4194304, window: 0xff, blocks: blocks(32) }), 4194304],
    ]
    const before = process.memoryUsage.rss()
    for (const [stored, length] of bombs) {
      const kept = await sliceBytes({ codec: 1, length, stored }).then(() => 'accepted', (error) => error.name)
      if (kept !== 'SliceBytesInvalid') throw new Error(kept)
    }
    console.log(process.memoryUsage.rss() - before)`
  const child = Bun.spawn([process.execPath, '-e', program], { stdout: 'pipe', stderr: 'pipe' })
  const [grown, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  expect(errors).toBe('')
  expect(Number(grown)).toBeLessThan(32 * 1024 * 1024)
})

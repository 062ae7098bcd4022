// The codec for slices on the wire: any pieces of a stream give the same frames, and a cut stream is never a whole one.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  CODEC_RAW,
  CODEC_ZSTD,
  createFrameReader,
  decodeAnswerFrames,
  decodeFrames,
  encodeAbsentFrame,
  encodeEndFrame,
  encodeFrameHeader,
  encodeReferenceFrame,
  FRAME_HEADER_BYTES,
  FrameInvalid,
  ZERO_RUN_MAX,
} from '../../../protocol/slices/frames.ts'
import type { SliceFrame, UploadFrame } from '../../../protocol/slices/frames.ts'
import { propertyOptions } from '../../support/properties.ts'

const frame: fc.Arbitrary<SliceFrame> = fc
  .record({
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    stored: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    codec: fc.constantFrom(CODEC_RAW, CODEC_ZSTD),
    more: fc.nat(1000),
  })
  .map(({ digest, stored, codec, more }) => ({ digest, stored, codec, length: stored.byteLength + (codec === CODEC_RAW ? 0 : more) }))

function encode(frames: readonly SliceFrame[]): Buffer {
  return Buffer.concat([...frames.flatMap((one) => [encodeFrameHeader(one), one.stored]), encodeEndFrame()])
}

/** Frames of a stream that comes in pieces of these lengths, over and over. */
async function decode(bytes: Uint8Array, lengths: readonly number[] = [bytes.byteLength]): Promise<SliceFrame[]> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0, i = 0; at < bytes.byteLength; i++) {
      const length = lengths[i % lengths.length] ?? 1
      yield bytes.subarray(at, at + length)
      at += length
    }
  }
  const frames: SliceFrame[] = []
  for await (const one of decodeFrames(pieces())) frames.push({ ...one, digest: one.digest.slice() })
  return frames
}

describe('frames', () => {
  test('come back in whatever pieces the stream comes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 }),
        async (frames, lengths) => {
          expect(await decode(encode(frames), lengths)).toEqual(frames)
        },
      ),
      propertyOptions(200),
    )
  })

  test('of a stream that is cut anywhere are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 3 }), fc.nat(100_000), async (frames, part) => {
        const bytes = encode(frames)
        const cut = bytes.subarray(0, part % bytes.length)
        expect(
          await decode(cut).then(
            () => 'whole',
            (error: unknown) => error,
          ),
        ).toBeInstanceOf(FrameInvalid)
      }),
      propertyOptions(200),
    )
  })

  test('beyond their bounds are refused before memory is taken for them', async () => {
    const header = (edit: (view: DataView) => void): Uint8Array => {
      const bytes = encodeFrameHeader({ digest: new Uint8Array(32), length: 100, codec: CODEC_RAW, stored: new Uint8Array(100) })
      const whole = new Uint8Array(Buffer.concat([bytes, new Uint8Array(100), encodeEndFrame()]))
      edit(new DataView(whole.buffer))
      return whole
    }
    expect(await decode(header(() => {}))).toHaveLength(1)
    for (const edit of [
      (view: DataView) => view.setUint32(32, 0xffff_ffff, true),
      (view: DataView) => view.setUint32(36, 101, true),
      (view: DataView) => view.setUint32(36, 0xffff_ffff, true),
      (view: DataView) => view.setUint8(40, 2),
      // Compressed, and longer than the slice itself.
      (view: DataView) => [view.setUint8(40, CODEC_ZSTD), view.setUint32(32, 99, true)],
      (view: DataView) => [view.setUint8(40, CODEC_ZSTD), view.setUint32(36, 0, true)],
      (view: DataView) => view.setUint8(41, 1),
      (view: DataView) => view.setUint8(47, 128),
      (view: DataView) => view.setUint32(32, 101, true),
      (view: DataView) => view.setUint8(148, 1),
      (view: DataView) => view.setUint8(148 + 40, 1),
    ]) {
      expect(
        await decode(header(edit)).then(
          () => 'whole',
          (error: unknown) => error,
        ),
      ).toBeInstanceOf(FrameInvalid)
    }
    expect(FRAME_HEADER_BYTES).toBe(48)
  })
})

describe('frames of an upload', () => {
  const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => bytes.some((byte) => byte !== 0))
  const uploadFrame: fc.Arbitrary<UploadFrame> = fc.oneof(
    frame.map((one): UploadFrame => ({ kind: 'slice', frame: one })),
    fc.record({ kind: fc.constant('reference' as const), digest, length: fc.integer({ min: 1, max: 4 * 1024 * 1024 }) }),
    fc.record({ kind: fc.constant('zeros' as const), length: fc.integer({ min: 1, max: ZERO_RUN_MAX }) }),
  )
  const encodeUpload = (frames: readonly UploadFrame[]): Buffer =>
    Buffer.concat([
      ...frames.flatMap((one) =>
        one.kind === 'slice' ? [encodeFrameHeader(one.frame), one.frame.stored] : [encodeReferenceFrame(one.kind === 'zeros' ? null : one.digest, one.length)],
      ),
      encodeEndFrame(),
    ])

  test('come back in whatever pieces the stream comes, and a cut stream is not whole', () => {
    fc.assert(
      fc.property(fc.array(uploadFrame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), fc.nat(), (frames, lengths, part) => {
        const bytes = encodeUpload(frames)
        for (const end of [bytes.length, part % bytes.length]) {
          const reader = createFrameReader()
          const got: UploadFrame[] = []
          for (let at = 0, i = 0; at < end; i++) {
            const length = lengths[i % lengths.length] ?? 1
            got.push(...reader.take(bytes.subarray(at, Math.min(end, at + length))))
            at += length
          }
          expect(reader.isEnded).toBe(end === bytes.length)
          expect(got).toEqual(frames.slice(0, got.length))
          if (end === bytes.length) expect(got).toHaveLength(frames.length)
        }
      }),
      propertyOptions(200),
    )
  })

  test('out of bounds, and bytes after the end, are refused', () => {
    const take = (...parts: Uint8Array[]) => [...createFrameReader().take(Buffer.concat(parts))]
    const digestBytes = new Uint8Array(32).fill(7)
    expect(() => take(encodeReferenceFrame(digestBytes, 4 * 1024 * 1024 + 1))).toThrow(FrameInvalid)
    expect(() => take(encodeFrameHeader({ digest: digestBytes, length: 3, codec: 0, stored: new Uint8Array(4) }))).toThrow(FrameInvalid)
    expect(() => take(encodeFrameHeader({ digest: digestBytes, length: 3, codec: 9, stored: new Uint8Array(3) }))).toThrow(FrameInvalid)
    expect(() => take(encodeEndFrame(), new Uint8Array(1))).toThrow(FrameInvalid)
    expect(() => [...createFrameReader(1000).take(encodeReferenceFrame(digestBytes, 1001))]).toThrow(FrameInvalid)
    expect(() => [...createFrameReader(1000).take(encodeFrameHeader({ digest: digestBytes, length: 1001, codec: 0, stored: new Uint8Array(1001) }))]).toThrow(
      FrameInvalid,
    )
  })
})

describe('frames of an answer of version 2', () => {
  const digest = new Uint8Array(32).fill(7)
  const slice: SliceFrame = { digest, length: 3, codec: CODEC_RAW, stored: Uint8Array.of(1, 2, 3) }

  async function read(...parts: readonly Uint8Array[]): Promise<unknown[]> {
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield* parts
    }
    const found: unknown[] = []
    try {
      for await (const one of decodeAnswerFrames(source())) found.push(one.kind === 'absent' ? one : { kind: one.kind, frame: { ...one.frame } })
    } catch (error) {
      found.push(error instanceof FrameInvalid ? 'invalid' : error)
    }
    return found
  }

  test('are slices and the digests of those that are absent', async () => {
    const absent = { kind: 'absent', digest }
    expect(await read(encodeAbsentFrame(digest), encodeFrameHeader(slice), slice.stored, encodeAbsentFrame(digest), encodeEndFrame())).toEqual([
      absent,
      { kind: 'slice', frame: slice },
      absent,
    ])
    expect(await read(encodeEndFrame(), encodeAbsentFrame(digest))).toEqual([])
    expect(await read(encodeAbsentFrame(digest))).toEqual([absent, 'invalid'])
  })

  // Offsets of the header: 32 length, 36 stored length, 40 codec.
  test.each([
    ['a length without bytes', 32],
    ['bytes without a length', 36],
    ['a codec without a slice', 40],
  ])('with %s are refused', async (_what, offset) => {
    const header = encodeAbsentFrame(digest)
    header[offset] = 1
    expect(await read(header, Uint8Array.of(1), encodeEndFrame())).toEqual(['invalid'])
  })
})

// Frame codec for slices on the wire (application/vnd.slipway.slices): the response of POST /v1/slices/fetch and the body of a delta upload. A
// stream consists of frames, each a header and the bytes as stored. A frame of length 0 ends it, so a truncated stream is never mistaken for a
// complete one. An upload may refer to slices that the store has, and to zero runs, by frames without bytes. Layout: docs/protocol.md, "Slices"
// and "Delta upload".
//
//   header 48 bytes  32 bytes SHA-256 of the slice · u32 length · u32 stored length · u8 codec · 7 bytes 0

import { digestIn } from './digest.ts'
import { SLICE_LENGTH_MAX } from './manifest.ts'

export const SLICES_MEDIA_TYPE = 'application/vnd.slipway.slices'
export const FRAME_HEADER_BYTES = 48
/** Most slices per request, which bounds the response to about a gigabyte and the request to 330 kB. */
export const SLICES_PER_REQUEST_MAX = 4096

/** Codecs of stored bytes: uncompressed, or one zstd frame (RFC 8878). */
export const CODEC_RAW = 0
export const CODEC_ZSTD = 1

/** A slice as stored and sent. `length` counts the uncompressed bytes. */
export interface SliceFrame {
  readonly digest: Uint8Array
  readonly length: number
  readonly codec: number
  readonly stored: Uint8Array
}

/** One frame of a delta upload: a slice with its bytes, a reference to a slice that the store has, or a zero run. Lengths in bytes. */
export type UploadFrame =
  | { readonly kind: 'slice'; readonly frame: SliceFrame }
  | { readonly kind: 'reference'; readonly digest: Uint8Array; readonly length: number }
  | { readonly kind: 'zeros'; readonly length: number }

/** One frame of an answer of version 2: a slice, or the digest of one that the store does not send. */
export type AnswerFrame = { readonly kind: 'slice'; readonly frame: SliceFrame } | { readonly kind: 'absent'; readonly digest: Uint8Array }

/** Longest zero run of one frame in bytes; a longer run takes several frames. */
export const ZERO_RUN_MAX = 0xffff_ffff

/** The stream of frames is invalid; the message says why. `fault`: the kind, as a sync names it. */
export class FrameInvalid extends Error {
  override readonly name = 'FrameInvalid'
  readonly fault: 'bad-frame' | 'truncated' | 'unasked-slice'

  constructor(message: string, fault: FrameInvalid['fault'] = 'bad-frame') {
    super(message)
    this.fault = fault
  }
}

/** Encodes the header of a frame; the stored bytes follow it on the wire. */
export function encodeFrameHeader(frame: SliceFrame): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  const view = new DataView(header.buffer)
  header.set(frame.digest)
  view.setUint32(32, frame.length, true)
  view.setUint32(36, frame.stored.byteLength, true)
  header[40] = frame.codec
  return header
}

/** Encodes a reference to a slice that the receiver has, or a zero run when `digest` is null. */
export function encodeReferenceFrame(digest: Uint8Array | null, length: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  if (digest) header.set(digest)
  new DataView(header.buffer).setUint32(32, length, true)
  return header
}

/** Encodes the frame of version 2 in place of a slice that the store does not send: its digest, and everything else 0. */
export function encodeAbsentFrame(digest: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeReferenceFrame(digest, 0)
}

/** Encodes the frame that ends a stream. */
export function encodeEndFrame(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(FRAME_HEADER_BYTES)
}

/**
 * Reads frames from a stream of bytes with one frame in memory at a time. Throws FrameInvalid when a slice is longer than `lengthMax` (before
 * memory is allocated for it), when a header is invalid, or when the stream ends before its end frame. Does not verify digests.
 */
export async function* decodeFrames(source: AsyncIterable<Uint8Array>, lengthMax: number = SLICE_LENGTH_MAX): AsyncGenerator<SliceFrame> {
  const take = exactly(source)
  for (;;) {
    const header = decodeHeader(await take(FRAME_HEADER_BYTES))
    if (isEnd(header)) return
    yield await takeSlice(take, header, lengthMax)
  }
}

/** Reads frames as `decodeFrames` does, and accepts the frames of version 2 for slices that the store does not send. */
export async function* decodeAnswerFrames(source: AsyncIterable<Uint8Array>, lengthMax: number = SLICE_LENGTH_MAX): AsyncGenerator<AnswerFrame> {
  const take = exactly(source)
  for (;;) {
    const header = decodeHeader(await take(FRAME_HEADER_BYTES))
    const { digest, length, storedLength, codec } = header
    if (length === 0 && storedLength === 0 && codec === 0 && !isZero(digest)) {
      yield { kind: 'absent', digest }
      continue
    }
    if (isEnd(header)) return
    yield { kind: 'slice', frame: await takeSlice(take, header, lengthMax) }
  }
}

async function takeSlice(take: ReturnType<typeof exactly>, header: FrameHeader, lengthMax: number): Promise<SliceFrame> {
  requireSlice(header, lengthMax)
  const { digest, length, storedLength, codec } = header
  return { digest, length, codec, stored: await take(storedLength) }
}

/** Reads the frames of an upload from pieces as they arrive, with one frame in memory at a time. Does not verify digests. */
export interface FrameReader {
  /** Takes a piece and yields the frames that it completes; must be iterated to its end. Throws FrameInvalid. */
  take(piece: Uint8Array): Generator<UploadFrame>
  /** Whether the end frame has been read. */
  readonly isEnded: boolean
}

/** Creates a reader of one stream of frames whose slices have at most `lengthMax` bytes. */
export function createFrameReader(lengthMax: number = SLICE_LENGTH_MAX): FrameReader {
  let isEnded = false
  let header: FrameHeader | undefined
  let filling = new Uint8Array(FRAME_HEADER_BYTES)
  let filled = 0

  const fill = (piece: Uint8Array, at: number): number => {
    const part = piece.subarray(at, at + filling.byteLength - filled)
    filling.set(part, filled)
    filled += part.byteLength
    return at + part.byteLength
  }
  const next = (length: number): Uint8Array<ArrayBuffer> => {
    const whole = filling
    filling = new Uint8Array(length)
    filled = 0
    return whole
  }

  return {
    get isEnded() {
      return isEnded
    },

    *take(piece) {
      let at = 0
      while (at < piece.byteLength) {
        if (isEnded) throw new FrameInvalid('bytes follow the end frame')
        at = fill(piece, at)
        if (filled < filling.byteLength) return
        if (header) {
          const { digest, length, codec } = header
          header = undefined
          yield { kind: 'slice', frame: { digest, length, codec, stored: next(FRAME_HEADER_BYTES) } }
          continue
        }
        const read = decodeHeader(filling)
        if (isEnd(read)) {
          isEnded = true
        } else if (read.storedLength === 0) {
          const reference = readReference(read, lengthMax)
          next(FRAME_HEADER_BYTES)
          yield reference
        } else {
          requireSlice(read, lengthMax)
          header = read
          next(read.storedLength)
        }
      }
    },
  }
}

interface FrameHeader {
  readonly digest: Uint8Array
  readonly length: number
  readonly storedLength: number
  readonly codec: number
}

function decodeHeader(bytes: Uint8Array): FrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 41; at < FRAME_HEADER_BYTES; at++) if (bytes[at] !== 0) throw new FrameInvalid('a frame has bytes set that must be zero')
  return { digest: digestIn(bytes, 0), length: view.getUint32(32, true), storedLength: view.getUint32(36, true), codec: bytes[40] ?? 0 }
}

function isEnd({ digest, length, storedLength, codec }: FrameHeader): boolean {
  if (length !== 0 || storedLength !== 0) return false
  if (codec !== 0 || !isZero(digest)) throw new FrameInvalid('an end frame has bytes set that must be zero')
  return true
}

function requireSlice({ length, storedLength, codec }: FrameHeader, lengthMax: number): void {
  if (length > lengthMax) throw new FrameInvalid(`a slice of ${length} bytes, the limit is ${lengthMax}`)
  if (codec !== CODEC_RAW && codec !== CODEC_ZSTD) throw new FrameInvalid(`codec ${codec} is not known`)
  const isPossible = codec === CODEC_RAW ? storedLength === length : storedLength > 0 && storedLength <= length
  if (!isPossible) throw new FrameInvalid(`a frame of ${storedLength} bytes for a slice of ${length}`)
}

function readReference({ digest, length, codec }: FrameHeader, lengthMax: number): UploadFrame {
  if (codec !== 0) throw new FrameInvalid('a frame without bytes has a codec')
  if (isZero(digest)) return { kind: 'zeros', length }
  if (length > lengthMax) throw new FrameInvalid(`a reference to a slice of ${length} bytes, the limit is ${lengthMax}`)
  return { kind: 'reference', digest, length }
}

function isZero(digest: Uint8Array): boolean {
  return digest.every((byte) => byte === 0)
}

/** Returns a function that reads exactly n bytes from a stream of pieces into a new buffer. */
function exactly(source: AsyncIterable<Uint8Array>): (n: number) => Promise<Uint8Array<ArrayBuffer>> {
  const pieces = source[Symbol.asyncIterator]()
  let rest: Uint8Array = new Uint8Array(0)
  return async (n) => {
    const whole = new Uint8Array(n)
    let filled = 0
    while (filled < n) {
      if (rest.byteLength === 0) {
        const next = await pieces.next()
        if (next.done) throw new FrameInvalid('the stream of slices ends before its end frame', 'truncated')
        rest = next.value
        continue
      }
      const part = rest.subarray(0, n - filled)
      whole.set(part, filled)
      filled += part.byteLength
      rest = rest.subarray(part.byteLength)
    }
    return whole
  }
}

// Fuzzes frames of slices: the two decoders, the decompression of their slices, and the receiving side of a delta upload.

import { afterAll, expect, test } from 'bun:test'
import {
  CODEC_RAW,
  CODEC_ZSTD,
  createFrameReader,
  decodeFrames,
  encodeEndFrame,
  encodeFrameHeader,
  encodeReferenceFrame,
  FrameInvalid,
  SLICES_MEDIA_TYPE,
} from '../../protocol/slices/frames.ts'
import type { SliceFrame, UploadFrame } from '../../protocol/slices/frames.ts'
import { sliceBytes, SliceBytesInvalid } from '../../agent/slices/packs/slice-bytes.ts'
import { fuzz, FUZZ_TIMEOUT_MS, inPieces, joined } from '../support/fuzz.ts'
import { createRandom } from '../support/properties.ts'
import type { Random } from '../support/properties.ts'
import { startUploadServer } from '../support/agents/upload-server.ts'
import type { UploadServer } from '../support/agents/upload-server.ts'

const BLOCK = 4096
const LENGTH_MAX = 65_536
const digestOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(new Bun.CryptoHasher('sha256').update(bytes).digest())

/** Returns the bytes of a slice: noise or text, with few distinct values, so that references often name existing slices. */
function content(random: Random): Uint8Array {
  const seed = random.below(6)
  const length = random.chance(0.8) ? BLOCK * (1 + random.below(3)) : 1 + random.below(BLOCK)
  return seed < 3 ? createRandom(seed).bytes(length) : Buffer.alloc(length, `line ${seed} of a log\n`)
}

function sliceFrame(random: Random): Uint8Array {
  const bytes = content(random)
  const packed = Bun.zstdCompressSync(bytes, { level: random.pick([1, 3, 9]) })
  const stored = packed.byteLength < bytes.byteLength && random.chance(0.7) ? packed : bytes
  const digest = random.chance(0.9) ? digestOf(bytes) : random.bytes(32)
  return joined(encodeFrameHeader({ digest, length: bytes.byteLength, codec: stored === bytes ? CODEC_RAW : CODEC_ZSTD, stored }), stored)
}

/** Returns a stream of frames, most of which are valid. */
function frames(random: Random): Uint8Array {
  const parts = Array.from({ length: random.below(6) }, () => {
    const kind = random.below(4)
    if (kind === 0) return encodeReferenceFrame(null, BLOCK * (1 + random.below(8)))
    if (kind === 1) {
      const bytes = content(random)
      return encodeReferenceFrame(digestOf(bytes), bytes.byteLength)
    }
    return sliceFrame(random)
  })
  return joined(...parts, ...(random.chance(0.9) ? [encodeEndFrame()] : []))
}

const corpus = Array.from({ length: 20 }, (_, i) => frames(createRandom(i + 1)))
const encode = (frame: UploadFrame): Uint8Array =>
  frame.kind === 'slice'
    ? joined(encodeFrameHeader(frame.frame), frame.frame.stored)
    : encodeReferenceFrame(frame.kind === 'zeros' ? null : frame.digest, frame.length)

/** Decodes the frames of a stream in pieces, and returns whether it was refused, ended or is incomplete. */
function read(pieces: readonly Uint8Array[]): { frames: UploadFrame[]; end: 'ended' | 'open' | 'refused' } {
  const reader = createFrameReader(LENGTH_MAX)
  const found: UploadFrame[] = []
  try {
    for (const piece of pieces) for (const frame of reader.take(piece)) found.push(frame)
  } catch (error) {
    if (!(error instanceof FrameInvalid)) throw error
    return { frames: found, end: 'refused' }
  }
  return { frames: found, end: reader.isEnded ? 'ended' : 'open' }
}

async function checkSlice({ digest: _digest, ...stored }: SliceFrame): Promise<void> {
  try {
    const bytes = await sliceBytes(stored)
    if (bytes.byteLength !== stored.length) throw new Error(`${bytes.byteLength} bytes for a slice of ${stored.length}`)
  } catch (error) {
    if (!(error instanceof SliceBytesInvalid)) throw error
  }
}

test(
  'decoders of frames',
  async () => {
    const result = await fuzz({
      name: 'decoders of frames',
      corpus,
      share: 0.5,
      lengthMax: 4 * LENGTH_MAX,
      make: frames,
      async run(input, random) {
        const whole = read([input])
        const encoded = joined(...whole.frames.map(encode), ...(whole.end === 'ended' ? [encodeEndFrame()] : []))
        if (Buffer.compare(encoded, input.subarray(0, encoded.byteLength)) !== 0) throw new Error('accepted frames do not encode to the same bytes')
        if (whole.end === 'ended' && encoded.byteLength !== input.byteLength) throw new Error('bytes after the end frame were accepted')
        const again = read(inPieces(input, random))
        if (!Bun.deepEquals(again, whole)) throw new Error('the same bytes in other pieces decode to other frames')
        for (const frame of whole.frames) if (frame.kind === 'slice') await checkSlice(frame.frame)
        if (whole.frames.every(({ kind }) => kind === 'slice')) await checkStream(input, whole, random)
        return whole.end !== 'refused'
      },
    })
    expect(result.accepted).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

/** Compares the decoder of a response with that of an upload. They differ only in frames without bytes, which a response never has. */
async function checkStream(input: Uint8Array, whole: ReturnType<typeof read>, random: Random): Promise<void> {
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield* inPieces(input, random)
  }
  const found: SliceFrame[] = []
  try {
    for await (const frame of decodeFrames(source(), LENGTH_MAX)) found.push(frame)
  } catch (error) {
    if (!(error instanceof FrameInvalid)) throw error
    if (whole.end === 'ended') throw new Error('one decoder refuses what the other accepts', { cause: error })
    return
  }
  if (whole.end === 'open') throw new Error('a stream without its end frame was accepted as complete')
  for (const [i, frame] of found.entries())
    if (!Bun.deepEquals(whole.frames[i], { kind: 'slice', frame })) throw new Error('two decoders read different frames')
}

test(
  'intake of a delta upload',
  async () => {
    let server: UploadServer | undefined
    afterAll(() => server?.[Symbol.asyncDispose]())
    let uses = 0
    const result = await fuzz({
      name: 'intake of a delta upload',
      corpus: corpus.slice(0, 10),
      share: 0.5,
      lengthMax: LENGTH_MAX,
      make: frames,
      isSlow: true,
      async run(input, random) {
        // Use a new server from time to time, because slices, journals and log accumulate.
        if (uses++ % 500 === 0) {
          await server?.[Symbol.asyncDispose]()
          server = await startUploadServer()
        }
        if (!server) throw new Error('there is no server')
        await checkIntake(server, input, random)
        return true
      },
    })
    expect(result.iterations).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

async function checkIntake(server: UploadServer, input: Uint8Array, random: Random): Promise<void> {
  const known = read([input])
  const covered = known.frames.reduce((sum, frame) => sum + (frame.kind === 'slice' ? frame.frame.length : frame.length), 0)
  const length = random.pick([covered, covered + BLOCK, Math.max(0, covered - 1), 100 * BLOCK])
  const created = await server.ask('POST', '/v1/uploads', { 'Upload-Length': String(length) })
  const url = created.headers.get('location') ?? ''
  if (created.status !== 201) throw new Error(`creation: ${created.status}`)
  if (length === 0) return
  const answer = await server.ask('PATCH', url, { 'Upload-Offset': '0', 'Content-Type': SLICES_MEDIA_TYPE }, new Uint8Array(input))
  const text = await answer.text()
  if (![204, 400, 409, 413, 422].includes(answer.status)) throw new Error(`a body of frames was answered with ${answer.status}: ${text}`)
  const head = await server.ask('HEAD', url)
  const offset = Number(head.headers.get('upload-offset'))
  if (offset > Math.min(covered, length)) throw new Error(`${offset} bytes are stored of ${covered} that were sent`)
  // An empty body is valid (tus 1.0.0, "PATCH").
  if (answer.status === 204 && known.end !== 'ended' && input.byteLength > 0) throw new Error('a body without its end frame was accepted as complete')
  const image = head.headers.get('content-location')?.slice('/v1/images/'.length)
  if ((offset === length) !== (image !== undefined)) throw new Error(`an upload of ${offset} of ${length} bytes has the image ${image}`)
  if (image !== undefined) {
    // Throws when a slice is missing; its own digest was checked when it was stored.
    const { byteLength } = server.content(image)
    if (byteLength !== length) throw new Error(`an image has ${byteLength} of ${length} bytes`)
  } else await server.ask('DELETE', url)
  if (server.slices.pinned().size > 0) throw new Error('slices stay pinned after the request')
}

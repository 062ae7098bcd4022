// Produces the body of an upload by slices: slices that the store has are named; those that it lacks are read from the file,
// compressed where that saves enough, and sent.

import { joinBytes } from '../../protocol/bytes.ts'
import { digestBytes } from '../../protocol/slices/digest.ts'
import type { Digest } from '../../protocol/slices/digest.ts'
import { CODEC_RAW, CODEC_ZSTD, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame } from '../../protocol/slices/frames.ts'
import type { SliceFrame } from '../../protocol/slices/frames.ts'
import type { LocalFileReader } from '../system/local-files.ts'
import { fileChanged } from './cut-file.ts'
import type { FilePiece } from './cut-file.ts'

/** Bytes of missing slices that are read and compressed together; two such runs are in memory at once. */
const RUN_BYTES = 2 * 1024 * 1024
const RUN_SLICES = 32
/** A slice is sent compressed when that saves at least this share of it. */
const SAVING_MIN = 1 / 16
const ZSTD_LEVEL = 1

export interface FramesOrder {
  readonly reader: Pick<LocalFileReader, 'read'>
  readonly pieces: readonly FilePiece[]
  /** Whether the store lacks this slice now; called once for each piece, in order. */
  isMissing(digest: Digest): boolean
  /** Called for each piece when its frame was taken, with whether its bytes were sent. */
  onPiece(piece: FilePiece, isSent: boolean): void
}

/** Consecutive pieces that are either all sent with their bytes or all named. */
interface Run {
  readonly pieces: FilePiece[]
  readonly isSent: boolean
  readonly frames: Promise<Uint8Array[]>
}

/** Yields the frames of the pieces and the end frame. Throws ProblemError when the file became shorter. */
export async function* sliceFrames(order: FramesOrder): AsyncGenerator<Uint8Array> {
  const runs = runsOf(order)
  // One run is read and compressed while the previous one is being sent.
  let coming = runs.next()
  while (!coming.done) {
    const { pieces, isSent, frames } = coming.value
    coming = runs.next()
    yield joinBytes(await frames)
    for (const piece of pieces) order.onPiece(piece, isSent)
  }
  yield encodeEndFrame()
}

function* runsOf({ reader, pieces, isMissing }: FramesOrder): Generator<Run> {
  const compressor = createCompressor()
  // Two are enough: the bytes of a run are copied into its frames before the run after the next one starts.
  const buffers = [Buffer.allocUnsafe(RUN_BYTES), Buffer.allocUnsafe(RUN_BYTES)]
  let runs = 0
  let gathered: FilePiece[] = []
  let areSent = false
  let bytes = 0
  const run = (): Run => {
    const own = gathered
    gathered = []
    bytes = 0
    const frames = areSent
      ? sentFrames(reader, own, compressor, buffers[runs++ % 2] ?? Buffer.alloc(0))
      : Promise.resolve(own.map(({ digest, length }) => encodeReferenceFrame(digest && digestBytes(digest), length)))
    // They are awaited later; until then a failure must not count as unhandled.
    frames.catch(() => {})
    return { pieces: own, isSent: areSent, frames }
  }
  for (const piece of pieces) {
    const isSent = piece.digest !== null && isMissing(piece.digest)
    const isFull = areSent && (bytes + piece.length > RUN_BYTES || gathered.length === RUN_SLICES)
    if (gathered.length > 0 && (isSent !== areSent || isFull)) yield run()
    areSent = isSent
    gathered.push(piece)
    bytes += piece.length
  }
  if (gathered.length > 0) yield run()
}

/** Frames of consecutive slices with their bytes. */
async function sentFrames(
  reader: FramesOrder['reader'],
  pieces: readonly FilePiece[],
  compressor: Compressor,
  buffer: Buffer<ArrayBuffer>,
): Promise<Uint8Array[]> {
  const start = pieces[0]?.offset ?? 0
  const end = pieces.reduce((at, piece) => Math.max(at, piece.offset + piece.length), start)
  // One slice alone may be longer than a run.
  const bytes = end - start <= buffer.byteLength ? buffer.subarray(0, end - start) : Buffer.allocUnsafe(end - start)
  if ((await reader.read(bytes, start)) < bytes.byteLength) throw fileChanged()
  const slices = pieces.map(({ offset, length }) => bytes.subarray(offset - start, offset - start + length))
  const stored = await compressor.compress(slices)
  return pieces.flatMap(({ digest, length }, i) => {
    const packed = stored[i]
    if (digest === null) throw new Error('a run of zeros is never sent with its bytes')
    const frame: SliceFrame = { digest: digestBytes(digest), length, codec: packed ? CODEC_ZSTD : CODEC_RAW, stored: packed ?? slices[i] ?? new Uint8Array(0) }
    return [encodeFrameHeader(frame), frame.stored]
  })
}

interface Compressor {
  /** Each slice compressed, or undefined when that does not save enough. */
  compress(slices: readonly Uint8Array<ArrayBuffer>[]): Promise<(Uint8Array | undefined)[]>
}

/** Compresses on the threads of the runtime. While slices do not shrink, it tries only one slice of each run. */
function createCompressor(): Compressor {
  let shrinks = true
  const compressOne = async (slice: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined> => {
    const packed = await Bun.zstdCompress(slice, { level: ZSTD_LEVEL })
    return packed.byteLength <= slice.byteLength * (1 - SAVING_MIN) ? packed : undefined
  }
  return {
    async compress(slices) {
      const [first, ...others] = slices
      if (!first) return []
      const tried = shrinks ? undefined : await compressOne(first)
      if (!shrinks && !tried) return slices.map(() => undefined)
      const packed = await Promise.all([tried ?? compressOne(first), ...others.map(compressOne)])
      shrinks = packed.some((one) => one !== undefined)
      return packed
    },
  }
}

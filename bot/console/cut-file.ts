// Cuts a file of this machine as a store cuts images, and collects the slices in batches, so that one request asks which are missing.

import { createCutter } from '../../protocol/slices/cutter.ts'
import type { CutterParameters } from '../../protocol/slices/cutter.ts'
import { formatDigest } from '../../protocol/slices/digest.ts'
import type { Digest } from '../../protocol/slices/digest.ts'
import { SLICES_PER_REQUEST_MAX, ZERO_RUN_MAX } from '../../protocol/slices/frames.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { LocalFileReader } from '../system/local-files.ts'
import { BLOCK_PRIMITIVES } from './block-primitives.ts'

/** Bytes of the file that are read and cut at once. */
const SEGMENT_BYTES = 4 * 1024 * 1024
/** Digests in the first batch. Each batch has twice as many as the one before, so that sending starts early and few requests are made. */
const BATCH_DIGESTS_FIRST = SLICES_PER_REQUEST_MAX / 8
/** Most bytes of the file in one batch, including zeros. */
const BATCH_BYTES = 16 * 1024 ** 3
/** Most pieces in one batch. */
const BATCH_PIECES = 4 * SLICES_PER_REQUEST_MAX

/** One slice of the file, or a run of zeros when `digest` is null. */
export interface FilePiece {
  readonly offset: number
  readonly length: number
  readonly digest: Digest | null
}

export interface CutFile {
  readonly reader: Pick<LocalFileReader, 'read'>
  readonly length: number
  readonly cutter: CutterParameters
}

/** The file changed after its upload had started. */
export function fileChanged(): ProblemError {
  return problem('conflict', 'The file changed while it was being sent.', {
    action: 'Make sure that nothing writes to the file, then run the same command again: the upload starts over.',
  })
}

/** Yields the pieces of a file from an offset at which a slice begins, in batches for one request each. */
export async function* cutBatches(file: CutFile, start: number): AsyncGenerator<FilePiece[]> {
  let pieces: FilePiece[] = []
  let bytes = 0
  let digestsMax = BATCH_DIGESTS_FIRST
  const digests = new Set<Digest>()
  for await (const piece of cutPieces(file, start)) {
    const isNew = piece.digest !== null && !digests.has(piece.digest)
    if ((isNew && digests.size === digestsMax) || pieces.length === BATCH_PIECES || bytes + piece.length > BATCH_BYTES) {
      yield pieces
      pieces = []
      bytes = 0
      digests.clear()
      digestsMax = Math.min(2 * digestsMax, SLICES_PER_REQUEST_MAX)
    }
    pieces.push(piece)
    bytes += piece.length
    if (piece.digest !== null) digests.add(piece.digest)
  }
  if (pieces.length > 0) yield pieces
}

async function* cutPieces({ reader, length, cutter: parameters }: CutFile, start: number): AsyncGenerator<FilePiece> {
  const cutter = createCutter(parameters, BLOCK_PRIMITIVES)
  const buffer = Buffer.allocUnsafe(SEGMENT_BYTES)
  let zeros: { offset: number; length: number } | undefined
  let offset = start
  while (offset < length) {
    const bytes = buffer.subarray(0, Math.min(SEGMENT_BYTES, length - offset))
    if ((await reader.read(bytes, offset)) < bytes.byteLength) throw fileChanged()
    const { ends, zeros: areZeros, consumed } = cutter.cut(bytes, offset + bytes.byteLength === length)
    let from = 0
    for (const [i, end] of ends.entries()) {
      if (areZeros[i]) {
        zeros ??= { offset: offset + from, length: 0 }
        zeros.length += end - from
      } else {
        if (zeros) yield* zeroPieces(zeros)
        zeros = undefined
        yield { offset: offset + from, length: end - from, digest: digestOf(bytes.subarray(from, end)) }
      }
      from = end
    }
    // Bytes that are not a whole slice yet are read again with those that follow: less than the longest slice.
    offset += consumed
  }
  if (zeros) yield* zeroPieces(zeros)
}

/** Splits a run of zeros into pieces that fit into one frame each; all but the last are whole blocks. */
function* zeroPieces(run: { readonly offset: number; readonly length: number }): Generator<FilePiece> {
  const longest = ZERO_RUN_MAX - (ZERO_RUN_MAX % SEGMENT_BYTES)
  for (let done = 0; done < run.length; done += longest) yield { offset: run.offset + done, length: Math.min(longest, run.length - done), digest: null }
}

function digestOf(bytes: Uint8Array): Digest {
  const raw = new Uint8Array(32)
  Bun.SHA256.hash(bytes, raw)
  return formatDigest(raw)
}

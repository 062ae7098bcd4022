// Computes the SHA-256 of a complete image, as `sha256sum` would: reads its slices and hashes them in a worker. Long runs of zeros are not read.

import { parseDigest } from '../../../protocol/slices/digest.ts'
import type { Digest } from '../../../protocol/slices/digest.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import type { SliceProvider } from '../../contract/slices.ts'
import { BUFFER_BYTES, openInlineSink, openWorkerSink } from './digest-sink.ts'

/** Images up to this length are hashed on the event loop, which takes a few milliseconds. */
const INLINE_LENGTH_MAX = 4 * BUFFER_BYTES
/** Bytes read between two pauses for other work on the event loop. */
const STEP_BYTES = 2 * BUFFER_BYTES
/** Minimum length of a run of zeros that is not read: the worker receives only its length. */
const ZERO_SPAN_MIN = BUFFER_BYTES

export interface WholeDigestOptions {
  /** Whether a client waits for the digest; if not, uploads have priority. */
  readonly isAwaited: boolean
  /** Lets other work run first. */
  readonly pause: () => Promise<void>
  readonly signal: AbortSignal
  /** Called with the bytes that were passed on since the last call. */
  readonly onHashed?: (bytes: number) => void
}

/** Computes the digest of all bytes of an image. Throws SliceUnreadable if a slice cannot be read, and the signal's reason if aborted. */
export async function computeWholeDigest(
  slices: SliceProvider,
  manifest: Manifest,
  { isAwaited, pause, signal, onHashed = () => {} }: WholeDigestOptions,
): Promise<Digest> {
  using sink = manifest.imageLength <= INLINE_LENGTH_MAX ? openInlineSink() : openWorkerSink(isAwaited, signal)
  let taken = 0
  for await (const { start, end, isZero } of spansOf(manifest, pause)) {
    if (isZero) {
      sink.zeros(end - start)
      onHashed(end - start)
      continue
    }
    for await (const piece of slices.read(manifest, start, end, signal)) {
      await sink.write(piece)
      taken += piece.byteLength
      if (taken < STEP_BYTES) continue
      onHashed(taken)
      taken = 0
      await pause()
    }
  }
  signal.throwIfAborted()
  const digest = parseDigest(`sha256:${await sink.end()}`)
  if (!digest) throw new Error('the hash of an image is not a digest')
  return digest
}

interface Span {
  readonly start: number
  readonly end: number
  readonly isZero: boolean
}

/** Yields long runs of zeros and the spans between them. */
async function* spansOf(manifest: Manifest, pause: () => Promise<void>): AsyncGenerator<Span> {
  let start = 0
  for await (const block of manifest.blocks()) {
    for (let i = block.first; i < block.first + block.count; i++) {
      const length = block.lengthAt(i)
      if (length < ZERO_SPAN_MIN || !block.isZeroAt(i)) continue
      const zeros = block.offsetAt(i)
      if (zeros > start) yield { start, end: zeros, isZero: false }
      start = zeros + length
      yield { start: zeros, end: start, isZero: true }
    }
    await pause()
  }
  if (start < manifest.imageLength) yield { start, end: manifest.imageLength, isZero: false }
}

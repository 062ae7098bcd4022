// Fetches slices from one origin by digest and puts them back. The origin need not have the same image: any image in which it shows the slice will do.

import { formatDigest } from '../../../protocol/slices/digest.ts'
import { FRAME_HEADER_BYTES, FrameInvalid } from '../../../protocol/slices/frames.ts'
import { SLICE_LENGTH_MAX } from '../../../protocol/slices/manifest.ts'
import type { Origin } from '../../contract/origins.ts'
import type { SliceIngester } from '../../contract/slices.ts'

/** Slices of one request: at most 64 MiB with the longest slices of a default cutter, which arrive and are written one by one. */
export const HEAL_BATCH_SLICES = 512

export interface SliceFetch {
  readonly slices: Pick<SliceIngester, 'receive'>
  /** Called when slices are stored and fsynced, before they are released. */
  readonly stored: () => void
  /** Counts the bytes of a slice on the wire, and resolves when the rate of the store allows the next ones. */
  readonly pace: (wireBytes: number) => Promise<void>
  readonly signal: AbortSignal
}

/**
 * Fetches those slices of a list that an origin has. Each is verified by its SHA-256 before it is written, and all are durable when this resolves.
 * Returns the digests that are stored now. Throws ProblemError, FrameInvalid and SliceUnreadable when the origin fails or lies; what was verified
 * before is stored.
 */
export async function fetchSlices(origin: Origin, digests: readonly Uint8Array[], { slices, stored, pace, signal }: SliceFetch): Promise<number> {
  const { client } = origin
  const absent = new Set(
    await client.slices.missing(
      digests.map((digest) => formatDigest(digest)),
      { signal },
    ),
  )
  const there = digests.filter((digest) => !absent.has(formatDigest(digest)))
  if (there.length === 0) return 0
  await using receiver = slices.receive()
  let received = 0
  try {
    const frames = client.slices.fetch(
      there.map((digest) => formatDigest(digest)),
      { signal, lengthMax: SLICE_LENGTH_MAX },
    )
    for await (const frame of frames) {
      const wanted = there[received]
      if (!wanted || Buffer.compare(frame.digest, wanted) !== 0) throw new FrameInvalid('a slice was sent that was not requested', 'unasked-slice')
      await receiver.put(frame)
      received++
      await pace(FRAME_HEADER_BYTES + frame.stored.byteLength)
    }
    if (received < there.length) throw new FrameInvalid(`${there.length - received} slices are missing in the answer`, 'truncated')
  } finally {
    // Slices that arrived before a failure are verified, so they are kept.
    if (received > 0) await receiver.sync()
    if (received > 0) stored()
  }
  return received
}

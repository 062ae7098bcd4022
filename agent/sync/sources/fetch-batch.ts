// Fetches the slices of one batch from one source in one round trip, and stores each after it was verified: for syncs, reads through origins and
// repairs. A source of version 1 refuses a list with a slice that it does not have, so such a list takes two more round trips.

import { formatDigest } from '../../../protocol/slices/digest.ts'
import { FRAME_HEADER_BYTES, FrameInvalid } from '../../../protocol/slices/frames.ts'
import type { AnswerFrame, SliceFrame } from '../../../protocol/slices/frames.ts'
import { SLICE_LENGTH_MAX } from '../../../protocol/slices/manifest.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { SliceReceiver } from '../../contract/slices.ts'
import type { SliceSource } from './connect.ts'
import type { SourceUse } from './source-pool.ts'

/** Interval at which the rate of a batch is compared with other sources, in milliseconds. */
const COMPARE_MS = 500
/** Most uncompressed bytes of slices of one batch that are verified and stored while more arrive. */
const STORING_BYTES_MAX = 4 * 1024 * 1024

/** A slice to fetch. */
export interface WantedSlice {
  readonly digest: Uint8Array
  /** Uncompressed bytes; undefined for a slice that no manifest names any more, which may have any length within SLICE_LENGTH_MAX. */
  readonly length?: number
}

export interface BatchRequest<Slice extends WantedSlice> {
  readonly clock: Clock
  readonly use: Pick<SourceUse, 'source' | 'stored' | 'measured'>
  /** Pins and stores the slices. */
  readonly receiver: SliceReceiver
  /** Id of the image whose slices are fetched, if it is known: a source that is indexing its images can then answer at once. */
  readonly image: string | undefined
  /** Called for each slice when it is stored, with its bytes on the wire. */
  readonly onStored: (slice: Slice, wireBytes: number) => void
  /** Waits until more bytes may arrive. Nothing is read meanwhile, and the wait does not count against the source. */
  readonly pace?: ((wireBytes: number) => Promise<void>) | undefined
  /** Returns whether another source would be much faster, from the bytes so far and the time spent waiting for them. */
  readonly isTooSlow: (wireBytes: number, waitedMs: number) => boolean
  readonly signal: AbortSignal
}

/** How the request for a batch ended. Slices that are neither stored nor absent must be asked for again. */
export type BatchEnd<Slice> =
  | { readonly kind: 'whole'; readonly absent: readonly Slice[] }
  /** The request was ended because another source is much faster. */
  | { readonly kind: 'too-slow' }

/** The request was ended because another source is much faster. */
class TooSlow extends Error {
  override readonly name = 'TooSlow'
}

/** Fetches the wanted slices. Throws FrameInvalid, SliceUnreadable or ProblemError if the source fails; slices stored before that stay. */
export async function fetchBatch<Slice extends WantedSlice>(request: BatchRequest<Slice>, wanted: readonly Slice[]): Promise<BatchEnd<Slice>> {
  const { clock, use, signal, isTooSlow } = request
  const slow = new AbortController()
  const progress: Progress = { wireBytes: 0, waitedMs: 0, waitingSinceMs: undefined }
  using _watch = clock.every(COMPARE_MS, () => {
    const waitingMs = progress.waitingSinceMs === undefined ? 0 : clock.monotonicMs() - progress.waitingSinceMs
    if (isTooSlow(progress.wireBytes, progress.waitedMs + waitingMs)) slow.abort(new TooSlow())
  })
  const batch = { ...request, signal: AbortSignal.any([signal, slow.signal]) }
  let isWhole = false
  try {
    const absent = await receiveBatch(batch, wanted, progress)
    isWhole = true
    return { kind: 'whole', absent }
  } catch (error) {
    if (slow.signal.aborted && !signal.aborted && error === slow.signal.reason) return { kind: 'too-slow' }
    throw error
  } finally {
    if (isWhole || progress.wireBytes > 0 || slow.signal.aborted) use.measured(progress.wireBytes, progress.waitedMs)
  }
}

interface Progress {
  wireBytes: number
  /** Time spent waiting for the source, without the present wait. */
  waitedMs: number
  /** Start of the present wait. */
  waitingSinceMs: number | undefined
}

/** Returns the slices that the source does not have. */
async function receiveBatch<Slice extends WantedSlice>(request: BatchRequest<Slice>, wanted: readonly Slice[], progress: Progress): Promise<readonly Slice[]> {
  const { source } = request.use
  if (source.version !== 1) return receiveFrames(request, wanted, progress, framesOf(source, request, wanted))
  try {
    return await receiveFrames(request, wanted, progress, framesOf(source, request, wanted))
  } catch (error) {
    if (!(error instanceof ProblemError && error.isFromPeer && error.code === 'not-found')) throw error
  }
  const missing = new Set(await source.client.slices.missing(digestsOf(wanted), { signal: request.signal }))
  const isThere = ({ digest }: Slice): boolean => !missing.has(formatDigest(digest))
  const present = wanted.filter(isThere)
  if (present.length > 0 && missing.size > 0) await receiveFrames(request, present, progress, framesOf(source, request, present))
  // A source that says both that it has all slices and that it has not is treated as one that lacks them.
  return missing.size > 0 ? wanted.filter((slice) => !isThere(slice)) : wanted
}

async function* framesOf(
  { version, client }: SliceSource,
  { image, signal }: Pick<BatchRequest<WantedSlice>, 'image' | 'signal'>,
  wanted: readonly WantedSlice[],
): AsyncGenerator<AnswerFrame> {
  const lengthMax = wanted.reduce((most, { length = SLICE_LENGTH_MAX }) => Math.max(most, length), 0)
  const options = { image, signal, lengthMax }
  if (version !== 1) return yield* client.slices.fetchPresent(digestsOf(wanted), options)
  for await (const frame of client.slices.fetch(digestsOf(wanted), options)) yield { kind: 'slice', frame }
}

/** Stores the slices of an answer. Refuses one that is not the next of the list. Returns those that the source does not have. */
async function receiveFrames<Slice extends WantedSlice>(
  request: BatchRequest<Slice>,
  wanted: readonly Slice[],
  progress: Progress,
  frames: AsyncGenerator<AnswerFrame>,
): Promise<Slice[]> {
  const absent: Slice[] = []
  let received = 0
  const storing = createStoring(request, progress)
  try {
    for await (const answer of waitTimed(request.clock, progress, frames)) {
      const slice = wanted[received]
      const isAsked = slice && isSame(answer.kind === 'slice' ? answer.frame.digest : answer.digest, slice.digest)
      if (!isAsked || (answer.kind === 'slice' && answer.frame.length !== (slice.length ?? answer.frame.length)))
        throw new FrameInvalid('a slice was sent that was not requested', 'unasked-slice')
      received++
      if (answer.kind === 'absent') {
        absent.push(slice)
        continue
      }
      await storing.add(slice, answer.frame)
      await request.pace?.(FRAME_HEADER_BYTES + answer.frame.stored.byteLength)
    }
    if (received < wanted.length) throw new FrameInvalid(`${wanted.length - received} slices are missing in the answer`, 'truncated')
  } finally {
    // Slices that arrived before a failure are kept.
    await storing.settled()
  }
  storing.check()
  return absent
}

/** Slices that are being verified and stored while more arrive. */
interface Storing<Slice> {
  /** Starts to store a slice. Waits while too many bytes are in progress. Throws the first failure. */
  add(slice: Slice, frame: SliceFrame): Promise<void>
  /** Resolves when nothing is in progress. */
  settled(): Promise<void>
  /** Throws the first failure. */
  check(): void
}

function createStoring<Slice extends WantedSlice>({ use, receiver, onStored }: BatchRequest<Slice>, progress: Progress): Storing<Slice> {
  const running = new Set<Promise<void>>()
  let bytes = 0
  let failure: { readonly error: unknown } | undefined
  const check = (): void => {
    if (failure) throw failure.error
  }
  const store = async (slice: Slice, frame: SliceFrame): Promise<void> => {
    try {
      await receiver.put(frame)
      const wireBytes = FRAME_HEADER_BYTES + frame.stored.byteLength
      progress.wireBytes += wireBytes
      use.stored(wireBytes)
      onStored(slice, wireBytes)
    } catch (error) {
      failure ??= { error }
    }
  }
  return {
    async add(slice, frame) {
      while (bytes > 0 && bytes + frame.length > STORING_BYTES_MAX) await running.values().next().value
      check()
      bytes += frame.length
      const run = store(slice, frame).finally(() => {
        running.delete(run)
        bytes -= frame.length
      })
      running.add(run)
    },
    async settled() {
      await Promise.all(running)
    },
    check,
  }
}

/** Yields frames and counts the time spent waiting for them. */
async function* waitTimed(clock: Clock, progress: Progress, frames: AsyncGenerator<AnswerFrame>): AsyncGenerator<AnswerFrame> {
  try {
    for (;;) {
      progress.waitingSinceMs = clock.monotonicMs()
      const { value, done } = await frames.next()
      progress.waitedMs += clock.monotonicMs() - progress.waitingSinceMs
      progress.waitingSinceMs = undefined
      if (done) return
      yield value
    }
  } finally {
    await frames.return(undefined)
  }
}

function digestsOf(slices: readonly WantedSlice[]): string[] {
  return slices.map(({ digest }) => formatDigest(digest))
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}

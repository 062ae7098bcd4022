// Uploads a file by slices (docs/protocol.md, "Delta upload"): cuts it as the store does, asks which slices the store lacks, and sends
// only those. While one batch is being sent, the next one is cut. A lost connection costs only what was not durable yet.

import type { AgentClient } from '../../protocol/client/agent-client.ts'
import type { CutterParameters } from '../../protocol/slices/cutter.ts'
import type { Digest } from '../../protocol/slices/digest.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { UploadState } from '../../protocol/client/upload-client.ts'
import type { Clock } from '../system/clock.ts'
import type { LocalFile, LocalFileReader } from '../system/local-files.ts'
import { cutBatches, fileChanged } from './cut-file.ts'
import type { FilePiece } from './cut-file.ts'
import { sliceFrames } from './slice-frames.ts'

/** Delays before retries that follow an attempt without progress, in milliseconds: an agent takes seconds to restart. */
export const RETRY_DELAYS_MS: readonly number[] = [0, 500, 1000, 2000, 4000, 8000, 8000, 8000]
/** Bytes of a digest in the request for missing slices. */
const QUESTION_BYTES = 74

/** Refusals after which a retry may succeed. */
const PASSING: ReadonlySet<ProblemCode> = new Set<ProblemCode>([
  'peer-unreachable',
  'upload-cut',
  'request-timeout',
  'shutting-down',
  'interrupted',
  'offset-mismatch',
  'upload-locked',
  'slice-missing',
])
/** Refusals after which plain bytes are sent instead. */
const UNWANTED: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['tail-not-empty', 'unsupported-media-type'])

export interface DeltaOrder {
  readonly client: Pick<AgentClient, 'uploads' | 'slices'>
  readonly clock: Pick<Clock, 'sleep'>
  readonly file: LocalFile
  readonly cutter: CutterParameters
  readonly uploadId: string
  /** Bytes that are durable already. */
  readonly offset: number
  onProgress(sentBytes: number): void
  readonly signal?: AbortSignal | undefined
}

/** The outcome of an upload by slices. `unwanted`: the upload continues with plain bytes from its offset. */
export type DeltaOutcome = { readonly kind: 'sent'; readonly state: UploadState; readonly saving: Saving } | { readonly kind: 'unwanted' }

/** Bytes on the wire, and how much of the file they stand for. */
export interface Saving {
  /** Bytes of bodies and of requests for missing slices. */
  readonly wireBytes: number
  /** Bytes of the file whose slices were sent. */
  readonly newBytes: number
  /** Bytes of the file whose slices the store had, or that repeat in the file. */
  readonly storedBytes: number
  /** Bytes of the file in runs of zeros, which are neither sent nor stored. */
  readonly zeroBytes: number
}

/** Sends the rest of a file to an upload. Throws ProblemError; the upload can then be resumed. */
export async function sendDelta(order: DeltaOrder): Promise<DeltaOutcome> {
  await using reader = await order.file.openReader()
  const sending = new Sending(order, reader)
  try {
    return { kind: 'sent', state: await sending.run(), saving: sending.saving }
  } catch (error) {
    if (error instanceof ProblemError && UNWANTED.has(error.code)) return { kind: 'unwanted' }
    // The store refuses slices whose bytes changed after they were cut.
    if (error instanceof ProblemError && error.code === 'digest-mismatch' && !(await reader.isUnchanged())) throw fileChanged()
    throw error
  }
}

/** A batch and the slices of it that the store lacks. */
interface Asked {
  readonly pieces: FilePiece[]
  readonly missing: Set<Digest>
}

class Sending {
  readonly saving = { wireBytes: 0, newBytes: 0, storedBytes: 0, zeroBytes: 0 }
  readonly #order: DeltaOrder
  readonly #reader: LocalFileReader
  #state: UploadState
  /** Slices that the previous batch sent: the answer about the next batch may be older than they are. */
  #arrived = new Set<Digest>()

  constructor(order: DeltaOrder, reader: LocalFileReader) {
    this.#order = order
    this.#reader = reader
    this.#state = { offset: order.offset, imageId: undefined }
  }

  async run(): Promise<UploadState> {
    const { length } = this.#order.file
    while (this.#state.offset < length) await this.#sendFrom(this.#state.offset)
    // Asks once more, in case the answer was lost or the publication failed at first.
    if (this.#state.imageId === undefined) this.#state = await this.#show()
    return this.#state
  }

  /** Sends batch after batch; returns early when the offset of the upload is not the start of a piece. */
  async #sendFrom(start: number): Promise<void> {
    const ended = new AbortController()
    const batches = this.#askedBatches(start, ended.signal)
    let coming = batches.next()
    try {
      for (let next = await coming; !next.done; next = await coming) {
        coming = batches.next()
        // It is awaited later; until then its failure must not count as unhandled.
        coming.catch(() => {})
        if (!(await this.#sendBatch(next.value))) return
      }
    } finally {
      // The file is closed after this: the batch that is being cut has to end first, without further requests.
      ended.abort(new Error('the sending has ended'))
      await coming.catch(() => {})
      await batches.return(undefined)
    }
  }

  async *#askedBatches(start: number, ended: AbortSignal): AsyncGenerator<Asked> {
    const { file, cutter } = this.#order
    const signal = this.#order.signal ? AbortSignal.any([this.#order.signal, ended]) : ended
    for await (const pieces of cutBatches({ reader: this.#reader, length: file.length, cutter }, start)) {
      yield { pieces, missing: await this.#ask(pieces, signal) }
    }
  }

  /** Sends a batch, with retries while they make progress; returns false when the offset of the upload is not the start of a piece. */
  async #sendBatch(batch: Asked): Promise<boolean> {
    let { missing } = batch
    for (const digest of this.#arrived) missing.delete(digest)
    this.#arrived = new Set()
    let triesInVain = 0
    for (;;) {
      const { offset } = this.#state
      const pieces = piecesFrom(batch.pieces, offset)
      if (pieces?.length === 0) return true
      if (!pieces) return false
      // When a long body is refused, its answer can be lost with the connection; the answer to a short body arrives.
      const failure = await this.#sendPieces(triesInVain === 0 ? pieces : pieces.slice(0, 1), missing)
      if (this.#state.offset > offset) triesInVain = 0
      else await this.#pause(triesInVain++, failure, this.#order.signal)
      const rest = piecesFrom(batch.pieces, this.#state.offset)
      // A failed attempt may have stored slices, and stored slices may have been collected: ask again.
      if (rest && rest.length > 0) missing = await this.#ask(rest, this.#order.signal)
    }
  }

  /** Makes one attempt; afterwards the state is that of the store. Returns why the attempt ended early, if it did. */
  async #sendPieces(pieces: readonly FilePiece[], missing: Set<Digest>): Promise<ProblemError | undefined> {
    const { client, file, uploadId, signal, onProgress } = this.#order
    if (endOf(pieces) === file.length && !(await this.#reader.isUnchanged())) throw fileChanged()
    const tried: { readonly piece: FilePiece; readonly isSent: boolean }[] = []
    const start = this.#state.offset
    const frames = sliceFrames({
      reader: this.#reader,
      pieces,
      // Of a slice that repeats in the file, only the first is sent with its bytes.
      isMissing: (digest) => missing.delete(digest),
      onPiece: (piece, isSent) => {
        tried.push({ piece, isSent })
        onProgress(piece.offset + piece.length)
      },
    })
    let failure: ProblemError | undefined
    try {
      this.#state = await client.uploads.sendSlices(uploadId, this.#state.offset, this.#counted(frames), { signal })
    } catch (error) {
      failure = requirePassing(error)
      this.#state = await this.#show()
    }
    for (const { piece, isSent } of tried) this.#count(piece, isSent, start)
    return failure
  }

  /** Adds a piece to the figures if the store accepted it; a run of zeros may be accepted in part. */
  #count({ offset, length, digest }: FilePiece, isSent: boolean, start: number): void {
    const end = Math.min(offset + length, this.#state.offset)
    if (digest === null) this.saving.zeroBytes += Math.max(0, end - Math.max(offset, start))
    else if (end < offset + length) return
    else if (!isSent) this.saving.storedBytes += length
    else {
      this.saving.newBytes += length
      this.#arrived.add(digest)
    }
  }

  async *#counted(frames: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of frames) {
      this.saving.wireBytes += piece.byteLength
      yield piece
    }
  }

  /** The slices of these pieces that the store lacks now. */
  async #ask(pieces: readonly FilePiece[], signal: AbortSignal | undefined): Promise<Set<Digest>> {
    const digests = [...new Set(pieces.flatMap(({ digest }) => (digest === null ? [] : [digest])))]
    if (digests.length === 0) return new Set()
    this.saving.wireBytes += digests.length * QUESTION_BYTES
    const ask = () => this.#order.client.slices.missing(digests, { signal })
    return new Set((await this.#persistently(ask, signal)) as Digest[])
  }

  /** The present state of the upload at the store. */
  async #show(): Promise<UploadState> {
    const { client, uploadId, signal } = this.#order
    const state = await this.#persistently(() => client.uploads.show(uploadId, { signal }), signal)
    if (!state)
      throw problem('upload-expired', `The upload ${uploadId} has expired or was deleted.`, { action: 'Run the same command again: the upload starts over.' })
    return state
  }

  async #persistently<Result>(run: () => Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
    for (let tries = 0; ; tries++) {
      try {
        return await run()
      } catch (error) {
        await this.#pause(tries, requirePassing(error), signal)
      }
    }
  }

  /** Waits before a retry; throws the failure after the last one. */
  async #pause(tries: number, failure: ProblemError | undefined, signal: AbortSignal | undefined): Promise<void> {
    const delayMs = RETRY_DELAYS_MS[tries]
    if (delayMs === undefined) throw failure ?? problem('upload-locked', 'Another request keeps the same upload locked.')
    await this.#order.clock.sleep(delayMs, signal)
  }
}

/** The pieces from an offset on; undefined when no piece begins there. A run of zeros can be resumed at any offset. */
function piecesFrom(pieces: readonly FilePiece[], start: number): FilePiece[] | undefined {
  const first = pieces.findIndex(({ offset, length }) => offset + length > start)
  if (first === -1) return endOf(pieces) === start ? [] : undefined
  const piece = pieces[first]
  if (!piece || start < piece.offset || (start > piece.offset && piece.digest !== null)) return undefined
  return [{ ...piece, offset: start, length: piece.offset + piece.length - start }, ...pieces.slice(first + 1)]
}

function endOf(pieces: readonly FilePiece[]): number {
  const last = pieces.at(-1)
  return last ? last.offset + last.length : 0
}

/** Returns an error after which a retry may succeed; throws every other error. */
function requirePassing(error: unknown): ProblemError {
  if (error instanceof ProblemError && PASSING.has(error.code)) return error
  throw error
}

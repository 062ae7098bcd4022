// Sends a file by slices (docs/protocol.md, "Delta upload"): cut as the store cuts, the store asked what it lacks, and only that
// sent with its bytes. While one batch is on its way the next one is cut. A cut connection costs what was not durable yet.

import type { AgentClient } from '../../protocol/client.ts'
import type { CutterParameters } from '../../protocol/cutter.ts'
import type { Digest } from '../../protocol/digest.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { UploadState } from '../../protocol/upload-client.ts'
import type { Clock } from '../system/clock.ts'
import type { LocalFile, LocalFileReader } from '../system/local-files.ts'
import { cutBatches, fileChanged } from './cut-file.ts'
import type { FilePiece } from './cut-file.ts'
import { sliceFrames } from './slice-frames.ts'

/** Waits before tries that bring nothing new, in milliseconds: a restart of an agent takes seconds. */
export const RETRY_DELAYS_MS: readonly number[] = [0, 500, 1000, 2000, 4000, 8000, 8000, 8000]
/** Bytes of a digest in the question for what is missing. */
const QUESTION_BYTES = 74

/** Refusals that pass by themselves. */
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
/** Refusals that say: send plain bytes. */
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

/** What a sending by slices came to. `unwanted`: the upload goes on with plain bytes, from where it stands. */
export type DeltaOutcome = { readonly kind: 'sent'; readonly state: UploadState; readonly saving: Saving } | { readonly kind: 'unwanted' }

/** What went over the wire, in bytes, and what it stood for. */
export interface Saving {
  /** Bytes of bodies and of questions. */
  readonly wireBytes: number
  /** Bytes of the file whose slices were sent with their bytes. */
  readonly newBytes: number
  /** Bytes of the file whose slices the store had, or that repeat within the file. */
  readonly storedBytes: number
  /** Bytes of the file in runs of zeros, which are neither sent nor stored. */
  readonly zeroBytes: number
}

/** Sends the rest of a file to an upload. Throws ProblemError; the upload stays as it is and can be gone on with. */
export async function sendDelta(order: DeltaOrder): Promise<DeltaOutcome> {
  await using reader = await order.file.openReader()
  const sending = new Sending(order, reader)
  try {
    return { kind: 'sent', state: await sending.run(), saving: sending.saving }
  } catch (error) {
    if (error instanceof ProblemError && UNWANTED.has(error.code)) return { kind: 'unwanted' }
    // Slices that are not what they were when they were cut are refused by the store.
    if (error instanceof ProblemError && error.code === 'digest-mismatch' && !(await reader.isUnchanged())) throw fileChanged()
    throw error
  }
}

/** A batch and what the store lacks of it. */
interface Asked {
  readonly pieces: FilePiece[]
  readonly missing: Set<Digest>
}

class Sending {
  readonly saving = { wireBytes: 0, newBytes: 0, storedBytes: 0, zeroBytes: 0 }
  readonly #order: DeltaOrder
  readonly #reader: LocalFileReader
  #state: UploadState
  /** Slices that the batch before brought: the next one was asked about before they were there. */
  #arrived = new Set<Digest>()

  constructor(order: DeltaOrder, reader: LocalFileReader) {
    this.#order = order
    this.#reader = reader
    this.#state = { offset: order.offset, imageId: undefined }
  }

  async run(): Promise<UploadState> {
    const { length } = this.#order.file
    while (this.#state.offset < length) await this.#sendFrom(this.#state.offset)
    // An answer that was lost, or a publication that failed at first, is asked for once more.
    if (this.#state.imageId === undefined) this.#state = await this.#show()
    return this.#state
  }

  /** Sends batch after batch; ends early when the store stands where no piece begins. */
  async #sendFrom(start: number): Promise<void> {
    const ended = new AbortController()
    const batches = this.#askedBatches(start, ended.signal)
    let coming = batches.next()
    try {
      for (let next = await coming; !next.done; next = await coming) {
        coming = batches.next()
        // Awaited in its turn; until then nobody else must take its failure for an unhandled one.
        coming.catch(() => {})
        if (!(await this.#sendBatch(next.value))) return
      }
    } finally {
      // The file is closed when this ends: the batch that is being cut comes to its end first, but asks nothing any more.
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

  /** Brings the store to the end of a batch, in as many attempts as bring something; false when it stands where no piece begins. */
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
      // The answer to a long body that is refused can be lost with its connection; that to a short one is heard.
      const failure = await this.#sendPieces(triesInVain === 0 ? pieces : pieces.slice(0, 1), missing)
      if (this.#state.offset > offset) triesInVain = 0
      else await this.#pause(triesInVain++, failure, this.#order.signal)
      const rest = piecesFrom(batch.pieces, this.#state.offset)
      // What an attempt left behind may be there all the same, and what was there may be gone.
      if (rest && rest.length > 0) missing = await this.#ask(rest, this.#order.signal)
    }
  }

  /** One attempt; afterwards the state is the store's. Gives why it ended before its time, if it did. */
  async #sendPieces(pieces: readonly FilePiece[], missing: Set<Digest>): Promise<ProblemError | undefined> {
    const { client, file, uploadId, signal, onProgress } = this.#order
    if (endOf(pieces) === file.length && !(await this.#reader.isUnchanged())) throw fileChanged()
    const tried: { readonly piece: FilePiece; readonly isSent: boolean }[] = []
    const start = this.#state.offset
    const frames = sliceFrames({
      reader: this.#reader,
      pieces,
      // Of a slice that is there several times the first one goes with its bytes.
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

  /** Adds a piece to the figures when the store took it; a run of zeros may be taken in part. */
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

  /** Those of the pieces' slices that the store lacks now. */
  async #ask(pieces: readonly FilePiece[], signal: AbortSignal | undefined): Promise<Set<Digest>> {
    const digests = [...new Set(pieces.flatMap(({ digest }) => (digest === null ? [] : [digest])))]
    if (digests.length === 0) return new Set()
    this.saving.wireBytes += digests.length * QUESTION_BYTES
    const ask = () => this.#order.client.slices.missing(digests, { signal })
    return new Set((await this.#persistently(ask, signal)) as Digest[])
  }

  /** Where the store stands. */
  async #show(): Promise<UploadState> {
    const { client, uploadId, signal } = this.#order
    const state = await this.#persistently(() => client.uploads.show(uploadId, { signal }), signal)
    if (!state)
      throw problem('upload-expired', `The store does not know the upload ${uploadId} any more.`, { action: 'Run the same command again: it begins anew.' })
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

  /** Waits before another try; throws why there is none any more. */
  async #pause(tries: number, failure: ProblemError | undefined, signal: AbortSignal | undefined): Promise<void> {
    const delayMs = RETRY_DELAYS_MS[tries]
    if (delayMs === undefined) throw failure ?? problem('upload-locked', 'Another request goes on with the same upload all the time.')
    await this.#order.clock.sleep(delayMs, signal)
  }
}

/** The pieces from an offset on; undefined when none begins there. A run of zeros may be gone on with anywhere. */
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

/** The error, if it passes by itself; throws every other one. */
function requirePassing(error: unknown): ProblemError {
  if (error instanceof ProblemError && PASSING.has(error.code)) return error
  throw error
}

// Slice intake: brings the frames of one body into the store and the journal (docs/protocol.md, "Delta upload"). A reference pins a slice
// that the store has and the client may know of; a slice with its bytes is verified and stored. Entries are committed in order, without a tail.

import type { CutterParameters } from '../../../protocol/slices/cutter.ts'
import { formatDigest } from '../../../protocol/slices/digest.ts'
import { createFrameReader, FrameInvalid } from '../../../protocol/slices/frames.ts'
import type { FrameReader, SliceFrame, UploadFrame } from '../../../protocol/slices/frames.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { CrashPoint } from '../../contract/runtime.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import type { SliceReceiver } from '../../contract/slices.ts'
import type { OwnSlices } from '../../contract/visibility.ts'
import type { BodyIntake, BodyIntakeDeps, BodyIntakeOptions, UploadCommits } from './body-intake.ts'
import { refuseTooLong } from '../limits/limits.ts'
import { createBodySteps } from './body-steps.ts'
import type { BodySteps } from './body-steps.ts'
import { Checkpoints } from './checkpoints.ts'
import { SlotHolder } from './slot-holder.ts'

/** Most entries between two checkpoints: the entries and their pins wait in memory. */
const CHECKPOINT_ENTRIES = 16_384
/** Frames after which the event loop runs other work: references are looked up without a pause. */
const STRETCH_FRAMES = 128
/** Slices that are being verified and stored at the same time. */
const PUTS_MAX = 8
/** Missing slices that a refusal names, and frames that are searched for them after the first one. */
const NAMED_MAX = 10
const LOOKED_AT_MAX = 64
const NO_TAIL = new Uint8Array(0)

/** Where a body of slices begins, and what its slices are checked against. */
export interface SliceBody {
  /** Offset of the upload at which the first slice begins. */
  readonly offset: number
  /** Length of the upload; null while it is deferred. */
  readonly length: number | null
  /** Offset that no slice may exceed. */
  readonly end: number
  readonly cutter: CutterParameters
  readonly crashPoint: CrashPoint
  /** Whether an image that the client may read contains a slice. */
  isVisible(digest: Uint8Array): boolean
  /** Returns the slices of the owner's unfinished uploads. Called once, for the first slice that is not visible otherwise. */
  ownSlices(): Promise<OwnSlices>
  receive(): SliceReceiver
}

/** Entries since a checkpoint, and the receiver that pins their slices until the journal names them. */
interface Batch {
  readonly receiver: SliceReceiver
  readonly entries: ManifestEntry[]
  /** Digests of the slices that arrived with their bytes, as latin1. */
  readonly brought: Set<string>
  /** One for each slice that arrived with its bytes; none rejects. */
  readonly puts: Promise<void>[]
  /** The first entry whose slice could not be stored, and why. Entries from there on are dropped. */
  failed: { readonly at: number; readonly error: unknown } | undefined
}

export class SliceIntake implements BodyIntake {
  readonly #deps: BodyIntakeDeps
  readonly #commits: UploadCommits
  readonly #body: SliceBody
  readonly #steps: BodySteps
  readonly #checkpoints: Checkpoints
  readonly #slot: SlotHolder
  readonly #reader: FrameReader
  readonly #putting = new Set<Promise<void>>()
  #batch: Batch | undefined
  /** Slices that the previous batch brought: no journal names them until its checkpoint has ended. */
  #broughtBefore: ReadonlySet<string> = new Set()
  #ownSlices: OwnSlices | undefined
  #offset: number
  #frames = 0
  /** Why a checkpoint failed. Entries after it would leave a gap, so nothing more is committed. */
  #broken: { readonly error: unknown } | undefined

  constructor(deps: BodyIntakeDeps, commits: UploadCommits, body: SliceBody, options: BodyIntakeOptions) {
    this.#deps = deps
    this.#commits = commits
    this.#body = body
    this.#offset = body.offset
    this.#reader = createFrameReader(body.cutter.maximum)
    this.#steps = createBodySteps(options.onFailure)
    this.#checkpoints = new Checkpoints({
      clock: deps.clock,
      steps: this.#steps,
      hasNews: () => this.#batch !== undefined,
      commit: async () => {
        await this.#checkpoint()
        await commits.renewSpace()
      },
    })
    this.#slot = new SlotHolder({
      clock: deps.clock,
      ingestSlots: deps.ingestSlots,
      quietMs: options.quietMs,
      signal: options.signal,
      steps: this.#steps,
      flowingBytesMin: 0,
      received: () => this.#checkpoints.received,
      park: async () => {
        this.#checkpoints.mark()
        await this.#checkpoint()
        await commits.closeFiles()
      },
    })
  }

  get received(): number {
    return this.#checkpoints.received
  }

  get isWhole(): boolean {
    return this.#reader.isEnded
  }

  async write(piece: Uint8Array): Promise<boolean> {
    const slot = this.#slot
    const checkpoints = this.#checkpoints
    await slot.parking
    if (!slot.hasSlot) {
      if (!(await slot.acquire())) return false
      await this.#commits.renewSpace()
    }
    checkpoints.add(piece.byteLength)
    try {
      const frames = this.#reader.take(piece)
      for (let next = frames.next(); !next.done; next = frames.next()) {
        await this.#writeFrame(next.value, frames)
        if (++this.#frames % STRETCH_FRAMES === 0) await this.#deps.clock.sleep(0)
        if (this.#batch?.failed) throw this.#batch.failed.error
        if (checkpoints.isDue || (this.#batch?.entries.length ?? 0) >= CHECKPOINT_ENTRIES) await checkpoints.start()
      }
    } catch (error) {
      // The frames before the refused one are kept.
      await this.commit()
      throw error instanceof FrameInvalid ? problem('invalid-input', `The body is not a stream of slices: ${error.message}.`, {}, { cause: error }) : error
    }
    slot.endPiece()
    return true
  }

  startPiece(): void {
    this.#slot.startPiece()
  }

  tick(): void {
    if (!this.#slot.tick()) this.#checkpoints.tick()
  }

  async commit(): Promise<void> {
    await this.#steps.run(() => this.#checkpoint())
  }

  async close(): Promise<void> {
    try {
      await this.#steps.run(async () => {
        const batch = this.#batch
        this.#batch = undefined
        if (batch) await releaseBatch(batch)
        await this.#commits.closeFiles()
      })
    } finally {
      this.#slot.release()
    }
  }

  async #writeFrame(frame: UploadFrame, following: Iterator<UploadFrame>): Promise<void> {
    switch (frame.kind) {
      case 'zeros':
        this.#admit(frame.length)
        this.#add(frame.length, null)
        return
      case 'reference':
        this.#admit(frame.length)
        await this.#find(frame, following)
        this.#add(frame.length, frame.digest)
        return
      case 'slice':
        this.#admit(frame.frame.length)
        await this.#put(frame.frame)
        return
      default:
        frame satisfies never
    }
  }

  /** Refuses an entry that this upload cannot have. The reader of frames has refused slices that are longer than those of this store. */
  #admit(length: number): void {
    const { cutter, end, length: whole } = this.#body
    const to = this.#offset + length
    if (to > end) throw refuseTooLong(to, end)
    if (length % cutter.block !== 0 && to !== whole)
      throw problem('invalid-input', `A slice of ${length} bytes can only be the last one: the length of all others must be a multiple of ${cutter.block}.`)
  }

  /**
   * Pins a slice that the store has and the client may know of; throws `slice-missing` for any other. Whether the client may know of it is
   * checked first, so that a hidden slice is treated exactly like one that is not stored.
   */
  async #find(wanted: Extract<UploadFrame, { kind: 'reference' }>, following: Iterator<UploadFrame>): Promise<void> {
    if (await this.#isVisible(wanted.digest)) {
      if (this.#isPinned(wanted)) return
      // This body may have brought it a moment ago.
      await Promise.all(this.#putting)
      if (this.#isPinned(wanted)) return
    }
    const missing = [formatDigest(wanted.digest)]
    for (let i = 0, next = following.next(); !next.done && missing.length < NAMED_MAX && i < LOOKED_AT_MAX; i++, next = following.next()) {
      const { value } = next
      if (value.kind === 'reference' && !((await this.#isVisible(value.digest)) && this.#isPinned(value))) missing.push(formatDigest(value.digest))
    }
    throw problem('slice-missing', `The slice at offset ${this.#offset} is not in this store.`, { missing })
  }

  /** Whether the client may reference a slice: it brought the slice with this body or to an unfinished upload, or may read an image that contains it. */
  async #isVisible(digest: Uint8Array): Promise<boolean> {
    const key = keyOf(digest)
    if (this.#batch?.brought.has(key) || this.#broughtBefore.has(key) || this.#body.isVisible(digest)) return true
    this.#ownSlices ??= await this.#body.ownSlices()
    return this.#ownSlices.has(digest)
  }

  #isPinned({ digest, length }: { readonly digest: Uint8Array; readonly length: number }): boolean {
    return this.#current().receiver.pin([digest], [length]).length === 0
  }

  /** Starts to verify and store a slice. Waits while many are in progress. */
  async #put(frame: SliceFrame): Promise<void> {
    while (this.#putting.size >= PUTS_MAX) await Promise.race(this.#putting)
    const batch = this.#current()
    const at = batch.entries.length
    const offset = this.#offset
    const put = batch.receiver
      .put(frame)
      .catch((error: unknown) => {
        if (!batch.failed || at < batch.failed.at) batch.failed = { at, error: refusalOf(error, offset) }
      })
      .finally(() => this.#putting.delete(put))
    this.#putting.add(put)
    batch.puts.push(put)
    batch.brought.add(keyOf(frame.digest))
    this.#add(frame.length, frame.digest)
  }

  #add(length: number, digest: Uint8Array | null): void {
    this.#current().entries.push({ length, digest })
    this.#offset += length
  }

  #current(): Batch {
    this.#batch ??= { receiver: this.#body.receive(), entries: [], brought: new Set(), puts: [], failed: undefined }
    return this.#batch
  }

  async #checkpoint(): Promise<void> {
    if (this.#broken) throw this.#broken.error
    const batch = this.#batch
    this.#batch = undefined
    if (!batch) return
    this.#broughtBefore = batch.brought
    try {
      await this.#commitBatch(batch)
    } catch (error) {
      this.#broken = { error }
      throw error
    } finally {
      await releaseBatch(batch)
    }
  }

  async #commitBatch(batch: Batch): Promise<void> {
    await Promise.all(batch.puts)
    const entries = batch.failed ? batch.entries.slice(0, batch.failed.at) : batch.entries
    if (entries.length > 0) {
      // Necessary even when the store had all slices: another transfer may have brought them and not synced them yet.
      await batch.receiver.sync()
      this.#body.crashPoint('uploads:slices-synced')
      // The receiver releases its pins once the journal names the slices.
      await this.#commits.commit([{ entries, tail: NO_TAIL, storedBytes: 0, release: () => {} }])
    }
    if (batch.failed) throw batch.failed.error
  }
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1')
}

/** Releases the pins of a batch after its last slice was stored. */
async function releaseBatch({ receiver, puts }: Batch): Promise<void> {
  await Promise.all(puts)
  await receiver[Symbol.asyncDispose]()
}

/** Returns the refusal for a slice that could not be stored. */
function refusalOf(error: unknown, offset: number): unknown {
  if (!(error instanceof SliceUnreadable)) return error
  const detail = `The bytes of the slice at offset ${offset} do not match its digest; the slice is not kept.`
  return problem('digest-mismatch', detail, { action: 'Continue from the offset in Upload-Offset with the right bytes.' }, { cause: error })
}

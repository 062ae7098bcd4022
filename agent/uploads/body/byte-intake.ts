// Byte intake: ingests the pieces of a body of plain bytes. Few bytes wait in memory and go to the tail in the journal; more need a slot
// and an ingest. The body continues while a checkpoint is in progress.

import { joinBytes } from '../../../protocol/bytes.ts'
import type { Checkpoint, Ingest } from '../../contract/slices.ts'
import type { BodyIntake, BodyIntakeDeps, BodyIntakeOptions, UploadCommits } from './body-intake.ts'
import { createBodySteps } from './body-steps.ts'
import type { BodySteps } from './body-steps.ts'
import { Checkpoints } from './checkpoints.ts'
import type { IngestSlot } from './ingest-slots.ts'
import { SlotHolder } from './slot-holder.ts'

/** A body that brought less than this since it acquired its slot has more likely stalled than paused between bursts. */
const FLOWING_BYTES_MIN = 1024 * 1024
/** A tail up to this length stays in the journal alone: few or slow bytes need neither a slot nor an ingest. */
const SMALL_TAIL_BYTES = 64 * 1024

export class ByteIntake implements BodyIntake {
  readonly #deps: BodyIntakeDeps
  readonly #commits: UploadCommits
  readonly #options: BodyIntakeOptions
  readonly #steps: BodySteps
  readonly #checkpoints: Checkpoints
  readonly #slot: SlotHolder
  /** Pieces that are in no ingest yet. */
  #small: Uint8Array[] = []
  #smallBytes = 0
  #ingest: Ingest | undefined
  #provisionalSlot: IngestSlot | undefined
  /** Checkpoints of a body that is not verified yet. */
  #unverified: Checkpoint[] = []
  /** Why a checkpoint failed. Bytes after it would leave a gap, so nothing more is committed. */
  #broken: { readonly error: unknown } | undefined

  constructor(deps: BodyIntakeDeps, commits: UploadCommits, options: BodyIntakeOptions) {
    this.#deps = deps
    this.#commits = commits
    this.#options = options
    this.#steps = createBodySteps(options.onFailure)
    this.#checkpoints = new Checkpoints({
      clock: deps.clock,
      steps: this.#steps,
      hasNews: () => this.#checkpoints.fresh > 0 && !(options.isProvisional && !this.#ingest),
      commit: async () => {
        await this.#checkpoint(false)
        await commits.renewSpace()
      },
    })
    this.#slot = new SlotHolder({
      clock: deps.clock,
      ingestSlots: deps.ingestSlots,
      quietMs: options.quietMs,
      signal: options.signal,
      steps: this.#steps,
      flowingBytesMin: FLOWING_BYTES_MIN,
      received: () => this.#checkpoints.received,
      park: () => this.#park(),
    })
  }

  get received(): number {
    return this.#checkpoints.received
  }

  /** Plain bytes may end anywhere. */
  get isWhole(): boolean {
    return true
  }

  async write(piece: Uint8Array): Promise<boolean> {
    const slot = this.#slot
    const checkpoints = this.#checkpoints
    if (slot.parking) await slot.parking
    if (!this.#ingest && this.#commits.tailLength + this.#smallBytes + piece.byteLength <= SMALL_TAIL_BYTES) {
      this.#small.push(piece)
      this.#smallBytes += piece.byteLength
      checkpoints.add(piece.byteLength)
      return true
    }
    const ingest = this.#ingest && slot.hasSlot ? this.#ingest : await this.#ready()
    if (!ingest) return false
    await ingest.write(piece)
    checkpoints.add(piece.byteLength)
    if (checkpoints.isDue) await checkpoints.start()
    slot.endPiece()
    return true
  }

  startPiece(): void {
    this.#slot.startPiece()
  }

  tick(): void {
    if (!this.#slot.tick()) this.#checkpoints.tick()
  }

  async commit(isLast: boolean): Promise<void> {
    // Few bytes that make the upload whole go into slices at once, unless the wait for a slot was ended.
    if (isLast && this.#smallBytes > 0) await this.#ready()
    await this.#steps.run(async () => {
      await this.#checkpoint(isLast)
      if (this.#unverified.length === 0) return
      const unverified = this.#unverified
      this.#unverified = []
      await this.#commits.commit(unverified)
    })
  }

  async close(): Promise<void> {
    try {
      // The steps before it, such as a checkpoint in progress, end first. The ingest releases the checkpoints that were not committed.
      await this.#steps.run(() => this.#closeIngest())
    } finally {
      this.#slot.release()
      this.#provisionalSlot?.[Symbol.dispose]()
    }
  }

  /** Returns an ingest once there is a slot for it; undefined when the wait for one was ended. */
  async #ready(): Promise<Ingest | undefined> {
    const { signal, isProvisional } = this.#options
    try {
      if (isProvisional && !this.#provisionalSlot) this.#provisionalSlot = await this.#deps.provisionalSlots.acquire(signal)
    } catch {
      // Only the signal ends a wait for a slot.
      return undefined
    }
    if (!(await this.#slot.acquire())) return undefined
    return this.#ingest ?? this.#steps.run(() => this.#open())
  }

  async #open(): Promise<Ingest> {
    await this.#commits.renewSpace()
    const ingest = await this.#commits.openIngest()
    this.#ingest = ingest
    for (const piece of this.#takeSmall()) await ingest.write(piece)
    return ingest
  }

  /** A body that is not verified keeps its ingest, which holds the pins of its slices. */
  async #park(): Promise<void> {
    this.#checkpoints.mark()
    if (this.#options.isProvisional) return
    await this.#checkpoint(false)
    await this.#closeIngest()
  }

  async #checkpoint(isLast: boolean): Promise<void> {
    if (this.#broken) throw this.#broken.error
    try {
      await this.#commitFresh(isLast)
    } catch (error) {
      this.#broken = { error }
      throw error
    }
  }

  async #commitFresh(isLast: boolean): Promise<void> {
    if (!this.#ingest) {
      const small = this.#takeSmall()
      if (small.length > 0) await this.#commits.commitTail(joinBytes(small))
      return
    }
    const checkpoint = await (isLast ? this.#ingest.finish() : this.#ingest.checkpoint())
    if (this.#options.isProvisional) this.#unverified.push(checkpoint)
    else await this.#commits.commit([checkpoint])
  }

  async #closeIngest(): Promise<void> {
    const ingest = this.#ingest
    this.#ingest = undefined
    await ingest?.[Symbol.asyncDispose]()
    await this.#commits.closeFiles()
  }

  #takeSmall(): Uint8Array[] {
    const small = this.#small
    this.#small = []
    this.#smallBytes = 0
    return small
  }
}

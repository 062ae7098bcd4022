// Byte intake: takes the pieces of one body into slices and the journal. Few bytes wait in memory and go to the journal as they
// are; more of them need a slot and an ingest. Checkpoints go on beside the bytes.

import { joinBytes } from '../../../protocol/bytes.ts'
import type { Checkpoint, Ingest } from '../../contract/slices.ts'
import type { BodyIntake, BodyIntakeDeps, BodyIntakeOptions, UploadCommits } from './body-intake.ts'
import type { IngestSlot } from './ingest-slots.ts'
import { Pace } from './pace.ts'

/** A body that brought less than this since it got its slot is a stalled one more likely than one that flows in bursts. */
const FLOWING_BYTES_MIN = 1024 * 1024
/** Up to this length a tail grows in the journal alone: few or slow bytes need no slot and no ingest. */
const SMALL_TAIL_BYTES = 64 * 1024

export class ByteIntake implements BodyIntake {
  readonly #deps: BodyIntakeDeps
  readonly #commits: UploadCommits
  readonly #options: BodyIntakeOptions
  readonly #pace: Pace
  /** Pieces that no ingest took yet. */
  #small: Uint8Array[] = []
  #smallBytes = 0
  #ingest: Ingest | undefined
  #permit: IngestSlot | undefined
  /** Checkpoints of a body that is not verified yet. */
  #unverified: Checkpoint[] = []

  constructor(deps: BodyIntakeDeps, commits: UploadCommits, options: BodyIntakeOptions) {
    this.#deps = deps
    this.#commits = commits
    this.#options = options
    this.#pace = new Pace(
      deps,
      { ...options, flowingBytesMin: FLOWING_BYTES_MIN },
      {
        isNews: () => this.#pace.fresh > 0 && !(options.isProvisional && !this.#ingest),
        checkpoint: async () => {
          await this.#checkpoint(false)
          await commits.renewSpace()
        },
        park: () => this.#park(),
      },
    )
  }

  get received(): number {
    return this.#pace.received
  }

  /** Plain bytes may end anywhere. */
  get isWhole(): boolean {
    return true
  }

  async take(piece: Uint8Array): Promise<boolean> {
    const pace = this.#pace
    if (pace.parking) await pace.parking
    if (!this.#ingest && this.#commits.tailLength + this.#smallBytes + piece.byteLength <= SMALL_TAIL_BYTES) {
      this.#small.push(piece)
      this.#smallBytes += piece.byteLength
      pace.add(piece.byteLength)
      return true
    }
    const ingest = this.#ingest && pace.hasSlot ? this.#ingest : await this.#ready()
    if (!ingest) return false
    await ingest.write(piece)
    pace.add(piece.byteLength)
    if (pace.isCheckpointDue) await pace.startCheckpoint()
    pace.endPiece()
    return true
  }

  startPiece(): void {
    this.#pace.startPiece()
  }

  tick(): void {
    this.#pace.tick()
  }

  async commit(isLast: boolean): Promise<void> {
    await this.#pace.settled()
    // Small bytes that make the upload whole go into slices at once, unless the wait for a slot was ended.
    if (isLast && this.#smallBytes > 0) await this.#ready()
    await this.#pace.exclusively(async () => {
      await this.#checkpoint(isLast)
      if (this.#unverified.length === 0) return
      const unverified = this.#unverified
      this.#unverified = []
      await this.#commits.commit(unverified)
    })
  }

  async close(): Promise<void> {
    await this.#pace.settled()
    for (const { release } of this.#unverified) release()
    this.#unverified = []
    try {
      await this.#pace.exclusively(() => this.#closeIngest())
    } finally {
      this.#pace.releaseSlot()
      this.#permit?.[Symbol.dispose]()
    }
  }

  /** An ingest with a slot; undefined when the wait for one was ended. */
  async #ready(): Promise<Ingest | undefined> {
    if (this.#ingest && this.#pace.hasSlot) return this.#ingest
    const { signal, isProvisional } = this.#options
    try {
      if (isProvisional && !this.#permit) this.#permit = await this.#deps.provisionalSlots.acquire(signal)
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
    if (!(await this.#pace.acquireSlot())) return undefined
    return this.#ingest ?? this.#pace.exclusively(() => this.#open())
  }

  async #open(): Promise<Ingest> {
    await this.#commits.renewSpace()
    const ingest = await this.#commits.openIngest()
    this.#ingest = ingest
    for (const piece of this.#takeSmall()) await ingest.write(piece)
    return ingest
  }

  /** A body that is not verified keeps its ingest: its pins hang on it. */
  async #park(): Promise<void> {
    if (this.#options.isProvisional) return
    await this.#checkpoint(false)
    await this.#closeIngest()
  }

  async #checkpoint(isLast: boolean): Promise<void> {
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

// Intake: takes the pieces of one body into slices and the journal. Few bytes wait in memory and go to the journal as they
// are; more of them need a place and an ingest. Checkpoints go on beside the bytes.

import { joinBytes } from '../../../protocol/bytes.ts'
import type { Checkpoint, Ingest } from '../../contract/slices.ts'
import { Pace } from './pace.ts'
import type { PaceDeps } from './pace.ts'
import type { Place, Places } from './ingest-slots.ts'

/** A body that brought less than this since it got its place is a stalled one more likely than one that flows in bursts. */
const FLOWING_BYTES_MIN = 1024 * 1024
/** Up to this length a tail grows in the journal alone: few or slow bytes need no place and no ingest. */
const SMALL_TAIL_BYTES = 64 * 1024

/** Where an intake puts bytes. Nothing is called before the call before it has ended. */
export interface Sink {
  /** Bytes committed that are not in slices yet. */
  readonly tailLength: number
  /** A new ingest at the end of what is committed. */
  open(): Promise<Ingest>
  /** Makes bytes durable that follow the tail, without cutting them. */
  commitTail(bytes: Uint8Array): Promise<void>
  /** Makes checkpoints durable in the journal, all in one append; releases them in any case. */
  commit(checkpoints: readonly Checkpoint[]): Promise<void>
  /** Asks for space for the bytes until the next checkpoint; throws `insufficient-storage`. */
  renewSpace(): Promise<void>
  /** Lets go of files until the next commit. */
  rest(): Promise<void>
}

export interface IntakeDeps extends PaceDeps {
  /** Bodies with a checksum that hold an ingest open until they are verified. */
  readonly provisional: Places
}

export interface IntakeOptions {
  /** Nothing is committed before `commit`: the body has a checksum. */
  readonly isProvisional: boolean
  /** Milliseconds since the body's last byte; 0 while a piece is being taken. */
  readonly quietMs: () => number
  /** Ends every wait for a place. */
  readonly signal: AbortSignal
  /** Told once when the store fails beside a `take`; every later call is then a loss. */
  readonly onFailure: (error: unknown) => void
}

/** What takes the pieces of one body; plain bytes and slices have one each. */
export interface BodyIntake {
  /** Bytes of the body taken until now. */
  readonly received: number
  /** Whether a body that ended here is all of it. */
  readonly isWhole: boolean
  /** Takes a piece; resolves when there is room for more. Gives false when the wait for a place was ended: the piece is not taken. */
  take(piece: Uint8Array): Promise<boolean>
  /** To be called before each piece is waited for: hands the place on when that takes long and others wait. */
  startPiece(): void
  /** To be called several times a second. */
  tick(): void
  /** Commits everything taken. `isLast`: the upload ends here. */
  commit(isLast: boolean): Promise<void>
  /** Lets go of everything. What was not committed is lost. */
  close(): Promise<void>
}

export class Intake implements BodyIntake {
  readonly #deps: IntakeDeps
  readonly #sink: Sink
  readonly #options: IntakeOptions
  readonly #pace: Pace
  /** Pieces that no ingest took yet. */
  #small: Uint8Array[] = []
  #smallBytes = 0
  #ingest: Ingest | undefined
  #permit: Place | undefined
  /** Checkpoints of a body that is not verified yet. */
  #unverified: Checkpoint[] = []

  constructor(deps: IntakeDeps, sink: Sink, options: IntakeOptions) {
    this.#deps = deps
    this.#sink = sink
    this.#options = options
    this.#pace = new Pace(
      deps,
      { ...options, flowingBytesMin: FLOWING_BYTES_MIN },
      {
        isNews: () => this.#pace.fresh > 0 && !(options.isProvisional && !this.#ingest),
        checkpoint: async () => {
          await this.#checkpoint(false)
          await sink.renewSpace()
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
    if (!this.#ingest && this.#sink.tailLength + this.#smallBytes + piece.byteLength <= SMALL_TAIL_BYTES) {
      this.#small.push(piece)
      this.#smallBytes += piece.byteLength
      pace.add(piece.byteLength)
      return true
    }
    const ingest = this.#ingest && pace.hasPlace ? this.#ingest : await this.#ready()
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
    // Small bytes that make the upload whole go into slices at once, unless the wait for a place was ended.
    if (isLast && this.#smallBytes > 0) await this.#ready()
    await this.#pace.exclusively(async () => {
      await this.#checkpoint(isLast)
      if (this.#unverified.length === 0) return
      const unverified = this.#unverified
      this.#unverified = []
      await this.#sink.commit(unverified)
    })
  }

  async close(): Promise<void> {
    await this.#pace.settled()
    for (const { release } of this.#unverified) release()
    this.#unverified = []
    try {
      await this.#pace.exclusively(() => this.#closeIngest())
    } finally {
      this.#pace.freePlace()
      this.#permit?.[Symbol.dispose]()
    }
  }

  /** An ingest with a place; undefined when the wait for one was ended. */
  async #ready(): Promise<Ingest | undefined> {
    if (this.#ingest && this.#pace.hasPlace) return this.#ingest
    const { signal, isProvisional } = this.#options
    try {
      if (isProvisional && !this.#permit) this.#permit = await this.#deps.provisional.take(signal)
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
    if (!(await this.#pace.takePlace())) return undefined
    return this.#ingest ?? this.#pace.exclusively(() => this.#open())
  }

  async #open(): Promise<Ingest> {
    await this.#sink.renewSpace()
    const ingest = await this.#sink.open()
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
      if (small.length > 0) await this.#sink.commitTail(joinBytes(small))
      return
    }
    const checkpoint = await (isLast ? this.#ingest.finish() : this.#ingest.checkpoint())
    if (this.#options.isProvisional) this.#unverified.push(checkpoint)
    else await this.#sink.commit([checkpoint])
  }

  async #closeIngest(): Promise<void> {
    const ingest = this.#ingest
    this.#ingest = undefined
    await ingest?.[Symbol.asyncDispose]()
    await this.#sink.rest()
  }

  #takeSmall(): Uint8Array[] {
    const small = this.#small
    this.#small = []
    this.#smallBytes = 0
    return small
  }
}

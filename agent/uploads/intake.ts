// Intake: takes the pieces of one body into slices and the journal. Few bytes wait in memory and go to the journal as they
// are; more of them need a place and an ingest. Checkpoints go on beside the bytes.

import { problem } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'
import type { Checkpoint, Ingest } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import { isPlaceDue, YIELD_QUIET_MS } from './places.ts'
import type { Place, Places } from './places.ts'

/** A checkpoint at least every so many bytes and milliseconds. */
export const CHECKPOINT_BYTES = 64 * 1024 * 1024
export const CHECKPOINT_MS = 2000
/** A body that brought less than this since it got its place is a stalled one more likely than one that flows in bursts. */
const YIELD_SOON_BYTES = 1024 * 1024
const YIELD_SOON_MS = 5
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
  /** Lets go of files until the next commit. */
  rest(): Promise<void>
}

export interface IntakeDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly space: Pick<Space, 'isBelowReserve'>
  readonly places: Places
  /** Bodies with a checksum that hold an ingest open until they are verified. */
  readonly provisional: Places
}

export interface IntakeOptions {
  /** Nothing is committed before `commit`: the body has a checksum. */
  readonly isProvisional: boolean
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
  /** To be called several times a second with the time since the body's last byte, 0 while a piece is being taken. */
  tick(quietMs: number): void
  /** Hands the place on when the next piece takes long and others wait; `arrived` aborts when it is there. */
  yieldWhenQuiet(arrived: AbortSignal): Promise<void>
  /** Commits everything taken. `isLast`: the upload ends here. */
  commit(isLast: boolean): Promise<void>
  /** Lets go of everything. What was not committed is lost. */
  close(): Promise<void>
}

export class Intake implements BodyIntake {
  readonly #deps: IntakeDeps
  readonly #sink: Sink
  readonly #options: IntakeOptions
  /** Pieces that no ingest took yet. */
  #small: Uint8Array[] = []
  #smallBytes = 0
  #ingest: Ingest | undefined
  #place: Place | undefined
  #permit: Place | undefined
  /** Checkpoints of a body that is not verified yet. */
  #unverified: Checkpoint[] = []
  #received = 0
  #receivedAtPlace = 0
  #receivedAtCheckpoint = 0
  #checkpointMs: number
  #checkpointing: Promise<void> | undefined
  #parking: Promise<void> | undefined
  #yields = false
  /** The end of everything that works on the sink. */
  #last: Promise<void> = Promise.resolve()

  constructor(deps: IntakeDeps, sink: Sink, options: IntakeOptions) {
    this.#deps = deps
    this.#sink = sink
    this.#options = options
    this.#checkpointMs = deps.clock.monotonicMs()
  }

  get received(): number {
    return this.#received
  }

  /** Plain bytes may end anywhere. */
  get isWhole(): boolean {
    return true
  }

  async take(piece: Uint8Array): Promise<boolean> {
    await this.#parking
    if (!this.#ingest && this.#sink.tailLength + this.#smallBytes + piece.byteLength <= SMALL_TAIL_BYTES) {
      this.#small.push(piece)
      this.#smallBytes += piece.byteLength
      this.#received += piece.byteLength
      return true
    }
    const ingest = await this.#ready()
    if (!ingest) return false
    await ingest.write(piece)
    this.#received += piece.byteLength
    if (this.#received - this.#receivedAtCheckpoint >= CHECKPOINT_BYTES) {
      await this.#checkpointing
      this.#startCheckpoint()
    }
    if (this.#yields) this.#startParking()
    return true
  }

  tick(quietMs: number): void {
    const now = this.#deps.clock.monotonicMs()
    if (this.#place && isPlaceDue(this.#deps.places, this.#place, now, quietMs)) {
      if (quietMs > 0) this.#startParking()
      else this.#yields = true
      return
    }
    const isDue = this.#received > this.#receivedAtCheckpoint && now - this.#checkpointMs >= CHECKPOINT_MS
    if (isDue && !this.#checkpointing && !this.#parking && !(this.#options.isProvisional && !this.#ingest)) this.#startCheckpoint()
  }

  async yieldWhenQuiet(arrived: AbortSignal): Promise<void> {
    if (!this.#place || this.#deps.places.waiting === 0) return
    const isSlow = this.#received - this.#receivedAtPlace < YIELD_SOON_BYTES
    try {
      await this.#deps.clock.sleep(isSlow ? YIELD_SOON_MS : YIELD_QUIET_MS, arrived)
    } catch {
      // A piece came in time.
      return
    }
    if (this.#place && !arrived.aborted) this.#startParking()
  }

  async commit(isLast: boolean): Promise<void> {
    await this.#settled()
    // Small bytes that make the upload whole go into slices at once, unless the wait for a place was ended.
    if (isLast && this.#smallBytes > 0) await this.#ready()
    await this.#exclusively(async () => {
      await this.#checkpoint(isLast)
      if (this.#unverified.length === 0) return
      const unverified = this.#unverified
      this.#unverified = []
      await this.#sink.commit(unverified)
    })
  }

  async close(): Promise<void> {
    await this.#settled()
    for (const { release } of this.#unverified) release()
    this.#unverified = []
    try {
      await this.#exclusively(() => this.#closeIngest())
    } finally {
      this.#freePlace()
      this.#permit?.[Symbol.dispose]()
    }
  }

  /** An ingest with a place; undefined when the wait for one was ended. */
  async #ready(): Promise<Ingest | undefined> {
    if (this.#ingest && this.#place) return this.#ingest
    const { signal, isProvisional } = this.#options
    try {
      if (isProvisional && !this.#permit) this.#permit = await this.#deps.provisional.take(signal)
      this.#place = await this.#deps.places.take(signal)
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
    this.#receivedAtPlace = this.#received
    return this.#ingest ?? this.#exclusively(() => this.#open())
  }

  async #open(): Promise<Ingest> {
    await this.#refuseWithoutSpace()
    const ingest = await this.#sink.open()
    this.#ingest = ingest
    for (const piece of this.#takeSmall()) await ingest.write(piece)
    return ingest
  }

  #startCheckpoint(): void {
    this.#receivedAtCheckpoint = this.#received
    this.#checkpointMs = this.#deps.clock.monotonicMs()
    this.#checkpointing = this.#beside(async () => {
      await this.#checkpoint(false)
      await this.#refuseWithoutSpace()
    }).finally(() => (this.#checkpointing = undefined))
  }

  /** Commits what there is and gives the place back. A body that is not verified keeps its ingest: its pins hang on it. */
  #startParking(): void {
    if (this.#parking) return
    this.#parking = this.#beside(async () => {
      if (!this.#options.isProvisional) {
        await this.#checkpoint(false)
        this.#receivedAtCheckpoint = this.#received
        await this.#closeIngest()
      }
      this.#freePlace()
    }).finally(() => {
      this.#yields = false
      this.#parking = undefined
    })
  }

  async #checkpoint(isLast: boolean): Promise<void> {
    if (!this.#ingest) {
      const small = this.#takeSmall()
      if (small.length > 0) await this.#sink.commitTail(joined(small))
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

  async #refuseWithoutSpace(): Promise<void> {
    if (!(await this.#deps.space.isBelowReserve())) return
    throw problem('insufficient-storage', 'The free space of the store is below its reserve. What was acknowledged is kept.')
  }

  #takeSmall(): Uint8Array[] {
    const small = this.#small
    this.#small = []
    this.#smallBytes = 0
    return small
  }

  #freePlace(): void {
    this.#place?.[Symbol.dispose]()
    this.#place = undefined
  }

  async #settled(): Promise<void> {
    await this.#parking
    await this.#checkpointing
  }

  /** Runs what works on the sink, one after the other: a tail must not grow while an ingest is opened on it. */
  #exclusively<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(run)
    this.#last = result.then(
      () => {},
      // Told to whoever asked for it.
      () => {},
    )
    return result
  }

  /** Runs beside the body; a failure is told by the callback. */
  async #beside(run: () => Promise<void>): Promise<void> {
    try {
      await this.#exclusively(run)
    } catch (error) {
      this.#options.onFailure(error)
    }
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.byteLength
  }
  return whole
}

// Pace: when a body commits what it brought, and when its slot goes on to another body. Both kinds of intake keep it; what
// there is to commit and to let go of, only they know.

import type { Clock } from '../../contract/runtime.ts'
import { RENEWAL_BYTES } from '../limits/limits.ts'
import { isSlotDue, YIELD_QUIET_MS } from './ingest-slots.ts'
import type { IngestSlot, IngestSlots } from './ingest-slots.ts'

/** A checkpoint at least every so many bytes and milliseconds. */
const CHECKPOINT_BYTES = RENEWAL_BYTES
const CHECKPOINT_MS = 2000
const YIELD_SOON_MS = 5

export interface PaceDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly ingestSlots: IngestSlots
}

export interface PaceOptions {
  /** A body that brought less than this since it got its slot is a stalled one more likely than one that flows in bursts. */
  readonly flowingBytesMin: number
  /** Milliseconds since the body's last byte; 0 while a piece is being taken. */
  readonly quietMs: () => number
  /** Ends every wait for a slot. */
  readonly signal: AbortSignal
  /** Told when a step beside the body fails. */
  readonly onFailure: (error: unknown) => void
}

/** What an intake does when its time has come. Steps run one after the other. */
export interface PaceSteps {
  /** Whether a checkpoint would commit anything. */
  isNews(): boolean
  /** Commits what was taken. */
  checkpoint(): Promise<void>
  /** Commits what was taken and lets go of what the slot was for. */
  park(): Promise<void>
}

export class Pace {
  readonly #deps: PaceDeps
  readonly #options: PaceOptions
  readonly #steps: PaceSteps
  #slot: IngestSlot | undefined
  #received = 0
  #receivedAtSlot = 0
  #receivedAtCheckpoint = 0
  #checkpointMs: number
  #checkpointing: Promise<void> | undefined
  #parking: Promise<void> | undefined
  #yields = false
  #isWatching = false
  /** The end of everything that works on the commits. */
  #last: Promise<void> = Promise.resolve()

  constructor(deps: PaceDeps, options: PaceOptions, steps: PaceSteps) {
    this.#deps = deps
    this.#options = options
    this.#steps = steps
    this.#checkpointMs = deps.clock.monotonicMs()
  }

  /** Bytes of the body taken until now. */
  get received(): number {
    return this.#received
  }

  /** Bytes taken since the last checkpoint began. */
  get fresh(): number {
    return this.#received - this.#receivedAtCheckpoint
  }

  get isCheckpointDue(): boolean {
    return this.fresh >= CHECKPOINT_BYTES
  }

  get hasSlot(): boolean {
    return this.#slot !== undefined
  }

  /** Ends when the slot has gone on, while it is on its way; a body takes no piece before. */
  get parking(): Promise<void> | undefined {
    return this.#parking
  }

  add(bytes: number): void {
    this.#received += bytes
  }

  /** Waits for a slot; false when the wait was ended. */
  async acquireSlot(): Promise<boolean> {
    const { signal } = this.#options
    try {
      this.#slot = await this.#deps.ingestSlots.acquire(signal)
    } catch (error) {
      if (signal.aborted) return false
      throw error
    }
    this.#receivedAtSlot = this.#received
    return true
  }

  releaseSlot(): void {
    this.#slot?.[Symbol.dispose]()
    this.#slot = undefined
  }

  /** Starts a checkpoint beside the body once the one before has ended. */
  async startCheckpoint(): Promise<void> {
    await this.#checkpointing
    this.#startCheckpoint()
  }

  /** To be called after each piece: hands the slot on when that was due in the middle of it. */
  endPiece(): void {
    if (this.#yields) this.#startParking()
  }

  /** To be called several times a second. */
  tick(): void {
    const now = this.#deps.clock.monotonicMs()
    const quietMs = this.#options.quietMs()
    if (this.#slot && isSlotDue(this.#deps.ingestSlots, this.#slot, now, quietMs)) {
      if (quietMs > 0) this.#startParking()
      else this.#yields = true
      return
    }
    const isDue = now - this.#checkpointMs >= CHECKPOINT_MS && this.#steps.isNews()
    if (isDue && !this.#checkpointing && !this.#parking) this.#startCheckpoint()
  }

  /** To be called before each piece is waited for: hands the slot on when that takes long and others wait. */
  startPiece(): void {
    if (!this.#isWatching && this.#isWanted()) void this.#watch()
  }

  /** Resolves when no step is under way. */
  async settled(): Promise<void> {
    await this.#parking
    await this.#checkpointing
  }

  /** Runs what works on the commits, one after the other: a tail must not grow while an ingest is opened on it. */
  exclusively<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(run)
    this.#last = result.then(
      () => {},
      // Told to whoever asked for it.
      () => {},
    )
    return result
  }

  #isWanted(): boolean {
    return this.#slot !== undefined && this.#parking === undefined && this.#deps.ingestSlots.waiting > 0
  }

  /** One wait follows the other, however many pieces come: a timer for each of them would cost more than taking it. */
  async #watch(): Promise<void> {
    this.#isWatching = true
    while (this.#isWanted()) {
      const isFlowing = this.#received - this.#receivedAtSlot >= this.#options.flowingBytesMin
      const leftMs = (isFlowing ? YIELD_QUIET_MS : YIELD_SOON_MS) - this.#options.quietMs()
      if (leftMs <= 0) this.#startParking()
      else await this.#deps.clock.sleep(leftMs)
    }
    this.#isWatching = false
  }

  #startCheckpoint(): void {
    this.#markCheckpoint()
    this.#checkpointing = this.#beside(() => this.#steps.checkpoint()).finally(() => (this.#checkpointing = undefined))
  }

  #startParking(): void {
    if (this.#parking) return
    this.#parking = this.#beside(async () => {
      this.#markCheckpoint()
      await this.#steps.park()
      this.releaseSlot()
    }).finally(() => {
      this.#yields = false
      this.#parking = undefined
    })
  }

  #markCheckpoint(): void {
    this.#receivedAtCheckpoint = this.#received
    this.#checkpointMs = this.#deps.clock.monotonicMs()
  }

  /** Runs beside the body; a failure is told by the callback. */
  async #beside(run: () => Promise<void>): Promise<void> {
    try {
      await this.exclusively(run)
    } catch (error) {
      this.#options.onFailure(error)
    }
  }
}

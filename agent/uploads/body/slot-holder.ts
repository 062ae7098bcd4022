// Slot holder: the ingest slot of one body. It parks a body that has been silent, or has held its slot for long, so that the slot
// passes to a body that waits.

import type { Clock } from '../../contract/runtime.ts'
import type { BodySteps } from './body-steps.ts'
import { isSlotDue, YIELD_QUIET_MS } from './ingest-slots.ts'
import type { IngestSlot, IngestSlots } from './ingest-slots.ts'

/** Silence after which a body that has brought few bytes yields its slot while others wait, in milliseconds. */
const YIELD_SOON_MS = 5

export interface SlotHolderDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly ingestSlots: IngestSlots
  readonly steps: BodySteps
  /** Commits what arrived so far and closes whatever needs the slot. */
  readonly park: () => Promise<void>
  /** Bytes of the body accepted so far. */
  readonly received: () => number
  /** A body that brought less than this since it acquired its slot has more likely stalled than paused between bursts. */
  readonly flowingBytesMin: number
  /** Milliseconds since the last byte of the body; 0 while a piece is being processed. */
  readonly quietMs: () => number
  /** Ends the wait for a slot. */
  readonly signal: AbortSignal
}

export class SlotHolder {
  readonly #deps: SlotHolderDeps
  #slot: IngestSlot | undefined
  #receivedBefore = 0
  #parking: Promise<void> | undefined
  #yields = false
  #isWatching = false

  constructor(deps: SlotHolderDeps) {
    this.#deps = deps
  }

  get hasSlot(): boolean {
    return this.#slot !== undefined
  }

  /** Resolves when the body is parked; undefined when it is not being parked. The body accepts no piece meanwhile. */
  get parking(): Promise<void> | undefined {
    return this.#parking
  }

  /** Waits for a slot. Returns false when the signal ended the wait. */
  async acquire(): Promise<boolean> {
    const { signal, ingestSlots, received } = this.#deps
    try {
      this.#slot = await ingestSlots.acquire(signal)
    } catch (error) {
      if (signal.aborted) return false
      throw error
    }
    this.#receivedBefore = received()
    return true
  }

  release(): void {
    this.#slot?.[Symbol.dispose]()
    this.#slot = undefined
  }

  /** Starts to watch the wait for the next piece: the body is parked when that takes long and others wait. Called before each piece. */
  startPiece(): void {
    if (!this.#isWatching && this.#isWanted()) void this.#watch()
  }

  /** Parks the body when that became due while the piece was processed. Called after each piece. */
  endPiece(): void {
    if (this.#yields) this.#startParking()
  }

  /** Parks the body when its slot is due, at once or after the present piece. Returns whether it does. Called several times a second. */
  tick(): boolean {
    const quietMs = this.#deps.quietMs()
    if (!this.#slot || !isSlotDue(this.#deps.ingestSlots, this.#slot, this.#deps.clock.monotonicMs(), quietMs)) return this.#parking !== undefined
    if (quietMs > 0) this.#startParking()
    else this.#yields = true
    return true
  }

  #isWanted(): boolean {
    return this.#slot !== undefined && this.#parking === undefined && this.#deps.ingestSlots.waiting > 0
  }

  /** Watches with one wait after the other, however many pieces arrive: a timer for each piece would cost more than the piece. */
  async #watch(): Promise<void> {
    const { received, flowingBytesMin, quietMs, clock } = this.#deps
    this.#isWatching = true
    while (this.#isWanted()) {
      const isFlowing = received() - this.#receivedBefore >= flowingBytesMin
      const leftMs = (isFlowing ? YIELD_QUIET_MS : YIELD_SOON_MS) - quietMs()
      if (leftMs <= 0) this.#startParking()
      else await clock.sleep(leftMs)
    }
    this.#isWatching = false
  }

  #startParking(): void {
    if (this.#parking) return
    const park = async (): Promise<void> => {
      await this.#deps.park()
      this.release()
    }
    this.#parking = this.#deps.steps.runInBackground(park).finally(() => {
      this.#yields = false
      this.#parking = undefined
    })
  }
}

// Checkpoints: when a body commits what arrived so far. At most one is in progress, and the body continues meanwhile.

import type { Clock } from '../../contract/runtime.ts'
import { RENEWAL_BYTES } from '../limits/limits.ts'
import type { BodySteps } from './body-steps.ts'

/** A checkpoint starts at the latest after this many bytes, and after this many milliseconds. */
const CHECKPOINT_BYTES = RENEWAL_BYTES
const CHECKPOINT_MS = 2000

export interface CheckpointsDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly steps: BodySteps
  /** Whether a checkpoint would commit anything. */
  readonly hasNews: () => boolean
  /** Commits what arrived so far. */
  readonly commit: () => Promise<void>
}

export class Checkpoints {
  readonly #deps: CheckpointsDeps
  #received = 0
  #receivedBefore = 0
  #startedMs: number
  #running: Promise<void> | undefined

  constructor(deps: CheckpointsDeps) {
    this.#deps = deps
    this.#startedMs = deps.clock.monotonicMs()
  }

  /** Bytes of the body accepted so far. */
  get received(): number {
    return this.#received
  }

  /** Bytes accepted since the last checkpoint started. */
  get fresh(): number {
    return this.#received - this.#receivedBefore
  }

  /** Whether enough bytes arrived for a checkpoint. */
  get isDue(): boolean {
    return this.fresh >= CHECKPOINT_BYTES
  }

  /** Counts bytes that were accepted. */
  add(bytes: number): void {
    this.#received += bytes
  }

  /** Notes that everything received so far is being committed, by a checkpoint or otherwise. */
  mark(): void {
    this.#receivedBefore = this.#received
    this.#startedMs = this.#deps.clock.monotonicMs()
  }

  /** Starts a checkpoint in the background, after the one in progress has ended. */
  async start(): Promise<void> {
    await this.#running
    this.#startNow()
  }

  /** Starts a checkpoint when enough time has passed. Called several times a second. */
  tick(): void {
    const isLate = this.#deps.clock.monotonicMs() - this.#startedMs >= CHECKPOINT_MS
    if (isLate && !this.#running && this.#deps.hasNews()) this.#startNow()
  }

  #startNow(): void {
    this.mark()
    this.#running = this.#deps.steps.runInBackground(this.#deps.commit).finally(() => (this.#running = undefined))
  }
}

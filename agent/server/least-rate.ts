// Measures the rate of a peer while the server waits for it. Other time does not count, such as that of a body that waits for an ingest slot,
// or of an answer whose slices are being read.

import type { RateLimit } from './limits.ts'

export class LeastRate {
  readonly #limit: RateLimit
  /** Start of the present wait; undefined while the server is the slow one. */
  #waitingSinceMs: number | undefined
  #waitedMs = 0
  #bytes = 0

  constructor(limit: RateLimit) {
    this.#limit = limit
  }

  /** Whether the server waits for the peer now. */
  get isWaiting(): boolean {
    return this.#waitingSinceMs !== undefined
  }

  /** Called when the server starts to wait for the peer. */
  wait(nowMs: number): void {
    this.#waitingSinceMs ??= nowMs
  }

  /** Called when the peer moved bytes. */
  moved(bytes: number): void {
    this.#bytes += bytes
  }

  /** Called when the wait is over. */
  rest(nowMs: number): void {
    if (this.#waitingSinceMs !== undefined) this.#waitedMs += nowMs - this.#waitingSinceMs
    this.#waitingSinceMs = undefined
  }

  /** Whether the peer moved less than it had to in the window that ends now. A window that was good enough starts the next one. */
  isTooSlow(nowMs: number): boolean {
    if (this.#waitingSinceMs === undefined) return false
    const { bytesPerSecondMin, windowMs } = this.#limit
    const waitedMs = this.#waitedMs + nowMs - this.#waitingSinceMs
    if (waitedMs < windowMs) return false
    if (this.#bytes * 1000 < bytesPerSecondMin * waitedMs) return true
    this.#bytes = 0
    this.#waitedMs = 0
    this.#waitingSinceMs = nowMs
    return false
  }
}

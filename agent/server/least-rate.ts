// Measures the rate of a peer while the server waits for it. Other time does not count, such as the time in which a body waits for an ingest
// slot, or an answer for its slices to be read.

import type { RateLimit } from './limits.ts'

export class LeastRate {
  readonly #limit: RateLimit
  /** Start of the current wait; undefined while the server does not wait for the peer. */
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

  /** Called when bytes were sent to or received from the peer. */
  moved(bytes: number): void {
    this.#bytes += bytes
  }

  /** Called when the wait ends. */
  rest(nowMs: number): void {
    if (this.#waitingSinceMs !== undefined) this.#waitedMs += nowMs - this.#waitingSinceMs
    this.#waitingSinceMs = undefined
  }

  /** Whether the peer was below the least rate in the window that ends now. If it was not, a new window starts. */
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

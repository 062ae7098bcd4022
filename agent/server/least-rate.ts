// Measures a peer that the server waits for. Only the time spent waiting counts: a body that waits for its turn, or an
// answer whose slices are being read, costs the peer nothing.

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

  /** From `nowMs` on the peer is waited for. */
  wait(nowMs: number): void {
    this.#waitingSinceMs ??= nowMs
  }

  /** The peer moved bytes. */
  moved(bytes: number): void {
    this.#bytes += bytes
  }

  /** The wait is over. */
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

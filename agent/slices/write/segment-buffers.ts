// Buffers of the segments of one ingest. They are allocated when first needed, transferred to a worker and back, and reused.

import { SEGMENT_BYTES, SEGMENTS_IN_FLIGHT_MAX } from '../packs/parameters.ts'
import { RECORD_HEADER_BYTES } from '../packs/record.ts'

export interface Buffers {
  /** Room for the bytes left over from the segment before, then SEGMENT_BYTES. */
  readonly input: ArrayBuffer
  /** Room for the records of all slices of the segment. */
  readonly output: ArrayBuffer
}

export class SegmentBuffers {
  readonly #inputBytes: number
  readonly #outputBytes: number
  readonly #free: Buffers[] = []
  #allocated = 0
  #released: PromiseWithResolvers<void> | undefined

  /** `headroom` is the most that a segment leaves over, `block` the shortest slice between zero blocks, both in bytes. */
  constructor(headroom: number, block: number) {
    this.#inputBytes = headroom + SEGMENT_BYTES
    // At worst every block is a slice of its own, between zero blocks.
    this.#outputBytes = this.#inputBytes + (this.#inputBytes / block + 1) * RECORD_HEADER_BYTES
  }

  /** Takes free buffers, or allocates some up to SEGMENTS_IN_FLIGHT_MAX; undefined when all are in use. */
  take(): Buffers | undefined {
    return this.#free.pop() ?? this.#allocate()
  }

  /** Resolves when buffers are put back, or at `wake`. */
  released(): Promise<void> {
    this.#released ??= Promise.withResolvers()
    return this.#released.promise
  }

  put(buffers: Buffers): void {
    this.#free.push(buffers)
    this.wake()
  }

  /** Wakes whatever waits for buffers, so that it sees that the ingest has failed. */
  wake(): void {
    this.#released?.resolve()
    this.#released = undefined
  }

  #allocate(): Buffers | undefined {
    if (this.#allocated >= SEGMENTS_IN_FLIGHT_MAX) return undefined
    this.#allocated++
    return { input: new ArrayBuffer(this.#inputBytes), output: new ArrayBuffer(this.#outputBytes) }
  }
}

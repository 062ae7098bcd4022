// The filter of all slices that the index database has, and its making from the rows in steps.

import { createFilter } from './filter.ts'
import type { Filter } from './filter.ts'

const CAPACITY_MIN = 1024 * 1024

/** Owns the filter. Until it was made once from all rows its "no" says nothing. */
export class KnownSlices {
  #filter: Filter
  /** The one that is being made. */
  #next: Filter | undefined
  #adds = 0
  #isComplete = false

  constructor(slices: number) {
    this.#filter = createFilter(capacityFor(slices))
  }

  get filter(): Filter {
    return this.#filter
  }

  /** More slices were added than the filter was made for, or removed since: it answers "perhaps" too often. */
  get isWorn(): boolean {
    return this.#adds > this.#filter.capacity
  }

  add(digest: Uint8Array): void {
    this.#filter.add(digest)
    this.#next?.add(digest)
    this.#adds++
  }

  isCertainlyNew(digest: Uint8Array): boolean {
    return this.#isComplete && !this.#filter.mayHave(digest)
  }

  /** Replaces the filter by one for so many slices, made from batches of digests; `pause` is awaited between them. */
  async rebuild(slices: number, batches: Iterable<readonly Uint8Array[]>, pause: () => Promise<void>): Promise<void> {
    const filter = createFilter(capacityFor(slices))
    // What is added meanwhile goes to both; until the new one is whole only the old one answers.
    this.#next = filter
    let adds = 0
    for (const digests of batches) {
      for (const digest of digests) filter.add(digest)
      adds += digests.length
      await pause()
    }
    this.#filter = filter
    this.#adds = adds
    this.#next = undefined
    this.#isComplete = true
  }
}

/** Room for a store to double before the filter is made anew. */
function capacityFor(slices: number): number {
  return Math.max(CAPACITY_MIN, slices * 2)
}

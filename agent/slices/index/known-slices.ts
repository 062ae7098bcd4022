// The filter of all slices in the index database, which is rebuilt from all rows while it is in use.

import { createFilter } from './filter.ts'
import type { Filter } from './filter.ts'

const CAPACITY_MIN = 1024 * 1024

/** Owns the filter. Until it has been built once from all rows, its "no" is not used. */
export class KnownSlices {
  #filter: Filter
  #adds = 0
  #isComplete = false
  /** Digests added during a rebuild of the filter. They are added to it at the end, because only one thread may write to it at a time. */
  #late: Uint8Array[] | undefined

  constructor(slices: number) {
    this.#filter = createFilter(capacityFor(slices))
  }

  get filter(): Filter {
    return this.#filter
  }

  /** Whether the filter answers "maybe" too often: more slices were added than it has room for. */
  get isWorn(): boolean {
    return this.#adds > this.#filter.capacity
  }

  add(digest: Uint8Array): void {
    this.#filter.add(digest)
    this.#late?.push(digest)
    this.#adds++
  }

  isCertainlyNew(digest: Uint8Array): boolean {
    return this.#isComplete && !this.#filter.mayHave(digest)
  }

  /** Replaces the filter by one for this many slices: these digests, those that `fill` adds, and those added meanwhile. */
  async rebuild(slices: number, digests: Iterable<Uint8Array>, fill: (filter: Filter) => Promise<void>): Promise<void> {
    const filter = createFilter(capacityFor(slices))
    const late: Uint8Array[] = []
    this.#late = late
    try {
      for (const digest of digests) filter.add(digest)
      await fill(filter)
    } finally {
      this.#late = undefined
    }
    for (const digest of late) filter.add(digest)
    this.#filter = filter
    this.#adds = slices
    this.#isComplete = true
  }
}

/** Returns a capacity with which a store can double before its filter is rebuilt. */
function capacityFor(slices: number): number {
  return Math.max(CAPACITY_MIN, slices * 2)
}

// The filter of all slices that the index database has, and its making from all rows beside its use.

import { createFilter } from './filter.ts'
import type { Filter } from './filter.ts'

const CAPACITY_MIN = 1024 * 1024

/** Owns the filter. Until it was made once from all rows its "no" says nothing. */
export class KnownSlices {
  #filter: Filter
  #adds = 0
  #isComplete = false
  /** Added while another filter is made: it gets them at the end, because a thread that fills it must be the only one. */
  #late: Uint8Array[] | undefined

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
    this.#late?.push(digest)
    this.#adds++
  }

  isCertainlyNew(digest: Uint8Array): boolean {
    return this.#isComplete && !this.#filter.mayHave(digest)
  }

  /** Replaces the filter by one for so many slices: these digests, what `fill` adds, and what comes meanwhile. */
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

/** Room for a store to double before the filter is made anew. */
function capacityFor(slices: number): number {
  return Math.max(CAPACITY_MIN, slices * 2)
}

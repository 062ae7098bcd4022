// Slices that a search of all packs did not find, so that the packs are not searched for them again.

import { sliceKey } from '../packs/slice-row.ts'

/** Slices remembered at most, about 8 MiB; beyond that the set is emptied, which costs another search. */
const ABSENT_MAX = 64 * 1024

export class AbsentSlices {
  readonly #keys = new Set<string>()

  add(digest: Uint8Array): void {
    if (this.#keys.size >= ABSENT_MAX) this.#keys.clear()
    this.#keys.add(sliceKey(digest))
  }

  has(digest: Uint8Array): boolean {
    return this.#keys.has(sliceKey(digest))
  }

  delete(digest: Uint8Array): void {
    // Almost always empty: no key is computed on the path of an upload.
    if (this.#keys.size > 0) this.#keys.delete(sliceKey(digest))
  }
}

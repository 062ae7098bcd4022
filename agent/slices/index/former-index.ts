// The runs of a damaged index during a rebuild: they are consulted for slices that the new index does not have yet.

import { isIndexDamaged } from './index-unusable.ts'
import type { RunFile } from './run-file.ts'
import type { Location } from '../packs/slice-row.ts'

/** Owns the runs, newest first, and deletes their files when disposed. */
export class FormerIndex implements Disposable {
  readonly #runs: readonly RunFile[]
  /** Slices and stored bytes before the rebuild. */
  readonly totals: { readonly rows: number; readonly bytes: number }

  constructor(runs: readonly RunFile[], totals: { readonly rows: number; readonly bytes: number }) {
    this.#runs = runs
    this.totals = totals
  }

  /** Returns the location of a slice; undefined from the first damaged block on, because an older run may be out of date. */
  find(digest: Uint8Array): Location | undefined {
    const key = Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength)
    try {
      for (const run of this.#runs) {
        const found = run.mayHave(digest) ? run.find(key) : undefined
        if (found !== undefined) return found === 'removed' ? undefined : found
      }
    } catch (error) {
      if (!isIndexDamaged(error)) throw error
    }
    return undefined
  }

  [Symbol.dispose](): void {
    for (const run of this.#runs) run.discard()
  }
}

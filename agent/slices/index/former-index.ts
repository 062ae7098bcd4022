// The runs of a damaged index, while the index is made anew: they still answer for slices that the new one does not have yet.

import { isIndexDamaged } from './index-unusable.ts'
import type { RunFile } from './run-file.ts'
import type { Location } from '../packs/slice-row.ts'

/** Owns the runs, the newest first; their files go with it. */
export class FormerIndex implements Disposable {
  readonly #runs: readonly RunFile[]
  /** What there was of slices and bytes in all. */
  readonly totals: { readonly rows: number; readonly bytes: number }

  constructor(runs: readonly RunFile[], totals: { readonly rows: number; readonly bytes: number }) {
    this.#runs = runs
    this.totals = totals
  }

  /** Where a slice lies; undefined when that cannot be told, because an older run may say what is true no more. */
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

// A damaged index file, while the index is made anew beside it: it still answers for slices that the new one does not have yet. What it
// says may be wrong, as with every index that is not known to be damaged yet: who reads by it verifies the record.

import { IndexFile, isIndexDamaged, removeIndexFile, renameIndexFile } from './index-file.ts'
import type { Totals } from './index-file.ts'
import { sliceKey } from './slice-row.ts'
import type { Location, PackEntry } from './slice-row.ts'

const FORMER_SUFFIX = '.former'
const NEXT_SUFFIX = '.next'

/** Owns the damaged file, which goes with it. */
export class FormerIndex implements Disposable {
  readonly #path: string
  #file: IndexFile | undefined
  /** What it said of slices and bytes in all. */
  readonly totals: Totals
  readonly #forgotten = new Set<string>()

  private constructor(path: string, file: IndexFile | undefined, totals: Totals) {
    this.#path = path
    this.#file = file
    this.totals = totals
  }

  /** Removes what a process left that ended on the way. */
  static removeAt(path: string): void {
    removeIndexFile(path + FORMER_SUFFIX)
    removeIndexFile(path + NEXT_SUFFIX)
  }

  /** Puts an empty file with these packs in the place of the one that is open at a path. Until both are there nothing has changed. */
  static replace(path: string, file: IndexFile, totals: Totals, packs: Iterable<PackEntry>, lastPackId: number): { former: FormerIndex; file: IndexFile } {
    removeIndexFile(path + NEXT_SUFFIX)
    {
      using next = IndexFile.open(path + NEXT_SUFFIX)
      next.addPacks(packs)
      next.setLastPackId(lastPackId)
      next.makeDurable()
    }
    file[Symbol.dispose]()
    renameIndexFile(path, path + FORMER_SUFFIX)
    renameIndexFile(path + NEXT_SUFFIX, path)
    return { former: new FormerIndex(path + FORMER_SUFFIX, openDamaged(path + FORMER_SUFFIX), totals), file: IndexFile.open(path) }
  }

  /** Where a slice lies, as far as the file can still tell. */
  find(digest: Uint8Array): Location | undefined {
    if (this.#forgotten.has(sliceKey(digest))) return undefined
    try {
      return this.#file?.find(digest)
    } catch (error) {
      if (!isIndexDamaged(error)) throw error
      return undefined
    }
  }

  /** A slice that was removed since. */
  forget(digest: Uint8Array): void {
    this.#forgotten.add(sliceKey(digest))
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]()
    this.#file = undefined
    removeIndexFile(this.#path)
  }
}

function openDamaged(path: string): IndexFile | undefined {
  try {
    return IndexFile.open(path)
  } catch {
    // Then it answers nothing, and everything is looked for in the packs.
    return undefined
  }
}

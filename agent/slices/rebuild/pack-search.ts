// Searches the packs for slices that the index database lacks or has at a wrong location. Calls made during one pass over all tables of
// contents share the next pass. Slices that no pack has are remembered; finding one shows that the index is damaged.

import type { Log } from '../../contract/runtime.ts'
import type { CorrectableIndex } from '../index/index-roles.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import { readSealedRows } from '../packs/pack-scan.ts'
import type { Quarantine } from './quarantine.ts'
import { recordFault } from '../packs/record-check.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { Location, PackEntry } from '../packs/slice-row.ts'

export interface PackSearchDeps {
  readonly log: Log
  readonly index: CorrectableIndex
  readonly files: PackFiles
  readonly quarantine: Quarantine
  /** Reads the packs again that could not be read when the store was opened. */
  readonly retryLeftOut: () => Promise<void>
  /** Lets other work on the event loop run first. */
  readonly pause: () => Promise<void>
}

export interface PackSearch {
  /** Searches the packs for those of the slices that the index lacks, and adds what it finds to the index. Resolves after the last pack. */
  find(digests: readonly Uint8Array[]): Promise<void>
  /**
   * Decides why a record does not match the index. Returns `damaged` when the pack's own table has the slice at this location, the actual
   * location when the index was wrong, or `lost` when no pack has the slice. Corrects the index.
   */
  judge(digest: Uint8Array, at: Location): Promise<'damaged' | 'lost' | Location>
}

/** One pass over the packs. */
interface Pass {
  /** By slice key; `wrong` is a location at which the slice is known not to be. */
  readonly wanted: Map<string, Wanted>
  readonly done: Promise<void>
}

interface Wanted {
  readonly digest: Uint8Array
  readonly wrong: Location | undefined
}

/** Creates the search of a store. At most one pass runs at a time, and one is pending. */
export function createPackSearch(deps: PackSearchDeps): PackSearch {
  const { index } = deps
  let running: Pass | undefined
  let next: Pass | undefined

  const planPass = (after: Promise<void>): Pass => {
    const wanted = new Map<string, Wanted>()
    const done = after.then(async () => {
      running = next
      next = undefined
      try {
        await searchPacks(deps, wanted)
      } finally {
        running = undefined
      }
    })
    return { wanted, done }
  }

  const search = async (wanted: readonly Wanted[]): Promise<void> => {
    if (wanted.length === 0) return
    const current = running
    if (current && wanted.every(({ digest }) => current.wanted.has(sliceKey(digest)))) return current.done
    next ??= planPass(current ? current.done.catch(() => {}) : Promise.resolve())
    for (const one of wanted) next.wanted.set(sliceKey(one.digest), one)
    return next.done
  }

  return {
    find: (digests) => search(digests.filter((digest) => !index.find(digest) && !index.isKnownAbsent(digest)).map((digest) => ({ digest, wrong: undefined }))),

    async judge(digest, at) {
      const pack = index.pack(at.pack)
      // The rows of an unsealed pack never left memory.
      if (pack && !pack.sealed) return 'damaged'
      if (pack) {
        const own = (await deps.files.use(pack.name, readSealedRows)).find((row) => Buffer.compare(row.digest, digest) === 0 && row.offset === at.offset)
        if (own && isSame(own, at)) return 'damaged'
      }
      await search([{ digest, wrong: at }])
      const found = index.find(digest)
      if (found && !isSamePlace(found, at)) return found
      // Removed, so that no later upload deduplicates against a slice that is not stored.
      index.removeAll([{ digest, pack: at.pack, offset: at.offset }])
      return 'lost'
    },
  }
}

function isSame(a: Omit<Location, 'pack'>, b: Omit<Location, 'pack'>): boolean {
  return a.offset === b.offset && a.length === b.length && a.storedLength === b.storedLength
}

function isSamePlace(a: Location, b: Location): boolean {
  return a.pack === b.pack && isSame(a, b)
}

/** Searches the tables of all sealed packs; the rows of an unsealed pack never left memory. */
async function searchPacks(deps: PackSearchDeps, wanted: ReadonlyMap<string, Wanted>): Promise<void> {
  const { index, log } = deps
  await deps.retryLeftOut()
  let isComplete = true
  for (const pack of [...index.packs()]) {
    if (!pack.sealed) continue
    try {
      await searchPack(deps, pack, wanted)
    } catch (error) {
      if (!index.pack(pack.id)) continue
      isComplete = false
      log.warn('a pack cannot be searched for lost slices', { pack: pack.name, error })
    }
    await deps.pause()
  }
  // A pack that could not be read may have them.
  if (isComplete) for (const one of wanted.values()) if (isLacking(index, one)) index.noteAbsent(one.digest)
}

async function searchPack(deps: PackSearchDeps, pack: PackEntry, wanted: ReadonlyMap<string, Wanted>): Promise<void> {
  const { index, files, quarantine } = deps
  for (const row of await files.use(pack.name, readSealedRows)) {
    const one = wanted.get(sliceKey(row.digest))
    if (!one || !isLacking(index, one) || quarantine.has(row.digest, pack.name, row.offset)) continue
    const fault = await files.use(pack.name, (file) => recordFault(file, row))
    if (!index.pack(pack.id) || !isLacking(index, one)) continue
    if (fault) {
      await quarantine.add(row.digest, { ...row, pack: pack.id }, fault)
    } else {
      // Reported now: a rebuild in progress may be complete when the search ends.
      index.distrust('it had lost slices that are in the packs')
      index.add(pack.id, [row])
    }
  }
}

/** Whether the index lacks the slice or still has it at the wrong location. */
function isLacking(index: CorrectableIndex, { digest, wrong }: Wanted): boolean {
  const at = index.find(digest)
  return !at || (wrong !== undefined && isSamePlace(at, wrong))
}

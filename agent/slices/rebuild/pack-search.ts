// Search of the packs themselves, for slices that the index database does not give or gives at a wrong place. One pass over
// all tables of contents serves everybody who asks meanwhile; what no pack has is remembered, and what is found says that the index is damaged.

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
  /** Tries again to read packs that could not be read at the start. */
  readonly retryLeftOut: () => Promise<void>
  /** Lets other work on the event loop go first. */
  readonly pause: () => Promise<void>
}

export interface PackSearch {
  /** Enters into the index those of the slices that a pack holds whole and that the index lacks, and resolves when all packs were looked at. */
  find(digests: readonly Uint8Array[]): Promise<void>
  /**
   * What to think of a record that is not what the index says of this place: `damaged` when the pack itself says that the slice lies there,
   * else where it does, or `lost` when no pack has it. The index is corrected.
   */
  judge(digest: Uint8Array, at: Location): Promise<'damaged' | 'lost' | Location>
}

/** One pass over the packs. */
interface Pass {
  /** By slice key; `wrong` is a place where the slice does not lie, whatever the index says. */
  readonly wanted: Map<string, Wanted>
  readonly done: Promise<void>
}

interface Wanted {
  readonly digest: Uint8Array
  readonly wrong: Location | undefined
}

export function createPackSearch(deps: PackSearchDeps): PackSearch {
  const { index } = deps
  let running: Pass | undefined
  let next: Pass | undefined

  const begin = (after: Promise<void>): Pass => {
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
    const under = running
    if (under && wanted.every(({ digest }) => under.wanted.has(sliceKey(digest)))) return under.done
    next ??= begin(under ? under.done.catch(() => {}) : Promise.resolve())
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
      // Nobody may count on a slice that is not there.
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

/** Looks at every record of every sealed pack; the rows of an unsealed one never left memory. */
async function searchPacks(deps: PackSearchDeps, wanted: ReadonlyMap<string, Wanted>): Promise<void> {
  const { index, log } = deps
  await deps.retryLeftOut()
  let isWhole = true
  for (const pack of [...index.packs()]) {
    if (!pack.sealed) continue
    try {
      await searchPack(deps, pack, wanted)
    } catch (error) {
      if (!index.pack(pack.id)) continue
      isWhole = false
      log.warn('a pack cannot be searched for lost slices', { pack: pack.name, error })
    }
    await deps.pause()
  }
  // A pack that could not be read may hold them.
  if (isWhole) for (const one of wanted.values()) if (isLacking(index, one)) index.noteAbsent(one.digest)
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
      // Told now: an index that is being made anew may be whole when the search ends.
      index.distrust('it had lost slices that are in the packs')
      index.add(pack.id, [row])
    }
  }
}

/** Whether the index does not give the slice, or still where it does not lie. */
function isLacking(index: CorrectableIndex, { digest, wrong }: Wanted): boolean {
  const at = index.find(digest)
  return !at || (wrong !== undefined && isSamePlace(at, wrong))
}

// Roots for gc: a lease keeps the slices of its manifest that are here.

import { manifestEntries, ManifestInvalid } from '../../protocol/manifest.ts'
import type { ManifestBlock, ManifestEntry } from '../../protocol/manifest.ts'
import { walkManifest } from '../../protocol/manifest-file.ts'
import type { SliceRoot } from '../contract/slices.ts'
import { HASHES } from './lease-files.ts'
import type { LeaseFiles } from './lease-files.ts'

/** Entries of a lease that are looked up in one call. */
const LOOKUPS = 256

/** Returns, as indexes, those of the digests that the store does not have. */
export type Missing = (digests: readonly Uint8Array[]) => number[]

export interface LeaseRootDeps {
  readonly files: Pick<LeaseFiles, 'open'>
  readonly missing: Missing
  /** Whether a sync in progress relies on the lease. */
  readonly isRelied: () => boolean
}

/** Returns the root of a lease. It names only slices that are here: slices that are still to be copied are not missing. */
export function leaseRoot(id: string, deps: LeaseRootDeps): SliceRoot {
  return {
    name: `sync ${id}`,
    async *entries() {
      for await (const block of walkLease(id, deps)) {
        let window: ManifestEntry[] = []
        for (const entry of manifestEntries(block)) {
          if (!entry.digest) continue
          window.push(entry)
          if (window.length < LOOKUPS) continue
          yield* present(window, deps.missing)
          window = []
        }
        yield* present(window, deps.missing)
      }
    },
  }
}

/**
 * Yields the blocks of a lease; of a damaged one, those before the damage. A lease that a sync relies on must be whole: otherwise the error
 * goes to gc, which then removes nothing.
 */
async function* walkLease(id: string, { files, isRelied }: LeaseRootDeps): AsyncGenerator<ManifestBlock> {
  const file = await files.open(id)
  if (!file) {
    if (isRelied()) throw new Error('the lease of a sync in progress has vanished')
    return
  }
  try {
    yield* walkManifest(file, HASHES)
  } catch (error) {
    if (!(error instanceof ManifestInvalid) || isRelied()) throw error
  } finally {
    await file.close()
  }
}

function* present(entries: readonly ManifestEntry[], missing: Missing): Generator<ManifestEntry> {
  const absent = new Set(missing(entries.map(({ digest }) => digest ?? new Uint8Array(0))))
  for (const [i, entry] of entries.entries()) if (!absent.has(i)) yield entry
}

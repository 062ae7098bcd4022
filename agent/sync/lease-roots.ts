// Roots for gc: a lease protects those slices of its manifest that the store already has.

import { manifestEntries, ManifestInvalid } from '../../protocol/slices/manifest.ts'
import type { ManifestBlock, ManifestEntry } from '../../protocol/slices/manifest.ts'
import { walkManifest } from '../../protocol/slices/manifest-file.ts'
import type { SliceRoot } from '../contract/slices.ts'
import { HASHES } from './lease-files.ts'
import type { LeaseFiles } from './lease-files.ts'

/** Number of entries of a lease per lookup. */
const LOOKUPS = 256

/** Returns the indexes of the digests that the store does not have. */
export type Missing = (digests: readonly Uint8Array[]) => number[]

export interface LeaseRootDeps {
  readonly files: Pick<LeaseFiles, 'open'>
  readonly missing: Missing
  /** Returns whether a sync in progress depends on the lease. */
  readonly isRequired: () => boolean
}

/** Returns the root of a lease. It yields only slices that the store has, because slices that are not copied yet must not count as missing. */
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
 * Yields the blocks of a lease, or those before the damage if it is damaged. If a sync in progress depends on the lease, throws instead, and
 * gc removes nothing.
 */
async function* walkLease(id: string, { files, isRequired }: LeaseRootDeps): AsyncGenerator<ManifestBlock> {
  const file = await files.open(id)
  if (!file) {
    if (isRequired()) throw new Error('the lease of a sync in progress is missing')
    return
  }
  try {
    yield* walkManifest(file, HASHES)
  } catch (error) {
    if (!(error instanceof ManifestInvalid) || isRequired()) throw error
  } finally {
    await file.close()
  }
}

function* present(entries: readonly ManifestEntry[], missing: Missing): Generator<ManifestEntry> {
  const absent = new Set(missing(entries.map(({ digest }) => digest ?? new Uint8Array(0))))
  for (const [i, entry] of entries.entries()) if (!absent.has(i)) yield entry
}

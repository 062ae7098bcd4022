// Leases of syncs: the manifest of an image on its way, kept on the mount path, so that what was moved stays when the
// agent stops in the middle. Given up when the image is published, or a day after the last attempt.

import { join } from 'node:path'
import { isId } from '../../protocol/ids.ts'
import { decodeManifest, ManifestInvalid, manifestEntries } from '../../protocol/manifest.ts'
import type { Manifest, ManifestEntry } from '../../protocol/manifest.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { SliceRoot, SliceRoots } from '../contract/slices.ts'

/** Life of a lease after the last attempt, in milliseconds. */
export const LEASE_MS = 24 * 3_600_000
/** Longest manifest of a lease that is read, in bytes. */
const MANIFEST_BYTES_MAX = 2 ** 31 - 1
/** Entries looked up at once. */
const WINDOW_ENTRIES = 4096

export interface Leases {
  /** The manifest of an earlier attempt, when it is the one with this digest. */
  find(id: string, manifestDigest: string): Promise<Manifest | undefined>
  /** Durable when it resolves; a lease of the same image is renewed. It does not expire until `release` or `drop`. */
  take(id: string, manifest: Manifest): Promise<void>
  /** The attempt ended without the image: the lease lives on for its time. */
  release(id: string): void
  /** The image is published: the lease is removed, if there is one. */
  drop(id: string): Promise<void>
  /** Removes leases past their time; gives the ids of their images. A dry run removes nothing. */
  expire(options?: { readonly dryRun?: boolean }): Promise<readonly string[]>
  readonly roots: SliceRoots
}

export interface LeasesDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The mount path: sync/ lies in it. */
  readonly mount: string
  /** Those of the digests that the store does not have, as indexes. */
  readonly missing: (digests: readonly Uint8Array[]) => number[]
}

/** Finds the leases of earlier runs. */
export async function openLeases(deps: LeasesDeps): Promise<Leases> {
  const { disk, clock, log } = deps
  const folder = join(deps.mount, 'sync')
  const path = (id: string): string => join(folder, id, 'manifest')
  const held = new Set<string>()
  const active = new Set<string>()
  for (const name of await disk.list(folder)) {
    if (isId('img', name)) held.add(name)
    else log.warn('something that is no lease lies among the syncs', { name })
  }

  const read = async (id: string): Promise<{ manifest: Manifest; digest: string } | undefined> => {
    try {
      return await decodeManifest(await disk.readFile(path(id), MANIFEST_BYTES_MAX))
    } catch (error) {
      const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      // Without its lease a sync moves again what gc took meanwhile; nothing that was acknowledged hangs on it.
      if (isGone || error instanceof ManifestInvalid || error instanceof RangeError) return undefined
      throw error
    }
  }
  const drop = async (id: string): Promise<void> => {
    if (!held.has(id)) return
    await disk.removeTree(join(folder, id))
    held.delete(id)
    active.delete(id)
  }

  return {
    async find(id, manifestDigest) {
      if (!held.has(id)) return undefined
      const found = await read(id)
      return found?.digest === manifestDigest ? found.manifest : undefined
    },
    async take(id, manifest) {
      active.add(id)
      await disk.makeFolder(join(folder, id))
      await disk.writeFileAtomic(path(id), manifest.bytes)
      held.add(id)
    },
    release: (id) => void active.delete(id),
    drop,
    async expire({ dryRun = false } = {}) {
      const ended: string[] = []
      for (const id of held) {
        if (active.has(id)) continue
        const stat = await disk.stat(path(id))
        if (stat && clock.nowMs() - stat.modifiedMs < LEASE_MS) continue
        ended.push(id)
        if (dryRun) continue
        await drop(id)
        log.info('the lease of a sync ended', { image: id })
      }
      return ended
    },
    roots: {
      *list() {
        for (const id of held) yield leaseRoot(id, () => read(id), deps.missing)
      },
    },
  }
}

/** Names only slices that are here: what is still on its way is not missing. */
function leaseRoot(id: string, read: () => Promise<{ manifest: Manifest } | undefined>, missing: LeasesDeps['missing']): SliceRoot {
  return {
    name: `sync ${id}`,
    async *entries() {
      const found = await read()
      if (!found) return
      let window: ManifestEntry[] = []
      const present = function* (): Generator<ManifestEntry> {
        const absent = new Set(missing(window.map((entry) => entry.digest ?? new Uint8Array(0))))
        for (const [i, entry] of window.entries()) if (!absent.has(i)) yield entry
      }
      for (const entry of manifestEntries(found.manifest)) {
        if (!entry.digest) continue
        window.push(entry)
        if (window.length < WINDOW_ENTRIES) continue
        yield* present()
        window = []
      }
      yield* present()
    },
  }
}

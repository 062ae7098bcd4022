// Leases of syncs: the manifest of an image that is being copied, kept on the mount path, so that what was moved stays when the agent
// stops in the middle. Dropped when the image is published or nothing was moved, and a day after the last attempt.

import { join } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import { isId } from '../../protocol/ids.ts'
import { manifestEntries, ManifestInvalid } from '../../protocol/manifest.ts'
import type { ManifestBlock, ManifestEntry } from '../../protocol/manifest.ts'
import { openManifest, walkManifest } from '../../protocol/manifest-file.ts'
import type { ManifestHashes, OpenedManifest } from '../../protocol/manifest-file.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { SliceRoot, SliceRoots } from '../contract/slices.ts'

/** Life of a lease after the last attempt, in milliseconds. */
export const LEASE_MS = 24 * 3_600_000
/** Entries of a lease that are looked up at once. */
const LOOKUPS = 256

const HASHES: ManifestHashes = { sha256: () => new Bun.CryptoHasher('sha256'), checksum: (bytes) => Bun.hash.xxHash64(bytes) }

/** The manifest of a sync, as a file that stays open until it is disposed. */
export interface LeasedManifest extends OpenedManifest, AsyncDisposable {
  /** Whether an earlier attempt left it, with whatever it moved. */
  readonly isFromBefore: boolean
}

export interface Leases {
  /** Begins an attempt: nothing of the image expires until `release` or `drop`. Gives the manifest of an earlier one when it has this digest. */
  find(id: string, manifestDigest: string): Promise<LeasedManifest | undefined>
  /** Writes a manifest to disk as it arrives and verifies it. It is no lease yet: `take` or `drop` follows. Throws ManifestInvalid. */
  receive(id: string, pieces: AsyncIterable<Uint8Array>): Promise<LeasedManifest>
  /** Makes the received manifest the lease, durable when it resolves. */
  take(id: string): Promise<void>
  /** The attempt ended without the image: the lease stays for its time. */
  release(id: string): void
  /** Removes the lease, and a manifest that was received, if there is one. */
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
  const partPath = (id: string): string => join(folder, id, 'manifest.part')
  /** Written by every later attempt: its time is that of the lease. */
  const attemptPath = (id: string): string => join(folder, id, 'attempt')
  const held = new Set<string>()
  const active = new Set<string>()
  /** Leases that are being removed: an attempt for the same image waits for the end, or its new manifest would be removed as well. */
  const dropping = new Map<string, Promise<void>>()
  /** Leases that protect what a sync under way counts on. */
  const relied = new Set<string>()
  for (const name of await disk.list(folder)) {
    if (isId('img', name)) held.add(name)
    else log.warn('something that is no lease lies among the syncs', { name })
  }

  const remove = async (id: string): Promise<void> => {
    try {
      await disk.removeTree(join(folder, id))
      held.delete(id)
      active.delete(id)
      relied.delete(id)
    } finally {
      dropping.delete(id)
    }
  }
  const drop = async (id: string): Promise<void> => {
    if (!held.has(id)) return
    const removal = remove(id)
    dropping.set(
      id,
      removal.catch(() => {}),
    )
    await removal
  }
  /** From now on the lease does not expire, and nothing is removing it. */
  const activate = async (id: string): Promise<void> => {
    while (dropping.has(id)) await dropping.get(id)
    active.add(id)
  }

  return {
    async find(id, manifestDigest) {
      await activate(id)
      if (!held.has(id)) return undefined
      const file = await openLease(disk, path(id))
      if (!file) return undefined
      const found = await opened(file, true).catch((error: unknown) => {
        // Without its lease a sync moves again what gc took meanwhile; nothing that was acknowledged depends on it.
        if (error instanceof ManifestInvalid) return undefined
        throw error
      })
      if (found?.digest !== manifestDigest) {
        await found?.[Symbol.asyncDispose]()
        return undefined
      }
      relied.add(id)
      await disk.writeFileAtomic(attemptPath(id), '')
      return found
    },
    async receive(id, pieces) {
      await activate(id)
      await disk.makeFolder(join(folder, id))
      held.add(id)
      await disk.remove(partPath(id))
      const file = await disk.openWrite(partPath(id), 'create')
      try {
        let at = 0
        for await (const piece of pieces) {
          await file.write([piece], at)
          at += piece.byteLength
        }
        await file.sync()
      } catch (error) {
        await file.close()
        throw error
      }
      return opened(file, false)
    },
    async take(id) {
      await disk.rename(partPath(id), path(id))
      relied.add(id)
    },
    release(id) {
      active.delete(id)
      relied.delete(id)
    },
    drop,
    async expire({ dryRun = false } = {}) {
      const ended: string[] = []
      for (const id of held) {
        if (active.has(id)) continue
        const stats = [await disk.stat(path(id)), await disk.stat(attemptPath(id))]
        const lastMs = Math.max(0, ...stats.map((stat) => stat?.modifiedMs ?? 0))
        // An attempt may have begun since the first look. From here to the removal nothing is waited for.
        if (clock.nowMs() - lastMs < LEASE_MS || active.has(id)) continue
        ended.push(id)
        if (dryRun) continue
        await drop(id)
        log.info('the lease of a sync ended', { image: id })
      }
      return ended
    },
    roots: {
      *list() {
        for (const id of held) yield leaseRoot(`sync ${id}`, () => walkLease(disk, path(id), () => relied.has(id)), deps.missing)
      },
    },
  }
}

/** The verified manifest in a file, which is closed with it. */
async function opened(file: DiskFile, isFromBefore: boolean): Promise<LeasedManifest> {
  try {
    return { ...(await openManifest(file, HASHES)), isFromBefore, [Symbol.asyncDispose]: () => file.close() }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function openLease(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.openRead(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/**
 * The blocks of a lease; of a damaged one those before the damage. One that a sync relies on must be whole: else the error goes to gc, which then
 * removes nothing.
 */
async function* walkLease(disk: Disk, path: string, isRelied: () => boolean): AsyncGenerator<ManifestBlock> {
  const file = await openLease(disk, path)
  if (!file) {
    if (isRelied()) throw new Error('the lease of a sync that is under way has vanished')
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

/** Names only slices that are here: what is still on its way is not missing. */
function leaseRoot(name: string, blocks: () => AsyncIterable<ManifestBlock>, missing: LeasesDeps['missing']): SliceRoot {
  return {
    name,
    async *entries() {
      for await (const block of blocks()) {
        let window: ManifestEntry[] = []
        for (const entry of manifestEntries(block)) {
          if (!entry.digest) continue
          window.push(entry)
          if (window.length < LOOKUPS) continue
          yield* present(window, missing)
          window = []
        }
        yield* present(window, missing)
      }
    },
  }
}

function* present(entries: readonly ManifestEntry[], missing: LeasesDeps['missing']): Generator<ManifestEntry> {
  const absent = new Set(missing(entries.map(({ digest }) => digest ?? new Uint8Array(0))))
  for (const [i, entry] of entries.entries()) if (!absent.has(i)) yield entry
}

// Leases of syncs: the manifest of an image that is being copied is kept on the mount path, so that the slices that were moved stay when the
// agent stops before the end. A lease is dropped when the image is published or nothing was moved, and expires a day after the last attempt.

import { join } from 'node:path'
import { isId } from '../../protocol/ids.ts'
import { ManifestInvalid } from '../../protocol/manifest.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { SliceRoots } from '../contract/slices.ts'
import { createLeaseFiles, openLeased } from './lease-files.ts'
import type { LeasedManifest } from './lease-files.ts'
import { leaseRoot } from './lease-roots.ts'
import type { Missing } from './lease-roots.ts'

/** Life of a lease after the last attempt, in milliseconds. */
export const LEASE_MS = 24 * 3_600_000

export interface Leases {
  /** Begins an attempt: the lease of the image does not expire until `release` or `drop`. Returns the manifest of an earlier attempt when it has this digest. */
  find(id: string, manifestDigest: string): Promise<LeasedManifest | undefined>
  /** Writes a manifest to disk as it arrives and verifies it. It is not a lease yet: `take` or `drop` follows. Throws ManifestInvalid. */
  receive(id: string, pieces: AsyncIterable<Uint8Array>): Promise<LeasedManifest>
  /** Makes the received manifest the lease; durable when it resolves. */
  take(id: string): Promise<void>
  /** Ends an attempt that did not publish the image: the lease stays until it expires. */
  release(id: string): void
  /** Removes the lease, and a manifest that was received, if there is one. */
  drop(id: string): Promise<void>
  /** Removes expired leases and returns the ids of their images. A dry run removes nothing. */
  expire(options?: { readonly dryRun?: boolean }): Promise<readonly string[]>
  readonly roots: SliceRoots
}

export interface LeasesDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The mount path: leases are stored in its folder sync/. */
  readonly mount: string
  readonly missing: Missing
}

/** Which leases there are, and which a sync uses now. */
interface LeaseState {
  readonly held: Set<string>
  /** Leases of attempts in progress. */
  readonly active: Set<string>
  /** Leases that protect slices which a sync in progress relies on. */
  readonly relied: Set<string>
  /** Leases that are being removed: an attempt for the same image waits until then, or its new manifest would be removed too. */
  readonly dropping: Map<string, Promise<void>>
}

/** Finds the leases of earlier runs. */
export async function openLeases(deps: LeasesDeps): Promise<Leases> {
  const { clock, log } = deps
  const files = createLeaseFiles(deps.disk, join(deps.mount, 'sync'))
  const state: LeaseState = { held: new Set(), active: new Set(), relied: new Set(), dropping: new Map() }
  const { held, active, relied } = state
  for (const name of await files.list()) {
    if (isId('img', name)) held.add(name)
    else log.warn('a file that is not a lease is stored among the syncs', { name })
  }
  const drop = (id: string): Promise<void> => dropLease(state, id, () => files.remove(id))

  return {
    async find(id, manifestDigest) {
      await activate(state, id)
      const file = held.has(id) ? await files.open(id) : undefined
      if (!file) return undefined
      const found = await openLeased(file, true).catch((error: unknown) => {
        // Without its lease a sync copies again what gc removed meanwhile; nothing that was acknowledged depends on it.
        if (error instanceof ManifestInvalid) return undefined
        throw error
      })
      if (found?.digest !== manifestDigest) {
        await found?.[Symbol.asyncDispose]()
        return undefined
      }
      relied.add(id)
      await files.noteAttempt(id)
      return found
    },
    async receive(id, pieces) {
      await activate(state, id)
      held.add(id)
      return openLeased(await files.receive(id, pieces), false)
    },
    async take(id) {
      await files.take(id)
      relied.add(id)
    },
    release(id) {
      active.delete(id)
      relied.delete(id)
    },
    drop,
    async expire({ dryRun = false } = {}) {
      const expired: string[] = []
      for (const id of held) {
        if (active.has(id)) continue
        const lastMs = await files.lastAttemptMs(id)
        // An attempt may have begun meanwhile. From here to the removal nothing is awaited.
        if (clock.nowMs() - lastMs < LEASE_MS || active.has(id)) continue
        expired.push(id)
        if (dryRun) continue
        await drop(id)
        log.info('the lease of a sync expired', { image: id })
      }
      return expired
    },
    roots: {
      *list() {
        for (const id of held) yield leaseRoot(id, { files, missing: deps.missing, isRelied: () => relied.has(id) })
      },
    },
  }
}

/** Waits until the lease is not being removed, and keeps it from expiring. */
async function activate({ active, dropping }: LeaseState, id: string): Promise<void> {
  while (dropping.has(id)) await dropping.get(id)
  active.add(id)
}

async function dropLease({ held, active, relied, dropping }: LeaseState, id: string, removeFiles: () => Promise<void>): Promise<void> {
  if (!held.has(id)) return
  const remove = async (): Promise<void> => {
    try {
      await removeFiles()
      held.delete(id)
      active.delete(id)
      relied.delete(id)
    } finally {
      dropping.delete(id)
    }
  }
  const removal = remove()
  dropping.set(
    id,
    removal.catch(() => {}),
  )
  await removal
}

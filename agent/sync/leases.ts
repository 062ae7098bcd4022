// Leases of syncs. While an image is being copied, its manifest is stored on the mount path and protects the copied slices from gc, even if the agent
// stops. A lease is removed when the image is published or no slice was copied, and expires a day after the last attempt.

import { join } from 'node:path'
import { isId } from '../../protocol/ids.ts'
import { ManifestInvalid } from '../../protocol/slices/manifest.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { SliceRoots } from '../contract/slices.ts'
import { createLeaseFiles, openLeased } from './lease-files.ts'
import type { LeasedManifest } from './lease-files.ts'
import { leaseRoot } from './lease-roots.ts'
import type { Missing } from './lease-roots.ts'

/** Time after the last attempt until a lease expires, in milliseconds. */
export const LEASE_MS = 24 * 3_600_000
/** The same while a sync waits or is paused: it may be the one whose slices the lease protects. */
export const WAITING_LEASE_MS = 30 * 24 * 3_600_000

export interface Leases {
  /**
   * Starts an attempt: the lease of the image does not expire until `endAttempt` or `remove`. Returns the manifest of an earlier attempt if it
   * has this digest.
   */
  find(id: string, manifestDigest: string): Promise<LeasedManifest | undefined>
  /** Writes a manifest to disk as it arrives and verifies it. It protects nothing until `acquire`. Throws ManifestInvalid. */
  receive(id: string, pieces: AsyncIterable<Uint8Array>): Promise<LeasedManifest>
  /** Acquires the lease with the received manifest; durable when it resolves. */
  acquire(id: string): Promise<void>
  /** Ends an attempt that did not publish the image. The lease remains until it expires. */
  endAttempt(id: string): void
  /** Removes the lease and a received manifest, if they exist. */
  remove(id: string): Promise<void>
  /** Removes expired leases, which are kept for longer while a sync waits or is paused, and returns the ids of their images. A dry run removes nothing. */
  expire(options?: { readonly dryRun?: boolean; readonly isOneWaiting?: boolean }): Promise<readonly string[]>
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

/** The existing leases, and how syncs use them. */
interface LeaseState {
  /** Leases on disk. */
  readonly stored: Set<string>
  /** Leases of attempts in progress. */
  readonly active: Set<string>
  /** Leases that an attempt in progress depends on: gc must fail if one is damaged. */
  readonly required: Set<string>
  /** Leases that are being removed. A new attempt for the same image waits for the removal, which would remove its manifest too. */
  readonly removing: Map<string, Promise<void>>
}

/** Loads the leases of earlier runs. */
export async function openLeases(deps: LeasesDeps): Promise<Leases> {
  const { clock, log } = deps
  const files = createLeaseFiles(deps.disk, join(deps.mount, 'sync'))
  const state: LeaseState = { stored: new Set(), active: new Set(), required: new Set(), removing: new Map() }
  const { stored, active, required } = state
  for (const name of await files.list()) {
    if (isId('img', name)) stored.add(name)
    else log.warn('a file in the sync folder is not a lease', { name })
  }
  const removeById = (id: string): Promise<void> => removeLease(state, id, () => files.remove(id))

  return {
    async find(id, manifestDigest) {
      await activate(state, id)
      const file = stored.has(id) ? await files.open(id) : undefined
      if (!file) return undefined
      const found = await openLeased(file, true).catch((error: unknown) => {
        // A damaged lease is harmless: the sync copies slices again that gc has removed. Acknowledged data does not depend on it.
        if (error instanceof ManifestInvalid) return undefined
        throw error
      })
      if (found?.digest !== manifestDigest) {
        await found?.[Symbol.asyncDispose]()
        return undefined
      }
      required.add(id)
      await files.noteAttempt(id)
      return found
    },
    async receive(id, pieces) {
      await activate(state, id)
      stored.add(id)
      return openLeased(await files.receive(id, pieces), false)
    },
    async acquire(id) {
      await files.acquire(id)
      required.add(id)
    },
    endAttempt(id) {
      active.delete(id)
      required.delete(id)
    },
    remove: removeById,
    async expire({ dryRun = false, isOneWaiting = false } = {}) {
      const ageMsMax = isOneWaiting ? WAITING_LEASE_MS : LEASE_MS
      const expired: string[] = []
      for (const id of stored) {
        const lastMs = await files.lastAttemptMs(id)
        // Checked after the time was read, because an attempt may have started meanwhile. There is no await between this check and the removal.
        if (clock.nowMs() - lastMs < ageMsMax || active.has(id)) continue
        expired.push(id)
        if (dryRun) continue
        await removeById(id)
        log.info('the lease of a sync expired', { image: id })
      }
      return expired
    },
    roots: {
      *list() {
        for (const id of stored) yield leaseRoot(id, { files, missing: deps.missing, isRequired: () => required.has(id) })
      },
    },
  }
}

/** Waits for a removal of the lease to end, then prevents the lease from expiring. */
async function activate({ active, removing }: LeaseState, id: string): Promise<void> {
  while (removing.has(id)) await removing.get(id)
  active.add(id)
}

async function removeLease({ stored, active, required, removing }: LeaseState, id: string, removeFiles: () => Promise<void>): Promise<void> {
  if (!stored.has(id)) return
  // The caller no longer depends on the lease, and gc may find its folder without the manifest.
  required.delete(id)
  const run = async (): Promise<void> => {
    try {
      await removeFiles()
      stored.delete(id)
      active.delete(id)
    } finally {
      removing.delete(id)
    }
  }
  const removal = run()
  removing.set(
    id,
    removal.catch(() => {}),
  )
  await removal
}

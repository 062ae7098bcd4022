// Files of a lease, in sync/<image id>/: the manifest, the part that is being received, and a file whose time is that of the last attempt.

import { join } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import { openManifest } from '../../protocol/manifest-file.ts'
import type { ManifestHashes, OpenedManifest } from '../../protocol/manifest-file.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'

export const HASHES: ManifestHashes = { sha256: () => new Bun.CryptoHasher('sha256'), checksum: (bytes) => Bun.hash.xxHash64(bytes) }

/** The manifest of a sync, as a file that stays open until it is disposed. */
export interface LeasedManifest extends OpenedManifest, AsyncDisposable {
  /** Whether an earlier attempt left it, with the slices that attempt moved. */
  readonly isFromBefore: boolean
}

export interface LeaseFiles {
  /** Names in the folder of all leases. */
  list(): Promise<string[]>
  /** Opens the manifest of a lease; undefined when there is none. */
  open(id: string): Promise<DiskFile | undefined>
  /** Writes a manifest as it arrives; fsynced when it resolves. The file is open. */
  receive(id: string, pieces: AsyncIterable<Uint8Array>): Promise<DiskFile>
  /** Makes the received manifest the lease; durable when it resolves. */
  take(id: string): Promise<void>
  /** Notes that an attempt begins now. */
  noteAttempt(id: string): Promise<void>
  /** Time of the last attempt, in milliseconds since 1970; 0 when there is no file. */
  lastAttemptMs(id: string): Promise<number>
  remove(id: string): Promise<void>
}

/** Creates the access to the leases below a folder. */
export function createLeaseFiles(disk: Disk, folder: string): LeaseFiles {
  const path = (id: string, name: 'manifest' | 'manifest.part' | 'attempt'): string => join(folder, id, name)
  return {
    list: () => disk.list(folder),
    async open(id) {
      try {
        return await disk.openRead(path(id, 'manifest'))
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return undefined
        throw error
      }
    },
    async receive(id, pieces) {
      await disk.makeFolder(join(folder, id))
      await disk.remove(path(id, 'manifest.part'))
      const file = await disk.openWrite(path(id, 'manifest.part'), 'create')
      try {
        let at = 0
        for await (const piece of pieces) {
          await file.write([piece], at)
          at += piece.byteLength
        }
        await file.sync()
        return file
      } catch (error) {
        await file.close()
        throw error
      }
    },
    take: (id) => disk.rename(path(id, 'manifest.part'), path(id, 'manifest')),
    noteAttempt: (id) => disk.writeFileAtomic(path(id, 'attempt'), ''),
    async lastAttemptMs(id) {
      const stats = [await disk.stat(path(id, 'manifest')), await disk.stat(path(id, 'attempt'))]
      return Math.max(0, ...stats.map((stat) => stat?.modifiedMs ?? 0))
    },
    remove: (id) => disk.removeTree(join(folder, id)),
  }
}

/** Verifies the manifest in a file, which is closed with it. Throws ManifestInvalid. */
export async function openLeased(file: DiskFile, isFromBefore: boolean): Promise<LeasedManifest> {
  try {
    return { ...(await openManifest(file, HASHES)), isFromBefore, [Symbol.asyncDispose]: () => file.close() }
  } catch (error) {
    await file.close()
    throw error
  }
}

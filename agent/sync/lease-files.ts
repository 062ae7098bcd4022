// Files of a lease in sync/<image id>/: the manifest, the manifest that is being received, and an empty file that records the time of the last
// attempt.

import { join } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import { openManifest } from '../../protocol/slices/manifest-file.ts'
import type { ManifestHashes, OpenedManifest } from '../../protocol/slices/manifest-file.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'

export const HASHES: ManifestHashes = { sha256: () => new Bun.CryptoHasher('sha256'), checksum: (bytes) => Bun.hash.xxHash64(bytes) }

/** The manifest of a sync. Its file stays open until disposed. */
export interface LeasedManifest extends OpenedManifest, AsyncDisposable {
  /** Whether an earlier attempt left this manifest, which protects the slices that the attempt copied. */
  readonly isFromBefore: boolean
}

export interface LeaseFiles {
  /** Returns the names in the folder of all leases. */
  list(): Promise<string[]>
  /** Opens the manifest of a lease. Returns undefined if there is none. */
  open(id: string): Promise<DiskFile | undefined>
  /** Writes a manifest as it arrives. Returns the open file, which is fsynced. */
  receive(id: string, pieces: AsyncIterable<Uint8Array>): Promise<DiskFile>
  /** Makes the received manifest the manifest of the lease; durable when it resolves. */
  acquire(id: string): Promise<void>
  /** Records that an attempt starts now. */
  noteAttempt(id: string): Promise<void>
  /** Returns the time of the last attempt in milliseconds since 1970, or 0 if there is no file. */
  lastAttemptMs(id: string): Promise<number>
  remove(id: string): Promise<void>
}

/** Creates the access to the leases in a folder. */
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
    acquire: (id) => disk.rename(path(id, 'manifest.part'), path(id, 'manifest')),
    noteAttempt: (id) => disk.writeFileAtomic(path(id, 'attempt'), ''),
    async lastAttemptMs(id) {
      const stats = [await disk.stat(path(id, 'manifest')), await disk.stat(path(id, 'attempt'))]
      return Math.max(0, ...stats.map((stat) => stat?.modifiedMs ?? 0))
    },
    remove: (id) => disk.removeTree(join(folder, id)),
  }
}

/** Opens and verifies the manifest in a file. Takes ownership of the file. Throws ManifestInvalid. */
export async function openLeased(file: DiskFile, isFromBefore: boolean): Promise<LeasedManifest> {
  try {
    return { ...(await openManifest(file, HASHES)), isFromBefore, [Symbol.asyncDispose]: () => file.close() }
  } catch (error) {
    await file.close()
    throw error
  }
}

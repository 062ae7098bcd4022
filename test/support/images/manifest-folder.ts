// A minimal catalogue for a slice store: manifests of images and unfinished uploads in files, which are its roots. They are written and removed in
// the order of docs/format.md, "Write order".

import { join } from 'node:path'
import { hasCode } from '../../../protocol/errors.ts'
import { decodeManifest, encodeManifest, manifestEntries } from '../../../protocol/slices/manifest.ts'
import type { ManifestEntry, MemoryManifest } from '../../../protocol/slices/manifest.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import type { SliceRoot, SliceRoots } from '../../../agent/contract/slices.ts'

const DELETING = '.deleting'

export interface ManifestFolder extends SliceRoots {
  /** Creates the folder and completes interrupted removals. */
  open(): Promise<void>
  names(): Promise<string[]>
  read(name: string): Promise<MemoryManifest>
  /** Durable when it resolves. */
  write(name: string, entries: readonly ManifestEntry[]): Promise<void>
  /** Durable when it resolves. */
  remove(name: string): Promise<void>
}

/** Creates the access to manifests in a folder, one file each. */
export function createManifestFolder(disk: Disk, folder: string): ManifestFolder {
  const files = async (): Promise<string[]> => (await disk.list(folder)).filter((name) => !name.startsWith('.'))
  const read = async (name: string): Promise<MemoryManifest> => (await decodeManifest(await disk.readFile(join(folder, name), 1024 * 1024))).manifest
  const finish = async (name: string): Promise<void> => {
    await disk.remove(join(folder, name))
    await disk.remove(join(folder, name + DELETING))
  }
  const names = async (): Promise<string[]> => (await files()).filter((name) => !name.endsWith(DELETING))
  return {
    async open() {
      await disk.makeFolder(folder)
      for (const file of await files()) if (file.endsWith(DELETING)) await finish(file.slice(0, -DELETING.length))
    },
    names,
    read,
    async write(name, entries) {
      const { manifest } = await encodeManifest(entries)
      await disk.writeFileAtomic(join(folder, name), manifest.bytes)
    },
    async remove(name) {
      // The marker is written first: if a power cut reverts the removal, `open` repeats it, because slices may be missing.
      await disk.writeFileAtomic(join(folder, name + DELETING), 'deleting')
      await finish(name)
    },
    async *list(): AsyncGenerator<SliceRoot> {
      for (const name of await names()) {
        yield {
          name,
          async *entries() {
            try {
              yield* manifestEntries(await read(name))
            } catch (error) {
              // The manifest was removed after the folder was listed.
              if (!hasCode(error, 'ENOENT')) throw error
            }
          },
        }
      }
    },
  }
}

// Seals packs that are not open: those that a failed write abandoned, and those that an earlier run left unsealed.

import { join } from 'node:path'
import type { Disk } from '../../contract/disk.ts'
import type { Log } from '../../contract/runtime.ts'
import type { SliceIndex } from '../index/index-roles.ts'
import { writePackFooter } from '../packs/pack-footer.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { packPath } from '../packs/pack-format.ts'

/** A pack without a footer that is not being written. Its records up to `length` are durable; bytes after that are not trusted. */
export interface UnsealedPack {
  readonly id: number
  readonly name: PackName
  readonly length: number
  readonly rows: PackRow[]
}

export interface SealDeps {
  readonly disk: Disk
  readonly log: Log
  /** The `packs` folder. */
  readonly folder: string
  readonly index: SliceIndex
}

/** Cuts a pack back to its durable length and seals it; returns the bytes of the footer, or undefined when that failed, as on a full disk. */
export async function sealPack({ disk, log, folder, index }: SealDeps, pack: UnsealedPack): Promise<number | undefined> {
  try {
    await using file = await disk.openWrite(join(folder, packPath(pack.name)), 'existing')
    await file.truncate(pack.length)
    const length = await writePackFooter(file, pack.rows, pack.length)
    index.sealPack(pack.id, length)
    return length - pack.length
  } catch (error) {
    // Its slices can be read meanwhile; the next gc or start tries again.
    log.warn('an unsealed pack could not be sealed', { pack: pack.name, error })
    return undefined
  }
}

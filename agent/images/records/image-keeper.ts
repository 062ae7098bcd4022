// Saves changes of images: writes image.json first, then updates the table in memory.
//
// A write may fail after image.json was replaced. It is then repeated at once. If that fails too, the table shows what the file has, as the next
// start would, and the file is written again before anything is acknowledged that relies on it.

import { join } from 'node:path'
import { problem } from '../../../protocol/problems.ts'
import type { Disk } from '../../contract/disk.ts'
import type { ImagesInProgress } from '../../contract/images.ts'
import { diskProblem } from './disk-problem.ts'
import type { UsageLedger } from '../../contract/usage.ts'
import { encodeImageFile, IMAGE_FILE_BYTES_MAX } from './image-file.ts'
import type { StoredImage } from './image-file.ts'
import { stillUploaded } from './image-states.ts'
import type { ImageTable } from './image-table.ts'
import { endedPeriodsOf, usageAfter } from '../usage/periods.ts'
import { ENDED_PERIODS_MAX } from '../usage/usage-state.ts'

export interface ImageKeeper {
  readonly table: ImageTable
  folder(id: string): string
  /** Ids of images without an image.json, because a publish was interrupted or the file was lost. Publishing them again completes them. */
  readonly unfinished: Set<string>
  /** Returns the image. Throws `not-found`, or `wrong-status` for an image that is still uploaded. */
  need(id: string): StoredImage
  /** Returns the next state of an image with its usage up to now. */
  accounted(next: StoredImage): StoredImage
  /** Writes image.json with the usage of the image, durable when it resolves, then updates the table. The caller holds the lock of the image. */
  save(stored: StoredImage): Promise<StoredImage>
  /** Returns an image whose image.json is durable: writes the file again if its last write failed. The caller holds the lock of the image. */
  confirm(stored: StoredImage): Promise<StoredImage>
  /** Changes an image under its lock and returns it. `edit` returns undefined to change nothing. Throws `not-found`. */
  change(id: string, edit: (stored: StoredImage) => StoredImage | undefined): Promise<StoredImage>
  /** Like `change`, but updates the table even if the disk cannot be written, so that damage is visible on a read-only disk. */
  note(id: string, edit: (stored: StoredImage) => StoredImage | undefined): Promise<void>
}

export interface ImageKeeperDeps {
  readonly disk: Disk
  /** Folder of all images. */
  readonly folder: string
  readonly table: ImageTable
  readonly nowMs: () => number
  readonly ledger: UsageLedger
  /** The images that unfinished uploads will become. Default: none. */
  readonly inProgress?: (() => ImagesInProgress | undefined) | undefined
}

export function createImageKeeper(deps: ImageKeeperDeps): ImageKeeper {
  const { disk, table, ledger } = deps
  const unfinished = new Set<string>()
  /** Ids of images whose last write failed, so that their image.json may be lost in a power cut. */
  const unconfirmed = new Set<string>()
  const folder = (id: string): string => join(deps.folder, id)
  const keeper: ImageKeeper = {
    table,
    folder,
    unfinished,
    need(id) {
      const stored = table.get(id)
      if (stored) return stored
      const upload = deps.inProgress?.()?.image(id)
      if (upload) throw stillUploaded(upload)
      throw problem('not-found', `There is no image ${id}.`)
    },
    accounted: (next) => ({ image: next.image, life: { ...next.life, usage: usageAfter(next, table.get(next.image.id), deps.nowMs()) } }),
    async save(next) {
      const stored = await withBoundedUsage(ledger, keeper.accounted(next))
      const bytes = await encodeImageFile(stored)
      if (bytes.byteLength > IMAGE_FILE_BYTES_MAX)
        throw problem('payload-too-large', `The metadata of image ${stored.image.id} exceeds ${IMAGE_FILE_BYTES_MAX} bytes.`)
      const { id } = stored.image
      const path = join(folder(id), 'image.json')
      const refusal = await writeTwice(disk, path, bytes)
      if (refusal) {
        unconfirmed.add(id)
        if (refusal.isReplaced) table.put(stored)
        throw diskProblem('The image could not be saved', refusal.error)
      }
      unconfirmed.delete(id)
      unfinished.delete(id)
      return table.put(stored)
    },
    confirm: async (stored) => (unconfirmed.has(stored.image.id) ? keeper.save(stored) : stored),
    change: (id, edit) =>
      table.locked(id, async () => {
        const stored = keeper.need(id)
        const next = edit(stored)
        return next ? keeper.save(next) : keeper.confirm(stored)
      }),
    note: (id, edit) =>
      table.locked(id, async () => {
        const stored = table.get(id)
        const next = stored && edit(stored)
        if (!next) return
        table.put(next)
        await keeper.save(next)
      }),
  }
  return keeper
}

/** Why a file could not be written, and whether it was replaced all the same. */
interface WriteRefusal {
  readonly error: unknown
  readonly isReplaced: boolean
}

/** Replaces a file. If that fails after the file was replaced, replaces it again: only a write that succeeds makes it durable. */
async function writeTwice(disk: Disk, path: string, bytes: Uint8Array): Promise<WriteRefusal | undefined> {
  try {
    await disk.writeFileAtomic(path, bytes)
    return undefined
  } catch (error) {
    if (!(await hasBytes(disk, path, bytes))) return { error, isReplaced: false }
  }
  try {
    await disk.writeFileAtomic(path, bytes)
    return undefined
  } catch (error) {
    return { error, isReplaced: true }
  }
}

/** Returns whether a file has exactly these bytes. */
async function hasBytes(disk: Disk, path: string, bytes: Uint8Array): Promise<boolean> {
  try {
    return Buffer.compare(await disk.readFile(path, IMAGE_FILE_BYTES_MAX), bytes) === 0
  } catch {
    return false
  }
}

/** Moves the ended periods of an image to the ledger if there are too many for its image.json. */
async function withBoundedUsage(ledger: UsageLedger, stored: StoredImage): Promise<StoredImage> {
  const { usage } = stored.life
  if (!usage || usage.ended.length <= ENDED_PERIODS_MAX) return stored
  try {
    // If image.json cannot be written afterwards, the next change moves the same periods again.
    await ledger.append(endedPeriodsOf(stored), { mayRepeat: true })
  } catch (error) {
    throw diskProblem('The usage of the image could not be saved', error)
  }
  return { image: stored.image, life: { ...stored.life, usage: { ...usage, ended: [] } } }
}

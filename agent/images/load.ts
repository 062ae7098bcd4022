// Loads the catalogue at start: every folder in images/ becomes an image in memory. A damaged image gets status `error` and does not affect
// others.

import { join } from 'node:path'
import { errorCode, errorText } from '../../protocol/errors.ts'
import { isId } from '../../protocol/ids.ts'
import { ManifestInvalid } from '../../protocol/slices/manifest.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { EmitEvent } from '../contract/work.ts'
import type { CatalogueSnapshot } from './catalogue-snapshot.ts'
import { blankImage, decodeImageFile, IMAGE_FILE_BYTES_MAX, isNameRecent, newLife } from './records/image-file.ts'
import type { StoredImage } from './records/image-file.ts'
import type { ImageKeeper } from './records/image-keeper.ts'
import { withManifestDamage, withoutDamage } from './records/image-states.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'

/** Images read in parallel. */
const LOADS_MAX = 16
/** Suffix of incomplete files left by a crash. Nothing refers to them. */
const TEMPORARY_SUFFIX = '.tmp'

export interface LoadDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  /** Folder of all images. */
  readonly folder: string
  /** Folder for damaged files. */
  readonly quarantine: string
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  /** Manifests of compressed files that are not unpacked yet. */
  readonly compressed: ManifestFiles
}

/**
 * Loads all images into the table and returns their ids, unordered. Those that the snapshot has are not read from their files. Throws only if the folder
 * of all images cannot be listed.
 */
export async function loadImages(deps: LoadDeps, snapshot?: Pick<CatalogueSnapshot, 'load' | 'start'>): Promise<string[]> {
  const all = await deps.disk.list(deps.folder)
  const loaded = (await snapshot?.load(new Set(all))) ?? new Set<string>()
  const ids = [...loaded]
  const names = all.filter((name) => !loaded.has(name))[Symbol.iterator]()
  const loadRemaining = async (): Promise<void> => {
    for (const name of names) {
      if (!isId('img', name)) {
        deps.log.warn('a file in the images folder is not an image', { name })
        continue
      }
      const stored = await loadImage(deps, name)
      if (!stored) continue
      deps.keeper.table.put(stored)
      ids.push(name)
    }
  }
  // All workers share one iterator, so each name is read once.
  await Promise.all(Array.from({ length: LOADS_MAX }, loadRemaining))
  snapshot?.start(ids.length - loaded.size)
  return ids
}

/** Reads one image. Returns undefined and removes its folder if the folder is empty. */
export async function loadImage(deps: LoadDeps, id: string): Promise<StoredImage | undefined> {
  const { disk, log, keeper, manifests } = deps
  const path = join(keeper.folder(id), 'image.json')
  try {
    const left = await removeTemporaries(disk, keeper.folder(id))
    if (left.length === 0) {
      await disk.removeTree(keeper.folder(id))
      return undefined
    }
    if (!left.includes('image.json')) {
      keeper.unfinished.add(id)
      return await withoutMetadata(deps, id, 'Its image.json is missing.')
    }
    // The process that replaced the file may have died before the new name was durable: what is shown now must survive a power cut.
    if (await isRecent(deps, path)) await disk.syncFolder(keeper.folder(id))
    const decoded = await decodeImageFile(await disk.readFile(path, IMAGE_FILE_BYTES_MAX))
    if (decoded.kind === 'damaged') return await quarantined(deps, id, decoded.reason)
    if (decoded.stored.image.id !== id) return await quarantined(deps, id, `it belongs to image ${decoded.stored.image.id}`)
    if (decoded.stored.life.compressed !== null) return decoded.stored
    // A crash came after the image was unpacked.
    if (left.includes('compressed')) await deps.compressed.remove(id)
    return await withCheckedManifest(manifests, decoded.stored)
  } catch (error) {
    if (error instanceof RangeError) return quarantined(deps, id, error.message)
    log.error('an image cannot be read', { image: id, error })
    const code = errorCode(error) ?? errorText(error)
    return placeholder(deps, id, {
      status: 'fileUnavailable',
      statusReason: `Its files cannot be read (${code}). Check the mount path, then reconnect the store.`,
    })
  }
}

/** Returns whether a file was modified so recently that its name may not be durable. */
async function isRecent({ disk, clock }: LoadDeps, path: string): Promise<boolean> {
  const found = await disk.stat(path)
  return found === undefined || isNameRecent(found.modifiedMs, clock.nowMs())
}

/** Removes the incomplete files in the folder of an image and returns the names of the others. */
async function removeTemporaries(disk: Disk, folder: string): Promise<string[]> {
  const left: string[] = []
  for (const name of await disk.list(folder)) {
    if (name.endsWith(TEMPORARY_SUFFIX)) await disk.remove(join(folder, name))
    else left.push(name)
  }
  return left
}

async function withCheckedManifest(manifests: ManifestFiles, stored: StoredImage): Promise<StoredImage> {
  const { id, status, manifestDigest } = stored.image
  if (status === 'deleting') return stored
  const checked = await manifests.checkEnds(id, manifestDigest)
  if (checked.kind === 'damaged') return withManifestDamage(stored, checked.reason) ?? stored
  if (stored.life.damage !== 'manifest') return stored
  try {
    using _whole = await manifests.openOnce(id, manifestDigest)
    return withoutDamage(stored)
  } catch (error) {
    if (error instanceof ManifestInvalid) return stored
    throw error
  }
}

/** Moves a damaged image.json to quarantine and writes a new one that records the damage, so that the next start finds the same state. */
async function quarantined(deps: LoadDeps, id: string, reason: string): Promise<StoredImage> {
  const { disk, log, emit, keeper, clock } = deps
  const name = `${id}.image.json.${clock.nowMs()}`
  await disk.makeFolder(deps.quarantine)
  await disk.rename(join(keeper.folder(id), 'image.json'), join(deps.quarantine, name))
  log.error('an image.json is damaged and was moved to quarantine', { image: id, reason, quarantine: name })
  const stored = await withoutMetadata(deps, id, `Its image.json was damaged (${reason}) and is kept as quarantine/${name}.`)
  emit({ type: 'image.damaged', severity: 'error', subject: id, message: `Image ${id}: ${stored.image.statusReason ?? reason}` })
  try {
    return await keeper.save(stored)
  } catch (error) {
    log.warn('the state of an image could not be saved', { image: id, error })
    return stored
  }
}

/** Returns an image whose metadata is lost: its length and manifest digest come from its manifest. */
async function withoutMetadata(deps: LoadDeps, id: string, what: string): Promise<StoredImage> {
  try {
    using found = await deps.manifests.openOnce(id, null)
    const statusReason = `${what} Its content is intact: restore the image and set its name again, or delete it.`
    return placeholder(deps, id, { status: 'error', statusReason, manifestDigest: found.digest, length: found.manifest.imageLength })
  } catch (error) {
    if (!(error instanceof ManifestInvalid)) throw error
    const compressed = await compressedWithoutMetadata(deps, id, what)
    if (compressed) return compressed
    return placeholder(deps, id, {
      status: 'error',
      statusReason: `${what} Its manifest is damaged too: ${error.message}. Sync the image again from a store that has it, or delete it.`,
    })
  }
}

/** Returns an image whose metadata is lost before its compressed file was unpacked, or undefined if it has no intact one. */
async function compressedWithoutMetadata(deps: LoadDeps, id: string, what: string): Promise<StoredImage | undefined> {
  try {
    using found = await deps.compressed.openOnce(id, null)
    const statusReason = `${what} Its compressed file is intact: restore the image to unpack it and set its name again, or delete it.`
    const { image, life } = placeholder(deps, id, { status: 'error', statusReason, length: found.manifest.imageLength })
    return { image, life: { ...life, compressed: found.digest } }
  } catch (error) {
    if (error instanceof ManifestInvalid) return undefined
    throw error
  }
}

function placeholder({ clock }: LoadDeps, id: string, known: Partial<StoredImage['image']>): StoredImage {
  return { image: blankImage({ id, status: 'error', ...known }, clock.nowMs()), life: newLife({ damage: 'metadata' }) }
}

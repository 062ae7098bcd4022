// Manifests in use, and those used last: each is loaded and verified once and shared by its readers. Bounded in bytes and in open files.

import { ManifestInvalid } from '../../../protocol/manifest.ts'
import type { OpenedManifest } from '../../../protocol/manifest-file.ts'
import type { DiskFile } from '../../contract/disk.ts'

/** Bytes of unused manifests that stay in memory, and of open files of longer ones. */
const MANIFEST_CACHE_BYTES_MAX = 64 * 1024 * 1024
const MANIFEST_CACHE_FILES_MAX = 32

/** A manifest that was read and verified. */
export interface LoadedManifest extends OpenedManifest {
  /** Bytes in memory. */
  readonly bytes: number
  /** The file that blocks are read from; undefined when the whole manifest is in memory. */
  readonly file: DiskFile | undefined
}

/** A manifest that can be read until it is disposed, even when its image is removed meanwhile. */
export interface HeldManifest extends OpenedManifest, Disposable {}

export interface KeptManifests {
  /** Returns the manifest, loaded at most once for parallel callers. Throws ManifestInvalid when it is damaged, missing, or another one. */
  open(id: string, manifestDigest: string | null): Promise<HeldManifest>
  /** Like `open`, but a manifest that is loaded for this call is not kept afterwards: for passes over all images. */
  openOnce(id: string, manifestDigest: string | null): Promise<HeldManifest>
  /** Drops a manifest, so that the next reader loads it again. Its present readers keep it. With a file, only when that file is the one kept. */
  forget(id: string, file?: DiskFile): void
}

interface Kept extends LoadedManifest {
  users: number
  isForgotten: boolean
}

/** Creates an empty cache; `load` reads and verifies a manifest. */
export function createKeptManifests(load: (id: string) => Promise<LoadedManifest>): KeptManifests {
  // In order of use, the oldest first.
  const kept = new Map<string, Kept>()
  const loading = new Map<string, Promise<Kept>>()

  const forget: KeptManifests['forget'] = (id, file) => {
    const found = kept.get(id)
    if (file && found?.file !== file) return
    loading.delete(id)
    kept.delete(id)
    if (!found) return
    found.isForgotten = true
    closeIfUnused(found)
  }
  const trim = (): void => {
    let bytes = 0
    let files = 0
    for (const [id, one] of [...kept].toReversed()) {
      bytes += one.bytes
      files += one.file ? 1 : 0
      if ((bytes > MANIFEST_CACHE_BYTES_MAX || files > MANIFEST_CACHE_FILES_MAX) && one.users === 0) forget(id)
    }
  }
  const loadAndKeep = (id: string): Promise<Kept> => {
    const mine: Promise<Kept> = load(id).then(
      (loaded) => {
        // Replaced or removed meanwhile: callers from before may read it, later ones load it again.
        if (loading.get(id) !== mine) return { ...loaded, users: 0, isForgotten: true }
        loading.delete(id)
        const one = { ...loaded, users: 0, isForgotten: false }
        kept.set(id, one)
        return one
      },
      (error: unknown) => {
        if (loading.get(id) === mine) loading.delete(id)
        throw error
      },
    )
    loading.set(id, mine)
    return mine
  }

  return {
    async open(id, manifestDigest) {
      const known = kept.get(id)
      if (known) {
        kept.delete(id)
        kept.set(id, known)
      }
      return holdChecked(known ?? (await (loading.get(id) ?? loadAndKeep(id))), manifestDigest, trim)
    },
    async openOnce(id, manifestDigest) {
      return holdChecked(kept.get(id) ?? { ...(await load(id)), users: 0, isForgotten: true }, manifestDigest, trim)
    },
    forget,
  }
}

/** Counts one more reader. Throws ManifestInvalid when the manifest is not the one that the image names. */
function holdChecked(one: Kept, manifestDigest: string | null, onReleased: () => void): HeldManifest {
  one.users++
  let isHeld = true
  const held: HeldManifest = {
    manifest: one.manifest,
    digest: one.digest,
    [Symbol.dispose]() {
      if (!isHeld) return
      isHeld = false
      one.users--
      if (one.isForgotten) closeIfUnused(one)
      else onReleased()
    },
  }
  try {
    requireDigest(one.digest, manifestDigest)
    return held
  } catch (error) {
    held[Symbol.dispose]()
    throw error
  }
}

/** Throws ManifestInvalid when the digest is not the one that the image names; null names any. */
export function requireDigest(digest: string, manifestDigest: string | null): void {
  if (manifestDigest !== null && digest !== manifestDigest) throw new ManifestInvalid('it is not the manifest that image.json names')
}

function closeIfUnused(one: Kept): void {
  // Closing a file that was only read cannot lose anything.
  if (one.users === 0) void one.file?.close().catch(() => {})
}

// Cache of manifests in use and recently used ones. Each manifest is loaded and verified once and shared by its readers. The cache of unused
// manifests is limited in bytes and open files.

import { ManifestInvalid } from '../../../protocol/manifest.ts'
import type { OpenedManifest } from '../../../protocol/manifest-file.ts'
import type { DiskFile } from '../../contract/disk.ts'

/** Maximum bytes in memory and open files of cached manifests. Manifests in use may exceed both. */
const MANIFEST_CACHE_BYTES_MAX = 64 * 1024 * 1024
const MANIFEST_CACHE_FILES_MAX = 32

/** A verified manifest. */
export interface LoadedManifest extends OpenedManifest {
  /** Bytes in memory. */
  readonly bytes: number
  /** The file that blocks are read from, or undefined if the whole manifest is in memory. */
  readonly file: DiskFile | undefined
}

/** A manifest that is readable until disposed, even if its image is removed. */
export interface HeldManifest extends OpenedManifest, Disposable {}

export interface KeptManifests {
  /** Opens a manifest. Parallel callers share one load. Throws ManifestInvalid if it is damaged, missing, or has another digest. */
  open(id: string, manifestDigest: string | null): Promise<HeldManifest>
  /** Like `open`, but does not cache a manifest that it has to load. For passes over all images. */
  openOnce(id: string, manifestDigest: string | null): Promise<HeldManifest>
  /** Evicts a manifest, so that the next reader loads it again; current readers keep it. With a file, only if that file is cached. */
  forget(id: string, file?: DiskFile): void
}

interface Kept extends LoadedManifest {
  users: number
  isForgotten: boolean
}

/** Creates an empty cache. `load` reads and verifies a manifest. */
export function createKeptManifests(load: (id: string) => Promise<LoadedManifest>): KeptManifests {
  // In order of use, least recently used first.
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
        // Evicted while loading: current callers may read it, later ones load it again.
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

/** Opens a cached manifest for one more reader. Throws ManifestInvalid if it has another digest. */
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

/** Throws ManifestInvalid if the digests differ. A `manifestDigest` of null matches any digest. */
export function requireDigest(digest: string, manifestDigest: string | null): void {
  if (manifestDigest !== null && digest !== manifestDigest) throw new ManifestInvalid('it is not the manifest that image.json names')
}

function closeIfUnused(one: Kept): void {
  // A failed close is harmless, because the file was only read.
  if (one.users === 0) void one.file?.close().catch(() => {})
}

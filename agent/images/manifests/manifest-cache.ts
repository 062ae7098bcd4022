// Cache of manifests in use and recently used ones. Each manifest is loaded and verified once and shared by its readers. The cache of unused
// manifests is limited in bytes and open files.

import { ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import type { OpenedManifest } from '../../../protocol/slices/manifest-file.ts'
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
export interface ManifestHandle extends OpenedManifest, Disposable {}

export interface ManifestCache {
  /** Opens a manifest. Parallel callers share one load. Throws ManifestInvalid if it is damaged, missing, or has another digest. */
  open(id: string, manifestDigest: string | null): Promise<ManifestHandle>
  /** Like `open`, but does not cache a manifest that it has to load. For passes over all images. */
  openOnce(id: string, manifestDigest: string | null): Promise<ManifestHandle>
  /** Evicts a manifest, so that the next reader loads it again; current readers keep it. With a file, only if that file is cached. */
  evict(id: string, file?: DiskFile): void
}

interface CachedManifest extends LoadedManifest {
  readers: number
  isEvicted: boolean
}

/** Creates an empty cache. `load` reads and verifies a manifest. */
export function createManifestCache(load: (id: string) => Promise<LoadedManifest>): ManifestCache {
  // In order of use, least recently used first.
  const cached = new Map<string, CachedManifest>()
  const loading = new Map<string, Promise<CachedManifest>>()

  const evict: ManifestCache['evict'] = (id, file) => {
    const found = cached.get(id)
    if (file && found?.file !== file) return
    loading.delete(id)
    cached.delete(id)
    if (!found) return
    found.isEvicted = true
    closeIfUnused(found)
  }
  const trim = (): void => {
    let bytes = 0
    let files = 0
    for (const [id, entry] of [...cached].toReversed()) {
      bytes += entry.bytes
      files += entry.file ? 1 : 0
      if ((bytes > MANIFEST_CACHE_BYTES_MAX || files > MANIFEST_CACHE_FILES_MAX) && entry.readers === 0) evict(id)
    }
  }
  const loadAndCache = (id: string): Promise<CachedManifest> => {
    const mine: Promise<CachedManifest> = load(id).then(
      (loaded) => {
        // Evicted while loading: current callers may read it, later ones load it again.
        if (loading.get(id) !== mine) return { ...loaded, readers: 0, isEvicted: true }
        loading.delete(id)
        const entry = { ...loaded, readers: 0, isEvicted: false }
        cached.set(id, entry)
        return entry
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
      const known = cached.get(id)
      if (known) {
        cached.delete(id)
        cached.set(id, known)
      }
      return addReader(known ?? (await (loading.get(id) ?? loadAndCache(id))), manifestDigest, trim)
    },
    async openOnce(id, manifestDigest) {
      return addReader(cached.get(id) ?? { ...(await load(id)), readers: 0, isEvicted: true }, manifestDigest, trim)
    },
    evict,
  }
}

/** Opens a cached manifest for one more reader. Throws ManifestInvalid if it has another digest. */
function addReader(entry: CachedManifest, manifestDigest: string | null, onReleased: () => void): ManifestHandle {
  entry.readers++
  let isOpen = true
  const handle: ManifestHandle = {
    manifest: entry.manifest,
    digest: entry.digest,
    [Symbol.dispose]() {
      if (!isOpen) return
      isOpen = false
      entry.readers--
      if (entry.isEvicted) closeIfUnused(entry)
      else onReleased()
    },
  }
  try {
    requireDigest(entry.digest, manifestDigest)
    return handle
  } catch (error) {
    handle[Symbol.dispose]()
    throw error
  }
}

/** Throws ManifestInvalid if the digests differ. A `manifestDigest` of null matches any digest. */
export function requireDigest(digest: string, manifestDigest: string | null): void {
  if (manifestDigest !== null && digest !== manifestDigest) throw new ManifestInvalid('it is not the manifest that image.json names')
}

function closeIfUnused(entry: CachedManifest): void {
  // A failed close is harmless, because the file was only read.
  if (entry.readers === 0) void entry.file?.close().catch(() => {})
}

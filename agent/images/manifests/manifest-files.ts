// Manifests on the mount path. They are written once and verified when they are read. Short manifests are loaded into memory; long ones stay open
// and are read block by block.

import { join } from 'node:path'
import { joinBytes } from '../../../protocol/bytes.ts'
import { hasCode } from '../../../protocol/errors.ts'
import { decodeManifest, MANIFEST_BLOCK_ENTRIES, MANIFEST_ENTRY_BYTES, ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import type { Manifest, ManifestBlock, ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { openManifest, walkManifest, walkManifestBytes } from '../../../protocol/slices/manifest-file.ts'
import type { ManifestHashes } from '../../../protocol/slices/manifest-file.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import type { NewContent } from '../../contract/images.ts'
import { checkManifestEnds, MANIFEST_FILE_BYTES_MAX, salvageEntries } from './damaged-manifest.ts'
import type { ManifestCheck } from './damaged-manifest.ts'
import { createManifestCache, requireDigest } from './manifest-cache.ts'
import type { ManifestCache, LoadedManifest } from './manifest-cache.ts'
import { copyManifest, writeManifest } from './manifest-writer.ts'
import type { WrittenManifest } from './manifest-writer.ts'
import { watchManifest } from './watched-manifest.ts'

/** Maximum length in bytes of a manifest that is loaded into memory (26,000 entries). */
export const MANIFEST_MEMORY_BYTES_MAX = 1024 * 1024
/** Memory per block of an open long manifest, in bytes: a fence and a checksum. */
const BLOCK_MEMORY_BYTES = 16
/** Number of blocks in a window of 640 KiB. */
const WINDOW_BLOCKS = 8

const HASHES: ManifestHashes = { sha256: () => new Bun.CryptoHasher('sha256'), checksum: (bytes) => Bun.hash.xxHash64(bytes) }

export interface ManifestFiles extends Pick<ManifestCache, 'open' | 'openOnce'> {
  path(id: string): string
  /** Writes a copy of a verified manifest; durable when it resolves. */
  write(id: string, manifest: Manifest): Promise<void>
  /** Writes the manifest of a new image without loading it into memory. Throws `payload-too-large` before writing anything. */
  writeContent(id: string, content: NewContent): Promise<WrittenManifest>
  /** Removes a manifest; durable when it resolves. */
  remove(id: string): Promise<void>
  /** Evicts a manifest from the cache, so that the next reader verifies its file again. */
  evict(id: string): void
  /** Reads a manifest once and yields its blocks. If it throws ManifestInvalid, blocks yielded earlier may be wrong. */
  walk(id: string, manifestDigest: string | null): AsyncIterable<ManifestBlock>
  /** Yields the encoded entries in windows of whole entries, each in its own memory. Like `walk`, verifies them only at the end. */
  windows(id: string, manifestDigest: string): AsyncIterable<Uint8Array>
  /** Checks that a manifest exists, and its length, header and trailer: cheap enough for a start with many images. Does not read the entries. */
  checkEnds(id: string, manifestDigest: string | null): Promise<ManifestCheck>
  /** Yields every entry that can be salvaged from a damaged file, and nothing if the file is missing. Throws disk errors. */
  salvage(id: string): AsyncIterable<ManifestEntry>
}

export interface ManifestFilesDeps {
  readonly disk: Disk
  /** Name of the files in the folders of images. */
  readonly name: 'manifest' | 'compressed'
  /** Folder of all images. */
  readonly folder: string
  /** Lets other work on the event loop run. */
  readonly pause: () => Promise<void>
  /** Called when a verified manifest turns out to be damaged while it is read. Returns the error to throw to the reader. */
  readonly onDamaged: (id: string, error: ManifestInvalid) => Promise<Error>
}

/** Creates the access to the manifests in a folder. */
export function createManifestFiles(deps: ManifestFilesDeps): ManifestFiles {
  const { disk } = deps
  const path = (id: string): string => join(deps.folder, id, deps.name)
  const openFile = (id: string): Promise<DiskFile> => openManifestFile(disk, path(id))
  const cache: ManifestCache = createManifestCache(async (id) =>
    loadManifest(await openFile(id), {
      onUnreadable: (file) => cache.evict(id, file),
      onDamaged: (error) => deps.onDamaged(id, error),
    }),
  )
  return {
    path,
    open: cache.open,
    openOnce: cache.openOnce,
    evict: (id) => cache.evict(id),
    async write(id, manifest) {
      await copyManifest(disk, path(id), manifest)
      cache.evict(id)
    },
    async writeContent(id, content) {
      const written = await writeManifest(deps, path(id), content)
      cache.evict(id)
      return written
    },
    async remove(id) {
      cache.evict(id)
      await disk.remove(path(id))
    },
    async *walk(id, manifestDigest) {
      await using file = await openFile(id)
      requireDigest(yield* walkManifest(file, HASHES), manifestDigest)
    },
    async *windows(id, manifestDigest) {
      await using file = await openFile(id)
      requireDigest(yield* joined(walkManifestBytes(file, HASHES)), manifestDigest)
    },
    checkEnds: (id, manifestDigest) => checkManifestEnds(disk, path(id), manifestDigest),
    async *salvage(id) {
      const file = await openFile(id).catch((error: unknown) => {
        if (error instanceof ManifestInvalid) return undefined
        throw error
      })
      if (!file) return
      await using _file = file
      yield* salvageEntries(file)
    },
  }
}

async function openManifestFile(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.openRead(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new ManifestInvalid('its file is missing', { cause: error })
    throw error
  }
}

interface LoadOptions {
  /** Called when the open file becomes unreadable: after a remount, the file must be opened again. */
  readonly onUnreadable: (file: DiskFile) => void
  readonly onDamaged: (error: ManifestInvalid) => Promise<Error>
}

/** Reads and verifies a manifest. Takes ownership of the file, and closes it unless blocks are read from it later. */
async function loadManifest(file: DiskFile, { onUnreadable, onDamaged }: LoadOptions): Promise<LoadedManifest> {
  await using opening = new AsyncDisposableStack()
  opening.use(file)
  const length = await file.length()
  if (length > MANIFEST_FILE_BYTES_MAX) throw new ManifestInvalid(`its file has ${length} bytes, more than the limit of ${MANIFEST_FILE_BYTES_MAX}`)
  if (length <= MANIFEST_MEMORY_BYTES_MAX) {
    const bytes = new Uint8Array(length)
    if ((await file.read(bytes, 0)) < length) throw new ManifestInvalid('its file was truncated while it was read')
    return { ...(await decodeManifest(bytes)), bytes: length, file: undefined }
  }
  const read = async (into: Uint8Array, position: number): Promise<number> => {
    try {
      return await file.read(into, position)
    } catch (error) {
      onUnreadable(file)
      throw error
    }
  }
  const { manifest, digest } = await openManifest({ length: () => file.length(), read }, HASHES)
  opening.move()
  const watched = watchManifest(manifest, (error) => {
    onUnreadable(file)
    return onDamaged(error)
  })
  return { manifest: watched, digest, bytes: Math.ceil(length / MANIFEST_ENTRY_BYTES / MANIFEST_BLOCK_ENTRIES) * BLOCK_MEMORY_BYTES, file }
}

/** Joins pieces into windows of WINDOW_BLOCKS. Returns the return value of `pieces`. */
async function* joined<End>(pieces: AsyncGenerator<Uint8Array<ArrayBuffer>, End>): AsyncGenerator<Uint8Array, End> {
  let waiting: Uint8Array<ArrayBuffer>[] = []
  for (;;) {
    const { value, done } = await pieces.next()
    if (!done) waiting.push(value)
    if (waiting.length > 0 && (done || waiting.length === WINDOW_BLOCKS)) {
      yield joinBytes(waiting)
      waiting = []
    }
    if (done) return value
  }
}

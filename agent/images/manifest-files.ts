// Manifests on the mount path: written once, read verified, the recently used kept in memory.

import { join } from 'node:path'
import { digestIn, formatDigest } from '../../protocol/digest.ts'
import type { Digest } from '../../protocol/digest.ts'
import {
  decodeManifest,
  MANIFEST_ENTRIES_MAX,
  MANIFEST_ENTRY_BYTES,
  MANIFEST_HEADER_BYTES,
  MANIFEST_TRAILER_BYTES,
  ManifestInvalid,
  manifestLength,
  SLICE_LENGTH_MAX,
  viewManifest,
} from '../../protocol/manifest.ts'
import type { Manifest, ManifestEntry } from '../../protocol/manifest.ts'
import type { Disk } from '../contract/disk.ts'
import type { NewContent } from '../contract/images.ts'
import { diskErrorCode } from './disk-problem.ts'
import { readManifestWindows } from './manifest-windows.ts'
import { writeManifest } from './manifest-writer.ts'
import type { WrittenManifest } from './manifest-writer.ts'

/** Longest manifest that is read, in bytes. */
export const MANIFEST_FILE_BYTES_MAX = manifestLength(MANIFEST_ENTRIES_MAX)
/** Bytes of manifests kept in memory; one that is longer is kept while it is the last one used. */
export const MANIFEST_CACHE_BYTES_MAX = 64 * 1024 * 1024

/** What a look at the first and last bytes of a manifest found. */
export type ManifestLook = { readonly kind: 'plausible'; readonly length: number } | { readonly kind: 'damaged'; readonly reason: string }

export interface ManifestFiles {
  path(id: string): string
  write(id: string, manifest: Manifest): Promise<void>
  /** Writes the manifest of a new image without holding it in memory. Throws `payload-too-large` before anything is written. */
  writeContent(id: string, content: NewContent): Promise<WrittenManifest>
  /** Durable removal. */
  remove(id: string): Promise<void>
  /** The verified manifest, from memory where it is. Throws ManifestInvalid when it is damaged, not there, or another one. */
  read(id: string, manifestDigest: string | null): Promise<Manifest>
  /** Like `read`, but leaves the memory as it is: for passes over all images. */
  readOnce(id: string, manifestDigest: string | null): Promise<Manifest>
  /** Its entries in windows, without holding all of it (`readManifestWindows`). */
  windows(id: string, manifestDigest: string): AsyncIterable<Uint8Array>
  /** Header and trailer only, for the start with many images; the bytes between are verified when they are read. */
  look(id: string, manifestDigest: string | null): Promise<ManifestLook>
  /** Every entry that can be made out in a damaged file; none where there is no file. Errors of the disk are thrown. */
  salvage(id: string): Promise<Iterable<ManifestEntry>>
}

export interface ManifestFilesDeps {
  readonly disk: Disk
  readonly folder: string
  /** Lets other work on the event loop run. */
  readonly pause: () => Promise<void>
}

export function createManifestFiles(deps: ManifestFilesDeps): ManifestFiles {
  const { disk } = deps
  const path = (id: string): string => join(deps.folder, id, 'manifest')
  // In order of use, the oldest first.
  const kept = new Map<string, Manifest>()
  let keptBytes = 0

  const forget = (id: string): void => {
    keptBytes -= kept.get(id)?.bytes.byteLength ?? 0
    kept.delete(id)
  }
  const keep = (id: string, manifest: Manifest): void => {
    forget(id)
    kept.set(id, manifest)
    keptBytes += manifest.bytes.byteLength
    for (const oldest of kept.keys()) {
      if (keptBytes <= MANIFEST_CACHE_BYTES_MAX || oldest === id) break
      forget(oldest)
    }
  }
  const readFile = async (id: string): Promise<Uint8Array<ArrayBuffer>> => {
    try {
      return await disk.readFile(path(id), MANIFEST_FILE_BYTES_MAX)
    } catch (error) {
      if (diskErrorCode(error) === 'ENOENT') throw new ManifestInvalid('its file is missing', { cause: error })
      if (error instanceof RangeError) throw new ManifestInvalid(error.message, { cause: error })
      throw error
    }
  }
  const readOnce = async (id: string, manifestDigest: string | null): Promise<Manifest> => {
    const found = kept.get(id)
    if (found) return found
    const { manifest, digest } = await decodeManifest(await readFile(id))
    if (manifestDigest !== null && digest !== manifestDigest) throw new ManifestInvalid('it is not the manifest that image.json names')
    return manifest
  }

  return {
    path,
    async write(id, manifest) {
      forget(id)
      await disk.writeFileAtomic(path(id), manifest.bytes)
    },
    writeContent(id, content) {
      forget(id)
      return writeManifest(deps, path(id), content)
    },
    async remove(id) {
      forget(id)
      await disk.remove(path(id))
    },
    async read(id, manifestDigest) {
      const manifest = await readOnce(id, manifestDigest)
      keep(id, manifest)
      return manifest
    },
    readOnce,
    windows: (id, manifestDigest) => readManifestWindows(disk, path(id), manifestDigest),
    look: (id, manifestDigest) => lookAtManifest(disk, path(id), manifestDigest),
    async salvage(id) {
      let bytes: Uint8Array<ArrayBuffer>
      try {
        bytes = await readFile(id)
      } catch (error) {
        if (error instanceof ManifestInvalid) return []
        throw error
      }
      return salvageEntries(bytes)
    },
  }
}

/** Digest of a manifest that was verified: its last 32 bytes. */
export function manifestDigestOf(manifest: Manifest): Digest {
  return formatDigest(manifest.bytes.subarray(manifest.bytes.byteLength - MANIFEST_TRAILER_BYTES))
}

async function lookAtManifest(disk: Disk, path: string, manifestDigest: string | null): Promise<ManifestLook> {
  const damaged = (reason: string): ManifestLook => ({ kind: 'damaged', reason })
  const stat = await disk.stat(path)
  if (stat?.kind !== 'file') return damaged('its file is missing')
  if (stat.length < manifestLength(0)) return damaged('shorter than the smallest manifest')
  await using file = await disk.openRead(path)
  const ends = new Uint8Array(MANIFEST_HEADER_BYTES + MANIFEST_TRAILER_BYTES)
  await file.read(ends.subarray(0, MANIFEST_HEADER_BYTES), 0)
  await file.read(ends.subarray(MANIFEST_HEADER_BYTES), stat.length - MANIFEST_TRAILER_BYTES)
  const count = Number(new DataView(ends.buffer).getBigUint64(12, true))
  if (manifestLength(count) !== stat.length) return damaged(`${count} entries do not fill ${stat.length} bytes`)
  try {
    // The frame of a manifest without entries stands for the frame of this one.
    const frame = new Uint8Array(ends)
    new DataView(frame.buffer).setBigUint64(12, 0n, true)
    viewManifest(frame)
  } catch (error) {
    if (error instanceof ManifestInvalid) return damaged(error.message)
    throw error
  }
  if (manifestDigest !== null && formatDigest(ends.subarray(MANIFEST_HEADER_BYTES)) !== manifestDigest)
    return damaged('it is not the manifest that image.json names')
  return { kind: 'plausible', length: stat.length }
}

/** Digests in the places where entries stand, whatever the frame says: rather too many than one too few. */
function* salvageEntries(bytes: Uint8Array): Generator<ManifestEntry> {
  for (let at = MANIFEST_HEADER_BYTES; at + MANIFEST_ENTRY_BYTES <= bytes.byteLength; at += MANIFEST_ENTRY_BYTES) {
    const digest = digestIn(bytes, at + 8)
    // The true length cannot be told from damaged offsets; whoever keeps slices alive goes by the digest.
    yield { length: SLICE_LENGTH_MAX, digest: digest.every((byte) => byte === 0) ? null : digest }
  }
}

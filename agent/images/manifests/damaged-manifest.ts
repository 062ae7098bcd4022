// Checks a manifest by its header and trailer only, and salvages entries from a damaged manifest.

import { digestIn, formatDigest } from '../../../protocol/slices/digest.ts'
import {
  decodeManifestHeader,
  MANIFEST_BLOCK_ENTRIES,
  MANIFEST_ENTRIES_MAX,
  MANIFEST_ENTRY_BYTES,
  MANIFEST_HEADER_BYTES,
  MANIFEST_TRAILER_BYTES,
  ManifestInvalid,
  manifestLength,
  SLICE_LENGTH_MAX,
} from '../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'

/** Maximum length of a manifest in bytes. */
export const MANIFEST_FILE_BYTES_MAX = manifestLength(MANIFEST_ENTRIES_MAX)

/** Result of checking the header and trailer of a manifest. */
export type ManifestCheck = { readonly kind: 'plausible'; readonly length: number } | { readonly kind: 'damaged'; readonly reason: string }

/** Checks that a manifest exists, and checks its length, header and trailer. Does not read the entries. */
export async function checkManifestEnds(disk: Disk, path: string, manifestDigest: string | null): Promise<ManifestCheck> {
  const damaged = (reason: string): ManifestCheck => ({ kind: 'damaged', reason })
  const stat = await disk.stat(path)
  if (stat?.kind !== 'file') return damaged('its file is missing')
  if (stat.length < manifestLength(0)) return damaged('its file is shorter than an empty manifest')
  await using file = await disk.openRead(path)
  const ends = new Uint8Array(MANIFEST_HEADER_BYTES + MANIFEST_TRAILER_BYTES)
  const header = ends.subarray(0, MANIFEST_HEADER_BYTES)
  const trailer = ends.subarray(MANIFEST_HEADER_BYTES)
  await file.read(header, 0)
  await file.read(trailer, stat.length - MANIFEST_TRAILER_BYTES)
  const count = Number(new DataView(ends.buffer).getBigUint64(12, true))
  if (manifestLength(count) !== stat.length) return damaged(`its file has ${stat.length} bytes, which does not match ${count} entries`)
  try {
    decodeManifestHeader(header)
  } catch (error) {
    if (error instanceof ManifestInvalid) return damaged(error.message)
    throw error
  }
  if (manifestDigest !== null && formatDigest(trailer) !== manifestDigest) return damaged('it is not the manifest that image.json names')
  return { kind: 'plausible', length: stat.length }
}

/** Yields an entry for every digest at an entry's position, ignoring header and trailer. Some may be wrong, but no intact one is missing. */
export async function* salvageEntries(file: DiskFile): AsyncGenerator<ManifestEntry> {
  const window = new Uint8Array(MANIFEST_BLOCK_ENTRIES * MANIFEST_ENTRY_BYTES)
  for (let position = MANIFEST_HEADER_BYTES; position < MANIFEST_FILE_BYTES_MAX; position += window.byteLength) {
    const filled = await file.read(window, position)
    for (let at = 0; at + MANIFEST_ENTRY_BYTES <= filled; at += MANIFEST_ENTRY_BYTES) {
      const digest = digestIn(window, at + 8)
      // The length cannot be derived from damaged offsets. Protecting a slice from gc needs only its digest.
      yield { length: SLICE_LENGTH_MAX, digest: digest.every((byte) => byte === 0) ? null : digest }
    }
    if (filled < window.byteLength) return
  }
}

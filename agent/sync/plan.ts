// Plan of a sync: what of an image has to be moved, and in which portions. Pure.

import { toHex } from '../../protocol/digest.ts'
import type { Image } from '../../protocol/image.ts'
import type { Manifest } from '../../protocol/manifest.ts'

/** Slices and uncompressed bytes of one request to the source. */
export const BATCH_SLICES_MAX = 512
export const BATCH_BYTES_MAX = 32 * 1024 * 1024
/** Slices that are looked up at once. */
export const WINDOW_SLICES = 4096

/** What is to be done about an image of a source, given what is here under its id. */
export type SyncDecision =
  | { readonly kind: 'already-there' }
  /** `repair`: it is here, but something of it is not whole. */
  | { readonly kind: 'copy'; readonly why: 'new' | 'repair' | 'restore' }
  | { readonly kind: 'refused'; readonly reason: 'busy' | 'unreadable' | 'other-bytes' }

export function planSync(source: Pick<Image, 'manifestDigest'>, here: Pick<Image, 'status' | 'manifestDigest'> | undefined): SyncDecision {
  if (!here) return { kind: 'copy', why: 'new' }
  if (here.status === 'deleting') return { kind: 'refused', reason: 'busy' }
  if (here.status === 'fileUnavailable') return { kind: 'refused', reason: 'unreadable' }
  if (here.status === 'error') return { kind: 'copy', why: 'repair' }
  if (here.manifestDigest !== source.manifestDigest) return { kind: 'refused', reason: 'other-bytes' }
  if (here.status === 'deleted') return { kind: 'copy', why: 'restore' }
  if (here.status === 'degraded') return { kind: 'copy', why: 'repair' }
  return { kind: 'already-there' }
}

/** The slices of a manifest by the index of their entry, in windows, each slice once a window, zero runs left out. */
export function* sliceWindows(manifest: Manifest): Generator<number[]> {
  let window: number[] = []
  let seen = new Set<string>()
  for (let i = 0; i < manifest.count; i++) {
    if (manifest.isZeroAt(i)) continue
    const key = toHex(manifest.digestAt(i).subarray(0, 16))
    if (seen.has(key)) continue
    seen.add(key)
    window.push(i)
    if (window.length < WINDOW_SLICES) continue
    yield window
    window = []
    seen = new Set()
  }
  if (window.length > 0) yield window
}

/** Entries in portions of bounded number and length. */
export function* batchesOf(manifest: Manifest, entries: Iterable<number>): Generator<number[]> {
  let batch: number[] = []
  let bytes = 0
  for (const entry of entries) {
    const length = manifest.lengthAt(entry)
    if (batch.length > 0 && (batch.length === BATCH_SLICES_MAX || bytes + length > BATCH_BYTES_MAX)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(entry)
    bytes += length
  }
  if (batch.length > 0) yield batch
}

/** Bytes on disk that moving these slices may take at most: never more than the source itself holds for the image. */
export function spaceNeeded(missingBytes: number, image: Pick<Image, 'storedSize'>): number {
  return image.storedSize === null ? missingBytes : Math.min(missingBytes, image.storedSize)
}

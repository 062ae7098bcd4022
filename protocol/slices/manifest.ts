// Manifest codec: the list of an image's slices, identical on disk and on the wire (application/vnd.slipway.manifest). Layout: docs/format.md,
// "Manifest".
//
//   header  32 bytes  "SLIPWAYM" · u32 version · u64 entry count · u32 0 · u64 image length
//   entry   40 bytes  u64 offset in the image · 32 bytes SHA-256 of the slice, all zero for a zero run
//   trailer 32 bytes  SHA-256 of header and entries: the manifest digest
//
// An entry ends where the next one begins, the last entry at the image length. Entries have a fixed size, so a reader finds the slice at an
// offset by binary search without reading the whole manifest.

import { DIGEST_BYTES, digestIn, formatDigest } from './digest.ts'
import type { Digest } from './digest.ts'

export const MANIFEST_MEDIA_TYPE = 'application/vnd.slipway.manifest'
export const MANIFEST_VERSION = 1
export const MANIFEST_HEADER_BYTES = 32
export const MANIFEST_ENTRY_BYTES = 40
export const MANIFEST_TRAILER_BYTES = 32
/** Entries of one manifest: 2 GiB, which describe 1.7 TB of image without zeros at the default cutter. */
export const MANIFEST_ENTRIES_MAX = 53_687_089
/** Length of a slice; a manifest with a longer one is invalid. A bound for every cutter, not the maximum of a particular one. */
export const SLICE_LENGTH_MAX = 4 * 1024 * 1024

const MAGIC = 'SLIPWAYM'

/** Bytes are not a valid manifest; the message says why. */
export class ManifestInvalid extends Error {
  override readonly name = 'ManifestInvalid'
}

/** One piece of an image: a slice by its digest, or a zero run when `digest` is null. Lengths in bytes. */
export interface ManifestEntry {
  readonly length: number
  readonly digest: Uint8Array | null
}

/** Entries of one block: 80 KiB of manifest. */
export const MANIFEST_BLOCK_ENTRIES = 2048

/** Consecutive entries in memory. Indexes count from the beginning of the manifest. */
export interface ManifestBlock {
  /** Index of the first entry of the block. */
  readonly first: number
  /** Entries in the block. */
  readonly count: number
  /** Returns the offset in the image at which entry i begins. */
  offsetAt(i: number): number
  lengthAt(i: number): number
  isZeroAt(i: number): boolean
  /** Returns the 32 digest bytes of entry i; all zero for a zero run. */
  digestAt(i: number): Uint8Array
}

/** A verified manifest of any length, read block by block: a long one is never in memory as a whole. */
export interface Manifest {
  readonly imageLength: number
  readonly count: number
  /** Yields the entries from index `from` on, at most MANIFEST_BLOCK_ENTRIES at a time. Throws ManifestInvalid when a block has changed since it was verified. */
  blocks(from?: number): AsyncIterable<ManifestBlock>
  /** Returns the index of the entry that covers an offset of the image (0 ≤ offset < imageLength). */
  find(offset: number): number | Promise<number>
  /** Yields the encoded bytes of the manifest, manifestLength(count) in all, from a position on. */
  pieces(position?: number): AsyncIterable<Uint8Array<ArrayBuffer>>
}

/** A manifest that is in memory as a whole. */
export interface MemoryManifest extends Manifest, ManifestBlock {
  readonly bytes: Uint8Array<ArrayBuffer>
  find(offset: number): number
}

/** Returns the length in bytes of a manifest with this many entries. */
export function manifestLength(entryCount: number): number {
  return MANIFEST_HEADER_BYTES + entryCount * MANIFEST_ENTRY_BYTES + MANIFEST_TRAILER_BYTES
}

/**
 * Encodes entries in image order and appends their digest. Adjacent zero runs are merged and empty entries dropped, so equal slices always produce
 * equal bytes.
 */
export async function encodeManifest(entries: Iterable<ManifestEntry>): Promise<{ manifest: MemoryManifest; digest: Digest }> {
  let capacity = 1024
  let body = new Uint8Array(capacity * MANIFEST_ENTRY_BYTES)
  let view = new DataView(body.buffer)
  let count = 0
  let offset = 0
  let zeroBefore = false
  for (const entry of entries) {
    if (entry.length === 0) continue
    const isZero = entry.digest === null
    if (!(isZero && zeroBefore)) {
      if (count === capacity) {
        capacity *= 2
        const grown = new Uint8Array(capacity * MANIFEST_ENTRY_BYTES)
        grown.set(body)
        body = grown
        view = new DataView(body.buffer)
      }
      view.setBigUint64(count * MANIFEST_ENTRY_BYTES, BigInt(offset), true)
      if (entry.digest) body.set(entry.digest, count * MANIFEST_ENTRY_BYTES + 8)
      count++
    }
    zeroBefore = isZero
    offset += entry.length
  }
  const bytes = new Uint8Array(manifestLength(count))
  bytes.set(encodeManifestHeader({ count, imageLength: offset }))
  bytes.set(body.subarray(0, count * MANIFEST_ENTRY_BYTES), MANIFEST_HEADER_BYTES)
  const sealed = bytes.byteLength - MANIFEST_TRAILER_BYTES
  const raw = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.subarray(0, sealed)))
  bytes.set(raw, sealed)
  return { manifest: viewManifest(bytes), digest: formatDigest(raw) }
}

/** Encodes the header of a manifest with this many entries for an image of this length in bytes. */
export function encodeManifestHeader({ count, imageLength }: Pick<Manifest, 'count' | 'imageLength'>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MANIFEST_HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < MAGIC.length; i++) bytes[i] = MAGIC.charCodeAt(i)
  view.setUint32(8, MANIFEST_VERSION, true)
  view.setBigUint64(12, BigInt(count), true)
  view.setBigUint64(24, BigInt(imageLength), true)
  return bytes
}

/** Decodes a manifest and verifies its structure and its digest. Throws ManifestInvalid. */
export async function decodeManifest(bytes: Uint8Array<ArrayBuffer>): Promise<{ manifest: MemoryManifest; digest: Digest }> {
  const manifest = viewManifest(bytes)
  const sealed = bytes.byteLength - MANIFEST_TRAILER_BYTES
  const raw = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.subarray(0, sealed)))
  for (let i = 0; i < DIGEST_BYTES; i++) {
    if (raw[i] !== bytes[sealed + i]) throw new ManifestInvalid('the digest of the manifest does not match its bytes')
  }
  checkBlock(manifest, false)
  return { manifest, digest: formatDigest(raw) }
}

/** Yields the entries of a block, or of a manifest in memory, in image order. */
export function* manifestEntries(block: ManifestBlock): Generator<ManifestEntry> {
  for (let i = block.first; i < block.first + block.count; i++) {
    yield { length: block.lengthAt(i), digest: block.isZeroAt(i) ? null : block.digestAt(i) }
  }
}

/** Decodes the header of a manifest. Throws ManifestInvalid. */
export function decodeManifestHeader(bytes: Uint8Array): { readonly count: number; readonly imageLength: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < MANIFEST_HEADER_BYTES) throw new ManifestInvalid('shorter than the smallest manifest')
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC.charCodeAt(i)) throw new ManifestInvalid('does not begin with SLIPWAYM')
  const version = view.getUint32(8, true)
  if (version !== MANIFEST_VERSION) throw new ManifestInvalid(`version ${version} is not known here (known: ${MANIFEST_VERSION})`)
  const count = Number(view.getBigUint64(12, true))
  const imageLength = Number(view.getBigUint64(24, true))
  if (count > MANIFEST_ENTRIES_MAX) throw new ManifestInvalid(`${count} entries, the limit is ${MANIFEST_ENTRIES_MAX}`)
  if (!Number.isSafeInteger(imageLength)) throw new ManifestInvalid('the image length is not a safe integer')
  if (view.getUint32(20, true) !== 0) throw new ManifestInvalid('bytes are set in its header that must be zero')
  if (count === 0 && imageLength !== 0) throw new ManifestInvalid('the manifest has a length but no entries')
  return { count, imageLength }
}

/** Returns a view of encoded entries; the first has index `first`, and the last ends at offset `end` of the image. Verifies nothing. */
export function viewEntries(bytes: Uint8Array, first: number, count: number, end: number): ManifestBlock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const at = (i: number): number => (i - first) * MANIFEST_ENTRY_BYTES
  const offsetAt = (i: number): number => view.getUint32(at(i), true) + view.getUint32(at(i) + 4, true) * 0x1_0000_0000
  return {
    first,
    count,
    offsetAt,
    lengthAt: (i) => (i + 1 < first + count ? offsetAt(i + 1) : end) - offsetAt(i),
    isZeroAt: (i) => {
      for (let word = 8; word < MANIFEST_ENTRY_BYTES; word += 4) if (view.getUint32(at(i) + word, true) !== 0) return false
      return true
    },
    digestAt: (i) => digestIn(bytes, at(i) + 8),
  }
}

/** Returns the index of the last entry of a block that begins at or before an offset of the image. */
export function findIn({ first, count, offsetAt }: ManifestBlock, offset: number): number {
  let low = first
  let high = first + count - 1
  while (low < high) {
    const middle = low + Math.ceil((high - low) / 2)
    if (offsetAt(middle) <= offset) low = middle
    else high = middle - 1
  }
  return low
}

/**
 * Verifies the lengths and the order of the entries of a block. `wasZero` is whether the block before ended with a zero run; returns whether this
 * one does. Throws ManifestInvalid.
 */
export function checkBlock(block: ManifestBlock, wasZero: boolean): boolean {
  let wasZeroBefore = wasZero
  for (let i = block.first; i < block.first + block.count; i++) {
    if (i === 0 && block.offsetAt(i) !== 0) throw new ManifestInvalid(`entry 0 begins at ${block.offsetAt(i)}`)
    const length = block.lengthAt(i)
    if (!(length > 0)) throw new ManifestInvalid(`entry ${i} ends before it begins`)
    const isZero = block.isZeroAt(i)
    if (length > SLICE_LENGTH_MAX && !isZero) throw new ManifestInvalid(`entry ${i} is ${length} bytes long, the limit is ${SLICE_LENGTH_MAX}`)
    if (isZero && wasZeroBefore) throw new ManifestInvalid(`entry ${i} continues a run of zeros`)
    wasZeroBefore = isZero
  }
  return wasZeroBefore
}

/** Returns a view of an encoded manifest with valid header, length and entries; does not verify the digest. Throws ManifestInvalid. */
export function viewManifest(bytes: Uint8Array<ArrayBuffer>): MemoryManifest {
  if (bytes.byteLength < manifestLength(0)) throw new ManifestInvalid('shorter than the smallest manifest')
  const { count, imageLength } = decodeManifestHeader(bytes)
  if (manifestLength(count) !== bytes.byteLength) throw new ManifestInvalid(`${count} entries do not fill ${bytes.byteLength} bytes`)
  const all = viewEntries(bytes.subarray(MANIFEST_HEADER_BYTES), 0, count, imageLength)
  return {
    ...all,
    bytes,
    imageLength,
    async *blocks(from = 0) {
      for (let first = from; first < count; first += MANIFEST_BLOCK_ENTRIES) {
        yield { ...all, first, count: Math.min(MANIFEST_BLOCK_ENTRIES, count - first) }
      }
    },
    find: (offset) => findIn(all, offset),
    async *pieces(position = 0) {
      yield bytes.subarray(position)
    },
  }
}

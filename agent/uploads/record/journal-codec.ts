// Bytes of an upload's journal (docs/format.md, "Uploads"): a header, then records that each commit new entries, tail bytes
// and the offset they lead to, in one append. Pure. All integers little endian.
//
//   header  32 bytes  "SLIPWAYU" · u32 version · u32 0 · u64 salt · u64 check of the 24 bytes before
//   record  40 bytes  u32 magic "ULR1" · u32 entries · u32 tail bytes · u32 0 · u64 offset after it · u64 time in ms · u64 check
//           36 bytes for each entry: u32 length · 32 bytes SHA-256, all zero for a run of zeros
//           the tail bytes
//
// A check is xxHash64, seeded with the previous check. Records form a chain, so bytes left over from a failed
// append are never mistaken for a record of this journal.

import { digestIn } from '../../../protocol/slices/digest.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'

export const JOURNAL_VERSION = 1
export const JOURNAL_HEADER_BYTES = 32
export const RECORD_HEADER_BYTES = 40
export const ENTRY_BYTES = 36
/** Most entries of one record; more are written as several records in one append. */
export const RECORD_ENTRIES_MAX = 65_536
/** Most tail bytes of one record: no slice is longer. */
export const RECORD_TAIL_MAX = 4 * 1024 * 1024

const HEADER_MAGIC = 'SLIPWAYU'
const RECORD_MAGIC = 0x3152_4c55
const ENTRY_LENGTH_MAX = 0xffff_ffff
const ZERO_DIGEST = new Uint8Array(32)

/** Entries as a journal stores them, 36 bytes each. */
export type PackedEntries = Uint8Array<ArrayBuffer>

/** One record. With entries, `tail` is the whole new tail; without, it is appended to the tail before. */
export interface JournalRecord {
  readonly entries: PackedEntries
  readonly tail: Uint8Array
  /** Offset of the upload that this record commits. */
  readonly offset: number
  readonly timeMs: number
}

/** Encodes the header of a new journal. A random salt makes its chain of checks unique. */
export function encodeJournalHeader(salt: bigint): { bytes: Uint8Array<ArrayBuffer>; check: bigint } {
  const bytes = new Uint8Array(JOURNAL_HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < HEADER_MAGIC.length; i++) bytes[i] = HEADER_MAGIC.charCodeAt(i)
  view.setUint32(8, JOURNAL_VERSION, true)
  view.setBigUint64(16, salt, true)
  const check = Bun.hash.xxHash64(bytes.subarray(0, 24))
  view.setBigUint64(24, check, true)
  return { bytes, check }
}

/** Returns the check that seeds the first record; undefined when the bytes are not a header of this version. */
export function decodeJournalHeader(bytes: Uint8Array): bigint | undefined {
  if (bytes.byteLength < JOURNAL_HEADER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, JOURNAL_HEADER_BYTES)
  for (let i = 0; i < HEADER_MAGIC.length; i++) if (bytes[i] !== HEADER_MAGIC.charCodeAt(i)) return undefined
  const check = Bun.hash.xxHash64(bytes.subarray(0, 24))
  return view.getUint32(8, true) === JOURNAL_VERSION && view.getBigUint64(24, true) === check ? check : undefined
}

/** Encodes a record. Returns its bytes and the check that seeds the next one. */
export function encodeRecord(record: JournalRecord, seed: bigint): { bytes: Uint8Array<ArrayBuffer>; check: bigint } {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + record.entries.byteLength + record.tail.byteLength)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, RECORD_MAGIC, true)
  view.setUint32(4, record.entries.byteLength / ENTRY_BYTES, true)
  view.setUint32(8, record.tail.byteLength, true)
  view.setBigUint64(16, BigInt(record.offset), true)
  view.setBigUint64(24, BigInt(record.timeMs), true)
  bytes.set(record.entries, RECORD_HEADER_BYTES)
  bytes.set(record.tail, RECORD_HEADER_BYTES + record.entries.byteLength)
  const check = checkOf(bytes, seed)
  view.setBigUint64(32, check, true)
  return { bytes, check }
}

/** Returns the length of the record that begins with these 40 bytes; undefined when they are not a header within the bounds. */
export function recordLength(header: Uint8Array): number | undefined {
  if (header.byteLength < RECORD_HEADER_BYTES) return undefined
  const view = new DataView(header.buffer, header.byteOffset, RECORD_HEADER_BYTES)
  const entryCount = view.getUint32(4, true)
  const tailBytes = view.getUint32(8, true)
  if (view.getUint32(0, true) !== RECORD_MAGIC || entryCount > RECORD_ENTRIES_MAX || tailBytes > RECORD_TAIL_MAX) return undefined
  return RECORD_HEADER_BYTES + entryCount * ENTRY_BYTES + tailBytes
}

/** Decodes a record. Returns undefined when its check does not continue the chain. Entries and tail are copies. */
export function decodeRecord(bytes: Uint8Array, seed: bigint): { record: JournalRecord; check: bigint } | undefined {
  if (recordLength(bytes) !== bytes.byteLength) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const check = checkOf(bytes, seed)
  if (view.getBigUint64(32, true) !== check) return undefined
  const tailAt = RECORD_HEADER_BYTES + view.getUint32(4, true) * ENTRY_BYTES
  const record = {
    entries: new Uint8Array(bytes.subarray(RECORD_HEADER_BYTES, tailAt)),
    tail: new Uint8Array(bytes.subarray(tailAt)),
    offset: Number(view.getBigUint64(16, true)),
    timeMs: Number(view.getBigUint64(24, true)),
  }
  return { record, check }
}

/** Packs entries; a run of zeros longer than 32 bits can say becomes several. */
export function packEntries(entries: readonly ManifestEntry[]): PackedEntries {
  let count = 0
  for (const entry of entries) count += Math.ceil(entry.length / ENTRY_LENGTH_MAX)
  const packed = new Uint8Array(count * ENTRY_BYTES)
  const view = new DataView(packed.buffer)
  let at = 0
  for (const entry of entries) {
    for (let left = entry.length; left > 0; left -= ENTRY_LENGTH_MAX) {
      view.setUint32(at, Math.min(left, ENTRY_LENGTH_MAX), true)
      packed.set(entry.digest ?? ZERO_DIGEST, at + 4)
      at += ENTRY_BYTES
    }
  }
  return packed
}

/** Returns the entries of packed bytes, in order. */
export function* unpackEntries(packed: PackedEntries): Generator<ManifestEntry> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  for (let at = 0; at < packed.byteLength; at += ENTRY_BYTES) {
    const digest = digestIn(packed, at + 4)
    yield { length: view.getUint32(at, true), digest: digest.every((byte) => byte === 0) ? null : digest }
  }
}

/** Joins blocks of packed entries. */
export function joinEntries(blocks: readonly PackedEntries[]): PackedEntries {
  let length = 0
  for (const block of blocks) length += block.byteLength
  const joined = new Uint8Array(length)
  let at = 0
  for (const block of blocks) {
    joined.set(block, at)
    at += block.byteLength
  }
  return joined
}

/** Returns the bytes of the image that packed entries cover. */
export function packedLength(packed: PackedEntries): number {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  let length = 0
  for (let at = 0; at < packed.byteLength; at += ENTRY_BYTES) length += view.getUint32(at, true)
  return length
}

/** Returns the check of a record: of its header up to the check, then of its body. */
function checkOf(record: Uint8Array, seed: bigint): bigint {
  return Bun.hash.xxHash64(record.subarray(RECORD_HEADER_BYTES), Bun.hash.xxHash64(record.subarray(0, 32), seed))
}

// Packs: immutable files of many slices (docs/format.md, "Pack"). A header, records, and, once sealed, a table of contents with a trailer at the
// end, so that one read of the tail is enough to index the pack.
//
//   header   16 bytes  "SLIPWAYP" · u32 version · u32 0
//   records  …
//   table    48 bytes a record: 32 bytes SHA-256 · u64 offset of the record · u32 length · u32 stored length
//   trailer  32 bytes  "SLIPWAYT" · u64 offset of the table · u64 xxHash64 of the table · u32 records · u32 low half of the xxHash64 of bytes 0 to 27

import { digestIn } from '../../../protocol/slices/digest.ts'
import { checksumOf, RECORD_HEADER_BYTES } from './record.ts'

export const PACK_VERSION = 1
export const PACK_HEADER_BYTES = 16
export const TOC_ROW_BYTES = 48
export const TRAILER_BYTES = 32
/** Records of a pack: bounds the memory for reading a table of contents. */
export const PACK_RECORDS_MAX = 1024 * 1024

const HEADER_MAGIC = 'SLIPWAYP'
const TRAILER_MAGIC = 'SLIPWAYT'

/** Name of a pack, 32 hex digits; its file is `packs/<first two>/<name>.pack`. */
export type PackName = string

/** One record in the table of contents. `offset` is that of the record's header; lengths in bytes. */
export interface PackRow {
  readonly digest: Uint8Array
  readonly offset: number
  readonly length: number
  readonly storedLength: number
}

/** Returns the bytes of a record in its pack. */
export function recordLength(row: Pick<PackRow, 'storedLength'>): number {
  return RECORD_HEADER_BYTES + row.storedLength
}

/** Returns the path of a pack below the `packs` folder. */
export function packPath(name: PackName): string {
  return `${name.slice(0, 2)}/${name}.pack`
}

export function isPackName(name: unknown): name is PackName {
  return typeof name === 'string' && /^[0-9a-f]{32}$/.test(name)
}

/** Returns the name of the pack in a file name; undefined when the file is not a pack. */
export function parsePackFile(file: string): PackName | undefined {
  return /^[0-9a-f]{32}\.pack$/.test(file) ? file.slice(0, 32) : undefined
}

export function encodePackHeader(): Buffer {
  const header = Buffer.alloc(PACK_HEADER_BYTES)
  header.write(HEADER_MAGIC, 'latin1')
  header.writeUInt32LE(PACK_VERSION, 8)
  return header
}

/** Returns what is wrong with a header, or undefined. */
export function packHeaderFault(header: Buffer): string | undefined {
  if (header.length < PACK_HEADER_BYTES || header.toString('latin1', 0, 8) !== HEADER_MAGIC) return 'does not begin with SLIPWAYP'
  const version = header.readUInt32LE(8)
  if (version !== PACK_VERSION) return `has version ${version}, but this agent reads ${PACK_VERSION}`
  return header.readUInt32LE(12) === 0 ? undefined : 'has bytes set in its header that must be zero'
}

/** Encodes the table of contents and the trailer of a pack whose records end at `offset`. */
export function encodePackFooter(rows: readonly PackRow[], offset: number): Buffer {
  const footer = Buffer.alloc(rows.length * TOC_ROW_BYTES + TRAILER_BYTES)
  rows.forEach((row, i) => {
    const at = i * TOC_ROW_BYTES
    footer.set(row.digest, at)
    footer.writeBigUInt64LE(BigInt(row.offset), at + 32)
    footer.writeUInt32LE(row.length, at + 40)
    footer.writeUInt32LE(row.storedLength, at + 44)
  })
  const at = rows.length * TOC_ROW_BYTES
  footer.write(TRAILER_MAGIC, at, 'latin1')
  footer.writeBigUInt64LE(BigInt(offset), at + 8)
  footer.writeBigUInt64LE(checksumOf(footer.subarray(0, at)), at + 16)
  footer.writeUInt32LE(rows.length, at + 24)
  footer.writeUInt32LE(Number(checksumOf(footer.subarray(at, at + 28)) & 0xffff_ffffn), at + 28)
  return footer
}

/** Decodes a trailer; undefined when the bytes are not a valid one, as at the end of an unsealed pack. */
export function readTrailer(trailer: Buffer, packLength: number): { offset: number; count: number; checksum: bigint } | undefined {
  if (trailer.length !== TRAILER_BYTES || trailer.toString('latin1', 0, 8) !== TRAILER_MAGIC) return undefined
  if (trailer.readUInt32LE(28) !== Number(checksumOf(trailer.subarray(0, 28)) & 0xffff_ffffn)) return undefined
  const offset = Number(trailer.readBigUInt64LE(8))
  const count = trailer.readUInt32LE(24)
  if (count > PACK_RECORDS_MAX || offset + count * TOC_ROW_BYTES + TRAILER_BYTES !== packLength) return undefined
  return { offset, count, checksum: trailer.readBigUInt64LE(16) }
}

/** Decodes the rows of a table of contents; undefined when its checksum or its bounds are wrong. */
export function readToc(table: Buffer, trailer: { offset: number; count: number; checksum: bigint }): PackRow[] | undefined {
  if (checksumOf(table) !== trailer.checksum) return undefined
  const rows: PackRow[] = []
  for (let i = 0; i < trailer.count; i++) {
    const at = i * TOC_ROW_BYTES
    const row = {
      digest: digestIn(table, at),
      offset: Number(table.readBigUInt64LE(at + 32)),
      length: table.readUInt32LE(at + 40),
      storedLength: table.readUInt32LE(at + 44),
    }
    if (row.offset + recordLength(row) > trailer.offset) return undefined
    rows.push(row)
  }
  return rows
}

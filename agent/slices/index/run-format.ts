// Runs: files of the index database with rows sorted by digest, written once (docs/format.md, "Index database"). Every block, and everything
// after the blocks, has a checksum, so that both the rows of a run and the absence of a row can be trusted.
//
//   blocks   4096 bytes each: u64 xxHash64 of the rest, seeded with run and block · 85 rows, the last block padded with zeros
//   row      48 bytes: 32 bytes SHA-256 · u32 pack, 0 for a slice that was removed · u48 offset · u24 length · u24 stored length
//   fences   8 bytes a block: f64, the first 48 bits of its first digest
//   filter   a Bloom filter of its digests
//   trailer  64 bytes: "SLIPWAYX" · u32 version · u32 0 · u64 run · u64 rows · u64 bytes of the filter · u64 xxHash64 of the filter, seeded
//            with that of the fences · u64 0 · u64 xxHash64 of bytes 0 to 55

import { digestIn } from '../../../protocol/slices/digest.ts'
import { checksumOf } from '../packs/record.ts'
import type { SliceRow } from '../packs/slice-row.ts'

const RUN_VERSION = 1
export const RUN_ROW_BYTES = 48
export const RUN_BLOCK_BYTES = 4096
export const RUN_BLOCK_ROWS = 85
export const RUN_CHECK_BYTES = 8
export const RUN_TRAILER_BYTES = 64
const RUN_MAGIC = 'SLIPWAYX'
/** Distance between the seeds of two runs: blocks of one run that get distinct seeds. */
const SEED_STEP = 0x1_0000_0000n
/** The pack number of a row that records the removal of a slice. */
export const REMOVED = 0
export const PACK_NUMBER_MAX = 0xffff_ffff

/** The fields of the trailer of a run. */
export interface RunTrailer {
  readonly run: number
  readonly rows: number
  readonly filterBytes: number
  readonly checksum: bigint
}

/** Writes a row into `into` at `at`. */
export function encodeRow(into: Buffer, at: number, row: SliceRow): void {
  into.set(row.digest, at)
  into.writeUInt32LE(row.pack, at + 32)
  into.writeUIntLE(row.offset, at + 36, 6)
  into.writeUIntLE(row.length, at + 42, 3)
  into.writeUIntLE(row.storedLength, at + 45, 3)
}

/** Returns the row at `at`. Nothing in the result refers to `from`. */
export function decodeRow(from: Buffer, at: number): SliceRow {
  return { digest: digestIn(from, at), ...decodeLocation(from, at) }
}

export function decodeLocation(from: Buffer, at: number): Omit<SliceRow, 'digest'> {
  return {
    pack: packAt(from, at),
    offset: from.readUIntLE(at + 36, 6),
    length: from.readUIntLE(at + 42, 3),
    storedLength: storedLengthAt(from, at),
  }
}

export function packAt(from: Buffer, at: number): number {
  return from.readUInt32LE(at + 32)
}

export function storedLengthAt(from: Buffer, at: number): number {
  return from.readUIntLE(at + 45, 3)
}

/** Returns the first 48 bits of the digest at `at`: enough to find a block and to sort most rows. */
export function prefixAt(from: Buffer, at: number): number {
  return from.readUIntBE(at, 6)
}

/** Returns the number of blocks of a run. */
export function blockCount(rows: number): number {
  return Math.ceil(rows / RUN_BLOCK_ROWS)
}

/** Returns the number of rows in one block of a run. */
export function rowsOfBlock(rows: number, block: number): number {
  return Math.min(RUN_BLOCK_ROWS, rows - block * RUN_BLOCK_ROWS)
}

/** Returns the checksum of the block that begins at `at`. */
export function blockCheck(from: Buffer, at: number, run: number, block: number): bigint {
  return Bun.hash.xxHash64(from.subarray(at + RUN_CHECK_BYTES, at + RUN_BLOCK_BYTES), BigInt(run) * SEED_STEP + BigInt(block))
}

/** Returns the checksum of what follows the blocks. */
export function tableCheck(fences: Uint8Array, filter: Uint8Array): bigint {
  return Bun.hash.xxHash64(filter, checksumOf(fences))
}

export function encodeRunTrailer({ run, rows, filterBytes, checksum }: RunTrailer): Buffer {
  const trailer = Buffer.alloc(RUN_TRAILER_BYTES)
  trailer.write(RUN_MAGIC, 'latin1')
  trailer.writeUInt32LE(RUN_VERSION, 8)
  trailer.writeBigUInt64LE(BigInt(run), 16)
  trailer.writeBigUInt64LE(BigInt(rows), 24)
  trailer.writeBigUInt64LE(BigInt(filterBytes), 32)
  trailer.writeBigUInt64LE(checksum, 40)
  trailer.writeBigUInt64LE(checksumOf(trailer.subarray(0, 56)), 56)
  return trailer
}

/** Decodes the trailer of a file of this length; undefined when it is not a valid trailer of this version. */
export function readRunTrailer(trailer: Buffer, fileBytes: number): RunTrailer | undefined {
  if (trailer.length !== RUN_TRAILER_BYTES || trailer.toString('latin1', 0, 8) !== RUN_MAGIC || trailer.readUInt32LE(8) !== RUN_VERSION) return undefined
  if (trailer.readBigUInt64LE(56) !== checksumOf(trailer.subarray(0, 56))) return undefined
  const [run, rows, filterBytes] = [16, 24, 32].map((at) => Number(trailer.readBigUInt64LE(at))) as [number, number, number]
  const blocks = blockCount(rows)
  if (blocks * (RUN_BLOCK_BYTES + 8) + filterBytes + RUN_TRAILER_BYTES !== fileBytes) return undefined
  return { run, rows, filterBytes, checksum: trailer.readBigUInt64LE(40) }
}

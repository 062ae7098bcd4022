// Records: slices as stored in a pack (docs/format.md, "Record"). A record is self-describing, so that a pack can be read without its table of
// contents and without the index database.
//
//   0  u32 magic "SLR1"   4  u8 codec   5  3 bytes 0   8  u32 length   12 u32 stored length
//   16 u64 xxHash64 of the stored bytes   24 32 bytes SHA-256 of the slice   56 u64 xxHash64 of bytes 0 to 55
//   64 the stored bytes

import { digestIn } from '../../../protocol/slices/digest.ts'
import { CODEC_RAW, CODEC_ZSTD } from '../../../protocol/slices/frames.ts'
import { SLICE_LENGTH_MAX } from '../../../protocol/slices/manifest.ts'

export const RECORD_HEADER_BYTES = 64
export const RECORD_MAGIC = 0x3152_4c53

/** The fields of a record's header. Lengths in bytes. */
export interface RecordHeader {
  readonly digest: Uint8Array
  readonly codec: number
  readonly length: number
  readonly storedLength: number
  readonly checksum: bigint
}

/** Writes the header of a record into `into` at `at`. */
export function writeRecordHeader(into: Buffer, at: number, header: RecordHeader): void {
  into.writeUInt32LE(RECORD_MAGIC, at)
  into.writeUInt32LE(header.codec, at + 4)
  into.writeUInt32LE(header.length, at + 8)
  into.writeUInt32LE(header.storedLength, at + 12)
  into.writeBigUInt64LE(header.checksum, at + 16)
  into.set(header.digest, at + 24)
  into.writeBigUInt64LE(checksumOf(into.subarray(at, at + 56)), at + 56)
}

/** Decodes the record header at `at`; undefined when there is no valid one. Nothing in the result refers to `from`. */
export function readRecordHeader(from: Buffer, at: number): RecordHeader | undefined {
  if (at + RECORD_HEADER_BYTES > from.length || from.readUInt32LE(at) !== RECORD_MAGIC) return undefined
  if (from.readBigUInt64LE(at + 56) !== checksumOf(from.subarray(at, at + 56))) return undefined
  const codec = from.readUInt32LE(at + 4)
  const length = from.readUInt32LE(at + 8)
  const storedLength = from.readUInt32LE(at + 12)
  if ((codec !== CODEC_RAW && codec !== CODEC_ZSTD) || length === 0 || length > SLICE_LENGTH_MAX || storedLength > length) return undefined
  return { digest: digestIn(from, at + 24), codec, length, storedLength, checksum: from.readBigUInt64LE(at + 16) }
}

/** Returns the xxHash64 with seed 0, the checksum of everything on disk that has no digest. */
export function checksumOf(bytes: Uint8Array): bigint {
  return Bun.hash.xxHash64(bytes)
}

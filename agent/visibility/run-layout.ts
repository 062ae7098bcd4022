// Layout of a run of the visibility index (docs/format.md, "Visibility index"): sorted rows, each the fingerprint of a slice and a manifest
// that names it. Little endian. Every block, and everything after the blocks, has a checksum.
//
//   blocks     4096 bytes each: u64 xxHash64 of the other 4088, seeded with run and block · 255 rows · padding
//   row        16 bytes: 3 × u32 fingerprint · u32 number of the manifest among `manifests`
//   fences     4 bytes for each block: u32, the first word of its first row
//   manifests  32 bytes each: manifest digest
//   trailer    64 bytes: "SLIPWAYV" · u32 version · u32 manifests · u64 run · u64 rows · u64 xxHash64 of the manifests, seeded with that
//              of the fences · 16 bytes 0 · u64 xxHash64 of bytes 0 to 55

import { DIGEST_BYTES } from '../../protocol/slices/digest.ts'

const MAGIC = 'SLIPWAYV'
const VERSION = 1
export const BLOCK_BYTES = 4096
export const BLOCK_WORDS = BLOCK_BYTES / 4
export const BLOCK_ROWS = 255
/** Words of a row, and the word of a block at which its first row begins. */
export const ROW_WORDS = 4
export const ROWS_AT = 2
export const TRAILER_BYTES = 64
const CHECKED_BYTES = 56
/** Distance between the seeds of two runs: blocks of one run that get distinct seeds. */
const SEED_STEP = 0x1_0000_0000n

/** The fields of the trailer of a run. */
export interface RunTrailer {
  readonly run: number
  readonly rows: number
  readonly manifests: number
  readonly checksum: bigint
}

/** Returns the word at byte `at` of a digest, big endian. Three of them, 96 bits, are the fingerprint of a slice and sort like the digests. */
export function fingerprintWord(digest: Uint8Array, at: number): number {
  return (((digest[at] ?? 0) << 24) | ((digest[at + 1] ?? 0) << 16) | ((digest[at + 2] ?? 0) << 8) | (digest[at + 3] ?? 0)) >>> 0
}

/** Returns the number of blocks of a run. */
export function blockCount(rows: number): number {
  return Math.ceil(rows / BLOCK_ROWS)
}

/** Returns the number of rows in one block of a run. */
export function rowsOfBlock(rows: number, block: number): number {
  return Math.min(BLOCK_ROWS, rows - block * BLOCK_ROWS)
}

/** Returns the checksum of a block of 4096 bytes. */
export function blockCheck(block: Uint8Array, run: number, number: number): bigint {
  return Bun.hash.xxHash64(block.subarray(8, BLOCK_BYTES), BigInt(run) * SEED_STEP + BigInt(number))
}

/** Returns the checksum of what follows the blocks. */
export function tableCheck(fences: Uint8Array, manifests: Uint8Array): bigint {
  return Bun.hash.xxHash64(manifests, Bun.hash.xxHash64(fences))
}

/** Returns the length of a run's file in bytes. */
export function runBytes({ rows, manifests }: Pick<RunTrailer, 'rows' | 'manifests'>): number {
  return blockCount(rows) * (BLOCK_BYTES + 4) + manifests * DIGEST_BYTES + TRAILER_BYTES
}

export function encodeTrailer({ run, rows, manifests, checksum }: RunTrailer): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(TRAILER_BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < MAGIC.length; i++) bytes[i] = MAGIC.charCodeAt(i)
  view.setUint32(8, VERSION, true)
  view.setUint32(12, manifests, true)
  view.setBigUint64(16, BigInt(run), true)
  view.setBigUint64(24, BigInt(rows), true)
  view.setBigUint64(32, checksum, true)
  view.setBigUint64(CHECKED_BYTES, Bun.hash.xxHash64(bytes.subarray(0, CHECKED_BYTES)), true)
  return bytes
}

/** Decodes the trailer of a file of this length; undefined when it is not that of a whole run of this version. */
export function decodeTrailer(bytes: Uint8Array, fileBytes: number): RunTrailer | undefined {
  if (bytes.byteLength !== TRAILER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC.charCodeAt(i)) return undefined
  if (view.getUint32(8, true) !== VERSION) return undefined
  if (view.getBigUint64(CHECKED_BYTES, true) !== Bun.hash.xxHash64(bytes.subarray(0, CHECKED_BYTES))) return undefined
  const trailer = {
    manifests: view.getUint32(12, true),
    run: Number(view.getBigUint64(16, true)),
    rows: Number(view.getBigUint64(24, true)),
    checksum: view.getBigUint64(32, true),
  }
  return runBytes(trailer) === fileBytes ? trailer : undefined
}

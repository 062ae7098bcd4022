// The header of a qcow2 image, versions 2 and 3 (QEMU, docs/interop/qcow2). Inspection has accepted the image; the checks here only keep the reader
// within its bounds, whatever the bytes are.

import type { FilePages } from '../file-pages.ts'
import { damagedTables } from '../guest-disk.ts'

const MAGIC = 0x5146_49fb
const HEADER_BYTES = 112
const LENGTH_V2 = 72
const VERSION_3 = 3
const CLUSTER_BITS_MIN = 9
const CLUSTER_BITS_MAX = 21
/** Extended entries need clusters of at least 16 KiB. */
const EXTENDED_BITS_MIN = 14
/** Bits of `incompatible_features`: dirty, corrupt, external data file, compression type, extended L2 entries. */
const DIRTY = 1
const COMPRESSION_TYPE = 8
const EXTENDED_L2 = 16
const KNOWN_FEATURES = DIRTY | COMPRESSION_TYPE | EXTENDED_L2
const COMPRESSION_ZSTD = 1

export interface Qcow2Header {
  /** Bytes that the guest sees. */
  readonly size: number
  readonly clusterBits: number
  /** Bytes of a cluster. */
  readonly cluster: number
  readonly l1Offset: number
  readonly l1Entries: number
  /** Bytes of an L2 entry: 8, or 16 with a bitmap of subclusters. */
  readonly entryBytes: number
  readonly codec: 'deflate' | 'zstd'
  /** Whether bit 0 of an L2 entry means that the cluster reads as zeros. */
  readonly hasZeroFlag: boolean
}

/** Reads the header. Throws ProblemError `unsafe-image`. */
export async function readQcow2Header(pages: FilePages, fileLength: number, signal?: AbortSignal): Promise<Qcow2Header> {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.set(await pages.bytes(0, Math.min(HEADER_BYTES, fileLength), signal))
  if (bytes.readUInt32BE(0) !== MAGIC) throw damagedTables('it does not begin with the header of a qcow2 image')
  const version = bytes.readUInt32BE(4)
  const clusterBits = bytes.readUInt32BE(20)
  const size = bytes.readBigUInt64BE(24)
  const l1Entries = bytes.readUInt32BE(36)
  const l1Offset = bytes.readBigUInt64BE(40)
  const features = readFeatures(bytes, version)
  if (version !== 2 && version !== VERSION_3) throw damagedTables(`its version is ${version}`)
  if (clusterBits < CLUSTER_BITS_MIN || clusterBits > CLUSTER_BITS_MAX) throw damagedTables(`its clusters have ${clusterBits} bits`)
  if (bytes.readBigUInt64BE(8) !== 0n) throw damagedTables('it needs a backing file')
  if (bytes.readUInt32BE(32) !== 0) throw damagedTables('it is encrypted')
  if (features.isUnknown) throw damagedTables('it has features that change how it is read')
  if (features.isExtended && clusterBits < EXTENDED_BITS_MIN) throw damagedTables('its clusters are too short for subclusters')
  if (size > BigInt(Number.MAX_SAFE_INTEGER) || l1Offset > BigInt(fileLength)) throw damagedTables('its L1 table lies outside of the file')
  const cluster = 2 ** clusterBits
  const entryBytes = features.isExtended ? 16 : 8
  const l1Needed = Math.ceil(Number(size) / (cluster * (cluster / entryBytes)))
  if (l1Entries < l1Needed) throw damagedTables(`its L1 table has ${l1Entries} entries and needs ${l1Needed}`)
  if (Number(l1Offset) + l1Needed * 8 > fileLength) throw damagedTables('its L1 table lies outside of the file')
  return {
    size: Number(size),
    clusterBits,
    cluster,
    l1Offset: Number(l1Offset),
    l1Entries: l1Needed,
    entryBytes,
    codec: features.isZstd ? 'zstd' : 'deflate',
    hasZeroFlag: version === VERSION_3 && !features.isExtended,
  }
}

/** Reads the features that version 3 has; version 2 has none. */
function readFeatures(bytes: Buffer, version: number): { isUnknown: boolean; isExtended: boolean; isZstd: boolean } {
  if (version !== VERSION_3) return { isUnknown: false, isExtended: false, isZstd: false }
  const high = bytes.readUInt32BE(LENGTH_V2)
  const low = bytes.readUInt32BE(LENGTH_V2 + 4)
  const type = (low & COMPRESSION_TYPE) === 0 ? 0 : bytes.readUInt8(104)
  return {
    isUnknown: high !== 0 || (low & ~KNOWN_FEATURES) !== 0 || type > COMPRESSION_ZSTD,
    isExtended: (low & EXTENDED_L2) !== 0,
    isZstd: type === COMPRESSION_ZSTD,
  }
}

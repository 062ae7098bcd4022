// The header of qcow2 (QEMU, docs/interop/qcow2, "Header"), big endian: its members, and every check that needs nothing but the header and the
// length of the file.

import { cutOff, safeSize, viewOf } from '../format.ts'

/** Names of the features that a reader must know to read the image, by bit. */
const FEATURES = { dirty: 1n << 0n, corrupt: 1n << 1n, dataFile: 1n << 2n, compressionType: 1n << 3n, extendedL2: 1n << 4n } as const
const FEATURES_KNOWN = Object.values(FEATURES).reduce((all, bit) => all | bit, 0n)
const AUTOCLEAR_BITMAPS = 1n << 0n
const AUTOCLEAR_RAW_DATA_FILE = 1n << 1n

const HEADER_BYTES_V2 = 72
const HEADER_BYTES_V3 = 104
/** Length of a header with the member for the type of compression. */
const HEADER_BYTES_COMPRESSION = 112
const CLUSTER_BITS_MIN = 9
const CLUSTER_BITS_MAX = 21
const CLUSTER_BITS_MIN_EXTENDED = 14
const REFCOUNT_ORDER_V2 = 4
const REFCOUNT_ORDER_MAX = 6
/** Longest tables that QEMU opens, in bytes. */
const L1_BYTES_MAX = 32 * 1024 * 1024
const REFCOUNT_TABLE_BYTES_MAX = 8 * 1024 * 1024

export interface Qcow2Header {
  readonly version: 2 | 3
  readonly clusterBits: number
  readonly clusterSize: number
  /** Size that a guest sees, in bytes. */
  readonly virtualSize: number
  readonly l1Offset: number
  /** Number of entries. */
  readonly l1Size: number
  readonly refcountOffset: number
  readonly refcountTableBytes: number
  readonly refcountBits: number
  /** Whether entries of L2 tables have 16 bytes, with a bitmap of subclusters. */
  readonly isExtended: boolean
  readonly compression: 'zlib' | 'zstd'
  readonly headerLength: number
  /** Whether the extension with dirty bitmaps is valid. */
  readonly hasBitmaps: boolean
}

/** What the header says. `header` is null if its members are so wrong that nothing behind it can be found. */
export interface HeaderFinding {
  readonly version: number
  readonly virtualSize: number | null
  readonly header: Qcow2Header | null
  readonly refusals: readonly string[]
}

/** Reads a header. `bytes` are the first bytes of the file, at least 112 unless the file is shorter. */
export function readHeader(bytes: Uint8Array, fileLength: number): HeaderFinding {
  if (bytes.byteLength < HEADER_BYTES_V2) return { version: 0, virtualSize: null, header: null, refusals: [cutOff('qcow2 header')] }
  const view = viewOf(bytes)
  const version = view.getUint32(4)
  const virtualSize = safeSize(view.getBigUint64(24))
  const wrong = (...refusals: string[]): HeaderFinding => ({ version, virtualSize, header: null, refusals })
  if (version !== 2 && version !== 3) return wrong(`it is qcow2 of version ${version}, which is not supported`)
  if (version === 3 && bytes.byteLength < HEADER_BYTES_V3) return wrong(cutOff('qcow2 header'))

  const clusterBits = view.getUint32(20)
  if (clusterBits < CLUSTER_BITS_MIN || clusterBits > CLUSTER_BITS_MAX) return wrong(`its clusters of 2^${clusterBits} bytes are not possible in qcow2`)
  const { refusals: featureRefusals, isExtended } = readFeatures(view, version)
  const compression = readCompression(view, version)
  const headerLength = version === 3 ? view.getUint32(100) : HEADER_BYTES_V2
  const refusals = [
    ...linkRefusals(view),
    ...featureRefusals,
    ...compression.refusals,
    ...(isHeaderLength(headerLength, version, 2 ** clusterBits) ? [] : [`its header length of ${headerLength} bytes is not possible`]),
    ...(isExtended && clusterBits < CLUSTER_BITS_MIN_EXTENDED ? ['its clusters are too small for subclusters'] : []),
  ]
  if (virtualSize === null) return wrong(...refusals, 'its virtual size is beyond all bounds')
  const tables = readTables(view, { version, clusterBits, virtualSize, isExtended, fileLength })
  const all = [...refusals, ...tables.refusals]
  const { l1Offset, refcountOffset } = tables
  if (all.length > 0 || l1Offset === null || refcountOffset === null) return wrong(...all)
  const header: Qcow2Header = {
    version,
    clusterBits,
    clusterSize: 2 ** clusterBits,
    virtualSize,
    l1Offset,
    l1Size: view.getUint32(36),
    refcountOffset,
    refcountTableBytes: view.getUint32(56) * 2 ** clusterBits,
    refcountBits: 2 ** (version === 3 ? view.getUint32(96) : REFCOUNT_ORDER_V2),
    isExtended,
    compression: compression.type,
    headerLength,
    hasBitmaps: version === 3 && (view.getBigUint64(88) & AUTOCLEAR_BITMAPS) !== 0n,
  }
  return { version, virtualSize, header, refusals: [] }
}

/** Returns the refusals for members that name other files, keys or older states of the disk. */
function linkRefusals(view: DataView): string[] {
  const refusals: string[] = []
  if (view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0) refusals.push('it has a backing file')
  if (view.getUint32(32) !== 0) refusals.push('it is encrypted')
  const snapshots = view.getUint32(60)
  if (snapshots > 0) refusals.push(`it has internal snapshots (${snapshots}), which hold earlier data of its guest`)
  return refusals
}

function readFeatures(view: DataView, version: 2 | 3): { readonly refusals: string[]; readonly isExtended: boolean } {
  if (version === 2) return { refusals: [], isExtended: false }
  const incompatible = view.getBigUint64(72)
  const has = (feature: keyof typeof FEATURES): boolean => (incompatible & FEATURES[feature]) !== 0n
  const refusals: string[] = []
  if (has('dirty')) refusals.push('it was not closed properly (its dirty bit is set)')
  if (has('corrupt')) refusals.push('it is marked as corrupt')
  if (has('dataFile')) refusals.push('it keeps its data in an external file')
  else if ((view.getBigUint64(88) & AUTOCLEAR_RAW_DATA_FILE) !== 0n) refusals.push('it claims to have a raw external file')
  if ((incompatible & ~FEATURES_KNOWN) !== 0n) refusals.push('it needs features that are not known')
  return { refusals, isExtended: has('extendedL2') }
}

/** Reads the type of compression, which the header has only if its length says so. */
function readCompression(view: DataView, version: 2 | 3): { readonly type: 'zlib' | 'zstd'; readonly refusals: string[] } {
  if (version === 2) return { type: 'zlib', refusals: [] }
  const isDeclared = (view.getBigUint64(72) & FEATURES.compressionType) !== 0n
  const isPresent = view.getUint32(100) >= HEADER_BYTES_COMPRESSION && view.byteLength >= HEADER_BYTES_COMPRESSION
  const type = isPresent ? view.getUint8(HEADER_BYTES_V3) : 0
  if (isDeclared ? type === 1 : type === 0) return { type: type === 1 ? 'zstd' : 'zlib', refusals: [] }
  return { type: 'zlib', refusals: ['its type of compression is not known'] }
}

function isHeaderLength(length: number, version: 2 | 3, clusterSize: number): boolean {
  return version === 2 || (length >= HEADER_BYTES_V3 && length % 8 === 0 && length <= clusterSize)
}

interface TablesOf {
  readonly version: 2 | 3
  readonly clusterBits: number
  readonly virtualSize: number
  readonly isExtended: boolean
  readonly fileLength: number
}

/** Checks where the L1 table and the refcount table are, and whether they are large enough. */
function readTables(view: DataView, { version, clusterBits, virtualSize, isExtended, fileLength }: TablesOf) {
  const clusterSize = 2 ** clusterBits
  const refusals: string[] = []
  const place = (name: string, at: number, bytes: number): number | null => {
    const offset = safeSize(view.getBigUint64(at))
    if (offset === null || offset % clusterSize !== 0 || offset < clusterSize) refusals.push(`its ${name} is at an impossible offset`)
    else if (offset + bytes > fileLength) refusals.push(cutOff(name))
    else return offset
    return null
  }
  const l1Size = view.getUint32(36)
  const entriesOfL2 = clusterSize / (isExtended ? 16 : 8)
  const l1SizeMin = Math.ceil(virtualSize / (clusterSize * entriesOfL2))
  let l1Offset: number | null = null
  if (l1Size * 8 > L1_BYTES_MAX) refusals.push(`its L1 table of ${l1Size} entries is longer than ${L1_BYTES_MAX} bytes`)
  else if (l1Size < l1SizeMin) refusals.push(`its L1 table of ${l1Size} entries is too short for its virtual size`)
  else l1Offset = l1Size === 0 ? clusterSize : place('L1 table', 40, l1Size * 8)

  const refcountTableBytes = view.getUint32(56) * clusterSize
  const refcountOrder = version === 3 ? view.getUint32(96) : REFCOUNT_ORDER_V2
  let refcountOffset: number | null = null
  if (refcountOrder > REFCOUNT_ORDER_MAX) refusals.push(`its refcounts of 2^${refcountOrder} bits are not possible`)
  if (refcountTableBytes === 0) refusals.push('it has no refcount table')
  else if (refcountTableBytes > REFCOUNT_TABLE_BYTES_MAX) refusals.push(`its refcount table is longer than ${REFCOUNT_TABLE_BYTES_MAX} bytes`)
  else refcountOffset = place('refcount table', 48, refcountTableBytes)
  return { l1Offset, refcountOffset, refusals }
}

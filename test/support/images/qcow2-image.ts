// Builds small qcow2 files byte by byte, for tests that change one member of a valid file. Layout, one cluster each: header, refcount table, refcount
// block, L1 table, L2 table, then the data.

export interface Qcow2Options {
  readonly version?: 2 | 3
  readonly clusterBits?: number
  readonly virtualSize?: number
  /** Data clusters, mapped from the start of the guest's disk. */
  readonly dataClusters?: number
  readonly isExtended?: boolean
  /** Whether the header names zstd as its compression. */
  readonly isZstd?: boolean
}

/** A qcow2 file with the offsets of its structures. */
export interface Qcow2File {
  readonly bytes: Uint8Array
  readonly clusterSize: number
  readonly refcountTable: number
  readonly refcountBlock: number
  readonly l1: number
  readonly l2: number
  readonly data: number
}

const COPIED = 1n << 63n

/** Builds a valid file. */
export function buildQcow2({ version = 3, clusterBits = 16, virtualSize = 4 * 1024 * 1024, dataClusters = 3, ...options }: Qcow2Options = {}): Qcow2File {
  const clusterSize = 2 ** clusterBits
  const [refcountTable, refcountBlock, l1, l2, data] = [1, 2, 3, 4, 5].map((cluster) => cluster * clusterSize) as [number, number, number, number, number]
  const bytes = new Uint8Array((5 + dataClusters) * clusterSize)
  const view = new DataView(bytes.buffer)
  const entryBytes = options.isExtended ? 16 : 8
  bytes.set([0x51, 0x46, 0x49, 0xfb])
  view.setUint32(4, version)
  view.setUint32(20, clusterBits)
  view.setBigUint64(24, BigInt(virtualSize))
  view.setUint32(36, Math.max(1, Math.ceil(virtualSize / (clusterSize * (clusterSize / entryBytes)))))
  view.setBigUint64(40, BigInt(l1))
  view.setBigUint64(48, BigInt(refcountTable))
  view.setUint32(56, 1)
  if (version === 3) {
    view.setBigUint64(72, (options.isExtended ? 16n : 0n) | (options.isZstd ? 8n : 0n))
    view.setUint32(96, 4)
    view.setUint32(100, 112)
    if (options.isZstd) view.setUint8(104, 1)
  }
  view.setBigUint64(refcountTable, BigInt(refcountBlock))
  for (let cluster = 0; cluster < 5 + dataClusters; cluster++) view.setUint16(refcountBlock + cluster * 2, 1)
  view.setBigUint64(l1, BigInt(l2) | COPIED)
  for (let i = 0; i < dataClusters; i++) {
    view.setBigUint64(l2 + i * entryBytes, BigInt(data + i * clusterSize) | COPIED)
    if (options.isExtended) view.setUint32(l2 + i * 16 + 12, 0xffff_ffff)
    bytes.fill(0x61 + i, data + i * clusterSize, data + (i + 1) * clusterSize)
  }
  return { bytes, clusterSize, refcountTable, refcountBlock, l1, l2, data }
}

/** Builds a file and changes it. */
export function changedQcow2(change: (view: DataView, file: Qcow2File) => void, options: Qcow2Options = {}): Uint8Array {
  const file = buildQcow2(options)
  change(new DataView(file.bytes.buffer), file)
  return file.bytes
}

/** Writes a header extension at an offset. Returns the offset after it. */
export function putExtension(view: DataView, at: number, type: number, content: Uint8Array | string = ''): number {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
  view.setUint32(at, type)
  view.setUint32(at + 4, bytes.byteLength)
  bytes.forEach((byte, i) => view.setUint8(at + 8 + i, byte))
  return at + 8 + Math.ceil(bytes.byteLength / 8) * 8
}

// The two levels of tables that map the guest's disk to clusters of a qcow2 file (QEMU, docs/interop/qcow2, "Cluster mapping"). Every entry of every
// table is checked. L2 tables are read in the order of the file, so that a file whose tables are in any other order costs no more.

import { cutOff, viewOf } from '../format.ts'
import type { ImageProbe } from '../format.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { Qcow2Header } from './header.ts'

/** Offsets are bits 9 to 55 of an entry. */
const OFFSET_HIGH_MASK = 0x00ff_ffff
const OFFSET_LOW_MASK = 0xffff_fe00
const RESERVED_HIGH_L1 = 0x7f00_0000
const RESERVED_LOW_L1 = 0x1ff
const RESERVED_HIGH_L2 = 0x3f00_0000
const RESERVED_LOW_L2 = 0x1fe
const COMPRESSED_HIGH = 0x4000_0000
const TWO_TO_32 = 2 ** 32
const SUBCLUSTERS = 32
/** Bytes of a table that are looked at without letting the event loop run. */
const PIECE_BYTES = 64 * 1024
const SECTOR_BYTES = 512
/** Tables whose clusters are put in order together: 4 MiB of bits. */
const ORDERED_CLUSTERS = 32 * 1024 * 1024
/** Least bytes that compressed data of a cluster has: deflate reaches 1:1032, and zstd spends 4 bytes on a block of 128 KiB. */
const RATIO_MAX = { zlib: 1032, zstd: 6000 } as const

/** Entries of an L1 table as numbers of clusters, 0 for no table. */
export type L1Table = Uint32Array

/** What the tables say about the disk. */
export interface TableTotals {
  /** Bytes of the guest's disk that the file has data for. */
  allocatedBytes: number
  compressedClusters: number
}

/** Reads the L1 table. Returns a refusal if one of its entries is impossible. */
export async function readL1(probe: ImageProbe, header: Qcow2Header): Promise<L1Table | string> {
  const { l1Offset, l1Size, clusterSize, virtualSize } = header
  const entriesOfL2 = clusterSize / entryBytesOf(header)
  const sizeNeeded = Math.ceil(virtualSize / (clusterSize * entriesOfL2))
  const table = new Uint32Array(l1Size)
  for (let start = 0; start < l1Size;) {
    const view = viewOf(await probe.readAt(l1Offset + start * 8, Math.min(PIECE_BYTES, (l1Size - start) * 8)))
    const count = Math.floor(view.byteLength / 8)
    if (count === 0) return cutOff('L1 table')
    for (let i = 0; i < count; i++) {
      // Not as an array: a table has four million entries.
      const high = view.getInt32(i * 8)
      const low = view.getInt32(i * 8 + 4)
      if ((high & RESERVED_HIGH_L1) !== 0 || (low & RESERVED_LOW_L1) !== 0) return 'an entry of its L1 table has reserved bits'
      const offset = (high & OFFSET_HIGH_MASK) * TWO_TO_32 + ((low & OFFSET_LOW_MASK) >>> 0)
      if (offset === 0) continue
      if (offset % clusterSize !== 0) return 'an L2 table is not at the start of a cluster'
      if (offset + clusterSize > probe.length) return 'an L2 table is beyond the end of the file'
      if (start + i >= sizeNeeded) return 'its L1 table has entries beyond its virtual size'
      table[start + i] = offset / clusterSize
    }
    start += count
    await probe.spend()
  }
  return table
}

/** The L2 tables of a file. */
export interface L2Tables {
  readonly l1: L1Table
  /** One bit for each cluster of a part of the file, which a walk sets for tables. All walks of a file share it. */
  readonly order: Uint8Array
}

/** Returns the L2 tables that an L1 table names. */
export function l2TablesOf(probe: ImageProbe, { clusterSize }: Qcow2Header, l1: L1Table): L2Tables {
  return { l1, order: new Uint8Array(Math.ceil(Math.min(Math.ceil(probe.length / clusterSize), ORDERED_CLUSTERS) / 8)) }
}

/** Walks all L2 tables once, and records the clusters of the window of the map. Returns a refusal if an entry is impossible or a cluster is used twice. */
export async function walkL2(probe: ImageProbe, header: Qcow2Header, { l1, order }: L2Tables, map: ClusterMap): Promise<TableTotals | string> {
  const clusters = Math.ceil(probe.length / header.clusterSize)
  const totals: TableTotals = { allocatedBytes: 0, compressedClusters: 0 }
  const visit = header.isExtended ? visitExtended : visitStandard
  const visiting: Visit = { header, map, totals, fileLength: probe.length }
  let visitedStart = -1
  let piece: DataView = new DataView(new ArrayBuffer(0))
  for (let first = 0; first < clusters; first += ORDERED_CLUSTERS) {
    const marked = await markTables({ probe, l1, order, first })
    if (!marked) return TWICE
    for (let byte = marked.first >> 3; byte <= marked.last >> 3; byte++) {
      if ((byte & 0xffff) === 0) await probe.spend()
      const bits = order[byte] ?? 0
      for (let bit = 0; bits >>> bit !== 0; bit++) {
        if (((bits >>> bit) & 1) === 0) continue
        const table = first + byte * 8 + bit
        if (!map.claim(table)) return TWICE
        for (let offset = table * header.clusterSize; offset < (table + 1) * header.clusterSize; offset += PIECE_BYTES) {
          // Small tables are neighbours in one piece, which is read once.
          const pieceStart = Math.floor(offset / PIECE_BYTES) * PIECE_BYTES
          if (pieceStart !== visitedStart) {
            visitedStart = pieceStart
            piece = viewOf(await probe.readAt(pieceStart, PIECE_BYTES))
          }
          // An integer for the compiler too: with a double as its index, reading an entry is ten times slower.
          const at = (offset - pieceStart) | 0
          const fault = visit(visiting, piece, at, (at + Math.min(PIECE_BYTES, header.clusterSize)) | 0)
          if (fault !== undefined) return fault
          const pause = probe.spend()
          if (pause) await pause
        }
      }
    }
  }
  const bytesMin = (totals.compressedClusters * header.clusterSize) / RATIO_MAX[header.compression]
  if (bytesMin > probe.length) return 'it has more compressed clusters than its length allows'
  return totals
}

const TWICE = 'a cluster is used twice'

interface Marking {
  readonly probe: ImageProbe
  readonly l1: L1Table
  readonly order: Uint8Array
  /** First cluster of the ordered part of the file. */
  readonly first: number
}

/** Sets the bits of all L2 tables in one part of the file. Returns the first and the last of them; undefined if two entries name the same table. */
async function markTables({ probe, l1, order, first }: Marking): Promise<{ readonly first: number; readonly last: number } | undefined> {
  order.fill(0)
  // Without a table, the last is before the first.
  const marked = { first: order.byteLength * 8, last: -1 }
  for (let i = 0; i < l1.length; i++) {
    if ((i & 0xffff) === 0) await probe.spend()
    const table = l1[i] ?? 0
    const index = table - first
    if (table === 0 || index < 0 || index >= order.byteLength * 8) continue
    const bits = order[index >>> 3] ?? 0
    if ((bits & (1 << (index & 7))) !== 0) return undefined
    marked.first = Math.min(marked.first, index)
    marked.last = Math.max(marked.last, index)
    order[index >>> 3] = bits | (1 << (index & 7))
  }
  return marked
}

interface Visit {
  readonly header: Qcow2Header
  readonly map: ClusterMap
  readonly totals: TableTotals
  readonly fileLength: number
}

function entryBytesOf({ isExtended }: Qcow2Header): number {
  return isExtended ? 16 : 8
}

/**
 * Checks the entries of an L2 table, or of a part of one, between two offsets of the piece: 8 bytes each. Entries are read as signed words: unsigned
 * ones of most tables are doubles to the compiler, with which every table, even an empty one, takes four times longer.
 */
function visitStandard(visit: Visit, table: DataView, start: number, end: number): string | undefined {
  const { header, totals } = visit
  const isZeroFlagKnown = header.version === 3
  for (let at = start; at < end; at += 8) {
    const high = table.getInt32(at)
    const low = table.getInt32(at + 4)
    if (high === 0 && (low === 0 || low === 1)) {
      if (low === 1 && !isZeroFlagKnown) return RESERVED
      continue
    }
    if ((high & COMPRESSED_HIGH) !== 0) {
      const fault = visitCompressed(visit, high, low)
      if (fault !== undefined) return fault
      totals.allocatedBytes += header.clusterSize
      continue
    }
    const isZero = (low & 1) !== 0
    if (isZero && !isZeroFlagKnown) return RESERVED
    const fault = visitCluster(visit, high, low)
    if (fault !== undefined) return fault
    if (!isZero) totals.allocatedBytes += header.clusterSize
  }
  return undefined
}

const RESERVED = 'an entry of an L2 table has reserved bits'

/** Checks the entries of an L2 table with subclusters: 16 bytes each, of which the last 8 say which subclusters are allocated, and which are zeros. */
function visitExtended(visit: Visit, table: DataView, start: number, end: number): string | undefined {
  const { header, totals } = visit
  for (let at = start; at < end; at += 16) {
    const high = table.getInt32(at)
    const low = table.getInt32(at + 4)
    const zeros = table.getInt32(at + 8)
    const allocated = table.getInt32(at + 12)
    if (high === 0 && low === 0) {
      if (allocated !== 0) return 'a subcluster is allocated without a cluster'
      continue
    }
    if ((high & COMPRESSED_HIGH) !== 0) {
      if (zeros !== 0 || allocated !== 0) return 'a compressed cluster has subclusters'
      const fault = visitCompressed(visit, high, low)
      if (fault !== undefined) return fault
      totals.allocatedBytes += header.clusterSize
      continue
    }
    if ((zeros & allocated) !== 0) return 'a subcluster is both allocated and zero'
    if ((low & 1) !== 0) return RESERVED
    const fault = visitCluster(visit, high, low)
    if (fault !== undefined) return fault
    totals.allocatedBytes += countBits(allocated) * (header.clusterSize / SUBCLUSTERS)
  }
  return undefined
}

function visitCluster({ header, map, fileLength }: Visit, high: number, low: number): string | undefined {
  if ((high & RESERVED_HIGH_L2) !== 0 || (low & RESERVED_LOW_L2) !== 0) return RESERVED
  const offset = (high & OFFSET_HIGH_MASK) * TWO_TO_32 + ((low & OFFSET_LOW_MASK) >>> 0)
  if (offset === 0) return 'an entry of an L2 table names the header as data'
  if (offset % header.clusterSize !== 0) return 'a data cluster is not at the start of a cluster'
  // The last cluster of a file may be incomplete: what is missing reads as zeros.
  if (offset >= fileLength) return 'a data cluster is beyond the end of the file'
  return map.claim(offset / header.clusterSize) ? undefined : TWICE
}

/** Checks compressed data: an offset of any byte, and the number of further sectors that it reaches into. */
function visitCompressed({ header, map, totals, fileLength }: Visit, high: number, low: number): string | undefined {
  if (high >>> 31 !== 0) return 'a compressed cluster is marked as not shared'
  // The offset has 62 - (cluster_bits - 8) bits, and the sectors have the bits above it up to bit 61.
  const highOffsetBits = 62 - (header.clusterBits - 8) - 32
  const offset = (high & (2 ** highOffsetBits - 1)) * TWO_TO_32 + (low >>> 0)
  const sectors = (high & ~COMPRESSED_HIGH) >>> highOffsetBits
  if (offset < header.clusterSize) return 'compressed data overlaps the header'
  const end = (Math.floor(offset / SECTOR_BYTES) + 1 + sectors) * SECTOR_BYTES
  // The file may end with its last compressed byte.
  if (offset >= fileLength || end - SECTOR_BYTES >= fileLength) return 'compressed data is beyond the end of the file'
  totals.compressedClusters++
  const last = Math.floor((end - 1) / header.clusterSize)
  for (let cluster = Math.floor(offset / header.clusterSize); cluster <= last; cluster++) if (!map.share(cluster)) return TWICE
  return undefined
}

function countBits(word: number): number {
  let count = 0
  for (let rest = word; rest !== 0; rest &= rest - 1) count++
  return count
}

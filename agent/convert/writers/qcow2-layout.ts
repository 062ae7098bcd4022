// Where everything lies in a qcow2 file that is written from beginning to end (QEMU, docs/interop/qcow2):
//
//   header · refcount table · refcount blocks · L1 table · then for each region with data: its L2 table, and its clusters in the order of the disk
//
// The layout follows from the allocation alone, so that the length is known and any part can be produced by itself.

import { CLUSTER_BYTES, REGION_CLUSTERS } from '../allocation.ts'
import type { Allocation } from '../allocation.ts'

const MAGIC = 0x5146_49fb
const VERSION = 3
const HEADER_BYTES = 104
const CLUSTER_BITS = 16
/** 16 bits for each refcount. */
const REFCOUNT_ORDER = 4
const REFCOUNTS_PER_BLOCK = CLUSTER_BYTES / 2
const ENTRIES_PER_CLUSTER = CLUSTER_BYTES / 8
const WORD = 0x1_0000_0000
/** Bit 63 of an entry: the refcount of the cluster is exactly one. */
const COPIED_HIGH = 0x8000_0000

export interface Qcow2Layout {
  /** Clusters of the whole file. */
  readonly clusters: number
  /** Clusters before the first region. */
  readonly metaClusters: number
  /** Returns a cluster of the header and the tables before the first region. */
  metaCluster(index: number): Buffer
  /** Returns the number of the first cluster of a region: its L2 table. For a region without data, that of the next region. */
  firstCluster(region: number): number
  l2Table(region: number): Buffer
}

/** Computes the layout for a disk of `size` bytes, a multiple of 512. */
export function layoutQcow2(size: number, allocation: Allocation): Qcow2Layout {
  const { regions } = allocation
  // QEMU takes an L1 table of at least one entry, even for an empty disk.
  const l1Clusters = Math.max(1, Math.ceil(regions / ENTRIES_PER_CLUSTER))
  let dataClusters = 0
  for (let region = 0; region < regions; region++) dataClusters += regionClusters(allocation, region)
  const { tableClusters, blocks } = refcountsFor(1 + l1Clusters + dataClusters)
  const l1At = 1 + tableClusters + blocks
  const metaClusters = l1At + l1Clusters
  const clusters = metaClusters + dataClusters

  const firsts = new Float64Array(regions + 1)
  firsts[0] = metaClusters
  for (let region = 0; region < regions; region++) firsts[region + 1] = (firsts[region] ?? 0) + regionClusters(allocation, region)

  const metaCluster = (index: number): Buffer => {
    const cluster = Buffer.alloc(CLUSTER_BYTES)
    if (index === 0) writeHeader(cluster, { size, l1At, l1Entries: Math.max(1, regions), tableClusters })
    else if (index < 1 + tableClusters)
      fillEntries(cluster, blocks - (index - 1) * ENTRIES_PER_CLUSTER, (i) => entry(0, 1 + tableClusters + (index - 1) * ENTRIES_PER_CLUSTER + i))
    else if (index < l1At) fillRefcounts(cluster, clusters - (index - 1 - tableClusters) * REFCOUNTS_PER_BLOCK)
    else {
      const first = (index - l1At) * ENTRIES_PER_CLUSTER
      fillEntries(cluster, regions - first, (i) => (allocation.count(first + i) > 0 ? entry(COPIED_HIGH, firsts[first + i] ?? 0) : undefined))
    }
    return cluster
  }
  return {
    clusters,
    metaClusters,
    metaCluster,
    firstCluster: (region) => firsts[region] ?? clusters,
    l2Table(region) {
      const table = Buffer.alloc(CLUSTER_BYTES)
      let next = (firsts[region] ?? 0) + 1
      fillEntries(table, REGION_CLUSTERS, (i) => (allocation.has(region, i) ? entry(COPIED_HIGH, next++) : undefined))
      return table
    },
  }
}

/** Returns the clusters of a region with its L2 table; 0 without data. */
function regionClusters(allocation: Allocation, region: number): number {
  const count = allocation.count(region)
  return count === 0 ? 0 : count + 1
}

/** Returns how many clusters the refcount table and its blocks take, which have refcounts themselves. */
function refcountsFor(otherClusters: number): { tableClusters: number; blocks: number } {
  let tableClusters = 1
  let blocks = 1
  for (;;) {
    const total = otherClusters + tableClusters + blocks
    const blocksNeeded = Math.ceil(total / REFCOUNTS_PER_BLOCK)
    const tableNeeded = Math.ceil(blocksNeeded / ENTRIES_PER_CLUSTER)
    if (blocksNeeded === blocks && tableNeeded === tableClusters) return { tableClusters, blocks }
    blocks = blocksNeeded
    tableClusters = tableNeeded
  }
}

interface HeaderFields {
  readonly size: number
  readonly l1At: number
  readonly l1Entries: number
  readonly tableClusters: number
}

function writeHeader(into: Buffer, { size, l1At, l1Entries, tableClusters }: HeaderFields): void {
  into.writeUInt32BE(MAGIC, 0)
  into.writeUInt32BE(VERSION, 4)
  into.writeUInt32BE(CLUSTER_BITS, 20)
  into.writeBigUInt64BE(BigInt(size), 24)
  into.writeUInt32BE(l1Entries, 36)
  into.writeBigUInt64BE(BigInt(l1At) * BigInt(CLUSTER_BYTES), 40)
  into.writeBigUInt64BE(BigInt(CLUSTER_BYTES), 48)
  into.writeUInt32BE(tableClusters, 56)
  into.writeUInt32BE(REFCOUNT_ORDER, 96)
  into.writeUInt32BE(HEADER_BYTES, 100)
}

/** An entry of a table: flags in the high word, and a cluster of the file. */
interface TableEntry {
  readonly flags: number
  readonly cluster: number
}

function entry(flags: number, cluster: number): TableEntry {
  return { flags, cluster }
}

/** Writes at most `count` entries into a cluster; undefined leaves an entry 0. */
function fillEntries(into: Buffer, count: number, entryAt: (index: number) => TableEntry | undefined): void {
  const end = Math.min(count, ENTRIES_PER_CLUSTER)
  for (let i = 0; i < end; i++) {
    const found = entryAt(i)
    if (!found) continue
    const offset = found.cluster * CLUSTER_BYTES
    into.writeUInt32BE((found.flags | Math.floor(offset / WORD)) >>> 0, i * 8)
    into.writeUInt32BE(offset % WORD, i * 8 + 4)
  }
}

/** Writes the refcount 1 for `count` clusters: every cluster of the file is used once. */
function fillRefcounts(into: Buffer, count: number): void {
  const end = Math.min(count, REFCOUNTS_PER_BLOCK)
  for (let i = 0; i < end; i++) into[i * 2 + 1] = 1
}

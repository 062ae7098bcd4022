// Which clusters of a guest disk have data: a bitmap for each region of the disk, unless all or none of its clusters have.

import { problem } from '../../protocol/problems.ts'
import type { GuestDisk } from './guest-disk.ts'

/** Bytes of a cluster, and clusters of a region: those of one L2 table. */
export const CLUSTER_BYTES = 64 * 1024
export const REGION_CLUSTERS = 8192
export const REGION_BYTES = CLUSTER_BYTES * REGION_CLUSTERS
/** Regions of a disk: 64 TiB. */
const REGIONS_MAX = 131_072
/** Bitmaps in memory, 1 KiB each: 16 TiB of regions that are partly allocated. */
const BITMAPS_MAX = 32_768

/** The allocation of a disk. Regions and the clusters of a region are counted from 0. */
export interface Allocation {
  readonly regions: number
  /** Returns the number of clusters with data. */
  count(region: number): number
  has(region: number, cluster: number): boolean
  /** Memory that it takes. */
  readonly memoryBytes: number
}

/** Reads all extents of a disk. Throws ProblemError `invalid-input` for a disk that is too long, and `limit-reached` when it is too fragmented. */
export async function readAllocation(disk: GuestDisk, signal?: AbortSignal): Promise<Allocation> {
  const regions = Math.ceil(disk.length / REGION_BYTES)
  if (regions > REGIONS_MAX) throw problem('invalid-input', 'A disk of more than 64 TiB cannot be converted to qcow2.', { action: 'Use as=raw.' })
  const counts = new Uint16Array(regions)
  const bitmaps = new Map<number, Uint8Array>()

  const mark = (region: number, from: number, to: number): void => {
    const whole = clustersIn(disk.length, region)
    if (to - from === whole) {
      counts[region] = whole
      bitmaps.delete(region)
      return
    }
    if (counts[region] === whole) return
    let bitmap = bitmaps.get(region)
    if (!bitmap) {
      if (bitmaps.size >= BITMAPS_MAX)
        throw problem('limit-reached', 'The disk is too long and too fragmented to be converted to qcow2.', { action: 'Use as=raw.' })
      bitmaps.set(region, (bitmap = new Uint8Array(REGION_CLUSTERS / 8)))
    }
    for (let i = from; i < to; i++) {
      const byte = bitmap[i >> 3] ?? 0
      if ((byte & (1 << (i & 7))) !== 0) continue
      bitmap[i >> 3] = byte | (1 << (i & 7))
      counts[region] = (counts[region] ?? 0) + 1
    }
    if (counts[region] === whole) bitmaps.delete(region)
  }

  for await (const { kind, start, end } of disk.extents(0, signal)) {
    if (kind === 'zero') continue
    const last = Math.ceil(Math.min(end, disk.length) / CLUSTER_BYTES)
    for (let cluster = Math.floor(start / CLUSTER_BYTES); cluster < last;) {
      const region = Math.floor(cluster / REGION_CLUSTERS)
      const first = region * REGION_CLUSTERS
      const to = Math.min(last, first + REGION_CLUSTERS)
      mark(region, cluster - first, to - first)
      cluster = to
    }
  }
  return {
    regions,
    memoryBytes: 1024 + counts.byteLength + bitmaps.size * (REGION_CLUSTERS / 8),
    count: (region) => counts[region] ?? 0,
    has: (region, cluster) => {
      const bitmap = bitmaps.get(region)
      if (bitmap) return ((bitmap[cluster >> 3] ?? 0) & (1 << (cluster & 7))) !== 0
      return cluster < (counts[region] ?? 0)
    },
  }
}

function clustersIn(length: number, region: number): number {
  return Math.min(REGION_CLUSTERS, Math.ceil(length / CLUSTER_BYTES) - region * REGION_CLUSTERS)
}

// A qcow2 file, version 3: uncompressed, sparse, each cluster with data once.

import type { Part, SeekableConversion } from '../../contract/convert.ts'
import { CLUSTER_BYTES, REGION_BYTES, REGION_CLUSTERS } from '../allocation.ts'
import type { Allocation } from '../allocation.ts'
import { readGuest } from '../guest-reader.ts'
import { wholeSectors } from '../guest-source.ts'
import type { GuestSource } from '../guest-source.ts'
import { layoutQcow2 } from './qcow2-layout.ts'
import type { Qcow2Layout } from './qcow2-layout.ts'

/** Reads the tables of the image and returns its qcow2 file. Throws what reading the allocation throws. */
export async function writeQcow2(source: GuestSource, signal?: AbortSignal): Promise<SeekableConversion> {
  const allocation = await source.allocation(signal)
  const layout = layoutQcow2(wholeSectors(source.disk.length), allocation)
  return {
    kind: 'seekable',
    length: layout.clusters * CLUSTER_BYTES,
    measure: async () => layout.clusters * CLUSTER_BYTES,
    parts: (start, end, stop) => clip(fileParts({ source, allocation, layout }, start, end, stop), end - start),
  }
}

interface Qcow2File {
  readonly source: GuestSource
  readonly allocation: Allocation
  readonly layout: Qcow2Layout
}

/** Yields the file from an offset to `end` or a little further. Reads no more of the disk than these bytes need. */
async function* fileParts(file: Qcow2File, start: number, end: number, signal: AbortSignal | undefined): AsyncGenerator<Part> {
  const { layout, allocation } = file
  let at = start
  for (; at < Math.min(end, layout.metaClusters * CLUSTER_BYTES); at += CLUSTER_BYTES - (at % CLUSTER_BYTES)) {
    signal?.throwIfAborted()
    yield layout.metaCluster(Math.floor(at / CLUSTER_BYTES)).subarray(at % CLUSTER_BYTES)
  }
  for (let region = regionAt(layout, allocation.regions, at); region < allocation.regions && at < end; region++) {
    if (allocation.count(region) === 0) continue
    signal?.throwIfAborted()
    const dataAt = (layout.firstCluster(region) + 1) * CLUSTER_BYTES
    if (at < dataAt) {
      const table = layout.l2Table(region)
      yield table.subarray(at - (dataAt - CLUSTER_BYTES))
      at = dataAt
    }
    const next = layout.firstCluster(region + 1) * CLUSTER_BYTES
    if (at < end) yield* regionParts(file, region, { from: at - dataAt, to: Math.min(end, next) - dataAt }, signal)
    at = next
  }
}

/** Returns the region that has an offset of the file. */
function regionAt({ firstCluster }: Qcow2Layout, regions: number, at: number): number {
  const cluster = Math.floor(at / CLUSTER_BYTES)
  let low = 0
  let high = regions
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (firstCluster(middle + 1) <= cluster) low = middle + 1
    else high = middle
  }
  return low
}

/** Yields the bytes [from, to) of the clusters with data of one region; `from` is less than `to`. Everything else that the region reads is zeros. */
async function* regionParts(
  { source, allocation }: Qcow2File,
  region: number,
  { from, to }: { readonly from: number; readonly to: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<Part> {
  const regionStart = region * REGION_BYTES
  const onDisk = (offset: number): number =>
    regionStart + nthAllocated(allocation, region, Math.floor(offset / CLUSTER_BYTES)) * CLUSTER_BYTES + (offset % CLUSTER_BYTES)
  const { length } = source.disk
  let at = Math.min(onDisk(from), length)
  let left = to - from
  for await (const part of readGuest(source, at, Math.min(onDisk(to - 1) + 1, length), signal)) {
    if (part instanceof Uint8Array) {
      yield part
      at += part.byteLength
      left -= part.byteLength
    } else {
      const zeros = allocatedBytes(allocation, region, at - regionStart, at - regionStart + part.zeros)
      if (zeros > 0) yield { zeros }
      at += part.zeros
      left -= zeros
    }
  }
  // The disk ends within its last cluster.
  if (left > 0) yield { zeros: left }
}

/** Returns the index of the n-th cluster with data of a region, counted from 0. */
function nthAllocated(allocation: Allocation, region: number, n: number): number {
  let left = n
  for (let i = 0; i < REGION_CLUSTERS; i++) {
    if (!allocation.has(region, i)) continue
    if (left === 0) return i
    left--
  }
  return REGION_CLUSTERS
}

/** Returns how many of the bytes [from, to) of a region are in clusters with data. */
function allocatedBytes(allocation: Allocation, region: number, from: number, to: number): number {
  let bytes = 0
  for (let i = Math.floor(from / CLUSTER_BYTES); i * CLUSTER_BYTES < to; i++) {
    if (!allocation.has(region, i)) continue
    bytes += Math.min(to, (i + 1) * CLUSTER_BYTES) - Math.max(from, i * CLUSTER_BYTES)
  }
  return bytes
}

/** Yields the first `length` bytes of parts. */
async function* clip(parts: AsyncGenerator<Part>, length: number): AsyncGenerator<Part> {
  let left = length
  if (left <= 0) return
  for await (const part of parts) {
    const size = part instanceof Uint8Array ? part.byteLength : part.zeros
    if (size >= left) {
      yield size === left ? part : part instanceof Uint8Array ? part.subarray(0, left) : { zeros: left }
      return
    }
    left -= size
    yield part
  }
}

// The refcounts of a qcow2 file (QEMU, docs/interop/qcow2, "Host cluster management"). A cluster in use whose refcount is 0 would be given to other
// data by the next write, which destroys the disk of the guest.

import { cutOff, viewOf } from '../format.ts'
import type { ImageProbe } from '../format.ts'
import { READ_BYTES_MAX } from '../probe.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { Qcow2Header } from './header.ts'

const RESERVED_LOW = 0x1ff
const TWO_TO_32 = 2 ** 32
/** Entries or clusters that are looked at without letting the event loop run. */
const STEP = 64 * 1024
const UNCOUNTED = 'a cluster in use has a refcount of 0'

/** Where the refcount blocks are, as numbers of clusters, 0 for no block. */
export type RefcountTable = Uint32Array

/** Reads the refcount table. Returns a refusal if one of its entries is impossible. */
export async function readRefcountTable(probe: ImageProbe, header: Qcow2Header): Promise<RefcountTable | string> {
  const { refcountOffset, refcountTableBytes, clusterSize } = header
  const table = new Uint32Array(refcountTableBytes / 8)
  for (let start = 0; start < table.length;) {
    const view = viewOf(await probe.readAt(refcountOffset + start * 8, Math.min(READ_BYTES_MAX, refcountTableBytes - start * 8)))
    const count = Math.floor(view.byteLength / 8)
    if (count === 0) return cutOff('refcount table')
    for (let i = 0; i < count; i++) {
      const low = view.getUint32(i * 8 + 4)
      const offset = view.getUint32(i * 8) * TWO_TO_32 + low
      if ((low & RESERVED_LOW) !== 0) return 'an entry of its refcount table has reserved bits'
      if (offset % clusterSize !== 0) return 'a refcount block is not at the start of a cluster'
      if (offset + clusterSize > probe.length) return 'a refcount block is beyond the end of the file'
      table[start + i] = offset / clusterSize
    }
    start += count
    await probe.spend()
  }
  return table
}

/** Claims the clusters of all refcount blocks. Returns a refusal, or undefined. */
export async function claimRefcountBlocks(probe: ImageProbe, table: RefcountTable, map: ClusterMap): Promise<string | undefined> {
  for (let i = 0; i < table.length; i++) {
    if (i % STEP === 0) await probe.spend()
    const block = table[i] ?? 0
    if (block !== 0 && !map.claim(block)) return 'a refcount block uses a cluster that is used twice'
  }
  return undefined
}

/** Checks that every cluster in use in the window of the map has a refcount. Returns a refusal, or undefined. */
export async function checkRefcounts(probe: ImageProbe, header: Qcow2Header, table: RefcountTable, map: ClusterMap): Promise<string | undefined> {
  const { clusterSize, refcountBits } = header
  const clustersPerBlock = (clusterSize * 8) / refcountBits
  const [first, end] = map.range()
  // A window begins with a block: both have a power of 2 of clusters, and no block has more than a window.
  for (let start = first; start < end; start += clustersPerBlock) {
    const to = Math.min(end, start + clustersPerBlock)
    await probe.spend()
    if (!map.isAnyUsed(start, Math.ceil(to / 8) * 8)) continue
    const block = table[start / clustersPerBlock] ?? 0
    if (block === 0) return UNCOUNTED
    const bytes = await probe.readAt(block * clusterSize, clusterSize)
    for (let from = start; from < to; from += STEP) {
      const stepEnd = Math.min(to, from + STEP)
      for (let cluster = from; cluster < stepEnd; cluster++) if (map.isUsed(cluster) && !isCounted(bytes, cluster - start, refcountBits)) return UNCOUNTED
      await probe.spend()
    }
  }
  return undefined
}

/** Returns whether the refcount of a cluster of a block is not 0. Refcounts of less than a byte begin at its lowest bit. */
function isCounted(block: Uint8Array, index: number, bits: number): boolean {
  if (bits < 8) return (((block[Math.floor((index * bits) / 8)] ?? 0) >> ((index * bits) % 8)) & ((1 << bits) - 1)) !== 0
  const bytes = bits / 8
  for (let at = index * bytes; at < (index + 1) * bytes; at++) if (block[at] !== 0) return true
  return false
}

// Dirty bitmaps of a qcow2 file (QEMU, docs/interop/qcow2, "Bitmaps"). They are accepted, because a disk under incremental backup has them, and their
// clusters are recorded like any other.

import { cutOff, viewOf } from '../format.ts'
import type { ImageProbe } from '../format.ts'
import { READ_BYTES_MAX } from '../probe.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { BitmapDirectory } from './extensions.ts'
import type { Qcow2Header } from './header.ts'

const ENTRY_BYTES = 24
/** Longest entry of the directory in bytes: its name has at most 1023 bytes, and QEMU knows no extra data. */
const ENTRY_BYTES_MAX = 2048
const NAME_BYTES_MAX = 1023
/** Most entries of one bitmap table that QEMU opens. */
const TABLE_SIZE_MAX = 0x800_0000
const TWO_TO_32 = 2 ** 32

interface Claiming {
  readonly probe: ImageProbe
  readonly header: Qcow2Header
  readonly map: ClusterMap
}

/** Claims the clusters of all bitmaps. Returns a refusal, or undefined. */
export async function claimBitmaps(claiming: Claiming, { offset, bytes, count }: BitmapDirectory): Promise<string | undefined> {
  const { probe } = claiming
  if (!claimRange(claiming, offset, bytes)) return 'its list of dirty bitmaps is not valid'
  let at = offset
  for (let i = 0; i < count; i++) {
    const entry = await probe.readAt(at, Math.min(ENTRY_BYTES_MAX, offset + bytes - at))
    if (entry.byteLength < ENTRY_BYTES) return cutOff('list of dirty bitmaps')
    const view = viewOf(entry)
    const tableOffset = view.getUint32(0) * TWO_TO_32 + view.getUint32(4)
    const tableSize = view.getUint32(8)
    const nameBytes = view.getUint16(18)
    const extraBytes = view.getUint32(20)
    if (nameBytes === 0 || nameBytes > NAME_BYTES_MAX || extraBytes > ENTRY_BYTES_MAX || tableSize > TABLE_SIZE_MAX) return 'a dirty bitmap is not valid'
    const fault = await claimTable(claiming, tableOffset, tableSize)
    if (fault !== undefined) return fault
    await probe.spend()
    at += Math.ceil((ENTRY_BYTES + extraBytes + nameBytes) / 8) * 8
    if (at > offset + bytes) return 'its list of dirty bitmaps is not valid'
  }
  return undefined
}

/** Claims a bitmap table of this many entries, and the clusters that it names. */
async function claimTable(claiming: Claiming, offset: number, size: number): Promise<string | undefined> {
  const { probe, header, map } = claiming
  if (!claimRange(claiming, offset, size * 8)) return 'the table of a dirty bitmap is not valid'
  for (let start = 0; start < size;) {
    const view = viewOf(await probe.readAt(offset + start * 8, Math.min(READ_BYTES_MAX, (size - start) * 8)))
    for (let at = 0; at + 8 <= view.byteLength; at += 8) {
      const high = view.getUint32(at)
      const low = view.getUint32(at + 4)
      if (high === 0 && low <= 1) continue
      const cluster = high * TWO_TO_32 + low
      if (cluster % header.clusterSize !== 0 || cluster >= probe.length) return 'a dirty bitmap is beyond the end of the file'
      if (!map.claim(cluster / header.clusterSize)) return 'a dirty bitmap uses a cluster that is used twice'
    }
    start += Math.floor(view.byteLength / 8)
    await probe.spend()
  }
  return undefined
}

/** Claims the clusters of a table. Returns false if it is not aligned, not in the file, or uses a cluster that is in use. */
function claimRange({ probe, map, header: { clusterSize } }: Claiming, offset: number, bytes: number): boolean {
  if (offset === 0 || offset % clusterSize !== 0 || offset + bytes > probe.length) return false
  const end = Math.ceil((offset + bytes) / clusterSize)
  for (let cluster = offset / clusterSize; cluster < end; cluster++) if (!map.claim(cluster)) return false
  return true
}

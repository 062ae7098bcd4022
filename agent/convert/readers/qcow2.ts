// The guest disk of a qcow2 image: L1 table → L2 tables → clusters. Unallocated clusters are zeros, because an image with a backing file is refused.

import type { Clock } from '../../contract/runtime.ts'
import { createFilePages } from '../file-pages.ts'
import type { FilePage, FilePages } from '../file-pages.ts'
import { damagedTables, joinExtents } from '../guest-disk.ts'
import type { Extent, GuestDisk, SourceFile } from '../guest-disk.ts'
import { readQcow2Header } from './qcow2-header.ts'
import type { Qcow2Header } from './qcow2-header.ts'

const SECTOR = 512
const WORD = 0x1_0000_0000
const SUBCLUSTERS = 32
/** Bits of the high word of an entry: the offset, and whether the cluster is compressed. */
const OFFSET_HIGH = 0x00ff_ffff
const COMPRESSED_HIGH = 0x4000_0000
/** Bits of the low word that belong to an offset. */
const OFFSET_LOW = 0xffff_fe00

/** Opens the disk of a qcow2 image. Throws ProblemError `unsafe-image`. */
export async function openQcow2Disk(file: SourceFile, clock: Clock, signal?: AbortSignal): Promise<GuestDisk> {
  const pages = createFilePages(file)
  const header = await readQcow2Header(pages, file.length, signal)
  return {
    length: header.size,
    extents: (from, stop) => joinExtents(batches({ file, pages, header }, from, stop), clock),
  }
}

interface Tables {
  readonly file: SourceFile
  readonly pages: FilePages
  readonly header: Qcow2Header
}

/** Yields the extents of one page of an L2 table after the other. */
async function* batches({ file, pages, header }: Tables, from: number, signal: AbortSignal | undefined): AsyncGenerator<readonly Extent[]> {
  const { size, cluster, entryBytes, l1Offset } = header
  const perTable = cluster / entryBytes
  const decode = createDecoder(header, file.length)
  let index = Math.floor(from / cluster)
  const end = Math.ceil(size / cluster)
  // Each table has a cluster of its own. Without this bound, a short file could describe a disk whose tables take minutes to read.
  let tablesLeft = Math.ceil(file.length / cluster)
  while (index < end) {
    signal?.throwIfAborted()
    const l1Index = Math.floor(index / perTable)
    const tableEnd = Math.min((l1Index + 1) * perTable, end)
    const l2Offset = offsetIn(await pages.page(l1Offset + l1Index * 8, signal), l1Offset + l1Index * 8)
    if (l2Offset === 0) {
      yield [{ kind: 'zero', start: index * cluster, end: tableEnd * cluster }]
      index = tableEnd
      continue
    }
    if (l2Offset % cluster !== 0 || l2Offset + cluster > file.length) throw damagedTables(`an L2 table lies outside of the file, at ${l2Offset}`)
    if (--tablesLeft < 0) throw damagedTables('its L1 table names more L2 tables than the file can have')
    while (index < tableEnd) {
      const at = l2Offset + (index % perTable) * entryBytes
      const page = await pages.page(at, signal)
      const count = Math.min(tableEnd - index, Math.floor((page.at + page.bytes.length - at) / entryBytes))
      const extents: Extent[] = []
      for (let i = 0; i < count; i++) decode(page.bytes, at - page.at + i * entryBytes, (index + i) * cluster, extents)
      yield extents
      index += count
    }
  }
}

/** Returns the offset in an L1 entry. */
function offsetIn({ at, bytes }: FilePage, offset: number): number {
  return (bytes.readUInt32BE(offset - at) & OFFSET_HIGH) * WORD + ((bytes.readUInt32BE(offset - at + 4) & OFFSET_LOW) >>> 0)
}

/** Decodes the L2 entry at an offset of a page and appends the extents of its cluster, which begins at `start` of the disk. */
type Decode = (bytes: Buffer, at: number, start: number, into: Extent[]) => void

function createDecoder(header: Qcow2Header, fileLength: number): Decode {
  const { cluster, entryBytes, hasZeroFlag } = header
  return (bytes, at, start, into) => {
    const high = bytes.readUInt32BE(at)
    const low = bytes.readUInt32BE(at + 4)
    const end = start + cluster
    if ((high & COMPRESSED_HIGH) !== 0) {
      into.push(compressedExtent(header, { high, low, start }, fileLength))
      return
    }
    const offset = (high & OFFSET_HIGH) * WORD + ((low & OFFSET_LOW) >>> 0)
    if (offset !== 0 && (offset % cluster !== 0 || offset >= fileLength)) throw damagedTables(`a cluster lies outside of the file, at ${offset}`)
    if (entryBytes > 8) pushSubclusters(bytes.readUInt32BE(at + 12), { start, offset, cluster }, into)
    else if (offset === 0 || (hasZeroFlag && (low & 1) !== 0)) into.push({ kind: 'zero', start, end })
    else into.push({ kind: 'data', start, end, at: offset })
  }
}

/** Appends the extents of a cluster with subclusters. `allocated` has a bit for each one that has data; the others read as zeros. */
function pushSubclusters(allocated: number, { start, offset, cluster }: { start: number; offset: number; cluster: number }, into: Extent[]): void {
  if (allocated !== 0 && offset === 0) throw damagedTables('a cluster without a place has subclusters with data')
  const length = cluster / SUBCLUSTERS
  for (let i = 0; i < SUBCLUSTERS; i++) {
    const range = { start: start + i * length, end: start + (i + 1) * length }
    into.push((allocated & (1 << i)) === 0 ? { kind: 'zero', ...range } : { kind: 'data', ...range, at: offset + i * length })
  }
}

/** Returns the extent of a compressed cluster: the entry has its offset and the number of sectors that it touches. */
function compressedExtent(
  { clusterBits, cluster, codec }: Qcow2Header,
  { high, low, start }: { high: number; low: number; start: number },
  fileLength: number,
): Extent {
  const entry = (BigInt(high) << 32n) | BigInt(low)
  const offsetBits = BigInt(62 - (clusterBits - 8))
  const offset = entry & ((1n << offsetBits) - 1n)
  const sectors = Number((entry >> offsetBits) & ((1n << BigInt(clusterBits - 8)) - 1n)) + 1
  if (offset >= BigInt(fileLength)) throw damagedTables(`a compressed cluster lies outside of the file, at ${offset}`)
  const at = Number(offset)
  const length = Math.min(sectors * SECTOR - (at % SECTOR), fileLength - at)
  return { kind: 'compressed', start, end: start + cluster, at, length, codec }
}

// The guest disk of a VMDK image with its descriptor inside (monolithicSparse, streamOptimized): grain directory → grain tables → grains.

import type { Clock } from '../../contract/runtime.ts'
import { createFilePages } from '../file-pages.ts'
import type { FilePage, FilePages } from '../file-pages.ts'
import { damagedTables, joinExtents } from '../guest-disk.ts'
import type { Extent, GuestDisk, SourceFile } from '../guest-disk.ts'

const SECTOR = 512
const HEADER_BYTES = 512
const MAGIC = 0x564d_444b
/** The grain directory lies at the end of the file: a footer has the header that counts. */
const AT_END = 0xffff_ffff_ffff_ffffn
/** Footer marker, footer and end marker. */
const FOOTER_BYTES = 3 * SECTOR
const FLAG_COMPRESSED = 1 << 16
const FLAG_MARKERS = 1 << 17
const DEFLATE = 1
const GRAIN_SECTORS_MIN = 8
/** A grain is decompressed in memory as a whole. The inspection accepts the same: agent/images/formats/vmdk/header.ts. */
const GRAIN_SECTORS_MAX = 4096
const TABLE_ENTRIES_MAX = 512
/** Sectors of the longest disk whose length is an exact number. */
const CAPACITY_MAX = 2n ** 44n - 1n
/** An entry for a grain that reads as zeros. */
const ZERO_GRAIN = 1

interface VmdkHeader {
  /** Bytes that the guest sees. */
  readonly size: number
  /** Bytes of a grain. */
  readonly grain: number
  readonly tableEntries: number
  readonly directory: number
  readonly isCompressed: boolean
}

/** Opens the disk of a VMDK image. Throws ProblemError `unsafe-image`. */
export async function openVmdkDisk(file: SourceFile, clock: Clock, signal?: AbortSignal): Promise<GuestDisk> {
  const pages = createFilePages(file)
  const header = await readHeader(pages, file.length, signal)
  return {
    length: header.size,
    extents: (from, stop) => joinExtents(batches({ file, pages, header }, from, stop), clock),
  }
}

async function readHeader(pages: FilePages, fileLength: number, signal: AbortSignal | undefined): Promise<VmdkHeader> {
  const first = await pages.bytes(0, HEADER_BYTES, signal)
  const isAtEnd = first.readBigUInt64LE(56) === AT_END
  if (isAtEnd && fileLength < HEADER_BYTES + FOOTER_BYTES) throw damagedTables('its footer is missing')
  const bytes = isAtEnd ? await pages.bytes(fileLength - FOOTER_BYTES + SECTOR, HEADER_BYTES, signal) : first
  if (bytes.readUInt32LE(0) !== MAGIC) throw damagedTables('it has no header of a VMDK image')
  const flags = bytes.readUInt32LE(8)
  const capacity = bytes.readBigUInt64LE(12)
  const grainSectors = bytes.readBigUInt64LE(20)
  const tableEntries = bytes.readUInt32LE(44)
  const directory = bytes.readBigUInt64LE(56)
  const isCompressed = (flags & FLAG_COMPRESSED) !== 0
  if (grainSectors < GRAIN_SECTORS_MIN || grainSectors > GRAIN_SECTORS_MAX || (grainSectors & (grainSectors - 1n)) !== 0n)
    throw damagedTables(`its grains have ${grainSectors} sectors`)
  if (tableEntries === 0 || tableEntries > TABLE_ENTRIES_MAX) throw damagedTables(`its grain tables have ${tableEntries} entries`)
  if (isCompressed && ((flags & FLAG_MARKERS) === 0 || bytes.readUInt16LE(77) !== DEFLATE)) throw damagedTables('its grains are compressed in an unknown way')
  if (capacity > CAPACITY_MAX) throw damagedTables('its capacity is too large')
  const size = Number(capacity) * SECTOR
  const grain = Number(grainSectors) * SECTOR
  const directoryBytes = Math.ceil(size / (grain * tableEntries)) * 4
  if (directory * BigInt(SECTOR) + BigInt(directoryBytes) > BigInt(fileLength)) throw damagedTables('its grain directory lies outside of the file')
  return { size, grain, tableEntries, directory: Number(directory) * SECTOR, isCompressed }
}

interface Tables {
  readonly file: SourceFile
  readonly pages: FilePages
  readonly header: VmdkHeader
}

/** Yields the extents of one page of a grain table after the other. */
async function* batches({ file, pages, header }: Tables, from: number, signal: AbortSignal | undefined): AsyncGenerator<readonly Extent[]> {
  const { size, grain, tableEntries, directory } = header
  let index = Math.floor(from / grain)
  const end = Math.ceil(size / grain)
  // Each table has bytes of its own. Without this bound, a short file could describe a disk whose tables take minutes to read.
  let tablesLeft = Math.ceil(file.length / (tableEntries * 4))
  while (index < end) {
    signal?.throwIfAborted()
    const tableIndex = Math.floor(index / tableEntries)
    const tableEnd = Math.min((tableIndex + 1) * tableEntries, end)
    const entryAt = directory + tableIndex * 4
    const table = wordIn(await pages.page(entryAt, signal), entryAt) * SECTOR
    if (table === 0) {
      yield [{ kind: 'zero', start: index * grain, end: tableEnd * grain }]
      index = tableEnd
      continue
    }
    if (table + tableEntries * 4 > file.length) throw damagedTables(`a grain table lies outside of the file, at ${table}`)
    if (--tablesLeft < 0) throw damagedTables('its grain directory names more tables than the file can have')
    while (index < tableEnd) {
      const at = table + (index % tableEntries) * 4
      const page = await pages.page(at, signal)
      const count = Math.min(tableEnd - index, Math.floor((page.at + page.bytes.length - at) / 4))
      const extents: Extent[] = []
      for (let i = 0; i < count; i++) extents.push(extentOf(header, wordIn(page, at + i * 4), (index + i) * grain, file.length))
      yield extents
      index += count
    }
  }
}

function wordIn({ at, bytes }: FilePage, offset: number): number {
  return bytes.readUInt32LE(offset - at)
}

function extentOf({ grain, isCompressed }: VmdkHeader, entry: number, start: number, fileLength: number): Extent {
  const end = start + grain
  if (entry <= ZERO_GRAIN) return { kind: 'zero', start, end }
  const at = entry * SECTOR
  if (at >= fileLength) throw damagedTables(`a grain lies outside of the file, at ${at}`)
  if (!isCompressed) return { kind: 'data', start, end, at }
  // Its marker says how long it is. It is read together with the grain; a grain that does not compress takes a little more than its bytes.
  return { kind: 'compressed', start, end, at, length: Math.min(2 * grain, fileLength - at), codec: 'grain' }
}

// Walks the grain directory and the grain tables of a vmdk. Everything they name must be inside the file, no table may overlap another one, and the
// grains together must not be larger than the file: otherwise a small file could hold terabytes for whoever converts it.

import { cutOff, viewOf } from '../format.ts'
import type { ImageProbe } from '../format.ts'
import { SECTOR_BYTES } from './header.ts'
import type { VmdkHeader } from './header.ts'

/** Most grain tables: 64 TiB with grains of 64 KiB. Their sectors and their order take 16 MiB then, and 8 MiB more while they are sorted. */
export const GRAIN_TABLES_MAX = 2 * 1024 * 1024
const ENTRY_BYTES = 4
/** Bytes of the directory that are read at once. */
const DIRECTORY_PIECE_BYTES = 64 * 1024
/** Bytes of neighbouring tables that are read at once. */
const PIECE_BYTES = 1024 * 1024
/** Bytes between two tables that are read for nothing rather than with another read. */
const GAP_BYTES_MAX = 64 * 1024
/** Tables that are sorted or compared between two pauses. */
const SORT_STEP = 16_384
const ENTRY_NONE = 0
const ENTRY_ZEROED = 1
/** Sector in the virtual disk and length of the compressed bytes that follow (VMware Virtual Disk Format 5.0, "Grain Marker"). */
const GRAIN_MARKER_BYTES = 12
/** Compressed grains whose markers are read, from the first one on; of those after them, one in MARKERS_STRIDE. Each one is a read of the image. */
export const MARKERS_READ_MAX = 4096
const MARKERS_STRIDE = 256

/** Where things are in a file. All units are sectors unless a name says otherwise. */
interface Layout {
  readonly header: VmdkHeader
  readonly capacity: number
  readonly directory: number
  readonly directoryEnd: number
  /** First sector after the header and the descriptor. */
  readonly metadataEnd: number
  readonly tableCount: number
  readonly tableSectors: number
  readonly grainCount: number
}

/** Checks all tables and returns the number of grains with data, or the first fault as a clause. */
export async function checkGrains(probe: ImageProbe, header: VmdkHeader, directory: number): Promise<{ readonly grains: number } | string> {
  const layout = layoutOf(header, directory)
  if (layout.tableCount > GRAIN_TABLES_MAX) return `it has ${layout.tableCount} grain tables; the limit is ${GRAIN_TABLES_MAX}`
  if (directory < layout.metadataEnd) return 'its grain directory overlaps its header or its descriptor'
  if (layout.directoryEnd * SECTOR_BYTES > probe.length) return cutOff('grain directory')
  const { redundantSector } = header
  const size = layout.directoryEnd - directory
  // A file whose directory is in the footer has no second one.
  if (redundantSector !== null && header.directorySector !== null && (redundantSector + size) * SECTOR_BYTES > probe.length) {
    return cutOff('redundant grain directory')
  }
  const tables = await readTables(probe, layout)
  return typeof tables === 'string' ? tables : countGrains(probe, layout, tables)
}

function layoutOf(header: VmdkHeader, directory: number): Layout {
  const capacity = header.capacity ?? 0
  const grainCount = Math.ceil(capacity / header.grainSectors)
  const tableCount = Math.ceil(grainCount / header.tableEntries)
  return {
    header,
    capacity,
    directory,
    directoryEnd: directory + Math.ceil((tableCount * ENTRY_BYTES) / SECTOR_BYTES),
    metadataEnd: header.descriptorSector + header.descriptorSectors,
    tableCount,
    tableSectors: Math.ceil((header.tableEntries * ENTRY_BYTES) / SECTOR_BYTES),
    grainCount,
  }
}

function tableFault(probe: ImageProbe, layout: Layout, sector: number): string | undefined {
  const end = sector + layout.tableSectors
  if (end * SECTOR_BYTES > probe.length) return 'a grain table is beyond the end of the file'
  return overlapsMetadata(layout, sector, end) ? 'a grain table overlaps other metadata' : undefined
}

function overlapsMetadata({ metadataEnd, directory, directoryEnd }: Layout, start: number, end: number): boolean {
  return start < metadataEnd || (start < directoryEnd && end > directory)
}

/** Reads every grain table, in the order of the file, and checks what it names. */
async function countGrains(probe: ImageProbe, layout: Layout, tables: Tables): Promise<{ readonly grains: number } | string> {
  const { header, grainCount } = layout
  const tableBytes = header.tableEntries * ENTRY_BYTES
  // Checking a table reads grains, so the table is copied.
  const copy = new Uint8Array(tableBytes)
  const zeros = Buffer.alloc(tableBytes)
  let grains = 0
  let pieceStart = -1
  let piece: Uint8Array = zeros
  for (let i = 0; i < tables.inOrder.length; i++) {
    const table = tables.inOrder[i] ?? 0
    const first = table * header.tableEntries
    const length = Math.min(tableBytes, (grainCount - first) * ENTRY_BYTES)
    const offset = (tables.sectors[table] ?? 0) * SECTOR_BYTES
    let at = offset - pieceStart
    if (pieceStart < 0 || at + length > piece.byteLength) {
      pieceStart = offset
      at = 0
      piece = await probe.readAt(offset, pieceBytes(tables, i, tableBytes))
    }
    // Most tables of a large disk are empty.
    if (zeros.compare(piece, at, at + length, 0, length) !== 0) {
      copy.set(piece.subarray(at, at + length))
      pieceStart = header.isCompressed ? -1 : pieceStart
      const checked = await checkTable(probe, layout, tables, { bytes: copy.subarray(0, length), first, grains })
      if (typeof checked === 'string') return checked
      grains = checked.grains
    }
    const pause = probe.spend()
    if (pause) await pause
  }
  // The last grain may be shorter than the others. A compressed grain takes at least one sector.
  const leastBytes = header.isCompressed ? grains * SECTOR_BYTES : (grains - 1) * header.grainBytes
  return leastBytes > probe.length ? 'its grains overlap each other: together they are larger than the file' : { grains }
}

/** Returns the length of a read that begins at a table and has its neighbours, up to PIECE_BYTES. */
function pieceBytes({ sectors, inOrder }: Tables, from: number, tableBytes: number): number {
  const start = sectors[inOrder[from] ?? 0] ?? 0
  let end = start * SECTOR_BYTES + tableBytes
  for (let i = from + 1; i < inOrder.length; i++) {
    const next = (sectors[inOrder[i] ?? 0] ?? 0) * SECTOR_BYTES
    if (next - end > GAP_BYTES_MAX || next + tableBytes - start * SECTOR_BYTES > PIECE_BYTES) break
    end = next + tableBytes
  }
  return end - start * SECTOR_BYTES
}

interface GrainTable {
  readonly bytes: Uint8Array
  /** Index of its first grain in the virtual disk. */
  readonly first: number
  /** Grains with data in the tables before it. */
  readonly grains: number
}

/** Checks the entries of one table. Returns the grains with data so far, or the first fault. */
async function checkTable(probe: ImageProbe, layout: Layout, tables: Tables, table: GrainTable): Promise<{ readonly grains: number } | string> {
  const { header } = layout
  const view = viewOf(table.bytes)
  let { grains } = table
  for (let i = 0; i * ENTRY_BYTES < view.byteLength; i++) {
    const entry = view.getUint32(i * ENTRY_BYTES, true)
    if (entry === ENTRY_NONE || (entry === ENTRY_ZEROED && header.hasZeroedGrains)) continue
    const grain = { entry, index: table.first + i }
    const isRead = header.isCompressed && (grains < MARKERS_READ_MAX || grains % MARKERS_STRIDE === 0)
    const fault = grainFault(probe, layout, tables, grain) ?? (isRead ? await markerFault(probe, layout, grain) : undefined)
    if (fault !== undefined) return fault
    grains++
  }
  return { grains }
}

interface Grain {
  /** Its entry in the grain table: the sector where its bytes begin. */
  readonly entry: number
  /** Its place in the virtual disk. */
  readonly index: number
}

function grainFault(probe: ImageProbe, layout: Layout, tables: Tables, { entry, index }: Grain): string | undefined {
  const { header, capacity } = layout
  const sectors = header.isCompressed ? 1 : Math.min(header.grainSectors, capacity - index * header.grainSectors)
  const endBytes = header.isCompressed ? entry * SECTOR_BYTES + GRAIN_MARKER_BYTES + 1 : (entry + sectors) * SECTOR_BYTES
  if (endBytes > probe.length) return 'a grain is beyond the end of the file'
  return overlapsMetadata(layout, entry, entry + sectors) || tables.overlaps(entry, entry + sectors) ? 'a grain overlaps metadata' : undefined
}

/** Checks the marker in front of a compressed grain: readers that follow the markers must find the same disk as those that follow the tables. */
async function markerFault(probe: ImageProbe, { header }: Layout, { entry, index }: Grain): Promise<string | undefined> {
  const at = entry * SECTOR_BYTES
  const view = viewOf(await probe.readAt(at, GRAIN_MARKER_BYTES))
  const length = view.getUint32(8, true)
  if (view.getBigUint64(0, true) !== BigInt(index * header.grainSectors)) return 'the marker of a grain contradicts the grain table'
  // Deflate adds a few bytes to what it cannot compress; readers allocate twice the length of a grain.
  if (length === 0 || length > 2 * header.grainBytes) return `a compressed grain has ${length} bytes`
  return at + GRAIN_MARKER_BYTES + length > probe.length ? 'a compressed grain is beyond the end of the file' : undefined
}

/** The grain tables, which do not overlap each other. */
interface Tables {
  /** Sector of each table by its number, ENTRY_NONE for one that does not exist. */
  readonly sectors: Uint32Array
  /** Numbers of the tables that exist, in the order of their sectors. */
  readonly inOrder: Uint32Array
  /** Returns whether a table overlaps the sectors from `start` up to `end`. */
  overlaps(start: number, end: number): boolean
}

/** Reads the whole directory and checks the place of every table. Returns the first fault as a clause. */
async function readTables(probe: ImageProbe, layout: Layout): Promise<Tables | string> {
  const { directory, tableCount, tableSectors } = layout
  const sectors = new Uint32Array(tableCount)
  const numbers = new Uint32Array(tableCount)
  let count = 0
  let isAscending = true
  for (let table = 0; table < tableCount;) {
    const view = viewOf(await probe.readAt(directory * SECTOR_BYTES + table * ENTRY_BYTES, Math.min(DIRECTORY_PIECE_BYTES, (tableCount - table) * ENTRY_BYTES)))
    if (view.byteLength < ENTRY_BYTES) return cutOff('grain directory')
    for (let at = 0; at + ENTRY_BYTES <= view.byteLength; at += ENTRY_BYTES, table++) {
      const sector = view.getUint32(at, true)
      if (sector === ENTRY_NONE) continue
      const fault = tableFault(probe, layout, sector)
      if (fault !== undefined) return fault
      isAscending &&= count === 0 || sector > (sectors[numbers[count - 1] ?? 0] ?? 0)
      sectors[table] = sector
      numbers[count++] = table
    }
    await probe.spend()
  }
  const inOrder = isAscending ? numbers.subarray(0, count) : await sortInSteps(numbers.subarray(0, count), sectors, probe)
  const sectorAt = (i: number): number => sectors[inOrder[i] ?? 0] ?? 0
  for (let i = 1; i < count; i++) {
    if (sectorAt(i) - sectorAt(i - 1) < tableSectors) return 'its grain tables overlap each other'
    if (i % SORT_STEP === 0) await probe.spend()
  }
  return {
    sectors,
    inOrder,
    overlaps(start, end) {
      // The first table that ends after `start` is the only one that can be the first to overlap.
      let low = 0
      let high = count
      while (low < high) {
        const middle = (low + high) >>> 1
        if (sectorAt(middle) + tableSectors <= start) low = middle + 1
        else high = middle
      }
      return low < count && sectorAt(low) < end
    },
  }
}

/** Sorts the numbers of tables by the lower and then by the upper 16 bits of their sectors, in steps short enough for the event loop. */
async function sortInSteps(numbers: Uint32Array, sectors: Uint32Array, probe: Pick<ImageProbe, 'spend'>): Promise<Uint32Array> {
  let from: Uint32Array = numbers
  let into: Uint32Array = new Uint32Array(numbers.length)
  for (const shift of [0, 16]) {
    const places = new Uint32Array(0x1_0001)
    for (let i = 0; i < from.length; i++) {
      const key = (((sectors[from[i] ?? 0] ?? 0) >>> shift) & 0xffff) + 1
      places[key] = (places[key] ?? 0) + 1
      if (i % SORT_STEP === 0) await probe.spend()
    }
    for (let key = 1; key < places.length; key++) places[key] = (places[key] ?? 0) + (places[key - 1] ?? 0)
    for (let i = 0; i < from.length; i++) {
      const number = from[i] ?? 0
      const key = ((sectors[number] ?? 0) >>> shift) & 0xffff
      const place = places[key] ?? 0
      into[place] = number
      places[key] = place + 1
      if (i % SORT_STEP === 0) await probe.spend()
    }
    ;[from, into] = [into, from]
  }
  return from
}

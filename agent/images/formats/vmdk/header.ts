// The header of a sparse vmdk extent, and its copy in the footer (VMware Virtual Disk Format 5.0, "Hosted Sparse Extents").

import { cutOff, startsWith, viewOf } from '../format.ts'
import type { ImageProbe } from '../format.ts'

export const SECTOR_BYTES = 512
export const VMDK_HEADER_BYTES = 512
const MAGIC = 'KDMV'
const VERSION_MAX = 3
const FLAG_REDUNDANT_TABLES = 1 << 1
const FLAG_ZEROED_GRAINS = 1 << 2
const FLAG_COMPRESSED = 1 << 16
const FLAG_MARKERS = 1 << 17
const COMPRESSION_NONE = 0
const COMPRESSION_DEFLATE = 1
/** Sectors of a grain: at least 4 KiB, at most 2 MiB as in agent/convert/readers/vmdk.ts, so that every vmdk in a store can be converted. */
const GRAIN_SECTORS_MIN = 8
const GRAIN_SECTORS_MAX = 4096
/** Entries of a grain table. */
const TABLE_ENTRIES_MAX = 512
/** A line feed, a space, a carriage return and a line feed, which a transfer in text mode would change. */
const NEWLINES_AT = 73
const NEWLINES = '\n \r\n'
/** Offset of the grain directory in the header, and the value that says that only the footer has it. */
const DIRECTORY_AT = 56
const DIRECTORY_IN_FOOTER = 0xffff_ffff_ffff_ffffn
/** Footer marker, copy of the header, end-of-stream marker. */
const FOOTER_BYTES = 3 * SECTOR_BYTES
const MARKER_FOOTER = 3
const MARKER_END = 0
/** Largest number of sectors whose bytes are a safe integer. Larger values are damage. */
const SECTORS_MAX = 2 ** 44

export interface VmdkHeader {
  /** Sectors that a guest sees; null if the header does not say it plausibly. */
  readonly capacity: number | null
  readonly grainSectors: number
  readonly grainBytes: number
  /** Sector and sectors of the descriptor. Values beyond SECTORS_MAX are given as SECTORS_MAX. */
  readonly descriptorSector: number
  readonly descriptorSectors: number
  readonly tableEntries: number
  /** Sector of the grain directory; null if the footer names it. */
  readonly directorySector: number | null
  /** Sector of the redundant grain directory; null if there is none. */
  readonly redundantSector: number | null
  readonly isCompressed: boolean
  /** Whether the entry 1 of a grain table is a grain of zeros. */
  readonly hasZeroedGrains: boolean
  readonly bytes: Uint8Array
}

/** Reads a header of VMDK_HEADER_BYTES or more, and returns what is wrong with it as clauses. */
export function parseHeader(sector: Uint8Array): { readonly header: VmdkHeader; readonly faults: string[] } {
  const bytes = new Uint8Array(sector.subarray(0, VMDK_HEADER_BYTES))
  const view = viewOf(bytes)
  const sectors = (at: number): number => Math.min(SECTORS_MAX, Number(view.getBigUint64(at, true)))
  const flags = view.getUint32(8, true)
  const version = view.getUint32(4, true)
  const compression = view.getUint16(77, true)
  const capacity = sectors(12)
  const grainSectors = sectors(20)
  const tableEntries = view.getUint32(44, true)
  const isCompressed = (flags & FLAG_COMPRESSED) !== 0

  const faults: string[] = []
  const expect = (isSatisfied: boolean, fault: string): void => void (isSatisfied || faults.push(fault))
  expect(version >= 1 && version <= VERSION_MAX, `it is vmdk of version ${version}, which is not supported`)
  // QEMU reads an extent without capacity as a descriptor file, whose extents are other files.
  expect(capacity > 0, 'its capacity is 0')
  expect(capacity < SECTORS_MAX, 'its virtual size is beyond all bounds')
  expect(
    grainSectors >= GRAIN_SECTORS_MIN && grainSectors <= GRAIN_SECTORS_MAX && Number.isInteger(Math.log2(grainSectors)),
    `its grains have ${grainSectors} sectors; they must have a power of 2 between ${GRAIN_SECTORS_MIN} and ${GRAIN_SECTORS_MAX}`,
  )
  expect(tableEntries >= 1 && tableEntries <= TABLE_ENTRIES_MAX, `its grain tables have ${tableEntries} entries; they must have 1 to ${TABLE_ENTRIES_MAX}`)
  expect(startsWith(bytes, NEWLINES, NEWLINES_AT), 'its line ends were changed by a transfer in text mode')
  expect(compression === COMPRESSION_NONE || compression === COMPRESSION_DEFLATE, `its compression ${compression} is unknown`)
  expect(!isCompressed || compression === COMPRESSION_DEFLATE, 'it has compressed grains without a compression')
  expect(isCompressed === ((flags & FLAG_MARKERS) !== 0), 'it has compressed grains without markers, or markers without compressed grains')

  return {
    header: {
      capacity: capacity > 0 && capacity < SECTORS_MAX ? capacity : null,
      grainSectors,
      grainBytes: grainSectors * SECTOR_BYTES,
      descriptorSector: sectors(28),
      descriptorSectors: sectors(36),
      tableEntries,
      directorySector: view.getBigUint64(DIRECTORY_AT, true) === DIRECTORY_IN_FOOTER ? null : sectors(DIRECTORY_AT),
      redundantSector: (flags & FLAG_REDUNDANT_TABLES) === 0 ? null : sectors(48),
      isCompressed,
      hasZeroedGrains: (flags & FLAG_ZEROED_GRAINS) !== 0,
      bytes,
    },
    faults,
  }
}

/** Reads the footer at the end of a file whose header does not name the grain directory. Returns the first fault. */
export async function readFooter(probe: ImageProbe, header: VmdkHeader): Promise<{ readonly directorySector: number } | string> {
  if (!header.isCompressed) return 'its grain directory is in a footer, which only streamOptimized has'
  const at = probe.length - FOOTER_BYTES
  if (at < SECTOR_BYTES || probe.length % SECTOR_BYTES !== 0) return cutOff('footer')
  const bytes = await probe.readAt(at, FOOTER_BYTES)
  const view = viewOf(bytes)
  const isMarker = (offset: number, kind: number): boolean => view.getUint32(offset + 8, true) === 0 && view.getUint32(offset + 12, true) === kind
  const endAt = 2 * SECTOR_BYTES
  if (!isMarker(0, MARKER_FOOTER) || !startsWith(bytes, MAGIC, SECTOR_BYTES)) return cutOff('footer')
  if (!isMarker(endAt, MARKER_END) || view.getBigUint64(endAt, true) !== 0n) return 'its footer is not followed by the end-of-stream marker'
  const copy = parseHeader(bytes.subarray(SECTOR_BYTES, endAt)).header
  if (copy.directorySector === null) return 'its footer names another footer'
  if (!isSameButDirectory(header.bytes, copy.bytes)) return 'its footer contradicts its header'
  return { directorySector: copy.directorySector }
}

/** Compares all fields but the sectors of the two grain directories, which a header written first cannot know. */
function isSameButDirectory(header: Uint8Array, footer: Uint8Array): boolean {
  const fieldsEnd = 79
  const isDirectory = (at: number): boolean => at >= 48 && at < DIRECTORY_AT + 8
  for (let at = MAGIC.length; at < fieldsEnd; at++) if (!isDirectory(at) && header[at] !== footer[at]) return false
  return true
}

// GPT (UEFI 2.10 §5.3): checks both headers, the entries, and that the disk has all the sectors that the header describes.

import { startsWith, viewOf } from './format.ts'
import type { ImageProbe } from './format.ts'

const SIGNATURE = 'EFI PART'
const HEADER_BYTES_MIN = 92
const HEADER_CRC_AT = 16
const ENTRY_BYTES_MIN = 128
/** Most entries, and most bytes of all: the usual 128 entries have 16 KiB. */
const ENTRIES_MAX = 1024
const ENTRY_BYTES_MAX = 4096
const ENTRIES_BYTES_MAX = 1024 * 1024
/** Type of a partition from which firmware starts a machine: EFI system, and BIOS boot. In the byte order of the disk. */
const BOOT_TYPES = ['28732ac11ff8d211ba4b00a0c93ec93b', '4861682149646f6e744e656564454649']
/** Attribute of a partition that a BIOS starts (UEFI 2.10, table 5.8: legacy BIOS bootable). */
const ATTRIBUTE_LEGACY_BOOT = 1n << 2n

/** A partition table that was found. `faults` says what is wrong with it, as clauses. */
export interface Gpt {
  readonly sectorBytes: number
  readonly isBootable: boolean
  readonly faults: readonly string[]
}

interface GptHeader {
  readonly ownSector: number
  readonly otherSector: number
  readonly lastUsable: number
  readonly entriesSector: number
  readonly entryCount: number
  readonly entryBytes: number
  readonly entriesCrc: number
}

/** Finds a GPT in the second sector of a disk with sectors of one of these sizes. */
export async function readGpt(probe: ImageProbe, sectorSizes: readonly number[]): Promise<Gpt | undefined> {
  for (const sectorBytes of sectorSizes) {
    const sector = await probe.readAt(sectorBytes, sectorBytes)
    if (startsWith(sector, SIGNATURE)) return { sectorBytes, ...(await checkGpt(probe, sectorBytes, sector)) }
  }
  return undefined
}

async function checkGpt(probe: ImageProbe, sectorBytes: number, sector: Uint8Array): Promise<Omit<Gpt, 'sectorBytes'>> {
  const refused = (fault: string): Omit<Gpt, 'sectorBytes'> => ({ isBootable: false, faults: [fault] })
  const header = parseHeader(sector, 1)
  if (typeof header === 'string') return refused(`its GPT header ${header}`)
  const end = (Math.max(header.otherSector, header.lastUsable) + 1) * sectorBytes
  if (end > probe.length) return refused(`it is cut off: its GPT describes ${end} bytes, but the file has ${probe.length}`)
  if (header.otherSector <= header.lastUsable) return refused('the backup of its GPT header is inside the space of its partitions')
  const backup = parseHeader(await probe.readAt(header.otherSector * sectorBytes, sectorBytes), header.otherSector)
  if (typeof backup === 'string') return refused(`the backup of its GPT header ${backup}`)
  if (backup.otherSector !== 1 || backup.entriesCrc !== header.entriesCrc) return refused('its GPT header contradicts its backup')
  const entries = await readEntries(probe, sectorBytes, header)
  if (typeof entries === 'string') return refused(entries)
  return { isBootable: entries.isBootable, faults: partitionFaults(entries.lastSector, header.lastUsable) }
}

/** Parses a header and checks its CRC and its place. Returns what is wrong with it, as the end of a clause. */
function parseHeader(bytes: Uint8Array, sector: number): GptHeader | string {
  if (bytes.byteLength < HEADER_BYTES_MIN || !startsWith(bytes, SIGNATURE)) return 'is missing'
  const view = viewOf(bytes)
  const length = view.getUint32(12, true)
  if (length < HEADER_BYTES_MIN || length > bytes.byteLength) return `has ${length} bytes`
  const covered = new Uint8Array(bytes.subarray(0, length))
  covered.fill(0, HEADER_CRC_AT, HEADER_CRC_AT + 4)
  if (Bun.hash.crc32(covered) !== view.getUint32(HEADER_CRC_AT, true)) return 'does not match its checksum'
  const ownSector = Number(view.getBigUint64(24, true))
  if (ownSector !== sector) return `says that it is in sector ${ownSector} instead of sector ${sector}`
  return {
    ownSector,
    otherSector: Number(view.getBigUint64(32, true)),
    lastUsable: Number(view.getBigUint64(48, true)),
    entriesSector: Number(view.getBigUint64(72, true)),
    entryCount: view.getUint32(80, true),
    entryBytes: view.getUint32(84, true),
    entriesCrc: view.getUint32(88, true),
  }
}

/** Reads the entries and checks their CRC. Returns the first fault as a clause. */
async function readEntries(probe: ImageProbe, sectorBytes: number, header: GptHeader): Promise<{ isBootable: boolean; lastSector: number } | string> {
  const { entryCount, entryBytes } = header
  const length = entryCount * entryBytes
  if (entryCount > ENTRIES_MAX || entryBytes < ENTRY_BYTES_MIN || entryBytes > ENTRY_BYTES_MAX || length > ENTRIES_BYTES_MAX) {
    return `its GPT has ${entryCount} entries of ${entryBytes} bytes`
  }
  const at = header.entriesSector * sectorBytes
  if (at + length > probe.length) return 'its GPT entries are beyond the end of the file'
  const bytes = await probe.readAt(at, length)
  if (Bun.hash.crc32(bytes) !== header.entriesCrc) return 'its GPT entries do not match their checksum'
  const view = viewOf(bytes)
  let isBootable = false
  let lastSector = 0
  for (let entry = 0; entry < length; entry += entryBytes) {
    const type = Buffer.from(bytes.buffer, bytes.byteOffset + entry, 16).toString('hex')
    if (/^0+$/.test(type)) continue
    isBootable ||= BOOT_TYPES.includes(type) || (view.getBigUint64(entry + 48, true) & ATTRIBUTE_LEGACY_BOOT) !== 0n
    lastSector = Math.max(lastSector, Number(view.getBigUint64(entry + 40, true)))
  }
  return { isBootable, lastSector }
}

function partitionFaults(lastSector: number, lastUsable: number): string[] {
  return lastSector > lastUsable ? [`a partition ends at sector ${lastSector}, after the last usable sector ${lastUsable}`] : []
}

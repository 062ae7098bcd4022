// Partition tables of raw disks: MBR, and GPT (gpt.ts). The content of partitions belongs to the guest and is never looked at: whatever is in it, the
// disk stays raw.

import { startsWith, viewOf } from './format.ts'
import type { DetectedFacts, ImageProbe, NativeDetection } from './format.ts'
import { readGpt } from './gpt.ts'

const MBR_BYTES = 512
const SIGNATURE_AT = 510
const ENTRIES_AT = 446
const ENTRY_BYTES = 16
const ENTRIES = 4
const FLAG_ACTIVE = 0x80
const TYPE_PROTECTIVE = 0xee
/** Sector sizes of disks. */
const SECTOR_SIZES = [512, 4096]

interface MbrEntry {
  readonly isActive: boolean
  readonly type: number
  readonly firstSector: number
  readonly sectors: number
}

/** Detects an MBR or a GPT. Any other first sector is that of a disk without partitions. */
export async function detectPartitions(probe: ImageProbe): Promise<NativeDetection | undefined> {
  const mbr = readMbr(await probe.readAt(0, MBR_BYTES))
  if (!mbr || mbr.length === 0) return undefined
  const detected = (facts: DetectedFacts, refusals: readonly string[]): NativeDetection => ({ format: 'raw', virtualSize: probe.length, refusals, facts })
  const isActive = mbr.some((entry) => entry.isActive)
  // Without a protective entry a GPT is what a former use of the disk left, and systems ignore it.
  if (mbr.some(isProtective)) {
    const gpt = await readGpt(probe, SECTOR_SIZES)
    const variant = gpt ? `GPT, ${gpt.sectorBytes}-byte sectors` : 'GPT'
    if (gpt) return detected({ variant, partitionTable: 'gpt', bootable: gpt.isBootable || isActive }, gpt.faults)
    // It is damaged, or it was made for sectors of another size.
    if (mbr.length === 1) return detected({ variant, partitionTable: 'gpt' }, ['its protective MBR names a GPT that is missing'])
  }
  return detected({ variant: 'MBR', partitionTable: 'mbr', bootable: isActive }, mbrFaults(probe, mbr))
}

/** Returns whether an entry protects a GPT (UEFI 2.10 §5.2.3): its type says so, and it begins where the GPT begins. */
function isProtective({ type, firstSector }: MbrEntry): boolean {
  return type === TYPE_PROTECTIVE && firstSector === 1
}

/** Returns the used entries of an MBR, or undefined if the sector is none. */
function readMbr(bytes: Uint8Array): MbrEntry[] | undefined {
  if (bytes.byteLength < MBR_BYTES || bytes[SIGNATURE_AT] !== 0x55 || bytes[SIGNATURE_AT + 1] !== 0xaa || isBootSector(bytes)) return undefined
  const view = viewOf(bytes)
  const entries: MbrEntry[] = []
  for (let at = ENTRIES_AT; at < ENTRIES_AT + ENTRIES * ENTRY_BYTES; at += ENTRY_BYTES) {
    const flag = view.getUint8(at)
    if (flag !== 0 && flag !== FLAG_ACTIVE) return undefined
    const entry = {
      isActive: flag === FLAG_ACTIVE,
      type: view.getUint8(at + 4),
      firstSector: view.getUint32(at + 8, true),
      sectors: view.getUint32(at + 12, true),
    }
    if (entry.type !== 0 && entry.sectors > 0) entries.push(entry)
  }
  return entries
}

/** Returns whether the sector is the boot sector of a file system, which has the signature of an MBR too, but code in place of its entries. */
function isBootSector(bytes: Uint8Array): boolean {
  const isFat = (bytes[0x10] === 2 || bytes[0x10] === 1) && (bytes[0x15] === 0xf8 || bytes[0x15] === 0xf0)
  return isFat || startsWith(bytes, 'NTFS    ', 3) || startsWith(bytes, 'EXFAT   ', 3)
}

/** A disk whose partitions end beyond its end was truncated. A protective entry covers as much as it can, whatever the disk has. */
function mbrFaults(probe: ImageProbe, entries: readonly MbrEntry[]): string[] {
  const ends = entries.filter((entry) => !isProtective(entry)).map(({ firstSector, sectors }) => (firstSector + sectors) * MBR_BYTES)
  const end = Math.max(...ends)
  return end > probe.length ? [`it is cut off: a partition ends at byte ${end}, but the file has ${probe.length} bytes`] : []
}

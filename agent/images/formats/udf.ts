// UDF (ECMA-167, part 3): finds the anchor of a volume and checks that its descriptors and partitions are inside the file, so that a truncated
// download is not taken for a disc.

import { viewOf } from './format.ts'
import type { ImageProbe } from './format.ts'

/** Sector sizes of UDF volumes: discs have 2048 bytes, disks 512 or 4096. */
const SECTOR_SIZES = [2048, 512, 4096, 1024]
/** The anchor is in sector 256; copies of it are at the end of the volume (ECMA-167 §3/8.4.2.1). */
const ANCHOR_SECTOR = 256
const TAG_BYTES = 16
const TAG_ANCHOR = 2
const TAG_PARTITION = 5
const TAG_TERMINATOR = 8
/** Most descriptors that are read: a sequence has at least 16 sectors and usually 6 descriptors. */
const DESCRIPTORS_MAX = 64

/** Checks the volume descriptor sequence of a UDF volume. Returns what is wrong as clauses. */
export async function checkUdf(probe: ImageProbe): Promise<string[]> {
  for (const sectorBytes of SECTOR_SIZES) {
    const anchor = await readTag(probe, ANCHOR_SECTOR, sectorBytes)
    if (anchor?.kind === TAG_ANCHOR) return checkSequence(probe, anchor.view, sectorBytes)
  }
  return ['it is cut off, or damaged: its UDF anchor is missing']
}

/** Walks the main sequence that an anchor names. */
async function checkSequence(probe: ImageProbe, anchor: DataView, sectorBytes: number): Promise<string[]> {
  const length = anchor.getUint32(16, true)
  const first = anchor.getUint32(20, true)
  if (first * sectorBytes + length > probe.length) return ['it is cut off: its UDF volume descriptors are beyond the end of the file']
  let partitions = 0
  for (let i = 0; i < Math.min(DESCRIPTORS_MAX, Math.floor(length / sectorBytes)); i++) {
    const descriptor = await readTag(probe, first + i, sectorBytes)
    if (!descriptor) return ['one of its UDF volume descriptors is damaged']
    if (descriptor.kind === TAG_TERMINATOR) break
    if (descriptor.kind !== TAG_PARTITION) continue
    partitions++
    // Partition Starting Location and Partition Length (ECMA-167 §3/10.5).
    const end = (descriptor.view.getUint32(188, true) + descriptor.view.getUint32(192, true)) * sectorBytes
    if (end > probe.length) return [`it is cut off: its UDF partition ends at byte ${end}, but the file has ${probe.length} bytes`]
  }
  return partitions > 0 ? [] : ['its UDF volume has no partition']
}

/** Reads a sector that begins with a valid descriptor tag (ECMA-167 §3/7.2). Returns undefined for any other. */
async function readTag(probe: ImageProbe, sector: number, sectorBytes: number): Promise<{ readonly kind: number; readonly view: DataView } | undefined> {
  const bytes = await probe.readAt(sector * sectorBytes, 512)
  if (bytes.byteLength < 512) return undefined
  const view = viewOf(bytes)
  let sum = 0
  for (let at = 0; at < TAG_BYTES; at++) if (at !== 4) sum += bytes[at] ?? 0
  const isWhole = view.getUint32(12, true) === sector && (sum & 0xff) === bytes[4]
  // The main sequence may end with sectors of zeros instead of a terminator.
  return isWhole ? { kind: view.getUint16(0, true), view } : bytes.every((byte) => byte === 0) ? { kind: TAG_TERMINATOR, view } : undefined
}

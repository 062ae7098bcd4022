// Discs: ISO 9660 (ECMA-119), UDF (ECMA-167, in udf.ts), and bridges of both. Detected by the volume descriptors after the system area. Installers are
// often hybrids: the system area then holds a partition table, so that the disc can be started from a USB stick too.

import { cutOff, startsWith, viewOf } from './format.ts'
import type { ImageProbe, NativeDetection } from './format.ts'
import { checkUdf } from './udf.ts'

const SYSTEM_AREA_BYTES = 32 * 1024
export const DISC_SECTOR_BYTES = 2048
/** Most volume descriptors that are read. Real discs have fewer than ten. */
const DESCRIPTORS_MAX = 64
/** A UDF volume with larger sectors has one descriptor at the start of each. */
const STRIDES = [DISC_SECTOR_BYTES, 2 * DISC_SECTOR_BYTES]

const TYPE_BOOT = 0
const TYPE_PRIMARY = 1
const TYPE_SUPPLEMENTARY = 2
const TYPE_PARTITION = 3
const TYPE_TERMINATOR = 255
const EL_TORITO = 'EL TORITO SPECIFICATION'
/** Escape sequences of the three levels of Joliet, at byte 88 of a supplementary descriptor. */
const JOLIET = ['%/@', '%/C', '%/E']
/** El Torito 1.0: the sector of the boot catalogue in a boot record; the indicator of an entry that starts a machine. */
const CATALOGUE_AT = 0x47
const CATALOGUE_ENTRY_BYTES = 32
const CATALOGUE_BOOTABLE = 0x88
const CATALOGUE_HEADER = 1

/** What the volume descriptors of a disc say. */
interface Volumes {
  readonly faults: string[]
  hasPrimary: boolean
  hasJoliet: boolean
  isTerminated: boolean
  /** Sectors of the boot catalogues. */
  readonly catalogues: number[]
  readonly udf: Set<string>
}

/** Detects a disc by its first volume descriptor. A later damaged descriptor refuses the disc. */
export async function detectIso(probe: ImageProbe): Promise<NativeDetection | undefined> {
  const volumes = await readVolumes(probe)
  if (!volumes) return undefined
  const { faults, udf, hasPrimary } = volumes
  const isUdf = udf.size > 0
  const isIso9660 = hasPrimary || !isUdf
  if (isIso9660 && !hasPrimary) faults.push('it has no primary volume descriptor')
  if (isIso9660 && !volumes.isTerminated) faults.push(cutOff('list of volume descriptors'))
  if (isUdf) faults.push(...udfSequenceFaults(udf), ...(await checkUdf(probe)))
  const bootable = await hasBootEntry(probe, volumes.catalogues)
  const variant = isUdf ? (hasPrimary ? 'ISO 9660 and UDF' : 'UDF') : volumes.hasJoliet ? 'ISO 9660 with Joliet' : 'ISO 9660'
  return { format: 'iso', virtualSize: probe.length, refusals: faults, facts: { variant, bootable, clusterSize: DISC_SECTOR_BYTES } }
}

/** Reads the volume descriptors until the first sector that is none. Returns undefined when there is none at all. */
async function readVolumes(probe: ImageProbe): Promise<Volumes | undefined> {
  for (const stride of STRIDES) {
    const volumes: Volumes = { faults: [], hasPrimary: false, hasJoliet: false, isTerminated: false, catalogues: [], udf: new Set() }
    let count = 0
    while (count < DESCRIPTORS_MAX) {
      const bytes = await probe.readAt(SYSTEM_AREA_BYTES + count * stride, DISC_SECTOR_BYTES)
      if (!readDescriptor(probe, bytes, volumes)) break
      count++
    }
    if (count === DESCRIPTORS_MAX) volumes.faults.push(`it has more than ${DESCRIPTORS_MAX} volume descriptors`)
    // With the shorter stride, a disc with longer sectors ends after its first descriptor.
    const isWhole = count > 1 || volumes.hasPrimary || stride === STRIDES.at(-1)
    if (count > 0 && isWhole) return volumes
  }
  return undefined
}

/** Reads one volume descriptor. Returns false if the bytes are none. */
function readDescriptor(probe: ImageProbe, bytes: Uint8Array, volumes: Volumes): boolean {
  for (const name of ['BEA01', 'NSR02', 'NSR03', 'TEA01', 'BOOT2', 'CDW02']) {
    if (!startsWith(bytes, name, 1)) continue
    volumes.udf.add(name)
    return true
  }
  // The identifiers of ISO 9660 end with the terminator; a bridge goes on with those of UDF.
  if (volumes.isTerminated || !startsWith(bytes, 'CD001', 1)) return false
  const { faults } = volumes
  if (bytes.byteLength < DISC_SECTOR_BYTES) {
    faults.push(cutOff('volume descriptor'))
    return true
  }
  const type = bytes[0]
  if (type === TYPE_PRIMARY) {
    volumes.hasPrimary = true
    faults.push(...volumeFaults(probe, bytes, 'primary'))
  } else if (type === TYPE_SUPPLEMENTARY) {
    volumes.hasJoliet ||= JOLIET.some((escape) => startsWith(bytes, escape, 88))
    faults.push(...volumeFaults(probe, bytes, 'supplementary'))
  } else if (type === TYPE_BOOT) {
    if (startsWith(bytes, EL_TORITO, 7)) volumes.catalogues.push(viewOf(bytes).getUint32(CATALOGUE_AT, true))
  } else if (type === TYPE_TERMINATOR) {
    volumes.isTerminated = true
  } else if (type !== TYPE_PARTITION) {
    faults.push(`it has a volume descriptor of the unknown type ${type}`)
  }
  return true
}

/** Checks a primary or supplementary volume descriptor (ECMA-119 §8.4): its numbers are stored in both byte orders. */
function volumeFaults(probe: ImageProbe, bytes: Uint8Array, name: string): string[] {
  const view = viewOf(bytes)
  const sectors = view.getUint32(80, true)
  const sectorBytes = view.getUint16(128, true)
  if (sectors !== view.getUint32(84) || sectorBytes !== view.getUint16(130))
    return [`the two byte orders of its ${name} volume descriptor contradict each other`]
  if (sectorBytes !== DISC_SECTOR_BYTES) return [`its ${name} volume descriptor has sectors of ${sectorBytes} bytes; only ${DISC_SECTOR_BYTES} are supported`]
  if (sectors === 0) return [`its ${name} volume descriptor describes an empty volume`]
  const length = sectors * DISC_SECTOR_BYTES
  if (length > probe.length) return [`it is cut off: its ${name} volume has ${length} bytes, but the file has ${probe.length}`]
  // The record of the root directory (ECMA-119 §9.1): extent and length.
  const rootEnd = view.getUint32(158, true) * DISC_SECTOR_BYTES + view.getUint32(166, true)
  return rootEnd > length ? [`the root directory of its ${name} volume is beyond the end of the volume`] : []
}

/** The extended area of UDF begins with BEA01, has one of NSR02 and NSR03, and ends with TEA01 (ECMA-167 §2/9). */
function udfSequenceFaults(udf: ReadonlySet<string>): string[] {
  const isWhole = udf.has('BEA01') && udf.has('TEA01') && udf.has('NSR02') !== udf.has('NSR03')
  return isWhole ? [] : ['its UDF volume recognition sequence is not complete']
}

/** Returns whether a boot catalogue (El Torito 1.0 §2) has an entry that starts a machine. */
async function hasBootEntry(probe: ImageProbe, catalogues: readonly number[]): Promise<boolean> {
  for (const sector of catalogues) {
    const bytes = await probe.readAt(sector * DISC_SECTOR_BYTES, DISC_SECTOR_BYTES)
    if (bytes[0] !== CATALOGUE_HEADER || bytes[30] !== 0x55 || bytes[31] !== 0xaa) continue
    if (bytes.some((byte, at) => at >= CATALOGUE_ENTRY_BYTES && at % CATALOGUE_ENTRY_BYTES === 0 && byte === CATALOGUE_BOOTABLE)) return true
  }
  return false
}

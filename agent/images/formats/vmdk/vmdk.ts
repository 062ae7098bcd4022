// vmdk, little endian (VMware Virtual Disk Format 5.0). Accepts the two variants that are complete in one file: monolithicSparse and streamOptimized.
// Refuses descriptors whose extents are other files, which a converter would read (CVE-2022-47951), and disks with a parent.

import { cutOff, startsWith } from '../format.ts'
import type { ImageProbe, NativeDetection } from '../format.ts'
import { descriptorFault, NO_DESCRIPTOR, isDescriptorText, readDescriptor } from './descriptor.ts'
import type { VmdkDescriptor } from './descriptor.ts'
import { parseHeader, readFooter, SECTOR_BYTES, VMDK_HEADER_BYTES } from './header.ts'
import type { VmdkHeader } from './header.ts'
import { checkGrains } from './tables.ts'

/** Longest descriptor in bytes. */
export const DESCRIPTOR_BYTES_MAX = 1024 * 1024 - 1
/** Bytes at the start of a file in which a descriptor without header is recognised. */
const TEXT_BYTES = 4096

const DESCRIPTOR_ALONE = 'it is only a descriptor whose data is in other files'
const SPARSE_ESX = 'it is an ESX sparse extent without its descriptor'

/** Detects vmdk by the magic of a sparse extent, by those of the extents of ESX, and by the text of a descriptor. */
export async function detectVmdk(probe: ImageProbe): Promise<NativeDetection | undefined> {
  const head = await probe.readAt(0, TEXT_BYTES)
  const refused = (clause: string, virtualSize: number | null = null): NativeDetection => ({ format: 'vmdk', virtualSize, refusals: [clause] })
  if (startsWith(head, 'KDMV')) return detectSparse(probe, head)
  // `COWD` is a vmfsSparse extent, the other one a seSparse extent.
  if (startsWith(head, 'COWD') || startsWith(head, '\u00be\u00ba\u00fe\u00ca\0\0\0\0')) return refused(SPARSE_ESX)
  if (!isDescriptorText(head)) return undefined
  const { sectors } = readDescriptor(await probe.readAt(0, DESCRIPTOR_BYTES_MAX))
  return refused(DESCRIPTOR_ALONE, sectors * SECTOR_BYTES)
}

async function detectSparse(probe: ImageProbe, head: Uint8Array): Promise<NativeDetection> {
  if (head.byteLength < VMDK_HEADER_BYTES) return { format: 'vmdk', virtualSize: null, refusals: [cutOff('vmdk header')] }
  const { header, faults } = parseHeader(head)
  const virtualSize = header.capacity === null ? null : header.capacity * SECTOR_BYTES
  const detection = { format: 'vmdk', virtualSize } as const
  const descriptor = await embeddedDescriptor(probe, header)
  if (typeof descriptor === 'string') return { ...detection, refusals: [...faults, descriptor] }
  const fault = descriptorFault(descriptor, header)
  const refusals = fault === undefined ? faults : [...faults, fault]
  const facts = { variant: descriptor.createType, clusterSize: header.grainBytes, compression: header.isCompressed ? ('zlib' as const) : null }
  // The tables are read only if the header can be trusted.
  if (refusals.length > 0) return { ...detection, refusals, facts }
  const checked = await checkTables(probe, header)
  if (typeof checked === 'string') return { ...detection, refusals: [checked], facts }
  return { ...detection, refusals: [], facts: { ...facts, allocatedSize: checked.grains * header.grainBytes } }
}

/** Returns the descriptor inside a sparse extent, or why it cannot be read. */
async function embeddedDescriptor(probe: ImageProbe, header: VmdkHeader): Promise<VmdkDescriptor | string> {
  if (header.descriptorSector === 0) return NO_DESCRIPTOR
  // A descriptor elsewhere could be inside the data of a guest, who would then choose the extents.
  if (header.descriptorSector !== 1) return `its descriptor begins at sector ${header.descriptorSector} instead of sector 1`
  const length = header.descriptorSectors * SECTOR_BYTES
  if (length === 0 || length > DESCRIPTOR_BYTES_MAX) return `its descriptor has ${length} bytes; it must have at most ${DESCRIPTOR_BYTES_MAX}`
  const bytes = await probe.readAt(SECTOR_BYTES, length)
  return bytes.byteLength < length ? cutOff('descriptor') : readDescriptor(bytes)
}

/** Checks the grain directory, which the footer names if the header does not, and everything it names. Returns the first fault. */
async function checkTables(probe: ImageProbe, header: VmdkHeader): Promise<{ readonly grains: number } | string> {
  if (header.directorySector !== null) return checkGrains(probe, header, header.directorySector)
  const footer = await readFooter(probe, header)
  return typeof footer === 'string' ? footer : checkGrains(probe, header, footer.directorySector)
}

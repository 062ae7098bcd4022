// vmdk, little endian (VMware Virtual Disk Format 1.1). Refuses descriptors whose extents are other files, which a converter would read
// (CVE-2022-47951), and disks with a parent.

import { safeSize, startsWith, viewOf } from './format.ts'
import type { Detection, ImageProbe } from './format.ts'

const SECTOR_BYTES = 512
const HEADER_LENGTH = 79
const DESCRIPTOR_START = '# Disk DescriptorFile'
/** Maximum length of a descriptor in bytes. */
const DESCRIPTOR_LENGTH_MAX = 1024 * 1024
/** Matches an extent: access, sectors, type, and usually a file name. */
const EXTENT = /^(?:RW|RDONLY|NOACCESS)\s+(\d+)\s+([A-Z]+)(?:\s+"([^"]*)")?/

export async function detectVmdk(probe: ImageProbe): Promise<Detection | undefined> {
  const head = await probe.readAt(0, SECTOR_BYTES)
  if (startsWith(head, 'KDMV')) return detectSparse(probe, head)
  if (startsWith(head, 'COWD')) return { format: 'vmdk', virtualSize: null, refusals: ['it is an ESX sparse extent without its descriptor'] }
  if (!startsWith(head, DESCRIPTOR_START)) return undefined
  const { sectors } = readDescriptor(await probe.readAt(0, DESCRIPTOR_LENGTH_MAX))
  return { format: 'vmdk', virtualSize: sectors * SECTOR_BYTES, refusals: ['it is only a descriptor whose data is in other files'] }
}

async function detectSparse(probe: ImageProbe, head: Uint8Array): Promise<Detection> {
  if (head.byteLength < HEADER_LENGTH) return { format: 'vmdk', virtualSize: null, refusals: ['its vmdk header is cut off'] }
  const view = viewOf(head)
  const refusals: string[] = []
  const virtualSize = safeSize(view.getBigUint64(12, true) * BigInt(SECTOR_BYTES))
  if (virtualSize === null) refusals.push('its virtual size is beyond all bounds')
  const descriptorOffset = safeSize(view.getBigUint64(28, true) * BigInt(SECTOR_BYTES))
  const descriptorLength = safeSize(view.getBigUint64(36, true) * BigInt(SECTOR_BYTES))
  if (descriptorOffset === null || descriptorLength === null || descriptorLength > DESCRIPTOR_LENGTH_MAX) {
    refusals.push('its descriptor is beyond all bounds')
  } else if (descriptorOffset > 0) {
    const { extents, hasParent } = readDescriptor(await probe.readAt(descriptorOffset, descriptorLength))
    if (extents.length > 1 || extents.some((extent) => extent.type !== 'SPARSE' || /[/\\:]/.test(extent.file))) refusals.push('its data is in other files')
    if (hasParent) refusals.push('it has a parent disk')
  }
  return { format: 'vmdk', virtualSize, refusals }
}

interface Descriptor {
  readonly extents: readonly { readonly type: string; readonly file: string }[]
  readonly sectors: number
  readonly hasParent: boolean
}

function readDescriptor(bytes: Uint8Array): Descriptor {
  const end = bytes.indexOf(0)
  const text = new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end))
  const extents: { type: string; file: string }[] = []
  let sectors = 0
  let hasParent = false
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    const extent = EXTENT.exec(trimmed)
    if (extent) {
      extents.push({ type: extent[2] ?? '', file: extent[3] ?? '' })
      sectors += Number(extent[1])
    }
    const parent = /^parentCID\s*=\s*([0-9a-f]+)/i.exec(trimmed)
    if (parent && parent[1]?.toLowerCase() !== 'ffffffff') hasParent = true
    if (/^parentFileNameHint\s*=/i.test(trimmed)) hasParent = true
  }
  return { extents, sectors: Number.isSafeInteger(sectors * SECTOR_BYTES) ? sectors : 0, hasParent }
}

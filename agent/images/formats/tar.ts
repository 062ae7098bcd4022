// tar archives (POSIX.1-1988 ustar, and the older format without a signature), which no store accepts. An OVA is a tar whose first member is its
// OVF description (DSP0243 §5.3).

import { startsWith } from './format.ts'
import type { ForeignDetection, ImageProbe } from './format.ts'

const HEADER_BYTES = 512
const NAME_BYTES = 100
const CHECKSUM_START = 148
const CHECKSUM_END = 156
const MAGIC_OFFSET = 257

export async function detectTar(probe: ImageProbe): Promise<ForeignDetection | undefined> {
  const header = await probe.readAt(0, HEADER_BYTES)
  if (!startsWith(header, 'ustar', MAGIC_OFFSET) && !hasChecksum(header)) return undefined
  const name = new TextDecoder('latin1').decode(header.subarray(0, NAME_BYTES)).replace(/\0.*$/s, '')
  if (!/\.ovf$/i.test(name)) return { foreign: 'tar', name: 'a tar archive', advice: 'Unpack it with tar -xf OLD, then upload the disk image inside it.' }
  const advice = 'Unpack it with tar -xf OLD.ova, then upload each disk inside it: a .vmdk that is streamOptimized needs no conversion.'
  return { foreign: 'ova', name: 'a virtual machine (OVA)', advice }
}

/** Returns whether the header has the checksum of its own bytes, where the field of the checksum counts as spaces. */
function hasChecksum(header: Uint8Array): boolean {
  if (header.byteLength < HEADER_BYTES || header[0] === 0) return false
  const field = new TextDecoder('latin1').decode(header.subarray(CHECKSUM_START, CHECKSUM_END)).replaceAll('\0', ' ').trim()
  if (!/^[0-7]{2,7}$/.test(field)) return false
  const sum = header.reduce((all, byte, i) => all + (i >= CHECKSUM_START && i < CHECKSUM_END ? 0x20 : byte), 0)
  return sum === Number.parseInt(field, 8)
}

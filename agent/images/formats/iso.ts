// ISO 9660 (ECMA-119) and UDF (ECMA-167 volume recognition). Detected by the volume descriptors after the system area.

import { startsWith } from './format.ts'
import type { Detection, ImageProbe } from './format.ts'

const SYSTEM_AREA_BYTES = 32 * 1024
const DESCRIPTOR_BYTES = 2048
/** Maximum number of volume descriptors that are checked. Real discs have only a few. */
const DESCRIPTORS_MAX = 16

export async function detectIso(probe: ImageProbe): Promise<Detection | undefined> {
  const bytes = await probe.readAt(SYSTEM_AREA_BYTES, DESCRIPTORS_MAX * DESCRIPTOR_BYTES)
  for (let at = 0; at + DESCRIPTOR_BYTES <= bytes.byteLength; at += DESCRIPTOR_BYTES) {
    const isIso9660 = startsWith(bytes, 'CD001', at + 1)
    const isUdf = startsWith(bytes, 'BEA01', at + 1) || startsWith(bytes, 'NSR02', at + 1) || startsWith(bytes, 'NSR03', at + 1)
    if (isIso9660 || isUdf) return { format: 'iso', virtualSize: probe.length, refusals: [] }
    if (bytes[at] === 0 && at > 0) break
  }
  return undefined
}

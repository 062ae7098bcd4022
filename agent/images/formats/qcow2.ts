// qcow2, big endian (QEMU, docs/interop/qcow2). Refuses images that make a reader open another file.

import { cutOff, safeSize, startsWith, viewOf } from './format.ts'
import type { Detection, ImageProbe } from './format.ts'

/** Version 1 is another format (signatures.ts). */
const MAGIC_V1 = 'QFI\u00fb\0\0\0\u0001'
const MAGIC = 'QFI\u00fb'
const HEADER_LENGTH_V2 = 72
const HEADER_LENGTH_V3 = 104
const FEATURE_EXTERNAL_DATA_FILE = 1n << 2n
const EXTENSION_END = 0
const EXTENSION_EXTERNAL_DATA_FILE = 0x44415441
/** Bytes searched for header extensions: the default cluster size of QEMU. */
const EXTENSIONS_LENGTH_MAX = 64 * 1024

export async function detectQcow2(probe: ImageProbe): Promise<Detection | undefined> {
  const bytes = await probe.readAt(0, EXTENSIONS_LENGTH_MAX)
  if (!startsWith(bytes, MAGIC) || startsWith(bytes, MAGIC_V1)) return undefined
  const refused = (...refusals: string[]): Detection => ({ format: 'qcow2', virtualSize: null, refusals })
  if (bytes.byteLength < HEADER_LENGTH_V2) return refused(cutOff('qcow2 header'))
  const view = viewOf(bytes)
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) return refused(`it is qcow2 of version ${version}, which is not supported`)
  if (version === 3 && bytes.byteLength < HEADER_LENGTH_V3) return refused(cutOff('qcow2 header'))

  const refusals: string[] = []
  const virtualSize = safeSize(view.getBigUint64(24))
  if (virtualSize === null) refusals.push('its virtual size is beyond all bounds')
  if (view.getBigUint64(8) !== 0n) refusals.push('it has a backing file')
  const incompatible = version === 3 ? view.getBigUint64(72) : 0n
  const headerLength = version === 3 ? view.getUint32(100) : HEADER_LENGTH_V2
  if ((incompatible & FEATURE_EXTERNAL_DATA_FILE) !== 0n || hasExtension(view, headerLength, EXTENSION_EXTERNAL_DATA_FILE)) {
    refusals.push('it keeps its data in an external file')
  }
  return { format: 'qcow2', virtualSize, refusals }
}

/** Walks the header extensions: u32 type, u32 length, content padded to 8 bytes. */
function hasExtension(view: DataView, headerLength: number, wanted: number): boolean {
  let at = headerLength
  while (at + 8 <= view.byteLength) {
    const type = view.getUint32(at)
    if (type === EXTENSION_END) return false
    if (type === wanted) return true
    at += 8 + Math.ceil(view.getUint32(at + 4) / 8) * 8
  }
  return false
}

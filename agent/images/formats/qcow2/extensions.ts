// Header extensions of qcow2 (QEMU, docs/interop/qcow2, "Header extensions"): u32 type, u32 length, content padded to 8 bytes.

import { cutOff, safeSize, viewOf } from '../format.ts'

const EXTENSION_END = 0
const EXTENSION_DATA_FILE = 0x4441_5441
const EXTENSION_ENCRYPTION = 0x0537_be77
const EXTENSION_BITMAPS = 0x2385_2875
/** Longest area of extensions in bytes that is read: QEMU writes less than 1 KiB. */
export const EXTENSIONS_BYTES_MAX = 64 * 1024
const BITMAPS_MAX = 65_535
/** Longest directory of bitmaps that QEMU opens, in bytes. */
const DIRECTORY_BYTES_MAX = 64 * 1024 * 1024

/** The directory of dirty bitmaps. */
export interface BitmapDirectory {
  readonly count: number
  readonly offset: number
  readonly bytes: number
}

export interface ExtensionsFinding {
  readonly bitmaps: BitmapDirectory | null
  readonly refusals: readonly string[]
}

/** Walks the extensions between the header and the end of its cluster. `bytes` are the first bytes of the file up to that end. */
export function readExtensions(bytes: Uint8Array, headerLength: number, end: number): ExtensionsFinding {
  const view = viewOf(bytes)
  let bitmaps: BitmapDirectory | null = null
  const refusals: string[] = []
  const refused = (refusal: string): ExtensionsFinding => ({ bitmaps: null, refusals: [...refusals, refusal] })
  for (let at = headerLength; at + 8 <= end;) {
    if (at + 8 > view.byteLength) return refused(bytes.byteLength < EXTENSIONS_BYTES_MAX ? cutOff('header') : 'its header extensions are too long')
    const type = view.getUint32(at)
    const length = view.getUint32(at + 4)
    if (type === EXTENSION_END) break
    const content = at + 8
    at = content + Math.ceil(length / 8) * 8
    if (content + length > end) return refused('a header extension is longer than the first cluster')
    if (content + length > view.byteLength) return refused(bytes.byteLength < EXTENSIONS_BYTES_MAX ? cutOff('header') : 'its header extensions are too long')
    if (type === EXTENSION_DATA_FILE) refusals.push('it names an external file for its data')
    else if (type === EXTENSION_ENCRYPTION) refusals.push('it has the key material of an encrypted disk')
    else if (type === EXTENSION_BITMAPS) {
      if (bitmaps) return refused('it has two lists of dirty bitmaps')
      bitmaps = readDirectory(view, content, length)
      if (!bitmaps) return refused('its list of dirty bitmaps is not valid')
    }
  }
  return { bitmaps, refusals }
}

function readDirectory(view: DataView, at: number, length: number): BitmapDirectory | null {
  if (length !== 24) return null
  const count = view.getUint32(at)
  const bytes = safeSize(view.getBigUint64(at + 8))
  const offset = safeSize(view.getBigUint64(at + 16))
  if (count === 0 || count > BITMAPS_MAX || bytes === null || bytes === 0 || bytes > DIRECTORY_BYTES_MAX || offset === null) return null
  return { count, offset, bytes }
}

// Makes small discs field by field, for what no program writes.

import { patched } from './format-case.ts'

export const SECTOR = 2048
export const PRIMARY_AT = 16 * SECTOR
const ROOT_SECTOR = 20
const SECTORS = 24

/** A 16-bit or 32-bit number in both byte orders (ECMA-119 §7). */
export function both(value: number, bits: 16 | 32): Uint8Array {
  const bytes = new Uint8Array(bits / 4)
  const view = new DataView(bytes.buffer)
  if (bits === 16) {
    view.setUint16(0, value, true)
    view.setUint16(2, value)
  } else {
    view.setUint32(0, value, true)
    view.setUint32(4, value)
  }
  return bytes
}

/** A volume descriptor of a type. */
export function descriptor(type: number, ...patches: Parameters<typeof patched>[1][]): Uint8Array {
  return patched(new Uint8Array(SECTOR), [0, String.fromCharCode(type)], [1, 'CD001\u0001'], ...patches)
}

/** A primary or supplementary descriptor of a volume with this many sectors. */
export function volume(type: number, sectors = SECTORS, ...patches: Parameters<typeof patched>[1][]): Uint8Array {
  const root = patched(new Uint8Array(34), [0, '\u0022'], [2, both(ROOT_SECTOR, 32)], [10, both(SECTOR, 32)])
  return descriptor(type, [80, both(sectors, 32)], [128, both(SECTOR, 16)], [156, root], ...patches)
}

/** A disc with these descriptors from sector 16 on. */
export function disc(...descriptors: readonly Uint8Array[]): Uint8Array {
  return patched(new Uint8Array(SECTORS * SECTOR), ...descriptors.map((bytes, i) => [PRIMARY_AT + i * SECTOR, bytes] as const))
}

/** A descriptor of the volume recognition sequence of UDF. */
export function recognition(name: string): Uint8Array {
  return patched(new Uint8Array(SECTOR), [0, `\0${name}\u0001`])
}

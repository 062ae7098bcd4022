// Makes small vmdk files field by field, for variants that no free program writes, such as a grain directory in a footer.

import { deflateSync } from 'node:zlib'
import { patched } from './format-case.ts'

export const SECTOR = 512
const GRAIN_SECTORS = 128
/** Eight grains. */
export const CAPACITY = 8 * GRAIN_SECTORS
const DESCRIPTOR_SECTORS = 20
const FIRST_GRAIN = 128

/** Offsets of the fields of the header in bytes. */
export const FIELD = {
  version: 4,
  flags: 8,
  capacity: 12,
  grainSectors: 20,
  descriptorSector: 28,
  descriptorSectors: 36,
  tableEntries: 44,
  redundantDirectory: 48,
  directory: 56,
  newlines: 73,
  compression: 77,
} as const

export function u32(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer)
}

export function u64(...values: readonly (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values, (value) => BigInt(value)).buffer)
}

/** The lines of a valid descriptor for CAPACITY sectors. */
export function descriptorLines(createType: string): string[] {
  return [
    '# Disk DescriptorFile',
    'version=1',
    'CID=fffffffe',
    'parentCID=ffffffff',
    `createType="${createType}"`,
    '# Extent description',
    `RW ${CAPACITY} SPARSE "disk.vmdk"`,
    'ddb.adapterType = "ide"',
    'ddb.geometry.cylinders = "1"',
  ]
}

function start(createType: string, flags: number, directory: bigint, lines: readonly string[]): Uint8Array {
  const isStream = createType === 'streamOptimized'
  return patched(
    new Uint8Array(FIRST_GRAIN * SECTOR),
    [0, 'KDMV'],
    [FIELD.version, u32(isStream ? 3 : 1, flags)],
    [FIELD.capacity, u64(CAPACITY, GRAIN_SECTORS, 1, DESCRIPTOR_SECTORS)],
    [FIELD.tableEntries, u32(512)],
    [FIELD.redundantDirectory, u64(0, directory, FIRST_GRAIN)],
    [FIELD.newlines, '\n \r\n'],
    [FIELD.compression, isStream ? '\u0001\0' : '\0\0'],
    [SECTOR, lines.join('\n')],
  )
}

/** Sectors of the parts of `sparse`. */
export const SPARSE_AT = { directory: 21, table: 22, grains: FIRST_GRAIN } as const

/** A monolithicSparse disk whose grains 0 and 3 have data. */
export function sparse(lines: readonly string[] = descriptorLines('monolithicSparse')): Uint8Array {
  const head = start('monolithicSparse', 1, BigInt(SPARSE_AT.directory), lines)
  const bytes = new Uint8Array((FIRST_GRAIN + 2 * GRAIN_SECTORS) * SECTOR).fill(7)
  return patched(
    bytes,
    [0, head],
    [SPARSE_AT.directory * SECTOR, u32(SPARSE_AT.table)],
    [SPARSE_AT.table * SECTOR, u32(FIRST_GRAIN, 0, 0, FIRST_GRAIN + GRAIN_SECTORS)],
  )
}

/** Sectors of the parts of `stream`. */
export const STREAM_AT = { grain: 128, otherGrain: 129, table: 131, directory: 136, footerMarker: 137, footer: 138, end: 139 } as const

/** A streamOptimized disk whose grain directory is at the end, as VMware writes it. Grains 0 and 3 have data. */
export function stream(lines: readonly string[] = descriptorLines('streamOptimized')): Uint8Array {
  const head = start('streamOptimized', 0x3_0001, 0xffff_ffff_ffff_ffffn, lines)
  const grain = deflateSync(new Uint8Array(GRAIN_SECTORS * SECTOR).fill(7))
  const markerOf = (sectors: number, kind: number): Uint8Array => patched(new Uint8Array(SECTOR), [0, u64(sectors)], [12, u32(kind)])
  const compressed = (index: number): Uint8Array =>
    patched(new Uint8Array(SECTOR), [0, u64(index * GRAIN_SECTORS)], [8, u32(grain.byteLength)], [12, new Uint8Array(grain)])
  const footer = patched(head.subarray(0, SECTOR), [FIELD.directory, u64(STREAM_AT.directory)])
  return patched(
    new Uint8Array((STREAM_AT.end + 1) * SECTOR),
    [0, head],
    [STREAM_AT.grain * SECTOR, compressed(0)],
    [STREAM_AT.otherGrain * SECTOR, compressed(3)],
    [(STREAM_AT.table - 1) * SECTOR, markerOf(4, 1)],
    [STREAM_AT.table * SECTOR, u32(STREAM_AT.grain, 0, 0, STREAM_AT.otherGrain)],
    [(STREAM_AT.directory - 1) * SECTOR, markerOf(1, 2)],
    [STREAM_AT.directory * SECTOR, u32(STREAM_AT.table)],
    [STREAM_AT.footerMarker * SECTOR, markerOf(1, 3)],
    [STREAM_AT.footer * SECTOR, footer],
  )
}

// The parts of a streamOptimized VMDK that are not grains (VMware, Virtual Disk Format 5.0): header, descriptor, markers, footer.

const SECTOR = 512
const MAGIC = 0x564d_444b
const VERSION = 3
/** Valid newline test; grains are compressed; markers precede grains and tables. */
const FLAGS = 0x0003_0001
const DEFLATE = 1
const DESCRIPTOR_SECTORS = 20
/** Sectors before the first grain. */
const OVERHEAD_SECTORS = 128
const AT_END = 0xffff_ffff_ffff_ffffn

export const GRAIN_BYTES = 64 * 1024
export const GRAIN_SECTORS = GRAIN_BYTES / SECTOR
export const TABLE_ENTRIES = 512
export const HEAD_BYTES = OVERHEAD_SECTORS * SECTOR

export type MarkerKind = 'table' | 'directory' | 'footer' | 'end'
const MARKERS: Readonly<Record<MarkerKind, number>> = { end: 0, table: 1, directory: 2, footer: 3 }

/** Returns header and descriptor, up to the first grain. */
export function vmdkHead(size: number, seed: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  writeHeader(head, size, AT_END)
  head.write(descriptorOf(size, seed), SECTOR, 'latin1')
  return head
}

/** Returns the marker before something that takes this many sectors. */
export function vmdkMarker(kind: MarkerKind, sectors: number): Buffer {
  const marker = Buffer.alloc(SECTOR)
  marker.writeBigUInt64LE(BigInt(sectors), 0)
  marker.writeUInt32LE(MARKERS[kind], 12)
  return marker
}

/** Returns the end of the file: footer marker, footer, end marker. `directorySector` is where the grain directory begins. */
export function vmdkTail(size: number, directorySector: number): Buffer {
  const footer = Buffer.alloc(SECTOR)
  writeHeader(footer, size, BigInt(directorySector))
  return Buffer.concat([vmdkMarker('footer', 1), footer, vmdkMarker('end', 0)])
}

/** Returns a compressed grain with its marker, in whole sectors. `sector` is its place on the disk. */
export function vmdkGrain(sector: number, compressed: Uint8Array): Buffer {
  const grain = Buffer.alloc(Math.ceil((12 + compressed.byteLength) / SECTOR) * SECTOR)
  grain.writeBigUInt64LE(BigInt(sector), 0)
  grain.writeUInt32LE(compressed.byteLength, 8)
  grain.set(compressed, 12)
  return grain
}

/** Returns a table of sectors, filled up to whole sectors. */
export function vmdkTable(entries: Uint32Array): Buffer {
  const table = Buffer.alloc(Math.max(1, Math.ceil((entries.length * 4) / SECTOR)) * SECTOR)
  for (const [i, value] of entries.entries()) table.writeUInt32LE(value, i * 4)
  return table
}

function writeHeader(into: Buffer, size: number, directory: bigint): void {
  into.writeUInt32LE(MAGIC, 0)
  into.writeUInt32LE(VERSION, 4)
  into.writeUInt32LE(FLAGS, 8)
  into.writeBigUInt64LE(BigInt(size / SECTOR), 12)
  into.writeBigUInt64LE(BigInt(GRAIN_SECTORS), 20)
  into.writeBigUInt64LE(1n, 28)
  into.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), 36)
  into.writeUInt32LE(TABLE_ENTRIES, 44)
  into.writeBigUInt64LE(directory, 56)
  into.writeBigUInt64LE(BigInt(OVERHEAD_SECTORS), 64)
  into.set([0x0a, 0x20, 0x0d, 0x0a], 73)
  into.writeUInt16LE(DEFLATE, 77)
}

/** Returns the descriptor. Its content id comes from the content, so that equal content gives equal bytes. */
function descriptorOf(size: number, seed: Uint8Array): string {
  const sectors = size / SECTOR
  const contentId = Buffer.from(seed.subarray(0, 4)).toString('hex')
  const cylinders = Math.min(65_535, Math.floor(sectors / (255 * 63)))
  return [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${contentId}`,
    'parentCID=ffffffff',
    'createType="streamOptimized"',
    '',
    '# Extent description',
    `RW ${sectors} SPARSE "disk.vmdk"`,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    'ddb.virtualHWVersion = "4"',
    `ddb.geometry.cylinders = "${cylinders}"`,
    'ddb.geometry.heads = "255"',
    'ddb.geometry.sectors = "63"',
    'ddb.adapterType = "lsilogic"',
    '',
  ].join('\n')
}

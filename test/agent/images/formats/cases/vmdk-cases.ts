// vmdk: what qemu-img makes, disks made field by field, and what is wrong in those that must be refused.

import { patched, QEMU_IMG, qemuDisk, run, startingWith } from './format-case.ts'
import type { FormatCase, Refused } from './format-case.ts'
import { CAPACITY, descriptorLines, FIELD, SECTOR, sparse, SPARSE_AT, stream, STREAM_AT, u32, u64 } from './vmdk-image.ts'

type Patch = Parameters<typeof patched>[1]

const unsafe = (says: string): Refused => ({ kind: 'refused', refusal: 'unsafe-image', says, detected: 'vmdk' })

/** A disk that qemu-img converts from 16 MiB with data at three places. */
function converted(name: string, subformat: string, allocatedSize: number, ...options: readonly string[]): FormatCase {
  return {
    name,
    needs: [QEMU_IMG],
    make: (folder) => {
      run(folder, 'qemu-img', 'create', '-q', '-f', 'raw', 'disk.raw', '16M')
      run(folder, 'qemu-io', '-f', 'raw', '-c', 'write -P 7 0 1M', '-c', 'write -P 9 5M 64K', '-c', 'write -P 3 15M 1M', 'disk.raw')
      run(folder, 'qemu-img', 'convert', '-f', 'raw', '-O', 'vmdk', '-o', [`subformat=${subformat}`, ...options].join(','), 'disk.raw', 'image')
      return folder.file('image')
    },
    expected: { kind: 'accepted', format: 'vmdk', virtualSize: 16 * 1024 * 1024, details: { variant: subformat, clusterSize: 65_536, allocatedSize } },
  }
}

function accepted(name: string, make: () => Uint8Array, variant: string): FormatCase {
  const details = { variant, clusterSize: 65_536, allocatedSize: 131_072, compression: variant === 'streamOptimized' ? 'zlib' : null } as const
  return { name, make, expected: { kind: 'accepted', format: 'vmdk', virtualSize: CAPACITY * SECTOR, details } }
}

/** A sparse disk with changed bytes. */
function changed(name: string, says: string, ...patches: readonly Patch[]): FormatCase {
  return { name: `vmdk with ${name}`, make: () => patched(sparse(), ...patches), expected: unsafe(says) }
}

/** A streamOptimized disk with changed bytes. */
function changedStream(name: string, says: string, ...patches: readonly Patch[]): FormatCase {
  return { name: `streamOptimized with ${name}`, make: () => patched(stream(), ...patches), expected: unsafe(says) }
}

/** A sparse disk whose descriptor has other lines. */
function described(name: string, says: string, edit: (lines: string[]) => readonly string[]): FormatCase {
  return { name: `descriptor with ${name}`, make: () => sparse(edit(descriptorLines('monolithicSparse'))), expected: unsafe(says) }
}

/** Lines with one replaced. */
function replaced(beginning: string, line: string): (lines: string[]) => readonly string[] {
  return (lines) => lines.map((known) => (known.startsWith(beginning) ? line : known))
}

/** A text file that is a descriptor. */
function alone(name: string, text: string): FormatCase {
  return { name, make: () => Buffer.from(text, 'latin1'), expected: unsafe('it is only a descriptor whose data is in other files') }
}

/**
 * A disk with two grain tables, of which the second one comes first in the file. Each has one grain with data: the first grain of the disk, and its last.
 * The second table begins so many sectors before the first: a table takes 4.
 */
function manyTables(distance: 3 | 4): Uint8Array {
  const capacity = 2 * 512 * 128
  const lines = replaced('RW', `RW ${capacity} SPARSE "disk.vmdk"`)(descriptorLines('monolithicSparse'))
  const second = 60
  const first = second + distance
  return patched(
    sparse(lines),
    [FIELD.capacity, u64(capacity)],
    [SPARSE_AT.directory * SECTOR, u32(first, second)],
    [second * SECTOR, new Uint8Array(8 * SECTOR)],
    [first * SECTOR, u32(SPARSE_AT.grains)],
    [(second + 3) * SECTOR + 508, u32(SPARSE_AT.grains + 128)],
  )
}

/** A disk with three empty grain tables, the first of which comes first in the file, and the second last. */
function threeTables(): Uint8Array {
  const capacity = 3 * 512 * 128
  const lines = replaced('RW', `RW ${capacity} SPARSE "disk.vmdk"`)(descriptorLines('monolithicSparse'))
  const tables = new Uint8Array(12 * SECTOR)
  return patched(sparse(lines), [FIELD.capacity, u64(capacity)], [SPARSE_AT.directory * SECTOR, u32(60, 68, 64)], [60 * SECTOR, tables])
}

export const VMDK_CASES: readonly FormatCase[] = [
  converted('vmdk monolithicSparse of qemu-img', 'monolithicSparse', 33 * 65_536),
  converted('vmdk monolithicSparse with zeroed grains', 'monolithicSparse', 33 * 65_536, 'zeroed_grain=on'),
  converted('vmdk streamOptimized of qemu-img', 'streamOptimized', 33 * 65_536),
  { name: 'vmdk empty', needs: [QEMU_IMG], make: qemuDisk('vmdk'), expected: { kind: 'accepted', format: 'vmdk', virtualSize: 64 * 1024 * 1024 } },
  {
    name: 'vmdk of 1 TiB without data',
    needs: [QEMU_IMG],
    make: qemuDisk('vmdk', [], '1T'),
    expected: { kind: 'accepted', format: 'vmdk', virtualSize: 1024 ** 4, details: { allocatedSize: 0 } },
  },
  accepted('vmdk made by hand', () => sparse(), 'monolithicSparse'),
  accepted('vmdk whose directory is in the footer', () => stream(), 'streamOptimized'),
  accepted(
    'vmdk with the lines of VMware',
    () => sparse(['# Disk DescriptorFile', 'encoding="windows-1252"', 'isNativeSnapshot="no"', ...descriptorLines('monolithicSparse').slice(1)]),
    'monolithicSparse',
  ),
  accepted('vmdk with line ends of Windows', () => sparse(descriptorLines('monolithicSparse').map((line) => `${line}\r`)), 'monolithicSparse'),
  // QEMU replaces the CID in place: of eight digits that became one, the last six bytes of the longer text stay behind the zero byte.
  accepted(
    'vmdk with a shorter CID than before',
    () => sparse([...replaced('CID=', 'CID=1')(descriptorLines('monolithicSparse')), '\0"ide"\n']),
    'monolithicSparse',
  ),
  accepted('vmdk of version 2', () => patched(sparse(), [FIELD.version, u32(2)]), 'monolithicSparse'),
  {
    name: 'vmdk monolithicFlat',
    needs: [QEMU_IMG],
    make: qemuDisk('vmdk', ['-o', 'subformat=monolithicFlat']),
    expected: unsafe('it is only a descriptor'),
  },
  {
    name: 'vmdk twoGbMaxExtentFlat',
    needs: [QEMU_IMG],
    make: qemuDisk('vmdk', ['-o', 'subformat=twoGbMaxExtentFlat']),
    expected: unsafe('it is only a descriptor'),
  },
  {
    name: 'vmdk twoGbMaxExtentSparse',
    needs: [QEMU_IMG],
    make: qemuDisk('vmdk', ['-o', 'subformat=twoGbMaxExtentSparse']),
    expected: unsafe('it is only a descriptor'),
  },
  {
    name: 'vmdk extent of twoGbMaxExtentSparse',
    needs: [QEMU_IMG],
    make: async (folder) => {
      await qemuDisk('vmdk', ['-o', 'subformat=twoGbMaxExtentSparse'])(folder)
      return folder.file('image-s001')
    },
    expected: unsafe('it has no descriptor'),
  },
  {
    name: 'vmdk with a backing file',
    needs: [QEMU_IMG],
    make: (folder) => {
      run(folder, 'qemu-img', 'create', '-q', '-f', 'vmdk', 'base', '1M')
      run(folder, 'qemu-img', 'create', '-q', '-f', 'vmdk', '-F', 'vmdk', '-b', 'base', 'image')
      return folder.file('image')
    },
    expected: unsafe('it has a parent disk'),
  },
  alone('a descriptor of another file', '# Disk DescriptorFile\nversion=1\nRW 8 FLAT "/etc/passwd" 0\n'),
  alone('a descriptor in small letters', '# disk descriptorfile\nRW 8 FLAT "/etc/passwd" 0\n'),
  alone('a descriptor whose version ends at byte 4096', `#${'x'.repeat(4085)}\nversion=1\nRW 8 FLAT "/etc/passwd" 0\n`),
  alone('a descriptor without its first comment', 'version=1\nRW 8 FLAT "/etc/passwd" 0\n'),
  alone('a descriptor after comments', '# nothing\n#\n   \nversion=3\r\nRW 8 FLAT "/etc/passwd" 0\n'),
  { name: 'an extent of ESX', make: () => startingWith('COWD\u0001'), expected: unsafe('ESX') },
  { name: 'a seSparse extent of ESX', make: () => startingWith('\u00be\u00ba\u00fe\u00ca\0\0\0\0'), expected: unsafe('ESX') },
  { name: 'vmdk header that is cut off', make: () => sparse().slice(0, 300), expected: unsafe('its vmdk header is cut off') },
  { name: 'vmdk descriptor that is cut off', make: () => sparse().slice(0, 4096), expected: unsafe('its descriptor is cut off') },
  { name: 'vmdk cut off within its last grain', make: () => sparse().slice(0, -SECTOR), expected: unsafe('a grain is beyond the end of the file') },
  changed('version 4', 'it is vmdk of version 4', [FIELD.version, u32(4)]),
  changed('version 0', 'it is vmdk of version 0', [FIELD.version, u32(0)]),
  changed('a capacity of 0', 'its capacity is 0', [FIELD.capacity, u64(0)]),
  changed('a capacity of 2^63', 'beyond all bounds', [FIELD.capacity, u64(2n ** 63n)]),
  changed('a capacity of 2^44 sectors', 'beyond all bounds', [FIELD.capacity, u64(2 ** 44)]),
  changed('a capacity of 8 PiB', 'its extent has 1024 sectors', [FIELD.capacity, u64(2 ** 44 - 1)]),
  changed('grains of 4 sectors', 'its grains have 4 sectors', [FIELD.grainSectors, u64(4)]),
  changed('grains of 100 sectors', 'its grains have 100 sectors', [FIELD.grainSectors, u64(100)]),
  changed('grains of 8192 sectors, which no conversion reads', 'they must have a power of 2 between 8 and 4096', [FIELD.grainSectors, u64(8192)]),
  changed('grains of 2^40 sectors', 'its grains have', [FIELD.grainSectors, u64(2 ** 40)]),
  changed('tables of 0 entries', 'its grain tables have 0 entries', [FIELD.tableEntries, u32(0)]),
  changed('tables of 513 entries', 'its grain tables have 513 entries', [FIELD.tableEntries, u32(513)]),
  changed('changed line ends', 'text mode', [FIELD.newlines, '\r\n \n']),
  changed('an unknown compression', 'its compression 2 is unknown', [FIELD.compression, '\u0002\0']),
  changed('compressed grains without markers', 'without markers', [FIELD.flags, u32(0x1_0001)], [FIELD.compression, '\u0001\0']),
  changed('compressed grains without a compression', 'it has compressed grains without a compression', [FIELD.flags, u32(0x3_0001)]),
  changed('compressed grains in a sparse disk', 'contradicts its header', [FIELD.flags, u32(0x3_0001)], [FIELD.compression, '\u0001\0']),
  changed('its descriptor in sector 2', 'its descriptor begins at sector 2', [FIELD.descriptorSector, u64(2)]),
  changed('no descriptor', 'it has no descriptor', [FIELD.descriptorSector, u64(0)]),
  changed('a descriptor of 1 MiB', 'its descriptor has 1048576 bytes', [FIELD.descriptorSectors, u64(2048)]),
  changed('a descriptor of 2^60 sectors', 'it must have at most', [FIELD.descriptorSectors, u64(2n ** 60n)]),
  changed('a directory in sector 0', 'its grain directory overlaps', [FIELD.directory, u64(0)]),
  changed('a directory in its descriptor', 'its grain directory overlaps', [FIELD.directory, u64(5)]),
  changed('a directory beyond the end', 'its grain directory is cut off', [FIELD.directory, u64(10_000)]),
  changed('a directory in a footer', 'which only streamOptimized has', [FIELD.directory, u64(0xffff_ffff_ffff_ffffn)]),
  changed('a second directory beyond the end', 'its redundant grain directory is cut off', [FIELD.flags, u32(3)], [FIELD.redundantDirectory, u64(10_000)]),
  changed('a table beyond the end', 'a grain table is beyond the end', [SPARSE_AT.directory * SECTOR, u32(0xffff_fff0)]),
  changed('a table in its descriptor', 'a grain table overlaps other metadata', [SPARSE_AT.directory * SECTOR, u32(8)]),
  changed('a table in its directory', 'a grain table overlaps other metadata', [SPARSE_AT.directory * SECTOR, u32(SPARSE_AT.directory)]),
  changed('a grain beyond the end', 'a grain is beyond the end', [SPARSE_AT.table * SECTOR, u32(100_000)]),
  changed('a grain in its header', 'a grain overlaps metadata', [SPARSE_AT.table * SECTOR, u32(1)]),
  changed('a grain in its table', 'a grain overlaps metadata', [SPARSE_AT.table * SECTOR, u32(SPARSE_AT.table + 1)]),
  changed('every grain at the same place', 'its grains overlap each other', [SPARSE_AT.table * SECTOR, u32(128, 128, 128, 128, 128, 128, 128, 128)]),
  {
    name: 'vmdk of 64 TiB in 4 KiB',
    make: () =>
      patched(
        sparse(replaced('RW', `RW ${2 ** 37} SPARSE "disk.vmdk"`)(descriptorLines('monolithicSparse'))),
        [FIELD.capacity, u64(2 ** 37)],
        [FIELD.grainSectors, u64(8)],
      ),
    expected: unsafe('grain tables; the limit is 2097152'),
  },
  described('two extents', 'its data is in other files', (lines) => [...lines, `RW ${CAPACITY} SPARSE "other.vmdk"`]),
  described('a flat extent', 'its data is in other files', replaced('RW', 'RW 8 FLAT "/etc/passwd" 0')),
  described('a path', 'its data is in other files', replaced('RW', `RW ${CAPACITY} SPARSE "../disk.vmdk"`)),
  described('a protocol', 'its data is in other files', replaced('RW', `RW ${CAPACITY} SPARSE "nbd:localhost"`)),
  described('a device', 'its data is in other files', replaced('RW', `RW ${CAPACITY} VMFSRDM "disk-rdm.vmdk"`)),
  accepted(
    'descriptor with 4096 lines',
    () => sparse([...descriptorLines('monolithicSparse'), ...Array.from({ length: 4087 }, () => '#')]),
    'monolithicSparse',
  ),
  described('4097 lines', 'its descriptor has more than 4096 lines', (lines) => [...lines, ...Array.from({ length: 4088 }, () => '#')]),
  {
    name: 'vmdk whose tables are in another order',
    make: () => manyTables(4),
    expected: { kind: 'accepted', format: 'vmdk', virtualSize: 2 * 512 * 128 * SECTOR, details: { allocatedSize: 2 * 65_536 } },
  },
  {
    name: 'vmdk with three tables of which two changed places',
    make: threeTables,
    expected: { kind: 'accepted', format: 'vmdk', virtualSize: 3 * 512 * 128 * SECTOR, details: { allocatedSize: 0 } },
  },
  { name: 'vmdk whose tables overlap each other', make: () => manyTables(3), expected: unsafe('its grain tables overlap each other') },
  described('no extent', 'its descriptor names no extent', (lines) => lines.filter((line) => !line.startsWith('RW'))),
  described('an extent without access', 'NOACCESS', replaced('RW', `NOACCESS ${CAPACITY} SPARSE "disk.vmdk"`)),
  described('an extent of another length', 'its extent has 9 sectors, but its header says 1024', replaced('RW', 'RW 9 SPARSE "disk.vmdk"')),
  described('a parent', 'it has a parent disk', replaced('parentCID', 'parentCID=12345678')),
  described('the name of a parent', 'it has a parent disk', (lines) => [...lines, 'parentFileNameHint="/etc/shadow"']),
  described('a change track', 'names another file (changeTrackPath)', (lines) => [...lines, 'changeTrackPath="disk-ctk.vmdk"']),
  described('two types', 'names several createTypes', (lines) => [...lines, 'createType="custom"']),
  described('no type', 'names no createType', (lines) => lines.filter((line) => !line.startsWith('createType'))),
  described('the type custom', 'its createType "custom" is not supported', replaced('createType', 'createType="custom"')),
  described('the type vmfs', 'its createType "vmfs" is not supported', replaced('createType', 'createType="vmfs"')),
  described('the type of a stream', 'contradicts its header', replaced('createType', 'createType="streamOptimized"')),
  described('an unknown line', 'neither a setting nor an extent: "hello"', (lines) => [...lines, 'hello']),
  described('an extent that is not one', 'neither a setting nor an extent', (lines) => [...lines, 'RW 8 FLAT "a" 0 "b"']),
  described('a byte that is not ASCII', 'is not ASCII', (lines) => [...lines, 'ddb.name = "\u00fc"']),
  described('bytes after its end', 'bytes follow the end of its descriptor', (lines) => [...lines, '\0RW 8 FLAT "/etc/passwd" 0']),
  described('more after its end than QEMU leaves', 'bytes follow the end of its descriptor', (lines) => [...lines, '\0\0\0\0\0\0\0x']),
  changedStream('a footer of a footer', 'its footer names another footer', [STREAM_AT.footer * SECTOR + FIELD.directory, u64(0xffff_ffff_ffff_ffffn)]),
  changedStream('no footer', 'its footer is cut off', [STREAM_AT.footer * SECTOR, 'XXXX']),
  changedStream('a wrong footer marker', 'its footer is cut off', [STREAM_AT.footerMarker * SECTOR + 12, u32(2)]),
  changedStream('no end of stream', 'end-of-stream', [STREAM_AT.end * SECTOR + 12, u32(1)]),
  changedStream('another capacity in the footer', 'its footer contradicts its header', [STREAM_AT.footer * SECTOR + FIELD.capacity, u64(2048)]),
  changedStream('another descriptor in the footer', 'its footer contradicts its header', [STREAM_AT.footer * SECTOR + FIELD.descriptorSector, u64(2)]),
  {
    name: 'streamOptimized whose footer alone names a redundant directory',
    make: () => patched(stream(), [STREAM_AT.footer * SECTOR + FIELD.redundantDirectory, u64(0x0101_0101_0101_0101n)]),
    expected: { kind: 'accepted', format: 'vmdk', virtualSize: 8 * 128 * SECTOR },
  },
  changedStream('another number of table entries in the footer', 'contradicts its header', [STREAM_AT.footer * SECTOR + FIELD.tableEntries, u32(511)]),
  changedStream('other line ends in the footer', 'contradicts its header', [STREAM_AT.footer * SECTOR + FIELD.directory + 8, '\u0001']),
  changedStream('another compression in the footer', 'contradicts its header', [STREAM_AT.footer * SECTOR + FIELD.compression + 1, '\u0001']),
  {
    name: 'vmdk with a grain right before a grain table',
    make: () => patched(sparse(), [SPARSE_AT.directory * SECTOR, u32(256)], [256 * SECTOR, new Uint8Array(4 * SECTOR)], [256 * SECTOR, u32(128)]),
    expected: { kind: 'accepted', format: 'vmdk', virtualSize: 8 * 128 * SECTOR, details: { allocatedSize: 65_536 } },
  },
  changedStream('a marker for another place', 'the marker of a grain contradicts', [STREAM_AT.grain * SECTOR, u64(256)]),
  changedStream('a compressed grain of 0 bytes', 'a compressed grain has 0 bytes', [STREAM_AT.grain * SECTOR + 8, u32(0)]),
  changedStream('a compressed grain of 4 GB', 'a compressed grain has 4294967295 bytes', [STREAM_AT.grain * SECTOR + 8, u32(0xffff_ffff)]),
  changedStream('a compressed grain that ends outside', 'a compressed grain is beyond the end', [STREAM_AT.grain * SECTOR + 8, u32(100_000)]),
  changedStream('one grain at two places', 'the marker of a grain contradicts', [STREAM_AT.table * SECTOR, u32(128, 128)]),
  { name: 'streamOptimized without its last sector', make: () => stream().slice(0, -SECTOR), expected: unsafe('its footer is cut off') },
  { name: 'streamOptimized without its last byte', make: () => stream().slice(0, -1), expected: unsafe('its footer is cut off') },
  {
    name: 'vmdk declared as raw',
    make: () => sparse(),
    declared: 'raw',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as raw, but its bytes are vmdk', detected: 'vmdk' },
  },
]

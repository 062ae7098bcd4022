// Partition tables of raw disks, and first sectors that only look like one.

import { patched, run } from './format-case.ts'
import type { Accepted, FormatCase, Refused } from './format-case.ts'
import type { TemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { disc, descriptor, volume } from './iso-image.ts'

const SGDISK = ['sgdisk', 'gdisk'] as const
const MKFS_VFAT = ['mkfs.vfat', 'dosfstools'] as const
const SECTOR = 512
const MIB = 1024 * 1024
const SIGNATURE = [510, '\u0055\u00aa'] as const

const unsafe = (says: string): Refused => ({ kind: 'refused', refusal: 'unsafe-image', says, detected: 'raw' })

function accepted(details: Accepted['details']): Accepted {
  return { kind: 'accepted', format: 'raw', ...(details && { details }) }
}

/** An entry of an MBR: flag, type, first sector and sectors. */
export function partitionEntry(flag: number, type: number, first: number, sectors: number): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, flag)
  view.setUint8(4, type)
  view.setUint32(8, first, true)
  view.setUint32(12, sectors, true)
  return bytes
}

/** A disk of 1 MiB with these entries in its MBR. */
export function mbr(...entries: readonly Uint8Array[]): Uint8Array {
  return patched(new Uint8Array(MIB), SIGNATURE, ...entries.map((bytes, i) => [446 + 16 * i, bytes] as const))
}

function row(name: string, make: FormatCase['make'], expected: FormatCase['expected']): FormatCase {
  return { name, make, expected }
}

/** Options of sgdisk for an EFI system partition and one for data. */
const TWO_PARTITIONS = ['-n', '1:2048:+2M', '-t', '1:ef00', '-n', '2:0:0']

/** A disk of 8 MiB that sgdisk partitions, and that is changed then. */
function gpt(name: string, expected: Accepted | Refused, change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes, options = TWO_PARTITIONS): FormatCase {
  return {
    name,
    needs: [SGDISK],
    async make(folder) {
      const key = options.join(' ')
      const bytes = partitioned.get(key) ?? (await partition(folder, options))
      partitioned.set(key, bytes)
      return change(bytes)
    },
    expected,
  }
}

/** Disks by the options of sgdisk, which waits for a second whenever it writes. */
const partitioned = new Map<string, Uint8Array>()

async function partition(folder: TemporaryFolder, options: readonly string[]): Promise<Uint8Array> {
  run(folder, 'truncate', '-s', String(8 * MIB), 'disk')
  run(folder, 'sgdisk', ...options, 'disk')
  return Bun.file(folder.file('disk')).bytes()
}

/** Returns a GPT header whose checksum is right again after a change. */
function resealed(bytes: Uint8Array, at: number): Uint8Array {
  const header = bytes.slice(at, at + 92)
  header.fill(0, 16, 20)
  return patched(bytes, [at + 16, new Uint8Array(Uint32Array.of(Bun.hash.crc32(header)).buffer)])
}

/** A disk with sectors of 4096 bytes, or of another size, and a GPT without partitions. */
export function handmadeGpt(length = MIB, sectorBytes = 4096): Uint8Array {
  const last = length / sectorBytes - 1
  const entriesSectors = 16_384 / sectorBytes
  const entries = new Uint8Array(16_384)
  const header = (own: number, other: number, entriesAt: number): Uint8Array => {
    const bytes = new Uint8Array(sectorBytes)
    const view = new DataView(bytes.buffer)
    bytes.set(Buffer.from('EFI PART'))
    view.setUint32(8, 0x1_0000, true)
    view.setUint32(12, 92, true)
    for (const [at, value] of [
      [24, own],
      [32, other],
      [40, 2 + entriesSectors],
      [48, last - 1 - entriesSectors],
      [72, entriesAt],
    ] as const)
      view.setBigUint64(at, BigInt(value), true)
    view.setUint32(80, 128, true)
    view.setUint32(84, 128, true)
    view.setUint32(88, Bun.hash.crc32(entries), true)
    return resealed(bytes, 0)
  }
  return patched(mbr(partitionEntry(0, 0xee, 1, last)), [sectorBytes, header(1, last, 2)], [last * sectorBytes, header(last, 1, last - entriesSectors)]).slice(
    0,
    length,
  )
}

const BACKUP_AT = 8 * MIB - SECTOR
const GPT_BOOTABLE = accepted({ partitionTable: 'gpt', bootable: true, variant: 'GPT, 512-byte sectors' })

export const PARTITION_CASES: readonly FormatCase[] = [
  gpt('gpt of sgdisk', GPT_BOOTABLE),
  gpt('gpt without a partition to start from', accepted({ partitionTable: 'gpt', bootable: false }), undefined, ['-n', '1:2048:0']),
  gpt('gpt with a BIOS boot partition', accepted({ partitionTable: 'gpt', bootable: true }), undefined, [
    '-a',
    '1',
    '-n',
    '1:34:2047',
    '-t',
    '1:ef02',
    '-n',
    '2:2048:0',
  ]),
  gpt('gpt with the attribute of a BIOS', accepted({ partitionTable: 'gpt', bootable: true }), undefined, ['-n', '1:2048:0', '-A', '1:set:2']),
  gpt('gpt without partitions', accepted({ partitionTable: 'gpt', bootable: false }), undefined, ['-o']),
  gpt('gpt with bytes after its backup', GPT_BOOTABLE, (bytes) => patched(new Uint8Array(9 * MIB), [0, bytes])),
  gpt('gpt without its last sector', unsafe('it is cut off: its GPT describes 8388608 bytes, but the file has 8388096'), (bytes) => bytes.slice(0, -SECTOR)),
  gpt('gpt cut off at its half', unsafe('it is cut off: its GPT describes'), (bytes) => bytes.slice(0, 4 * MIB)),
  gpt('gpt cut off after its first header', unsafe('it is cut off: its GPT describes'), (bytes) => bytes.slice(0, 1024)),
  gpt('gpt with a damaged header', unsafe('its GPT header does not match its checksum'), (bytes) => patched(bytes, [SECTOR + 60, '\u0001'])),
  gpt('gpt with damaged entries', unsafe('its GPT entries do not match their checksum'), (bytes) => patched(bytes, [2 * SECTOR + 60, '\u0001'])),
  gpt('gpt without its backup', unsafe('the backup of its GPT header is missing'), (bytes) => patched(bytes, [BACKUP_AT, 'XXXX'])),
  gpt('gpt with a damaged backup', unsafe('the backup of its GPT header does not match'), (bytes) => patched(bytes, [BACKUP_AT + 60, '\u0001'])),
  gpt('gpt that says it is elsewhere', unsafe('says that it is in sector 5 instead of sector 1'), (bytes) =>
    resealed(patched(bytes, [SECTOR + 24, '\u0005']), SECTOR),
  ),
  gpt('gpt with a header of 20 bytes', unsafe('its GPT header has 20 bytes'), (bytes) => patched(bytes, [SECTOR + 12, '\u0014'])),
  gpt('gpt with a header of 4 GB', unsafe('its GPT header has 4294967295 bytes'), (bytes) => patched(bytes, [SECTOR + 12, '\u00ff\u00ff\u00ff\u00ff'])),
  gpt('gpt with 4 billion entries', unsafe('its GPT has 4294967295 entries'), (bytes) =>
    resealed(patched(bytes, [SECTOR + 80, '\u00ff\u00ff\u00ff\u00ff']), SECTOR),
  ),
  gpt('gpt with its entries outside', unsafe('its GPT entries are beyond the end'), (bytes) =>
    resealed(patched(bytes, [SECTOR + 72, '\u00ff\u00ff\u00ff\u00ff']), SECTOR),
  ),
  gpt('gpt of 8 ZiB', unsafe('it is cut off'), (bytes) => resealed(patched(bytes, [SECTOR + 32, '\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff']), SECTOR)),
  gpt('gpt whose backup is inside its partitions', unsafe('inside the space of its partitions'), (bytes) =>
    resealed(patched(bytes, [SECTOR + 32, '\u0002\0\0\0']), SECTOR),
  ),
  gpt('gpt whose backup is of another disk', unsafe('its GPT header contradicts its backup'), (bytes) =>
    resealed(patched(bytes, [BACKUP_AT + 88, '\u0001']), BACKUP_AT),
  ),
  gpt('gpt without its protective entry', accepted({ partitionTable: null }), (bytes) => patched(bytes, [446, new Uint8Array(64)])),
  gpt('gpt of a former use, and mbr', accepted({ partitionTable: 'mbr', bootable: true }), (bytes) =>
    patched(bytes, [446, partitionEntry(0x80, 0x83, 2048, 2048)]),
  ),
  row('gpt with sectors of 4096 bytes', () => handmadeGpt(), accepted({ partitionTable: 'gpt', variant: 'GPT, 4096-byte sectors', bootable: false })),
  row('gpt with sectors of 4096 bytes cut off', () => handmadeGpt().slice(0, -4096), unsafe('it is cut off: its GPT describes 1048576 bytes')),
  row('protective mbr without a gpt', () => mbr(partitionEntry(0, 0xee, 1, 2047)), unsafe('its protective MBR names a GPT that is missing')),
  row('mbr', () => mbr(partitionEntry(0, 0x83, 63, 1000)), accepted({ partitionTable: 'mbr', bootable: false, variant: 'MBR' })),
  row('mbr that boots', () => mbr(partitionEntry(0x80, 0x83, 63, 1000)), accepted({ partitionTable: 'mbr', bootable: true })),
  row(
    'mbr with four partitions',
    () => mbr(partitionEntry(0, 7, 1, 9), partitionEntry(0, 7, 10, 9), partitionEntry(0, 5, 20, 9), partitionEntry(0x80, 0x0c, 40, 2008)),
    accepted({ partitionTable: 'mbr' }),
  ),
  row('mbr with a partition to the last sector', () => mbr(partitionEntry(0, 0x83, 1, 2047)), accepted({ partitionTable: 'mbr' })),
  row(
    'mbr with a partition beyond its end',
    () => mbr(partitionEntry(0, 0x83, 1, 2048)),
    unsafe('it is cut off: a partition ends at byte 1049088, but the file has 1048576'),
  ),
  row('mbr with a partition of 2 TiB', () => mbr(partitionEntry(0, 0x83, 63, 0xffff_ffff)), unsafe('it is cut off: a partition ends')),
  row('mbr with a partition of one sector', () => mbr(partitionEntry(0, 0x83, 63, 1)), accepted({ partitionTable: 'mbr', bootable: false })),
  row('mbr with an entry of no sectors', () => mbr(partitionEntry(0, 0x83, 63, 0)), accepted({ partitionTable: null })),
  row('mbr without partitions', () => mbr(), accepted({ partitionTable: null })),
  row('mbr with a flag of 1', () => mbr(partitionEntry(1, 0x83, 63, 1000)), accepted({ partitionTable: null })),
  row('mbr without its signature', () => mbr(partitionEntry(0x80, 0x83, 63, 1000)).fill(0, 510, 512), accepted({ partitionTable: null })),
  {
    name: 'fat without partitions',
    needs: [MKFS_VFAT],
    make: (folder) => {
      run(folder, 'truncate', '-s', '8M', 'image')
      run(folder, 'mkfs.vfat', 'image')
      return folder.file('image')
    },
    expected: accepted({ partitionTable: null }),
  },
  row('mbr with half of its signature', () => mbr(partitionEntry(0x80, 0x83, 63, 1000)).fill(0, 510, 511), accepted({ partitionTable: null })),
  row('mbr with the other half', () => mbr(partitionEntry(0x80, 0x83, 63, 1000)).fill(0, 511, 512), accepted({ partitionTable: null })),
  row('ntfs without partitions', () => patched(mbr(partitionEntry(0x80, 7, 1, 9_999_999)), [3, 'NTFS    ']), accepted({ partitionTable: null })),
  row('exfat without partitions', () => patched(mbr(partitionEntry(0x80, 7, 1, 9_999_999)), [3, 'EXFAT   ']), accepted({ partitionTable: null })),
  row(
    'a guest disk with a qcow2 in a partition',
    () => patched(mbr(partitionEntry(0x80, 0x83, 64, 1000)), [64 * SECTOR, 'QFI\u00fb\0\0\0\u0003']),
    accepted({ partitionTable: 'mbr' }),
  ),
  row('a guest disk with a vmdk in a partition', () => patched(mbr(partitionEntry(0, 0x83, 1, 1000)), [SECTOR, 'KDMV']), accepted({ partitionTable: 'mbr' })),
  row(
    'a guest disk with a disc in a partition of 1 MiB',
    () => patched(new Uint8Array(4 * MIB), [0, mbr(partitionEntry(0, 0x83, 2048, 2048)).subarray(0, 512)], [MIB, disc(volume(1), descriptor(255))]),
    accepted({ partitionTable: 'mbr' }),
  ),
  {
    name: 'mbr in a qcow2',
    make: () => patched(mbr(partitionEntry(0x80, 0x83, 63, 1000)), [0, 'QFI\u00fb\0\0\0\u0003']),
    expected: { kind: 'refused', refusal: 'unsafe-image', says: 'valid as both qcow2 and a disk with a partition table (mbr)' },
  },
  {
    name: 'mbr in a vmdk',
    make: () => patched(mbr(partitionEntry(0x80, 0x83, 63, 1000)), [0, 'KDMV']),
    expected: { kind: 'refused', refusal: 'unsafe-image', says: 'valid as both vmdk and a disk with a partition table (mbr)' },
  },
]

// Discs: ISO 9660, UDF, bridges and hybrids, of the programs that make them and field by field.

import { patched, run, startingWith } from './format-case.ts'
import type { Accepted, FormatCase, Refused } from './format-case.ts'
import { both, descriptor, disc, PRIMARY_AT, recognition, SECTOR, volume } from './iso-image.ts'
import { seededBytes } from '../../../../support/images/image-store.ts'
import type { TemporaryFolder } from '../../../../support/machine/temporary-folder.ts'

const GENISOIMAGE = ['genisoimage', 'genisoimage'] as const
const XORRISO = ['xorriso', 'xorriso'] as const
const MKUDFFS = ['mkudffs', 'udftools'] as const
const TERMINATOR = descriptor(255)
const MIB = 1024 * 1024

const unsafe = (says: string): Refused => ({ kind: 'refused', refusal: 'unsafe-image', says })

function accepted(details: Accepted['details']): Accepted {
  return { kind: 'accepted', format: 'iso', ...(details && { details }) }
}

/** Writes the files of a disc. */
async function writeFiles(folder: TemporaryFolder): Promise<void> {
  await Bun.write(folder.file('disc/readme.txt'), 'hello')
  await Bun.write(folder.file('disc/noise.bin'), seededBytes(700_000, 5))
  await Bun.write(folder.file('disc/boot.img'), seededBytes(2048, 6))
}

function genisoimage(name: string, details: Accepted['details'], ...options: readonly string[]): FormatCase {
  return {
    name,
    needs: [GENISOIMAGE],
    async make(folder) {
      await writeFiles(folder)
      run(folder, 'genisoimage', '-quiet', ...options, '-o', 'image', 'disc')
      return folder.file('image')
    },
    expected: accepted(details),
  }
}

function xorriso(name: string, details: Accepted['details'], ...options: readonly string[]): FormatCase {
  return {
    name,
    needs: [XORRISO],
    async make(folder) {
      await writeFiles(folder)
      run(folder, 'xorriso', '-as', 'mkisofs', '-quiet', ...options, '-o', 'image', 'disc')
      return folder.file('image')
    },
    expected: accepted(details),
  }
}

/** A UDF volume of 8 MiB, cut to a length. */
function udf(name: string, expected: Accepted | Refused, options: readonly string[], length = 8 * MIB): FormatCase {
  return {
    name,
    needs: [MKUDFFS],
    make: (folder) => {
      run(folder, 'truncate', '-s', String(8 * MIB), 'image')
      run(folder, 'mkudffs', ...options, 'image')
      run(folder, 'truncate', '-s', String(length), 'image')
      return folder.file('image')
    },
    expected,
  }
}

/** A bridge of genisoimage whose bytes are changed. */
function bridge(name: string, says: string, change: (bytes: Uint8Array) => Uint8Array): FormatCase {
  return {
    name,
    needs: [GENISOIMAGE],
    async make(folder) {
      await writeFiles(folder)
      run(folder, 'genisoimage', '-quiet', '-udf', '-o', 'image', 'disc')
      return change(await Bun.file(folder.file('image')).bytes())
    },
    expected: unsafe(says),
  }
}

/** A disc of one volume, changed by patches of its primary descriptor. */
function changed(name: string, says: string, ...patches: Parameters<typeof patched>[1][]): FormatCase {
  return { name: `iso with ${name}`, make: () => disc(volume(1, 24, ...patches), TERMINATOR), expected: unsafe(says) }
}

/** A disc whose boot catalogue has this validation entry and this first entry. */
function bootDisc(name: string, bootable: boolean, catalogue: Uint8Array): FormatCase {
  const record = descriptor(0, [7, 'EL TORITO SPECIFICATION'], [0x47, Uint8Array.of(21, 0, 0, 0)])
  return { name, make: () => patched(disc(volume(1), record, TERMINATOR), [21 * SECTOR, catalogue]), expected: accepted({ bootable }) }
}

const CATALOGUE = patched(new Uint8Array(64), [0, '\u0001'], [30, '\u0055\u00aa'], [32, '\u0088'])

export const ISO_CASES: readonly FormatCase[] = [
  genisoimage('iso of genisoimage', { variant: 'ISO 9660', bootable: false, partitionTable: null }),
  genisoimage('iso with Joliet', { variant: 'ISO 9660 with Joliet', bootable: false }, '-J', '-R'),
  genisoimage('iso and UDF', { variant: 'ISO 9660 and UDF' }, '-udf'),
  genisoimage('iso that boots', { variant: 'ISO 9660', bootable: true }, '-b', 'boot.img', '-no-emul-boot', '-c', 'boot.cat'),
  xorriso('iso of xorriso that boots', { bootable: true, partitionTable: null }, '-b', 'boot.img', '-no-emul-boot'),
  xorriso('iso and mbr', { bootable: true, partitionTable: 'mbr' }, '-b', 'boot.img', '-no-emul-boot', '-partition_offset', '16'),
  xorriso('iso and gpt', { partitionTable: 'gpt' }, '-appended_part_as_gpt', '-append_partition', '2', '0xef', 'disc/boot.img'),
  xorriso('iso with level 3 names', { variant: 'ISO 9660' }, '-iso-level', '3'),
  udf('udf of a disc', accepted({ variant: 'UDF', bootable: false }), ['--media-type=dvd']),
  udf('udf with sectors of 512 bytes', accepted({ variant: 'UDF' }), ['--media-type=hd', '-b', '512']),
  udf('udf with sectors of 2048 bytes', accepted({ variant: 'UDF' }), ['--media-type=hd', '-b', '2048']),
  udf('udf with sectors of 4096 bytes', accepted({ variant: 'UDF' }), ['--media-type=hd', '-b', '4096']),
  udf('udf 1.02', accepted({ variant: 'UDF' }), ['--media-type=hd', '-b', '2048', '--udfrev=1.02']),
  udf('udf cut off at its half', unsafe('it is cut off: its UDF partition ends'), ['--media-type=hd', '-b', '2048'], 4 * MIB),
  udf('udf cut off before its anchor', unsafe('its UDF anchor is missing'), ['--media-type=hd', '-b', '2048'], 400_000),
  udf('udf without its last sector', accepted({ variant: 'UDF' }), ['--media-type=hd', '-b', '2048'], 8 * MIB - 2048),
  bridge('bridge without its last sector of data', 'it is cut off', (bytes) => bytes.slice(0, bytes.length - 200 * 2048)),
  bridge('bridge with a damaged anchor', 'its UDF anchor is missing', (bytes) => patched(bytes, [256 * SECTOR + 20, '\u00ff'], [256 * SECTOR + 4, '\u00ff'])),
  bridge('bridge with a damaged UDF descriptor', 'UDF volume descriptors is damaged', (bytes) => patched(bytes, [32 * SECTOR + 4, '\u00ff\u00ff'])),
  bridge('bridge without TEA01', 'its UDF volume recognition sequence is not complete', (bytes) => {
    const at = Buffer.from(bytes.buffer).indexOf('TEA01')
    return patched(bytes, [at, 'XXXXX'])
  }),
  { name: 'iso made by hand', make: () => disc(volume(1), TERMINATOR), expected: accepted({ variant: 'ISO 9660', bootable: false, clusterSize: SECTOR }) },
  { name: 'iso with a partition descriptor', make: () => disc(volume(1), descriptor(3), TERMINATOR), expected: accepted({ variant: 'ISO 9660' }) },
  {
    name: 'iso with Joliet made by hand',
    make: () => disc(volume(1), volume(2, 24, [88, '%/E']), TERMINATOR),
    expected: accepted({ variant: 'ISO 9660 with Joliet' }),
  },
  bootDisc('iso with a boot catalogue', true, CATALOGUE),
  bootDisc('iso with a boot catalogue that starts nothing', false, patched(CATALOGUE, [32, '\0'])),
  bootDisc('iso with a damaged boot catalogue', false, patched(CATALOGUE, [30, '\0\0'])),
  {
    name: 'iso whose boot catalogue is outside',
    make: () => disc(volume(1), descriptor(0, [7, 'EL TORITO SPECIFICATION'], [0x47, '\u00ff\u00ff\u00ff\u00ff']), TERMINATOR),
    expected: accepted({ bootable: false }),
  },
  {
    name: 'iso followed by other bytes',
    make: () => patched(new Uint8Array(MIB), [0, disc(volume(1), TERMINATOR)]),
    expected: accepted({ variant: 'ISO 9660' }),
  },
  changed('a volume longer than its file', 'it is cut off: its primary volume has 51200 bytes, but the file has 49152', [80, both(25, 32)]),
  changed('a volume of 8 TiB', 'it is cut off', [80, both(0xffff_ffff, 32)]),
  changed('an empty volume', 'describes an empty volume', [80, both(0, 32)]),
  changed('two lengths', 'byte orders of its primary volume descriptor contradict', [84, '\0\0\0\u0017']),
  changed('two sector sizes', 'byte orders of its primary volume descriptor contradict', [130, '\u0002\0']),
  changed('sectors of 512 bytes', 'has sectors of 512 bytes', [128, both(512, 16)]),
  changed('a root directory outside', 'the root directory of its primary volume is beyond', [158, both(24, 32)]),
  { name: 'iso without a terminator', make: () => disc(volume(1)), expected: unsafe('its list of volume descriptors is cut off') },
  { name: 'iso without a primary volume', make: () => disc(volume(2), TERMINATOR), expected: unsafe('it has no primary volume descriptor') },
  { name: 'iso that is only a terminator', make: () => disc(TERMINATOR), expected: unsafe('it has no primary volume descriptor') },
  { name: 'iso with an unknown descriptor', make: () => disc(volume(1), descriptor(9), TERMINATOR), expected: unsafe('of the unknown type 9') },
  {
    name: 'iso cut off in its descriptor',
    make: () => disc(volume(1), TERMINATOR).slice(0, PRIMARY_AT + 1000),
    expected: unsafe('its volume descriptor is cut off'),
  },
  {
    name: 'iso with a hundred volumes',
    make: () => patched(new Uint8Array(200 * SECTOR), ...Array.from({ length: 100 }, (_, i) => [PRIMARY_AT + i * SECTOR, volume(1)] as const)),
    expected: unsafe('it has more than 64 volume descriptors'),
  },
  {
    name: 'iso with Joliet that is cut off',
    make: () => disc(volume(1), volume(2, 30, [88, '%/E']), TERMINATOR),
    expected: unsafe('its supplementary volume has'),
  },
  { name: 'udf without anything', make: () => disc(recognition('BEA01')), expected: unsafe('its UDF volume recognition sequence is not complete') },
  {
    name: 'udf without an anchor',
    make: () => disc(recognition('BEA01'), recognition('NSR03'), recognition('TEA01')),
    expected: unsafe('its UDF anchor is missing'),
  },
  {
    name: 'udf of two versions',
    make: () => disc(recognition('BEA01'), recognition('NSR02'), recognition('NSR03'), recognition('TEA01')),
    expected: unsafe('is not complete'),
  },
  {
    name: 'iso with a qcow2 in its system area',
    make: () => patched(disc(volume(1), TERMINATOR), [0, startingWith('QFI\u00fb\0\0\0\u0003', 512)]),
    expected: unsafe('valid as both qcow2 and iso'),
  },
  {
    name: 'iso with a vmdk descriptor in its system area',
    make: () => patched(disc(volume(1), TERMINATOR), [0, '# Disk DescriptorFile\nversion=1\nRW 8 FLAT "/etc/passwd" 0\n']),
    expected: unsafe('valid as both vmdk and iso'),
  },
  {
    name: 'iso declared as raw',
    make: () => disc(volume(1), TERMINATOR),
    declared: 'raw',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as raw, but its bytes are iso', detected: 'iso' },
  },
  {
    name: 'the identifier of a disc one byte late',
    make: () => patched(new Uint8Array(MIB), [PRIMARY_AT + 2, 'CD001']),
    expected: { kind: 'accepted', format: 'raw' },
  },
]

// The first sector of a disk: which ones are an MBR, what it says about the disk, and the bounds of its partitions.

import { describe, expect, test } from 'bun:test'
import type { NativeDetection } from '../../../../agent/images/formats/format.ts'
import { detectPartitions } from '../../../../agent/images/formats/partitions.ts'
import { probeOf } from '../../../support/images/probed.ts'
import type { Patch } from '../../../support/images/probed.ts'
import { handmadeGpt, partitionEntry } from './cases/partition-cases.ts'

const MIB = 1024 * 1024
/** Linux, sectors 1 to 8. */
const PLAIN = partitionEntry(0, 0x83, 1, 8)
const SIGNATURE: Patch = [510, '\u0055\u00aa']

/** Detects a disk with these entries in its MBR. */
function detect(entries: readonly Uint8Array[], length = MIB, ...patches: Patch[]): Promise<NativeDetection | undefined> {
  return detectPartitions(probeOf(length, SIGNATURE, ...entries.map((bytes, i): Patch => [446 + 16 * i, bytes]), ...patches))
}

const disk = (facts: object, refusals: readonly string[] = [], virtualSize = MIB): NativeDetection => ({
  format: 'raw',
  virtualSize,
  refusals,
  facts: { variant: 'MBR', partitionTable: 'mbr', bootable: false, ...facts },
})
const EMPTY = new Uint8Array(16)

describe('an MBR', () => {
  test('has at least one partition, in any of its four entries', async () => {
    for (const before of [0, 1, 2, 3]) expect(await detect([...Array.from({ length: before }, () => EMPTY), PLAIN])).toEqual(disk({}))
    expect(await detect([])).toBeUndefined()
    expect(await detect([partitionEntry(0, 0, 1, 8)])).toBeUndefined()
    expect(await detect([partitionEntry(0, 0x83, 1, 0)])).toBeUndefined()
    expect(await detect([partitionEntry(0, 0x01, 1, 1)])).toEqual(disk({}))
  })

  test('is bootable if one of its partitions is active', async () => {
    expect(await detect([partitionEntry(0x80, 0x83, 1, 8)])).toEqual(disk({ bootable: true }))
    expect(await detect([PLAIN, PLAIN, PLAIN, partitionEntry(0x80, 0x83, 1, 8)])).toEqual(disk({ bootable: true }))
    // An empty entry does not count.
    expect(await detect([partitionEntry(0x80, 0, 1, 8), PLAIN])).toEqual(disk({}))
  })

  test.each([1, 0x7f, 0x81, 0xff])('has no entry with the flag %i', async (flag) => {
    expect(await detect([PLAIN, PLAIN, PLAIN, partitionEntry(flag, 0x83, 1, 8)])).toBeUndefined()
  })

  test('has its signature in its last two bytes, and is whole', async () => {
    expect(await detect([PLAIN], 512 * 9)).toEqual(disk({}, [], 4608))
    expect(await detect([PLAIN], 512)).toMatchObject({ format: 'raw', virtualSize: 512 })
    expect(await detect([PLAIN], 511)).toBeUndefined()
    expect(await detect([PLAIN], MIB, [510, '\u0054'])).toBeUndefined()
    expect(await detect([PLAIN], MIB, [511, '\u00ab'])).toBeUndefined()
  })

  test('has no partition that ends after the disk', async () => {
    expect(await detect([partitionEntry(0, 0x83, 1, 2047), PLAIN])).toEqual(disk({}))
    expect(await detect([partitionEntry(0, 0x83, 2, 2047), PLAIN])).toEqual(
      disk({}, ['it is cut off: a partition ends at byte 1049088, but the file has 1048576 bytes']),
    )
    expect(await detect([PLAIN, partitionEntry(0, 0x83, 0xffff_ffff, 0xffff_ffff)])).toMatchObject({
      refusals: ['it is cut off: a partition ends at byte 4398046510080, but the file has 1048576 bytes'],
    })
  })
})

describe('the boot sector of a file system is no MBR', () => {
  test.each<[string, ...Patch[]]>([
    ['FAT with two tables', [0x10, '\u0002'], [0x15, '\u00f8']],
    ['FAT with one table', [0x10, '\u0001'], [0x15, '\u00f8']],
    ['FAT of a floppy disk', [0x10, '\u0002'], [0x15, '\u00f0']],
    ['NTFS', [3, 'NTFS    ']],
    ['exFAT', [3, 'EXFAT   ']],
  ])('%s', async (_what, ...patches) => {
    expect(await detect([PLAIN], MIB, ...patches)).toBeUndefined()
  })

  test.each<[string, ...Patch[]]>([
    ['three tables of FAT', [0x10, '\u0003'], [0x15, '\u00f8']],
    ['no table of FAT', [0x10, '\0'], [0x15, '\u00f8']],
    ['another medium of FAT', [0x10, '\u0002'], [0x15, '\u00f9']],
    ['the first medium after that of floppy disks', [0x10, '\u0002'], [0x15, '\u00f1']],
    ['NTFS one byte late', [4, 'NTFS    ']],
    ['exFAT one byte late', [4, 'EXFAT   ']],
  ])('but %s is one', async (_what, ...patches) => {
    expect(await detect([PLAIN], MIB, ...patches)).toEqual(disk({}))
  })
})

describe('a protective entry', () => {
  const PROTECTIVE = partitionEntry(0, 0xee, 1, 0xffff_ffff)

  test('covers as much as it likes, and names a GPT that must be there', async () => {
    expect(await detect([PROTECTIVE])).toEqual({
      format: 'raw',
      virtualSize: MIB,
      refusals: ['its protective MBR names a GPT that is missing'],
      facts: { variant: 'GPT', partitionTable: 'gpt' },
    })
    // Beside other partitions, the disk is one with an MBR.
    expect(await detect([PROTECTIVE, PLAIN])).toEqual(disk({}))
  })

  test('begins in sector 1', async () => {
    expect(await detect([partitionEntry(0, 0xee, 2, 8)])).toEqual(disk({}))
    expect(await detect([partitionEntry(0, 0xee, 0, 8)])).toEqual(disk({}))
    expect(await detect([partitionEntry(0, 0xef, 1, 8)])).toEqual(disk({}))
    expect(await detect([partitionEntry(0, 0xee, 2, 0xffff_ffff)])).toMatchObject({
      refusals: ['it is cut off: a partition ends at byte 2199023256064, but the file has 1048576 bytes'],
    })
  })

  test.each([512, 4096])('names a GPT with sectors of %i bytes, and is bootable with an active entry', async (sectorBytes) => {
    const gpt = handmadeGpt(MIB, sectorBytes)
    const facts = { variant: `GPT, ${sectorBytes}-byte sectors`, partitionTable: 'gpt', bootable: false } as const
    const found = { format: 'raw', virtualSize: MIB, refusals: [], facts } as const
    expect(await detectPartitions(probeOf(MIB, [0, gpt]))).toEqual(found)
    expect(await detectPartitions(probeOf(MIB, [0, gpt], [446, '\u0080']))).toEqual({ ...found, facts: { ...facts, bootable: true } })
    // Without its protective entry, a GPT is what a former use of the disk left.
    expect(await detectPartitions(probeOf(MIB, [0, gpt], [446, PLAIN]))).toEqual(disk({}))
  })
})

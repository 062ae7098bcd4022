// The grain directory and the grain tables of a vmdk, sector by sector: grains of 8 sectors, tables of one sector unless a test says otherwise.

import { describe, expect, test } from 'bun:test'
import type { ImageProbe } from '../../../../../agent/images/formats/format.ts'
import type { VmdkHeader } from '../../../../../agent/images/formats/vmdk/header.ts'
import { checkGrains } from '../../../../../agent/images/formats/vmdk/tables.ts'
import { probeOf } from '../../../../support/images/probed.ts'
import type { Patch } from '../../../../support/images/probed.ts'
import { headerOf } from '../cases/grain-tables.ts'
import type { Disk } from '../cases/grain-tables.ts'
import { u32 } from '../cases/vmdk-image.ts'

const SECTOR = 512

/** Checks a disk with these words of 32 bits at these sectors. */
function check(words: readonly (readonly [sector: number, ...values: number[]])[], disk: Disk = {}): ReturnType<typeof checkGrains> {
  const { sectors = 200, cut = 0, directory = 21 } = disk
  const patches = words.map(([sector, ...values]): Patch => [sector * SECTOR, u32(...values)])
  return checkGrains(probeOf(sectors * SECTOR - cut, ...patches), headerOf(disk), directory)
}

const BEYOND_TABLE = 'a grain table is beyond the end of the file'
const TABLE_OVERLAPS = 'a grain table overlaps other metadata'
const BEYOND = 'a grain is beyond the end of the file'
const OVERLAPS = 'a grain overlaps metadata'
const CUT_OFF = 'its grain directory is cut off, so it cannot be checked'
const OWN_OVERLAP = 'its grain tables overlap each other'

describe('a directory', () => {
  test('names tables whose entries are counted', async () => {
    expect(await check([])).toEqual({ grains: 0 })
    expect(
      await check([
        [21, 22],
        [22, 100, 0, 108],
      ]),
    ).toEqual({ grains: 2 })
    const two = { tables: 2 }
    expect(
      await check(
        [
          [21, 22, 23],
          [22, 100],
          [23, 108, 116],
        ],
        two,
      ),
    ).toEqual({ grains: 3 })
    expect(
      await check(
        [
          [21, 0, 23],
          [23, 108, 116],
        ],
        two,
      ),
    ).toEqual({ grains: 2 })
  })

  test('begins after the descriptor, and ends before the end of the file', async () => {
    expect(await check([], { directory: 20 })).toBe('its grain directory overlaps its header or its descriptor')
    expect(await check([], { directory: 20, header: { descriptorSectors: 19 } })).toEqual({ grains: 0 })
    expect(await check([], { sectors: 22 })).toEqual({ grains: 0 })
    expect(await check([], { sectors: 22, cut: 1 })).toBe(CUT_OFF)
  })

  test('takes as many sectors as its entries need', async () => {
    expect(await check([], { tables: 128, sectors: 22 })).toEqual({ grains: 0 })
    expect(await check([], { tables: 129, sectors: 22 })).toBe(CUT_OFF)
    expect(await check([], { tables: 129, sectors: 23 })).toEqual({ grains: 0 })
    // One sector more than 128 tables have needs another table.
    expect(await check([], { sectors: 22, header: { capacity: 128 * 128 * 8 + 1 } })).toBe(CUT_OFF)
  })

  test('has at most 2,097,152 tables', async () => {
    const tables = (count: number): Disk => ({ header: { capacity: count * 8, tableEntries: 1 } })
    expect(await check([], tables(2_097_152))).toBe(CUT_OFF)
    expect(await check([], tables(2_097_153))).toBe('it has 2097153 grain tables; the limit is 2097152')
  })

  test('has a second one of the same length in the file, unless it is in a footer', async () => {
    const redundant = (sector: number, members: Partial<VmdkHeader> = {}): Disk => ({ tables: 129, header: { redundantSector: sector, ...members } })
    expect(await check([], redundant(198))).toEqual({ grains: 0 })
    expect(await check([], { ...redundant(198), cut: 1 })).toBe('its redundant grain directory is cut off, so it cannot be checked')
    expect(await check([], redundant(199))).toBe('its redundant grain directory is cut off, so it cannot be checked')
    expect(await check([], redundant(199, { directorySector: null }))).toEqual({ grains: 0 })
  })

  test('that the file does not give is cut off', async () => {
    const short: ImageProbe = { length: 200 * SECTOR, readAt: async () => new Uint8Array(3), spend: () => undefined }
    expect(await checkGrains(short, headerOf({}), 21)).toBe(CUT_OFF)
  })

  test('may be longer than one read', async () => {
    // 16,385 tables of one entry: the last one is in the second piece of the directory, which ends in sector 149.
    const disk: Disk = { sectors: 400, header: { capacity: 16_385 * 8, tableEntries: 1 } }
    expect(
      await check(
        [
          [149, 160],
          [160, 200],
        ],
        disk,
      ),
    ).toEqual({ grains: 1 })
    const both = [
      [149, 160],
      [160, 200],
      [161, 208],
    ] as const
    const last: Patch = [149 * SECTOR - 4, u32(161)]
    const patches = both.map(([sector, value]): Patch => [sector * SECTOR, u32(value)])
    expect(await checkGrains(probeOf(400 * SECTOR, ...patches, last), headerOf(disk), 21)).toEqual({ grains: 2 })
  })
})

describe('a table', () => {
  test('is inside the file', async () => {
    expect(await check([[21, 199]])).toEqual({ grains: 0 })
    expect(await check([[21, 199]], { cut: 1 })).toBe(BEYOND_TABLE)
    expect(await check([[21, 200]])).toBe(BEYOND_TABLE)
    expect(await check([[21, 0xffff_ffff]])).toBe(BEYOND_TABLE)
  })

  test.each([
    [1, TABLE_OVERLAPS],
    [20, TABLE_OVERLAPS],
    [21, { grains: 0 }],
    [36, { grains: 0 }],
    [37, TABLE_OVERLAPS],
    [40, TABLE_OVERLAPS],
    [41, { grains: 0 }],
  ])('of four sectors at sector %i, with the directory in sector 40', async (sector, found) => {
    const disk: Disk = { directory: 40, header: { tableEntries: 512, capacity: 4096 } }
    expect(await check([[40, sector]], disk)).toEqual(found)
  })

  test('does not overlap another one, in whatever order they are', async () => {
    const disk: Disk = { header: { tableEntries: 512, capacity: 3 * 4096 } }
    for (const [places, found] of [
      [[50, 54, 58], { grains: 0 }],
      [[58, 50, 54], { grains: 0 }],
      [[58, 54, 50], { grains: 0 }],
      [[50, 54, 57], OWN_OVERLAP],
      [[50, 53, 58], OWN_OVERLAP],
      [[57, 50, 54], OWN_OVERLAP],
      [[50, 58, 50], OWN_OVERLAP],
    ] as const)
      expect(await check([[21, ...places]], disk)).toEqual(found)
  })

  test('may be far from the others, which are put in order by all bits of their sectors', async () => {
    const sectors = 300_000
    const disk = (count: number): Disk => ({ sectors, header: { tableEntries: 512, capacity: count * 4096 } })
    const places = [65_586, 60, 131_082, 196_608, 65_535, 65_590]
    expect(await check([[21, ...places]], disk(6))).toEqual({ grains: 0 })
    expect(await check([[21, ...places, 65_589]], disk(7))).toBe(OWN_OVERLAP)
    expect(await check([[21, ...places, 131_085]], disk(7))).toBe(OWN_OVERLAP)
    expect(await check([[21, ...places, 131_086]], disk(7))).toEqual({ grains: 0 })
  })

  test('of the end of the disk has only entries for its grains', async () => {
    // 3 grains; the words after them are not entries.
    expect(
      await check(
        [
          [21, 22],
          [22, 100, 108, 116, 9, 9],
        ],
        { header: { capacity: 24 } },
      ),
    ).toEqual({ grains: 3 })
    expect(await check([[21, 22, 23], [22], [23, 100, 9]], { header: { capacity: 128 * 8 + 8 } })).toEqual({ grains: 1 })
    expect(await check([[21, 22, 23], [22], [23, 100, 9]], { header: { capacity: 128 * 8 + 9 } })).toBe(OVERLAPS)
  })
})

describe('a grain', () => {
  test('is inside the file, of which the last one may need less', async () => {
    expect(
      await check([
        [21, 22],
        [22, 192],
      ]),
    ).toEqual({ grains: 1 })
    expect(
      await check(
        [
          [21, 22],
          [22, 192],
        ],
        { cut: 1 },
      ),
    ).toBe(BEYOND)
    expect(
      await check([
        [21, 22],
        [22, 193],
      ]),
    ).toBe(BEYOND)
    // The disk has 26 sectors: its fourth grain has two.
    const disk: Disk = { header: { capacity: 26 } }
    expect(
      await check(
        [
          [21, 22],
          [22, 0, 0, 0, 198],
        ],
        disk,
      ),
    ).toEqual({ grains: 1 })
    expect(
      await check(
        [
          [21, 22],
          [22, 0, 0, 0, 199],
        ],
        disk,
      ),
    ).toBe(BEYOND)
    expect(
      await check(
        [
          [21, 22],
          [22, 0, 0, 193],
        ],
        disk,
      ),
    ).toBe(BEYOND)
  })

  test('does not overlap the descriptor, the directory or a table', async () => {
    // Of 8 sectors each: the directory is sector 40; tables are sectors 60, 70, 90 and 99.
    const free = new Set<number>()
    const tables = [60, 70, 90, 99]
    for (let sector = 2; sector <= 120; sector++) {
      const found = await check(
        [
          [40, ...tables],
          [90, sector],
        ],
        { tables: 4, directory: 40 },
      )
      if (typeof found !== 'string') free.add(sector)
      else expect(found).toBe(OVERLAPS)
    }
    const ranges = [
      [21, 32],
      [41, 52],
      [61, 62],
      [71, 82],
      [91, 91],
      [100, 120],
    ] as const
    expect([...free]).toEqual(ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i)))
  })

  test('of zeros is the entry 1, where the header says so', async () => {
    expect(
      await check(
        [
          [21, 22],
          [22, 1, 100, 1],
        ],
        { header: { hasZeroedGrains: true } },
      ),
    ).toEqual({ grains: 1 })
    expect(
      await check([
        [21, 22],
        [22, 1, 100, 1],
      ]),
    ).toBe(OVERLAPS)
    expect(
      await check(
        [
          [21, 22],
          [22, 2],
        ],
        { header: { hasZeroedGrains: true } },
      ),
    ).toBe(OVERLAPS)
  })

  test('may be named again, until all are larger than the file', async () => {
    // 200 sectors are 25 grains, of which the last may be shorter than it looks.
    const entries = (count: number): number[] => Array.from({ length: count }, () => 100)
    const OVER = 'its grains overlap each other: together they are larger than the file'
    expect(
      await check([
        [21, 22],
        [22, ...entries(26)],
      ]),
    ).toEqual({ grains: 26 })
    expect(
      await check([
        [21, 22],
        [22, ...entries(27)],
      ]),
    ).toBe(OVER)
    expect(
      await check(
        [
          [21, 22],
          [22, ...entries(26)],
        ],
        { cut: 1 },
      ),
    ).toBe(OVER)
    expect(
      await check(
        [
          [21, 22, 23],
          [22, ...entries(20)],
          [23, ...entries(6)],
        ],
        { tables: 2 },
      ),
    ).toEqual({ grains: 26 })
    expect(
      await check(
        [
          [21, 22, 23],
          [22, ...entries(20)],
          [23, ...entries(7)],
        ],
        { tables: 2 },
      ),
    ).toBe(OVER)
  })
})

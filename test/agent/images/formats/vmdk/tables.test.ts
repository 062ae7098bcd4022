// The grain directory and the grain tables of a vmdk, sector by sector: grains of 8 sectors, tables of one sector unless a test says otherwise.

import { describe, expect, test } from 'bun:test'
import type { ImageProbe } from '../../../../../agent/images/formats/format.ts'
import type { VmdkHeader } from '../../../../../agent/images/formats/vmdk/header.ts'
import { checkGrains } from '../../../../../agent/images/formats/vmdk/tables.ts'
import { probeOf } from '../../../../support/images/probed.ts'
import type { Patch } from '../../../../support/images/probed.ts'
import { u32, u64 } from '../cases/vmdk-image.ts'

const SECTOR = 512

interface Disk {
  /** Tables of 128 entries that the directory has room for. */
  readonly tables?: number
  /** Sectors of the file. */
  readonly sectors?: number
  /** Bytes that are missing at its end. */
  readonly cut?: number
  readonly directory?: number
  readonly header?: Partial<VmdkHeader>
}

/** The descriptor is in sectors 1 to 20, and the directory in sector 21. */
function headerOf({ tables = 1, directory = 21, header = {} }: Disk): VmdkHeader {
  return {
    capacity: tables * 128 * 8,
    grainSectors: 8,
    grainBytes: 4096,
    descriptorSector: 1,
    descriptorSectors: 20,
    tableEntries: 128,
    directorySector: directory,
    redundantSector: null,
    isCompressed: false,
    hasZeroedGrains: false,
    bytes: new Uint8Array(512),
    ...header,
  }
}

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

describe('a compressed grain', () => {
  const COMPRESSED: Partial<VmdkHeader> = { isCompressed: true }
  /** Checks one grain in sector 100, with its marker, which is the second grain of the disk. */
  const marked = (place: number, length: number, { cut = 0 } = {}): ReturnType<typeof checkGrains> =>
    checkGrains(
      probeOf(200 * SECTOR - cut, [21 * SECTOR, u32(22)], [22 * SECTOR, u32(0, 100)], [100 * SECTOR, u64(place)], [100 * SECTOR + 8, u32(length)]),
      headerOf({ header: COMPRESSED }),
      21,
    )

  test('has a marker with its place in the disk and its length', async () => {
    expect(await marked(8, 1)).toEqual({ grains: 1 })
    expect(await marked(0, 1)).toBe('the marker of a grain contradicts the grain table')
    expect(await marked(16, 1)).toBe('the marker of a grain contradicts the grain table')
    expect(await marked(8, 0)).toBe('a compressed grain has 0 bytes')
    expect(await marked(8, 8192)).toEqual({ grains: 1 })
    expect(await marked(8, 8193)).toBe('a compressed grain has 8193 bytes')
  })

  test('is inside the file with its marker', async () => {
    // 100 sectors of the file are left.
    const left = 100 * SECTOR
    expect(await marked(8, 100, { cut: left - 112 })).toEqual({ grains: 1 })
    expect(await marked(8, 100, { cut: left - 111 })).toBe('a compressed grain is beyond the end of the file')
    expect(await marked(8, 1, { cut: left - 13 })).toEqual({ grains: 1 })
    expect(await marked(8, 1, { cut: left - 12 })).toBe(BEYOND)
  })

  test('takes one sector at least beside the tables', async () => {
    const at = (sector: number): ReturnType<typeof checkGrains> =>
      checkGrains(
        probeOf(200 * SECTOR, [21 * SECTOR, u32(50)], [50 * SECTOR, u32(sector)], [sector * SECTOR, u64(0)], [sector * SECTOR + 8, u32(5)]),
        headerOf({ header: COMPRESSED }),
        21,
      )
    expect([await at(49), await at(51), await at(20)]).toEqual([{ grains: 1 }, { grains: 1 }, OVERLAPS])
    expect(await at(22)).toEqual({ grains: 1 })
  })

  test('is read of the first 4096, and of one in 256 after them; each takes a sector of the file', async () => {
    // Tables from sector 22 on, with 4500 entries; grains from sector 100 on, one sector each, in the order of the disk.
    const SECTORS = 4500
    const walk = (grains: number, wrong = -1): ReturnType<typeof checkGrains> => {
      const bytes = new Uint8Array(SECTORS * SECTOR)
      const view = new DataView(bytes.buffer)
      for (let table = 0; table < 36; table++) view.setUint32(21 * SECTOR + table * 4, 22 + table, true)
      for (let i = 0; i < grains; i++) {
        // Those that are not read are all in one place.
        const sector = i <= 4096 ? 100 + i : i === 4352 ? 4300 : 4400
        view.setUint32(22 * SECTOR + i * 4, sector, true)
        view.setUint32(sector * SECTOR, i * 8, true)
        view.setUint32(sector * SECTOR + 8, 20, true)
        if (i === wrong) view.setUint32(sector * SECTOR, i * 8 + 1, true)
      }
      return checkGrains(probeOf(bytes.byteLength, [0, bytes]), headerOf({ tables: 36, header: COMPRESSED }), 21)
    }
    const CONTRADICTS = 'the marker of a grain contradicts the grain table'
    expect(await walk(4500)).toEqual({ grains: 4500 })
    expect(await walk(4501)).toBe('its grains overlap each other: together they are larger than the file')
    for (const wrong of [0, 255, 4095, 4096, 4352]) expect(await walk(4500, wrong)).toBe(CONTRADICTS)
    expect(await walk(4500, 4499)).toEqual({ grains: 4500 })
  })
})

/** A probe that forgets the bytes of a read at the next one, and records the reads and pauses. `stopAt` is the pause that ends the walk. */
function strictProbe(inner: ImageProbe, stopAt = -1): { readonly probe: ImageProbe; readonly reads: [number, number][]; pauses(): number } {
  const reads: [number, number][] = []
  let last = new Uint8Array(0)
  let pauses = 0
  const probe: ImageProbe = {
    length: inner.length,
    async readAt(offset, length) {
      reads.push([offset / SECTOR, length / SECTOR])
      last.fill(0xee)
      last = new Uint8Array(await inner.readAt(offset, length))
      return last
    },
    spend: () => (++pauses === stopAt ? Promise.reject(new Error('stop')) : undefined),
  }
  return { probe, reads, pauses: () => pauses }
}

describe('reads', () => {
  /** Walks tables of four sectors at these places, and returns the reads after that of the directory. */
  async function readsOf(places: readonly number[], isCompressed = false, ...patches: Patch[]): Promise<[number, number][]> {
    const inner = probeOf(20_000 * SECTOR, [21 * SECTOR, u32(...places)], ...patches)
    const { probe, reads } = strictProbe(inner)
    const found = await checkGrains(probe, headerOf({ header: { capacity: places.length * 4096, tableEntries: 512, isCompressed } }), 21)
    expect(typeof found).toBe('object')
    return reads.slice(1)
  }

  test('take neighbouring tables together, over gaps of up to 64 KiB', async () => {
    expect(await readsOf([100, 104, 108])).toEqual([[100, 12]])
    expect(await readsOf([108, 100, 104])).toEqual([[100, 12]])
    expect(await readsOf([100, 232])).toEqual([[100, 136]])
    expect(await readsOf([100, 233])).toEqual([
      [100, 4],
      [233, 4],
    ])
  })

  test('are of 1 MiB at most', async () => {
    const tables = (count: number): number[] => Array.from({ length: count }, (_, i) => 100 + i * 4)
    expect(await readsOf(tables(512))).toEqual([[100, 2048]])
    expect(await readsOf(tables(513))).toEqual([
      [100, 2048],
      [2148, 4],
    ])
  })

  test('of tables are repeated after those of markers', async () => {
    const grain = (sector: number, index: number): Patch[] => [
      [sector * SECTOR, u64(index * 8)],
      [sector * SECTOR + 8, u32(9)],
    ]
    const patches: Patch[] = [[100 * SECTOR, u32(500)], [104 * SECTOR, u32(510)], ...grain(500, 0), ...grain(510, 512)]
    const marker = 12 / SECTOR
    expect(await readsOf([100, 104], true, ...patches)).toEqual([
      [100, 8],
      [500, marker],
      [104, 4],
      [510, marker],
    ])
    // Without compression no grain is read.
    expect(await readsOf([100, 104], false, [100 * SECTOR, u32(500)], [104 * SECTOR, u32(510)])).toEqual([[100, 8]])
  })
})

test('a walk pauses after each piece of the directory, each step of a sort and each table, and ends at any of these pauses', async () => {
  // 16,385 tables in falling order: two pieces of the directory, two steps in each of four loops of the sort, one of the comparison.
  const COUNT = 16_385
  const places = Array.from({ length: COUNT }, (_, i) => 200 + COUNT - i)
  const inner = probeOf(20_000 * SECTOR, [21 * SECTOR, u32(...places)])
  const header = headerOf({ header: { capacity: COUNT * 8, tableEntries: 1 } })
  const walked = strictProbe(inner)
  expect(await checkGrains(walked.probe, header, 21)).toEqual({ grains: 0 })
  expect(walked.pauses()).toBe(2 + 4 * 2 + 1 + COUNT)
  for (const stopAt of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 2 + 4 * 2 + 1 + COUNT]) {
    const stopped = strictProbe(inner, stopAt)
    await expect(checkGrains(stopped.probe, header, 21)).rejects.toThrow('stop')
    expect(stopped.pauses()).toBe(stopAt)
  }
})

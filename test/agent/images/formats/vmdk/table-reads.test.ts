// How the grain tables of a vmdk are read: in long reads, and with pauses at which the walk can be ended.

import { describe, expect, test } from 'bun:test'
import { checkGrains } from '../../../../../agent/images/formats/vmdk/tables.ts'
import { probeOf, strictProbe } from '../../../../support/images/probed.ts'
import type { Patch } from '../../../../support/images/probed.ts'
import { headerOf } from '../cases/grain-tables.ts'
import { u32, u64 } from '../cases/vmdk-image.ts'

const SECTOR = 512

describe('reads', () => {
  /** Walks tables of four sectors at these places, and returns the reads after that of the directory. */
  async function readsOf(places: readonly number[], isCompressed = false, ...patches: Patch[]): Promise<[number, number][]> {
    const inner = probeOf(20_000 * SECTOR, [21 * SECTOR, u32(...places)], ...patches)
    const { probe, reads } = strictProbe(inner)
    const found = await checkGrains(probe, headerOf({ header: { capacity: places.length * 4096, tableEntries: 512, isCompressed } }), 21)
    expect(typeof found).toBe('object')
    return reads.slice(1).map(([offset, length]): [number, number] => [offset / SECTOR, length / SECTOR])
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

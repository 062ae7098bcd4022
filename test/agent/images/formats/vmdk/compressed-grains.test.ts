// Compressed grains of a vmdk: the marker in front of each, which must agree with the grain tables.

import { describe, expect, test } from 'bun:test'
import type { VmdkHeader } from '../../../../../agent/images/formats/vmdk/header.ts'
import { checkGrains } from '../../../../../agent/images/formats/vmdk/tables.ts'
import { probeOf } from '../../../../support/images/probed.ts'
import { headerOf } from '../cases/grain-tables.ts'
import { u32, u64 } from '../cases/vmdk-image.ts'

const SECTOR = 512
const BEYOND = 'a grain is beyond the end of the file'
const OVERLAPS = 'a grain overlaps metadata'

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

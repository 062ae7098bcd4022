// Reads of the inspection: bounded, shared between neighbours, and ended by the signal; and long walks that let other work run.

import { describe, expect, test } from 'bun:test'
import { createProbe, ProbeReadFailed, READ_BYTES_MAX } from '../../../../agent/images/formats/probe.ts'
import type { ImageProbe } from '../../../../agent/images/formats/format.ts'
import { detectVmdk } from '../../../../agent/images/formats/vmdk/vmdk.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { patched } from './cases/format-case.ts'
import { FIELD, SECTOR, sparse, SPARSE_AT, u32, u64 } from './cases/vmdk-image.ts'

const BLOCK = 64 * 1024

/** A probe on bytes; `reads` are the offsets and lengths of what was read from the image. */
function open(bytes: Uint8Array, options: { readonly blocksMax?: number; readonly signal?: AbortSignal; readonly gives?: number } = {}) {
  const reads: [number, number][] = []
  const image = {
    length: bytes.byteLength,
    async readInto(offset: number, buffer: Uint8Array) {
      reads.push([offset, buffer.byteLength])
      const piece = bytes.subarray(offset, offset + buffer.byteLength)
      buffer.set(piece)
      return options.gives ?? piece.byteLength
    },
  }
  return { probe: createProbe(image, { clock: createManualClock(), ...options }), reads }
}

describe('a read', () => {
  const bytes = seededBytes(5 * BLOCK + 100, 1)
  const same = (found: Uint8Array, start: number, end: number): boolean => Buffer.compare(found, bytes.subarray(start, end)) === 0

  test.each([
    [0, 10],
    [BLOCK - 5, 10],
    [BLOCK - 5, 5],
    [BLOCK, BLOCK],
    [1, BLOCK],
    [10, 2 * BLOCK],
    [10, BLOCK + 1],
    [5 * BLOCK, 100],
    [5 * BLOCK - 1, 200],
    [0, 5 * BLOCK + 100],
  ])('at %d of %d bytes returns them', async (offset, count) => {
    for (const blocksMax of [1, 2, 32]) {
      const { probe } = open(bytes, { blocksMax })
      const found = await probe.readAt(offset, count)
      expect(found.byteLength).toBe(Math.min(count, 5 * BLOCK + 100 - offset))
      expect(same(found, offset, offset + count)).toBe(true)
    }
  })

  test('beyond the end returns nothing, and a wrong one is a bug', async () => {
    const { probe, reads } = open(bytes)
    expect((await probe.readAt(5 * BLOCK + 100, 1)).byteLength).toBe(0)
    expect((await probe.readAt(0, 0)).byteLength).toBe(0)
    for (const [offset, count] of [
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, 0.5],
    ] as const)
      await expect(probe.readAt(offset, count)).rejects.toThrow(`no bytes at ${offset}, ${count}`)
    await expect(probe.readAt(0, READ_BYTES_MAX + 1)).rejects.toThrow('a read of 2097153 bytes exceeds the limit of 2097152')
    expect(reads).toEqual([])
    expect((await probe.readAt(0, READ_BYTES_MAX)).byteLength).toBe(5 * BLOCK + 100)
  })

  test('of bytes that were read before asks the image once, until others took their place', async () => {
    const { probe, reads } = open(bytes, { blocksMax: 2 })
    await probe.readAt(0, 10)
    await probe.readAt(100, 10)
    await probe.readAt(BLOCK, 10)
    await probe.readAt(5, 10)
    expect(reads).toEqual([
      [0, BLOCK],
      [BLOCK, BLOCK],
    ])
    // The second block was not used for the longest time.
    await probe.readAt(2 * BLOCK, 10)
    await probe.readAt(0, 10)
    expect(reads).toHaveLength(3)
    await probe.readAt(BLOCK, 10)
    expect(reads).toHaveLength(4)
    await probe.readAt(5 * BLOCK, 100)
    expect(reads.at(-1)).toEqual([5 * BLOCK, 100])
  })

  test('keeps 32 blocks', async () => {
    const many = seededBytes(34 * BLOCK, 2)
    const { probe, reads } = open(many)
    for (let block = 0; block < 32; block++) await probe.readAt(block * BLOCK, 1)
    await probe.readAt(0, 1)
    expect(reads).toHaveLength(32)
    await probe.readAt(32 * BLOCK, 1)
    await probe.readAt(0, 1)
    expect(reads).toHaveLength(33)
    await probe.readAt(BLOCK, 1)
    expect(reads).toHaveLength(34)
  })

  test('that fails or is interrupted says so, and is tried again', async () => {
    const stop = new AbortController()
    const { probe } = open(bytes, { signal: stop.signal })
    await probe.readAt(0, 10)
    stop.abort(new Error('enough'))
    expect(() => probe.spend()).toThrow('enough')
    await expect(probe.readAt(BLOCK, 10)).rejects.toThrow(ProbeReadFailed)
    await expect(probe.readAt(BLOCK, 10)).rejects.toThrow('65536 bytes at 65536 could not be read')
    await expect(probe.readAt(0, 2 * BLOCK)).rejects.toThrow('131072 bytes at 0 could not be read')
    expect((await probe.readAt(0, 10)).byteLength).toBe(10)
  })

  test('of an image that returns more than fits, or less than nothing, is a bug', async () => {
    await expect(open(bytes, { gives: BLOCK + 1 }).probe.readAt(0, 10)).rejects.toThrow('a read of 65536 bytes returned 65537')
    await expect(open(bytes, { gives: -1 }).probe.readAt(0, 10)).rejects.toThrow('a read of 65536 bytes returned -1')
    expect((await open(bytes, { gives: 4 }).probe.readAt(0, 10)).byteLength).toBe(4)
    expect((await open(bytes, { gives: 4 }).probe.readAt(0, 2 * BLOCK)).byteLength).toBe(4)
  })
})

describe('the walk over the tables of a vmdk', () => {
  /** A disk with this many grain tables, which are all empty. */
  const disk = (tables: number): Uint8Array => {
    const entries = 512
    const head = sparse().subarray(0, SPARSE_AT.directory * SECTOR)
    const directorySectors = Math.ceil((tables * 4) / SECTOR)
    const firstTable = SPARSE_AT.directory + directorySectors
    const bytes = new Uint8Array((firstTable + tables * 4) * SECTOR)
    const capacity = tables * entries * 128
    return patched(
      bytes,
      [0, head],
      [FIELD.capacity, u64(capacity)],
      [
        SECTOR,
        new TextDecoder()
          .decode(head.subarray(SECTOR, 2 * SECTOR))
          .replaceAll('\0', '')
          .replace('RW 1024', `RW ${capacity}`),
      ],
      [SPARSE_AT.directory * SECTOR, u32(...Array.from({ length: tables }, (_, i) => firstTable + i * 4))],
    )
  }

  test('offers to pause at each table, and ends when it is interrupted', async () => {
    let spent = 0
    const counting = (probe: ImageProbe): ImageProbe => ({ ...probe, length: probe.length, spend: () => (spent++, probe.spend()) })
    const { probe } = open(disk(200))
    expect(await detectVmdk(counting(probe))).toMatchObject({ format: 'vmdk', refusals: [], facts: { allocatedSize: 0 } })
    expect(spent).toBeGreaterThanOrEqual(201)

    let left = 100
    const interrupted: ImageProbe = {
      ...open(disk(200)).probe,
      spend() {
        if (left-- === 0) throw new Error('enough')
      },
    }
    await expect(detectVmdk(interrupted)).rejects.toThrow('enough')
  })
})

// The plan of a gc: which packs are removed and rewritten, and that a rewrite never needs more room than there is.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { planPacks } from '../../../../agent/slices/gc/plan.ts'
import type { PackLength, PackPlan, PackUse } from '../../../../agent/slices/gc/plan.ts'
import { PACK_HEADER_BYTES } from '../../../../agent/slices/packs/pack-format.ts'
import { propertyOptions } from '../../../support/properties.ts'

/** Packs shorter than this are small. */
const SMALL_BYTES = 10_000

interface Sizes {
  readonly length: number
  readonly liveBytes: number
}

interface Planned {
  readonly packs: readonly PackLength[]
  readonly live: (id: number) => number
  readonly plan: PackPlan
}

/** Plans packs that are numbered from 0. */
function plan(sizes: readonly Sizes[], freeBytes: number, smallBytes = SMALL_BYTES): Planned {
  const packs = sizes.map(({ length }, id) => ({ id, name: String(id), length }))
  const uses = new Map<number, PackUse>(sizes.map(({ length, liveBytes }, id) => [id, { liveBytes, deadBytes: length - liveBytes }]))
  return { packs, live: (id) => sizes[id]?.liveBytes ?? 0, plan: planPacks(packs, uses, freeBytes, smallBytes) }
}

const ids = (packs: readonly PackLength[]): number[] => packs.map(({ id }) => id)
const pack = (length: number, liveBytes: number): Sizes => ({ length, liveBytes })

describe('planPacks', () => {
  test('never needs more room than there is, stops only for lack of room, and removes every pack without live slices', () => {
    // Packs that are less than half live, and free space that is enough for some of them.
    const rewritten = fc
      .integer({ min: SMALL_BYTES, max: 1_000_000 })
      .chain((length) => fc.integer({ min: 1, max: Math.ceil(length / 2) - 1 }).map((liveBytes) => pack(length, liveBytes)))
    const kept = fc.integer({ min: SMALL_BYTES, max: 1_000_000 }).map((length) => pack(length, length))
    const dead = fc.integer({ min: 16, max: 50_000 }).map((length) => pack(length, 0))
    const packs = fc.array(fc.oneof({ weight: 6, arbitrary: rewritten }, { weight: 1, arbitrary: kept }, { weight: 1, arbitrary: dead }), { maxLength: 20 })
    const options = propertyOptions(200)
    const runs = options.numRuns ?? 0
    let rewrites = 0
    let shortages = 0
    fc.assert(
      fc.property(packs, fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 500_000 })), (sizes, freeBytes) => {
        const { plan: planned, live, packs: all } = plan(sizes, freeBytes)
        const { remove, rewrite, isShortOfRoom } = planned
        expect(ids(remove)).toEqual(ids(all).filter((id) => live(id) === 0))
        expect(new Set(ids([...remove, ...rewrite])).size).toBe(remove.length + rewrite.length)
        let room = freeBytes + remove.reduce((sum, { length }) => sum + length, 0)
        for (const { id, length } of rewrite) {
          expect(live(id)).toBeGreaterThan(0)
          expect(live(id) + PACK_HEADER_BYTES).toBeLessThanOrEqual(room)
          room += length - live(id)
        }
        // What is left needs more room than there is, even the pack with the fewest live bytes.
        const rest = all.filter(({ id, length }) => live(id) > 0 && live(id) < length / 2 && !ids(rewrite).includes(id))
        expect(isShortOfRoom).toBe(rest.length > 0)
        for (const { id } of rest) expect(live(id) + PACK_HEADER_BYTES).toBeGreaterThan(room)
        rewrites += rewrite.length
        if (isShortOfRoom) shortages++
      }),
      options,
    )
    // Most runs rewrite several packs, and some run out of room.
    expect(rewrites).toBeGreaterThanOrEqual(runs)
    expect(shortages).toBeGreaterThanOrEqual(Math.floor(runs / 20))
  })

  test('rewrites a pack when its live slices and a header just fit', () => {
    const sizes = [pack(100_000, 20_000)]
    expect(plan(sizes, 20_000 + PACK_HEADER_BYTES).plan).toMatchObject({ rewrite: [{ id: 0 }], isShortOfRoom: false })
    expect(plan(sizes, 20_000 + PACK_HEADER_BYTES - 1).plan).toMatchObject({ rewrite: [], isShortOfRoom: true })
  })

  test('rewrites packs with the fewest live bytes first, and uses the room that they free', () => {
    const sizes = [pack(100_000, 40_000), pack(100_000, 1000), pack(100_000, 20_000)]
    expect(ids(plan(sizes, 1000 + PACK_HEADER_BYTES).plan.rewrite)).toEqual([1, 2, 0])
    expect(ids(plan(sizes, 1e9).plan.rewrite)).toEqual([1, 2, 0])
  })

  test('uses the room of the packs that it removes', () => {
    const sizes = [pack(100_000, 40_000), pack(50_000, 0)]
    expect(plan(sizes, 0).plan).toMatchObject({ remove: [{ id: 1 }], rewrite: [{ id: 0 }], isShortOfRoom: false })
  })

  test('leaves a pack that is half live', () => {
    expect(plan([pack(20_000, 10_000)], 1e9).plan.rewrite).toEqual([])
    for (const live of [1, 9999]) expect(ids(plan([pack(20_000, live)], 1e9).plan.rewrite)).toEqual([0])
  })

  test('neither rewrites nor counts small packs without live slices, which it removes', () => {
    const sizes = [pack(900, 0), ...Array.from({ length: 8 }, () => pack(SMALL_BYTES - 1, SMALL_BYTES - 1))]
    expect(plan(sizes, 1e9).plan).toMatchObject({ remove: [{ id: 0 }], rewrite: [] })
  })

  test('merges small packs when there are more than eight', () => {
    const small = (count: number): Sizes[] => [...Array.from({ length: count }, () => pack(SMALL_BYTES - 1, SMALL_BYTES - 1)), pack(SMALL_BYTES, SMALL_BYTES)]
    expect(plan(small(8), 1e9).plan.rewrite).toEqual([])
    expect(ids(plan(small(9), 1e9).plan.rewrite)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  })
})

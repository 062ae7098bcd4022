// Properties of the cutter: nothing lost, bounds held, and the same bytes cut alike wherever they come from.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { BLOCK_PRIMITIVES } from '../../../agent/slices/write/block-primitives.ts'
import { CUTTER_DEFAULT } from '../../../agent/slices/packs/parameters.ts'
import { createCutter, isCutterValid } from '../../../protocol/slices/cutter.ts'
import { createRandom, propertyOptions } from '../../support/properties.ts'
import { contentOf, SMALL_CUTTER, stretchesArbitrary } from '../../support/images/slice-model.ts'

const cutter = createCutter(SMALL_CUTTER, BLOCK_PRIMITIVES)
const content = stretchesArbitrary({ stretchesMax: 8, lengthMax: 40_000 })

interface Piece {
  readonly start: number
  readonly end: number
  readonly isZero: boolean
}

/** Cuts bytes that arrive in parts, with the rest of each part carried to the next, as an ingest does. */
function cutInParts(bytes: Buffer, ends: readonly number[]): Piece[] {
  const pieces: Piece[] = []
  let start = 0
  for (const end of [...ends, bytes.length]) {
    const { ends: cuts, zeros, consumed } = cutter.cut(bytes.subarray(start, end), end === bytes.length)
    let from = start
    for (const [i, cut] of cuts.entries()) {
      pieces.push({ start: from, end: start + cut, isZero: zeros[i] === true })
      from = start + cut
    }
    start += consumed
    expect(from).toBe(start)
  }
  return joined(pieces)
}

function joined(pieces: readonly Piece[]): Piece[] {
  const result: Piece[] = []
  for (const piece of pieces) {
    const before = result.at(-1)
    if (before?.isZero && piece.isZero) result[result.length - 1] = { ...before, end: piece.end }
    else result.push(piece)
  }
  return result
}

const cutWhole = (bytes: Buffer): Piece[] => cutInParts(bytes, [])

describe('cut', () => {
  test('loses nothing and holds its bounds', () => {
    fc.assert(
      fc.property(content, (stretches) => {
        const bytes = contentOf(stretches)
        let at = 0
        for (const { start, end, isZero } of cutWhole(bytes)) {
          expect(start).toBe(at)
          expect(end).toBeGreaterThan(start)
          expect(bytes.subarray(start, end).every((byte) => byte === 0)).toBe(isZero)
          if (!isZero) expect(end - start).toBeLessThanOrEqual(SMALL_CUTTER.maximum)
          const isFollowedByZeros = bytes.subarray(end, end + SMALL_CUTTER.block).every((byte) => byte === 0)
          if (!isZero && !isFollowedByZeros) expect(end - start).toBeGreaterThanOrEqual(SMALL_CUTTER.minimum)
          if (end < bytes.length) expect(end % SMALL_CUTTER.block).toBe(0)
          at = end
        }
        expect(at).toBe(bytes.length)
      }),
      propertyOptions(100),
    )
  })

  test('cuts the same in parts as at once', () => {
    fc.assert(
      fc.property(content, fc.array(fc.nat(), { maxLength: 6 }), (stretches, points) => {
        const bytes = contentOf(stretches)
        const ends = points.map((point) => point % (bytes.length + 1)).toSorted((a, b) => a - b)
        expect(cutInParts(bytes, ends)).toEqual(cutWhole(bytes))
      }),
      propertyOptions(100),
    )
  })

  test('holds back less than a longest slice', () => {
    fc.assert(
      fc.property(content, (stretches) => {
        const bytes = contentOf(stretches)
        expect(bytes.length - cutter.cut(bytes, false).consumed).toBeLessThan(SMALL_CUTTER.maximum)
      }),
      propertyOptions(100),
    )
  })

  test('ends a slice at its minimum, average or maximum, when the hash matches there first', () => {
    const { block, minimum, average, maximum } = SMALL_CUTTER
    const bytes = Buffer.alloc(4 * maximum, 1)
    const lengthsWith = (hash: bigint): Set<number> => {
      const { ends } = createCutter(SMALL_CUTTER, { ...BLOCK_PRIMITIVES, hash: () => hash }).cut(bytes, true)
      return new Set(ends.map((end, i) => end - (ends[i - 1] ?? 0)))
    }
    const bits = BigInt(Math.log2(average / block))
    expect(lengthsWith(0n)).toEqual(new Set([minimum]))
    // Matches the shorter mask, which counts from the average on, and not the longer one.
    expect(lengthsWith(1n << bits)).toEqual(new Set([average]))
    expect(lengthsWith(1n << (bits - 1n))).toEqual(new Set([average]))
    expect(lengthsWith(1n)).toEqual(new Set([maximum]))
  })

  test('takes a run of zeros as one piece, however long', () => {
    const bytes = Buffer.concat([createRandom(1).bytes(4096), Buffer.alloc(300_000), createRandom(2).bytes(4096)])
    const zeros = cutWhole(bytes).filter((piece) => piece.isZero)
    expect(zeros).toEqual([{ start: 4096, end: 4096 + Math.floor(300_000 / 512) * 512, isZero: true }])
  })

  test('ends with zeros that fill no block as zeros', () => {
    expect(cutWhole(Buffer.alloc(700))).toEqual([{ start: 0, end: 700, isZero: true }])
    expect(cutter.cut(Buffer.alloc(700), false).consumed).toBe(512)
  })

  test('finds the old slices again behind blocks put in before them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 1, max: 20 }), (seed, blocks) => {
        const tail = createRandom(seed).bytes(120_000)
        const moved = Buffer.concat([createRandom(seed + 5000).bytes(blocks * SMALL_CUTTER.block), tail])
        const text = (bytes: Buffer): Set<string> => new Set(cutWhole(bytes).map(({ start, end }) => Bun.SHA256.hash(bytes.subarray(start, end), 'hex')))
        const before = text(tail)
        const shared = [...text(moved)].filter((digest) => before.has(digest)).length
        expect(shared / before.size).toBeGreaterThan(0.5)
      }),
      propertyOptions(20),
    )
  })

  test('cuts at these places for ever', () => {
    const bytes = createRandom(42).bytes(1024 * 1024)
    const { ends } = createCutter(CUTTER_DEFAULT, BLOCK_PRIMITIVES).cut(bytes, true)
    expect(Bun.hash.xxHash64(Buffer.from(ends.join(','))).toString(16)).toMatchInlineSnapshot(`"bf25a3566684421"`)
    expect(ends.length).toBeGreaterThan(8)
    expect(ends.length).toBeLessThan(32)
  })
})

describe('parameters', () => {
  test('are powers of two in order', () => {
    expect(isCutterValid(CUTTER_DEFAULT)).toBe(true)
    expect(isCutterValid(SMALL_CUTTER)).toBe(true)
    expect(isCutterValid({ ...CUTTER_DEFAULT, average: 60_000 })).toBe(false)
    expect(isCutterValid({ ...CUTTER_DEFAULT, average: CUTTER_DEFAULT.minimum })).toBe(false)
    expect(isCutterValid({ ...CUTTER_DEFAULT, maximum: 8 * 1024 * 1024 })).toBe(false)
    expect(isCutterValid({ ...CUTTER_DEFAULT, maximum: 4 * 1024 * 1024 })).toBe(true)
    expect(isCutterValid({ ...CUTTER_DEFAULT, block: 512 })).toBe(true)
    expect(isCutterValid({ ...CUTTER_DEFAULT, block: 256 })).toBe(false)
  })
})

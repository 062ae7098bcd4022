// Stored and unique sizes of manifests that are made by hand: each slice has a size of its own, so that a sum tells which slices were counted.

import { describe, expect, test } from 'bun:test'
import { countStoredSize, countUniqueSize, createReadBudget } from '../../../../agent/images/manifests/slice-sizes.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { Manifest } from '../../../../protocol/slices/manifest.ts'

/** Slice n has this digest, and takes 2 ** n bytes. */
const digestOf = (n: number): Uint8Array => Uint8Array.from([7, 0, 0, 0, n, 0, 0, 0, ...new Uint8Array(24)])

let pauses = 0
const deps = {
  sizes: (digests: readonly Uint8Array[]) => ({ storedBytes: digests.reduce((sum, digest) => sum + 2 ** (digest[4] ?? 0), 0) }),
  pause: async (): Promise<void> => {
    pauses++
    await new Promise((resolve) => setImmediate(resolve))
  },
}

/** A manifest of these slices; null is a run of zeros. */
async function manifestOf(...slices: readonly (number | null)[]): Promise<Manifest> {
  return (await encodeManifest(slices.map((n) => ({ length: 4096, digest: n === null ? null : digestOf(n) })))).manifest
}

async function* each(...manifests: readonly Manifest[]): AsyncGenerator<Manifest> {
  yield* manifests
}

describe('the stored size', () => {
  test('counts each slice once, and zeros not at all', async () => {
    pauses = 0
    expect(await countStoredSize(await manifestOf(0, 1, null, 1, 3, 0), deps)).toBe(11)
    expect(pauses).toBe(1)
    expect(await countStoredSize(await manifestOf(null, null), deps)).toBe(0)
    expect(await countStoredSize(await manifestOf(), deps)).toBe(0)
  })

  test('tells digests apart that differ in one of their first eight bytes', async () => {
    const digests = Array.from({ length: 9 }, (_, at) => new Uint8Array(32).fill(7).with(at, at === 8 ? 7 : 200))
    const { manifest } = await encodeManifest([...digests, ...digests].map((digest) => ({ length: 4096, digest })))
    const counted = await countStoredSize(manifest, { sizes: (all) => ({ storedBytes: all.length }), pause: deps.pause })
    expect(counted).toBe(9)
  })

  test('counts a repeated slice once in images of up to two million slices, and each time in larger ones', async () => {
    const manifest = await manifestOf(0, 1, 1)
    expect(await countStoredSize({ ...manifest, count: 2_000_000 }, deps)).toBe(3)
    expect(await countStoredSize({ ...manifest, count: 2_000_001 }, deps)).toBe(5)
  })

  test('of many slices whose digests begin alike', async () => {
    const all = Array.from({ length: 40 }, (_, n) => n)
    expect(await countStoredSize(await manifestOf(...all, ...all), deps)).toBe(1_099_511_627_775)
  })
})

describe('the unique size', () => {
  test('counts the slices that no other image has', async () => {
    const mine = await manifestOf(0, 1, 2, null, 3)
    expect(await countUniqueSize([mine], each(), deps)).toBe(15)
    expect(await countUniqueSize([mine], each(await manifestOf(1, 9), await manifestOf(null, 3, 3)), deps)).toBe(5)
    expect(await countUniqueSize([mine], each(await manifestOf(8, 9)), deps)).toBe(15)
  })

  test('counts a slice once that several of the images have', async () => {
    expect(await countUniqueSize([await manifestOf(0, 1, 1), await manifestOf(1, 2)], each(await manifestOf(2, 2)), deps)).toBe(3)
  })

  test('is 0, without reading more images, once every slice is used elsewhere', async () => {
    const more = async function* (): AsyncGenerator<Manifest> {
      yield await manifestOf(1, 1, 0)
      throw new Error('read more than needed')
    }
    expect(await countUniqueSize([await manifestOf(0, 1, null)], more(), deps)).toBe(0)
  })

  test('of images with more than two million slices is not counted', async () => {
    const manifest = await manifestOf(0)
    const many: Manifest = { ...manifest, count: 2_000_000 }
    let reads = 0
    const blocks = async function* (): AsyncGenerator<never> {
      reads++
      yield* []
    }
    expect(await countUniqueSize([{ ...many, blocks }], each(), deps)).toBe(0)
    expect(reads).toBe(2)
    expect(await countUniqueSize([{ ...many, blocks }, manifest], each(), deps)).toBeNull()
    expect(reads).toBe(2)
  })
})

test('a count lets other work run after each block, and reads none meanwhile', async () => {
  const steps: string[] = []
  const manifest = await manifestOf(0, 1)
  const slow: Manifest = {
    ...manifest,
    async *blocks() {
      for (let block = 0; block < 2; block++) {
        steps.push('block')
        yield* manifest.blocks()
      }
    },
  }
  const pause = async (): Promise<void> => {
    steps.push('pause')
    await new Promise((resolve) => setImmediate(resolve))
    steps.push('go on')
  }
  const twoBlocks = ['block', 'pause', 'go on', 'block', 'pause', 'go on']
  await countStoredSize(slow, { ...deps, pause })
  expect(steps.splice(0)).toEqual(twoBlocks)
  await countUniqueSize([slow], each(slow), { ...deps, pause })
  expect(steps.splice(0)).toEqual([...twoBlocks, ...twoBlocks])
  await countUniqueSize([slow], each(), { ...deps, pause })
  expect(steps).toEqual([...twoBlocks, ...twoBlocks])
})

describe('the budget of reads', () => {
  test('is 128 MiB', () => {
    const budget = createReadBudget()
    budget.spend(134_217_727)
    budget.spend(1)
    expect(budget.isSpent).toBe(false)
    expect(() => budget.spend(1)).toThrow('a count must not read more than 134217728 bytes of manifests')
    expect(budget.isSpent).toBe(true)
  })
})

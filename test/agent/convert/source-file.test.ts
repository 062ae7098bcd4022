// The file of an image as its manifest describes it: runs of zeros and of other bytes.

import { expect, test } from 'bun:test'
import { openSourceFile } from '../../../agent/convert/source-file.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { encodeManifest, MANIFEST_BLOCK_ENTRIES, SLICE_LENGTH_MAX } from '../../../protocol/slices/manifest.ts'
import type { Manifest, ManifestEntry } from '../../../protocol/slices/manifest.ts'

const MIB = 1024 * 1024
const noSlices = {
  read(): never {
    throw new Error('nothing is read')
  },
}

const slice = (length: number): ManifestEntry => ({ length, digest: new Uint8Array(32).fill(1) })
const zeros = (length: number): ManifestEntry => ({ length, digest: null })

/** Returns the runs from an offset on as [start, end, zero]. */
async function runsFrom(entries: readonly ManifestEntry[], from: number): Promise<[number, number, boolean][]> {
  const { manifest } = await encodeManifest(entries)
  const runs = await Array.fromAsync(openSourceFile(noSlices, manifest, systemClock).runs(from))
  return runs.map(({ start, end, isZero }) => [start, end, isZero])
}

test('runs begin with the one that covers an offset and follow each other to the end', async () => {
  const entries = [slice(3), slice(4), zeros(5), slice(6), zeros(7)]
  expect(await runsFrom(entries, 0)).toEqual([
    [0, 7, false],
    [7, 12, true],
    [12, 18, false],
    [18, 25, true],
  ])
  expect(await runsFrom(entries, 3)).toEqual([
    [3, 7, false],
    [7, 12, true],
    [12, 18, false],
    [18, 25, true],
  ])
  expect(await runsFrom(entries, 24)).toEqual([[18, 25, true]])
  expect(await runsFrom(entries, 25)).toEqual([])
})

test('slices are joined up to 16 MiB, and a run of zeros has any length', async () => {
  const entries = [...Array.from({ length: 9 }, () => slice(SLICE_LENGTH_MAX)), zeros(1024 * MIB), slice(1)]
  expect(await runsFrom(entries, 0)).toEqual([
    [0, 16 * MIB, false],
    [16 * MIB, 32 * MIB, false],
    [32 * MIB, 36 * MIB, false],
    [36 * MIB, 1060 * MIB, true],
    [1060 * MIB, 1060 * MIB + 1, false],
  ])
})

test('the first run of a long image needs the entries of 16 MiB, not the whole manifest', async () => {
  const { manifest } = await encodeManifest(Array.from({ length: 20 * MANIFEST_BLOCK_ENTRIES }, () => slice(16_384)))
  let blocks = 0
  const counted: Manifest = {
    imageLength: manifest.imageLength,
    count: manifest.count,
    find: manifest.find,
    pieces: manifest.pieces,
    async *blocks(from) {
      for await (const block of manifest.blocks(from)) {
        blocks++
        yield block
      }
    },
  }
  for await (const run of openSourceFile(noSlices, counted, systemClock).runs(100)) {
    expect(run).toEqual({ start: 0, end: 16 * MIB, isZero: false })
    break
  }
  expect(blocks).toBeLessThan(3)
})

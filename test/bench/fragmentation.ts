// Part of bench `read`: the read rate of the newest of many versions, each created from the previous one by changes in place.

import { copyFileSync, mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { createRandom } from '../support/properties.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { figure, median } from './figure.ts'
import { dropCaches, numberOf, removeFolder, run, timed } from './measure.ts'

const VERSIONS = 20
/** Changed ranges of a version, and blocks in the longest: about 25 MB per version. */
const STRETCHES = 400
const STRETCH_BLOCKS_MAX = 32
const BLOCK_BYTES = 4096
const MB = 1e6

/** Measures the cold rates of the first and the newest image, before and after the versions in between are removed and collected. */
export async function benchFragmentation(context: BenchContext): Promise<Figure[]> {
  const { ours, program } = context
  const folder = join(context.folder, 'versions')
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await ours.prepare(folder)
  const file = join(folder, 'image.raw')
  copyFileSync(context.family.v1, file)
  await run(ours.ingest(folder, 'version-0', file))
  for (let version = 1; version <= VERSIONS; version++) {
    await change(file, version)
    await run(ours.ingest(folder, `version-${version}`, file))
  }
  if (!(await dropCaches())) {
    context.say('the page cache cannot be dropped here: cold reads are skipped')
    return []
  }
  const coldRate = async (image: string): Promise<number> => {
    await dropCaches()
    const { output } = await timed(ours.read(folder, image, file), folder)
    return numberOf(output, 'nonZeroBytes') / MB / numberOf(output, 'seconds')
  }
  const rates = async (images: readonly string[]): Promise<number[]> => {
    const values = images.map((): number[] => [])
    for (let i = 0; i < context.runs; i++) for (const [k, image] of images.entries()) values[k]?.push(await coldRate(image))
    return values.map(median)
  }
  const newest = `version-${VERSIONS}`
  const [first = NaN, last = NaN] = await rates(['version-0', newest])
  const store = ours.stored(folder)
  for (let version = 0; version < VERSIONS; version++) await run(program('remove', store, `version-${version}`))
  await run(program('gc', store))
  const [collected = NaN] = await rates([newest])
  removeFolder(folder)
  return [
    figure('read', 'first version, cold, non-zero bytes', first, 'MB/s'),
    figure('read', `version ${VERSIONS} in place, cold, non-zero bytes`, last, 'MB/s'),
    figure('read', `version ${VERSIONS}, part of the first one's rate`, last / first, 'share'),
    figure('read', `version ${VERSIONS} alone after gc, part of the first one's rate`, collected / first, 'share'),
  ]
}

/** Overwrites ranges with text that compresses about as well as files; the same in every run. */
async function change(path: string, seed: number): Promise<void> {
  const random = createRandom(seed)
  await using file = await open(path, 'r+')
  const blocks = Math.floor((await file.stat()).size / BLOCK_BYTES)
  const probe = Buffer.alloc(BLOCK_BYTES)
  for (let changed = 0; changed < STRETCHES;) {
    const offset = random.below(blocks - STRETCH_BLOCKS_MAX) * BLOCK_BYTES
    await file.read(probe, 0, BLOCK_BYTES, offset)
    if (!probe.some((byte) => byte !== 0)) continue
    const bytes = Buffer.alloc((1 + random.below(STRETCH_BLOCKS_MAX)) * BLOCK_BYTES)
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(random.below(0x1_0000) * 0x101, at)
    await file.write(bytes, 0, bytes.length, offset)
    changed++
  }
}

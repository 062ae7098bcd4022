// Flips one byte anywhere in a store: the flip is found and reported, affects only the slice it hit, and never returns a wrong byte. With
// SLIPWAY_ALL_FLIPS=1 every position is tried; otherwise as many as half a minute allows, chosen differently in every run.

import { describe, expect, test } from 'bun:test'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeManifest, ManifestInvalid } from '../../protocol/slices/manifest.ts'
import { decodeImageFile, encodeImageFile } from '../../agent/images/records/image-file.ts'
import type { ScrubReport } from '../../agent/contract/slices.ts'
import { openImageStore } from '../support/images/image-store.ts'
import { createRandom, runSeed } from '../support/properties.ts'
import type { Random } from '../support/properties.ts'
import type { ModelImage, SliceModel } from '../support/images/slice-model.ts'
import { contentOf, createSliceModel, digestsOf, filesBelow, openStore, readOutcome } from '../support/images/slice-model.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

const isWhole = process.env['SLIPWAY_ALL_FLIPS'] === '1'
/** Time for one kind of file in milliseconds, when not every position is tried. */
const BUDGET_MS = 8_000
const SCRUB = { bytesPerSecond: Infinity }

interface Scene {
  /** A closed store; every flip is made in a copy of it. */
  readonly template: string
  readonly model: SliceModel
  readonly images: readonly ModelImage[]
  /** Files below the template whose bytes are flipped, relative to it. */
  readonly packs: readonly string[]
}

/** Creates two images in a sealed pack, two in an unsealed one, and one in both. */
async function makeScene(folder: TemporaryFolder): Promise<Scene> {
  const template = folder.file('template')
  const model = createSliceModel()
  const text = (seed: number): Buffer =>
    contentOf([
      { kind: 'text', length: 3072, seed },
      { kind: 'zeros', length: 4096, seed },
    ])
  const images: ModelImage[] = []
  {
    await using store = await openStore({ folder: template, roots: [model], packSealBytes: 1000 })
    images.push(await model.add(store, 'sealed 1', text(1)))
    images.push(await model.add(store, 'sealed 2', text(2)))
  }
  await using store = await openStore({ folder: template, roots: [model], packSealBytes: 100_000 })
  images.push(await model.add(store, 'unsealed', text(3)))
  images.push(await model.add(store, 'both', Buffer.concat([text(1), text(3), contentOf([{ kind: 'noise', length: 700, seed: 9 }])])))
  const packs = await filesBelow(join(template, 'mount', 'packs'), '.pack')
  return { template, model, images, packs: packs.map((pack) => pack.slice(template.length + 1)) }
}

/** Calls back with every position, or with random ones until time is up. */
async function eachPosition(positions: number[], random: Random, run: (at: number) => Promise<void>): Promise<void> {
  const endMs = performance.now() + BUDGET_MS
  while (positions.length > 0 && (isWhole || performance.now() < endMs)) {
    const [at = 0] = isWhole ? positions.splice(0, 1) : positions.splice(random.below(positions.length), 1)
    await run(at)
  }
}

const allPositions = (length: number): number[] => Array.from({ length }, (_, at) => at)

/** Copies the store and changes one byte of one file. */
async function copyWithFlip(scene: Scene, copy: string, file: string, at: number, random: Random): Promise<void> {
  await rm(copy, { recursive: true, force: true })
  await mkdir(copy, { recursive: true })
  await cp(scene.template, copy, { recursive: true })
  const bytes = Buffer.from(await Bun.file(join(copy, file)).arrayBuffer())
  bytes[at] = (bytes[at] ?? 0) ^ (1 + random.below(255))
  await writeFile(join(copy, file), bytes)
}

const isReported = ({ corrupt, missing, faults }: ScrubReport): boolean => corrupt.length + missing.length + faults.length > 0

describe('a byte flipped', () => {
  const seed = runSeed()
  const random = createRandom(seed)

  test(
    `in a pack damages at most the slice it hit, and is reported (SLIPWAY_SEED=${seed})`,
    async () => {
      await using folder = await createTemporaryFolder()
      const scene = await makeScene(folder)
      expect(scene.packs.length).toBeGreaterThanOrEqual(2)
      const sizes = scene.packs.map((pack) => Bun.file(join(scene.template, pack)).size)
      await eachPosition(allPositions(sizes.reduce((sum, size) => sum + size, 0)), random, async (position) => {
        let at = position
        let file = 0
        while (at >= (sizes[file] ?? 0)) at -= sizes[file++] ?? 0
        const where = `${scene.packs[file]} at ${at}`
        const copy = folder.file('copy')
        await copyWithFlip(scene, copy, scene.packs[file] ?? '', at, random)
        for (const rebuild of [false, true]) {
          await using store = await openStore({ folder: copy, roots: [scene.model], packSealBytes: 100_000, rebuild })
          const { faults, tornBytes } = store.recovered
          const report = await store.scrub(SCRUB)
          const isFound = isReported(report) || faults.length > 0 || tornBytes > 0
          // The first opening may have repaired a damaged frame, because it writes a new table.
          if (!rebuild && !isFound) throw new Error(`the flip in ${where} was not found`)
          const lost = new Set([...report.corrupt, ...report.missing].map(({ digest }) => digest))
          if (lost.size > 1) throw new Error(`the flip in ${where} damaged ${lost.size} slices`)
          for (const image of scene.images) {
            const needsLost = digestsOf(image.manifest).some((digest) => lost.has(`sha256:${digest}`))
            const outcome = await readOutcome(store, image)
            if (outcome !== (needsLost ? 'unreadable' : 'whole')) throw new Error(`after the flip in ${where} image ${image.name} is ${outcome}`)
            if (needsLost && !report.damagedRoots.includes(`image ${image.name}`))
              throw new Error(`after the flip in ${where} image ${image.name} was not named`)
          }
        }
      })
    },
    isWhole ? 3_600_000 : 120_000,
  )

  test(
    `in a pack returns no wrong byte to a reader before any scrub (SLIPWAY_SEED=${seed})`,
    async () => {
      await using folder = await createTemporaryFolder()
      const scene = await makeScene(folder)
      const [pack = ''] = scene.packs
      await eachPosition(allPositions(Bun.file(join(scene.template, pack)).size), random, async (at) => {
        const copy = folder.file('copy')
        await copyWithFlip(scene, copy, pack, at, random)
        await using store = await openStore({ folder: copy, roots: [scene.model], packSealBytes: 100_000 })
        const outcomes = []
        for (const image of scene.images) outcomes.push(await readOutcome(store, image))
        // Storing the bytes again repairs the damaged slices.
        for (const [i, image] of scene.images.entries()) if (outcomes[i] === 'unreadable') await scene.model.add(store, image.name, image.bytes)
        for (const image of scene.images) expect(await readOutcome(store, image)).toBe('whole')
      })
    },
    isWhole ? 3_600_000 : 120_000,
  )

  test(
    `in the index database loses nothing while the store is open, and is repaired (SLIPWAY_SEED=${seed})`,
    async () => {
      await using folder = await createTemporaryFolder()
      const scene = await makeScene(folder)
      const files = [join('state', 'index.db'), ...(await filesBelow(join(scene.template, 'state'), '.run')).map((run) => run.slice(scene.template.length + 1))]
      expect(files.length).toBeGreaterThan(1)
      const places = await Promise.all(
        files.map(async (file) => {
          const bytes = Buffer.from(await Bun.file(join(scene.template, file)).arrayBuffer())
          // Most of a small database is free space; a few flips there are enough.
          return allPositions(bytes.length).flatMap((at) => (bytes[at] !== 0 || at % 64 === 0 ? { file, at } : []))
        }),
      )
      const flips = places.flat()
      await eachPosition(allPositions(flips.length), random, async (position) => {
        const { file, at } = flips[position] ?? { file: '', at: 0 }
        const copy = folder.file('copy')
        await copyWithFlip(scene, copy, file, at, random)
        const where = `the flip in ${file} at ${at}`
        const expectWhole = async (store: Parameters<typeof readOutcome>[0], when: string): Promise<void> => {
          for (const image of scene.images)
            if ((await readOutcome(store, image)) !== 'whole') throw new Error(`after ${where} image ${image.name} is not whole ${when}`)
        }
        {
          await using store = await openStore({ folder: copy, roots: [scene.model], packSealBytes: 100_000 })
          if (random.chance(0.5)) await expectWhole(store, 'right after the start')
          if (random.chance(0.3)) await store.gc({ dryRun: false })
          if (random.chance(0.5)) await expectWhole(store, 'before scrub')
          const report = await store.scrub(SCRUB)
          if (report.corrupt.length + report.missing.length > 0) throw new Error(`after ${where} scrub finds ${JSON.stringify(report)}`)
          await expectWhole(store, 'after scrub')
          const again = await store.scrub(SCRUB)
          if (isReported(again)) throw new Error(`after ${where} a second scrub still finds ${JSON.stringify(again)}`)
        }
        await using store = await openStore({ folder: copy, roots: [scene.model], packSealBytes: 100_000 })
        await expectWhole(store, 'after a restart')
        const report = await store.scrub(SCRUB)
        if (isReported(report)) throw new Error(`after ${where} and a restart scrub finds ${JSON.stringify(report)}`)
      })
    },
    isWhole ? 3_600_000 : 120_000,
  )

  test('in a manifest is found when it is read', async () => {
    await using folder = await createTemporaryFolder()
    const scene = await makeScene(folder)
    for (const { manifest } of scene.images) {
      for (let bit = 0; bit < manifest.bytes.byteLength * 8; bit++) {
        const bytes = manifest.bytes.slice()
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const outcome = await decodeManifest(bytes).catch((error: unknown) => error)
        if (!(outcome instanceof ManifestInvalid)) throw new Error(`bit ${bit} of a manifest was flipped and not found`)
      }
    }
  })

  test('in an image.json is found when it is read', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id } = await store.add(Buffer.from('content'))
    const bytes = new Uint8Array(await Bun.file(folder.file('mount', 'images', id, 'image.json')).arrayBuffer())
    const decoded = await decodeImageFile(bytes)
    expect(decoded.kind === 'whole' && Buffer.from(await encodeImageFile(decoded.stored)).equals(bytes)).toBe(true)
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      if ((await decodeImageFile(flipped)).kind !== 'damaged') throw new Error(`bit ${bit} of an image.json was flipped and not found`)
    }
  })
})

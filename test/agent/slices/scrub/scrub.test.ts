// Scrub: finds what was damaged, names the images that need it, and corrects errors of the index.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { mkdir, rm, truncate } from 'node:fs/promises'
import { basename } from 'node:path'
import { formatDigest } from '../../../../protocol/slices/digest.ts'
import { RECORD_HEADER_BYTES } from '../../../../agent/slices/packs/record.ts'
import { REMOVED } from '../../../../agent/slices/index/run-format.ts'
import type { SliceRow } from '../../../../agent/slices/packs/slice-row.ts'
import type { OpenSliceStore } from '../../../../agent/slices/store.ts'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { until } from '../../../support/until.ts'
import type { Clock } from '../../../../agent/contract/runtime.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { changeRows } from '../../../support/machine/index-damage.ts'
import { propertyOptions } from '../../../support/properties.ts'
import type { ModelImage, SliceModel } from '../../../support/images/slice-model.ts'
import { createSliceModel, damage, digestsOf, filesBelow, openStore, readOutcome, noiseBlocks } from '../../../support/images/slice-model.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const SCRUB = { bytesPerSecond: Infinity }

interface Scene extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly model: SliceModel
  readonly store: OpenSliceStore
  readonly images: ModelImage[]
}

/** A store with three images in several packs, the last one open. */
async function openScene(): Promise<Scene> {
  const folder = await createTemporaryFolder()
  const model = createSliceModel()
  const images: ModelImage[] = []
  {
    // Closing it writes all rows of sealed packs to disk.
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 20_000 })
    for (let i = 0; i < 3; i++) images.push(await model.add(store, `image ${i}`, noiseBlocks(i, 60)))
  }
  const store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 20_000 })
  return {
    folder,
    model,
    store,
    images,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('scrub', () => {
  test('finds nothing in an intact store, and reads every slice', async () => {
    await using scene = await openScene()
    const { slices } = scene.store.stats()
    expect(await scene.store.scrub(SCRUB)).toMatchObject({ slices, corrupt: [], missing: [], faults: [], damagedRoots: [] })
  })

  test('finds every damaged record, and names the images that need it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 4 }), fc.boolean(), async (picks, inHeader) => {
        await using scene = await openScene()
        const packs = await filesBelow(scene.folder.file('mount'), '.pack')
        const records = await Promise.all(packs.map(recordsOf))
        const hit = new Set<string>()
        for (const pick of picks) {
          const pack = packs[pick % packs.length] ?? ''
          const inPack = records[pick % packs.length] ?? []
          const record = inPack[(pick >> 3) % inPack.length]
          if (!record || hit.has(record.digest)) continue
          hit.add(record.digest)
          await damage(pack, record.offset + (inHeader ? 30 : RECORD_HEADER_BYTES + 5))
        }
        const report = await scene.store.scrub(SCRUB)
        const needed = [...hit].toSorted()
        expect(report.corrupt.map(({ digest }) => digest.slice(7)).toSorted()).toEqual(needed)
        expect(report.missing.map(({ digest }) => digest.slice(7)).toSorted()).toEqual(needed)
        const damaged = scene.images.filter(({ manifest }) => digestsOf(manifest).some((digest) => hit.has(digest)))
        expect(report.damagedRoots.toSorted()).toEqual(damaged.map(({ name }) => `image ${name}`).toSorted())
        for (const image of scene.images) expect(await readOutcome(scene.store, image)).toBe(damaged.includes(image) ? 'unreadable' : 'whole')
        expect(scene.store.quarantined()).toHaveLength(needed.length)
        const again = await scene.store.scrub(SCRUB)
        expect(again.missing).toEqual(report.missing)
        for (const image of damaged) await scene.model.add(scene.store, `${image.name} again`, image.bytes)
        expect(await scene.store.scrub(SCRUB)).toMatchObject({ corrupt: [], missing: [], damagedRoots: [] })
        expect(scene.store.quarantined()).toEqual([])
      }),
      propertyOptions(6),
    )
  }, 30_000)

  test('finds bytes that decompress to something else although their checksum is valid', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model] })
    await model.add(store, 'image', noiseBlocks(1, 10))
    const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
    const [first, second] = await recordsOf(pack)
    if (!first || !second) throw new Error('two records are needed')
    // A consistent record whose bytes do not match its digest.
    const bytes = Buffer.from(await Bun.file(pack).arrayBuffer())
    const stored = Buffer.from(bytes.subarray(first.offset + RECORD_HEADER_BYTES, first.offset + first.length))
    stored[0] = (stored[0] ?? 0) ^ 1
    bytes.set(stored, first.offset + RECORD_HEADER_BYTES)
    bytes.writeBigUInt64LE(Bun.hash.xxHash64(stored), first.offset + 16)
    bytes.writeBigUInt64LE(Bun.hash.xxHash64(bytes.subarray(first.offset, first.offset + 56)), first.offset + 56)
    await Bun.write(pack, bytes)
    expect((await store.scrub(SCRUB)).corrupt).toMatchObject([{ digest: `sha256:${first.digest}`, offset: first.offset }])
  })

  test('goes on after a damaged record when its quarantine is durable', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createDisk()
    const written = Promise.withResolvers<void>()
    let writes = 0
    const slow: Disk = {
      ...disk,
      async writeFileAtomic(path, bytes) {
        writes++
        await written.promise
        await disk.writeFileAtomic(path, bytes)
      },
    }
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], disk: slow, packSealBytes: 1000 })
    await model.add(store, 'image', noiseBlocks(1, 2))
    const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
    await damage(pack, 16 + RECORD_HEADER_BYTES + 5)
    let records = 0
    const scrub = store.scrub({ ...SCRUB, onProgress: () => void records++ })
    await until('the quarantine is being written', () => writes === 1)
    await Bun.sleep(1)
    expect(records).toBe(0)
    written.resolve()
    expect((await scrub).corrupt).toHaveLength(1)
    expect(records).toBe(1)
  })

  test('reports damage in the frame of a pack, and still reads its slices', async () => {
    await using scene = await openScene()
    const packs = await filesBelow(scene.folder.file('mount'), '.pack')
    const sealed = (await Promise.all(packs.map(async (pack) => ((await isSealed(pack)) ? pack : '')))).filter((pack) => pack !== '')
    const [headless = '', tableless = '', trailerless = ''] = sealed
    await damage(headless, 3)
    await damage(tableless, Bun.file(tableless).size - 60)
    await damage(trailerless, Bun.file(trailerless).size - 10)
    const report = await scene.store.scrub(SCRUB)
    expect(report).toMatchObject({ corrupt: [], missing: [], damagedRoots: [] })
    expect(report.faults).toHaveLength(3)
    for (const image of scene.images) expect(await readOutcome(scene.store, image)).toBe('whole')
  })

  test('reports a pack that is gone and one that was cut off', async () => {
    await using scene = await openScene()
    await scene.store[Symbol.asyncDispose]()
    await using store = await openStore({ folder: scene.folder.path, roots: [scene.model], packSealBytes: 20_000 })
    const packs = await filesBelow(scene.folder.file('mount'), '.pack')
    await rm(packs[0] ?? '')
    await truncate(packs[1] ?? '', 3000)
    const report = await store.scrub(SCRUB)
    expect(report.faults.join(' ')).toContain('is gone from the mount path')
    expect(report.damagedRoots.length).toBeGreaterThan(0)
    for (const image of scene.images) expect(await readOutcome(store, image)).toBe(report.damagedRoots.includes(`image ${image.name}`) ? 'unreadable' : 'whole')
  })

  test('names every image with slices beyond the end of a pack that was cut off', async () => {
    for (const n of [0, 1, 2]) {
      await using folder = await createTemporaryFolder()
      const model = createSliceModel()
      const options = { folder: folder.path, roots: [model], packSealBytes: 20_000 }
      {
        await using store = await openStore(options)
        for (let i = 0; i < 12; i++) await model.add(store, `image ${i}`, noiseBlocks(i, 10))
      }
      await using store = await openStore(options)
      const pack = (await filesBelow(folder.file('mount'), '.pack'))[n] ?? ''
      await truncate(pack, 3000)
      const report = await store.scrub(SCRUB)
      expect(report.damagedRoots).toHaveLength(4)
      expect(report.corrupt.length).toBe(report.missing.length)
      for (const image of model.images.values())
        expect(await readOutcome(store, image)).toBe(report.damagedRoots.includes(`image ${image.name}`) ? 'unreadable' : 'whole')
    }
  })

  test('reports a pack that cannot be read, and reads the others', async () => {
    await using scene = await openScene()
    const [pack = ''] = await filesBelow(scene.folder.file('mount'), '.pack')
    await rm(pack)
    await mkdir(pack)
    const { faults, slices } = await scene.store.scrub(SCRUB)
    expect(faults).toEqual([expect.stringMatching(/^Pack [0-9a-f]{32} cannot be read: .*EISDIR/)])
    expect(faults[0]).toContain(basename(pack, '.pack'))
    expect(slices).toBeGreaterThan(0)
  })

  test('restores rows that the index lost, and corrects wrong ones', async () => {
    let zeroed = 0
    const changes: ((row: SliceRow) => Partial<SliceRow>)[] = [
      ({ digest }) => ((digest[0] ?? 0) < 128 ? { pack: REMOVED } : {}),
      ({ offset }) => ({ offset: offset + 1 }),
      () => ({ offset: 16 }),
      ({ storedLength }) => ({ storedLength: storedLength - 1 }),
      () => ({ storedLength: 16_000_000 }),
      ({ length }) => ({ length: length + 512 }),
      ({ pack }) => ({ pack: pack + 1 }),
      () => ({ pack: 1 }),
      () => ({ pack: 4711 }),
      () => (zeroed++ === 0 ? { digest: new Uint8Array(32) } : {}),
    ]
    for (const change of changes) {
      await using scene = await openScene()
      expect(changeRows(scene.folder.file('state'), change)).toBeGreaterThan(0)
      await scene.store.scrub(SCRUB)
      expect(await scene.store.scrub(SCRUB)).toMatchObject({ corrupt: [], missing: [], damagedRoots: [] })
      for (const image of scene.images) expect(await readOutcome(scene.store, image)).toBe('whole')
      await scene.store.gc({ dryRun: false })
      for (const image of scene.images) expect(await readOutcome(scene.store, image)).toBe('whole')
    }
  }, 30_000)

  test('reads no faster than its rate', async () => {
    await using scene = await openScene()
    const startMs = performance.now()
    const { bytes } = await scene.store.scrub({ bytesPerSecond: 250_000 })
    // It may be ahead by 50 ms at the end.
    expect(performance.now() - startMs).toBeGreaterThan((bytes / 250_000) * 1000 - 60)
    expect(bytes).toBeGreaterThan(90_000)
  })

  test('sleeps only when it is more than 50 ms ahead of its rate, and then for as long as it is ahead', async () => {
    await using folder = await createTemporaryFolder()
    const sleeps: number[] = []
    let ms = 5000
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => ms,
      async sleep(sleepMs, signal) {
        if (sleepMs === 0) return systemClock.sleep(0, signal)
        sleeps.push(sleepMs)
        ms += sleepMs
      },
    }
    const model = createSliceModel()
    await using store = await openStore({ folder: folder.path, roots: [model], clock })
    await model.add(store, 'image', noiseBlocks(1, 2))
    expect(store.stats().slices).toBe(1)
    const sleepsAt = async (bytesPerSecond: number): Promise<number[]> => {
      sleeps.length = 0
      await store.scrub({ bytesPerSecond })
      return sleeps
    }
    const { bytes } = await store.scrub(SCRUB)
    expect(await sleepsAt(bytes * 20)).toEqual([])
    expect(await sleepsAt(bytes * 4)).toEqual([250])
    expect(await sleepsAt(bytes * 19)).toEqual([1000 / 19])
  })

  test('stops at an aborted signal', async () => {
    await using scene = await openScene()
    const controller = new AbortController()
    const scrub = scene.store.scrub({ ...SCRUB, signal: controller.signal, onProgress: () => controller.abort(new Error('enough')) })
    await expect(scrub).rejects.toThrow('enough')
  })
})

describe('gc over a damaged index', () => {
  test('removes no pack with a slice that the index has lost or misplaced', async () => {
    const changes: ((row: SliceRow) => Partial<SliceRow>)[] = [
      () => ({ pack: REMOVED }),
      () => ({ pack: 3 }),
      () => ({ pack: 4711 }),
      ({ offset }) => ({ offset: offset + 1 }),
      () => ({ storedLength: 16_000_000 }),
    ]
    for (const change of changes) {
      await using scene = await openScene()
      scene.model.remove('image 1')
      changeRows(scene.folder.file('state'), change)
      await scene.store.gc({ dryRun: false })
      await scene.store.scrub(SCRUB)
      for (const image of scene.model.images.values()) expect(await readOutcome(scene.store, image)).toBe('whole')
    }
  }, 30_000)
})

/** Whether a pack ends with a trailer. */
async function isSealed(path: string): Promise<boolean> {
  const file = Bun.file(path)
  return (await file.slice(file.size - 32, file.size - 24).text()) === 'SLIPWAYT'
}

/** Records of a pack, found by their magic alone. */
async function recordsOf(path: string): Promise<{ digest: string; offset: number; length: number }[]> {
  const bytes = Buffer.from(await Bun.file(path).arrayBuffer())
  const records: { digest: string; offset: number; length: number }[] = []
  for (let at = 16; at + RECORD_HEADER_BYTES <= bytes.length && bytes.toString('latin1', at, at + 4) === 'SLR1';) {
    const length = RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 12)
    records.push({ digest: formatDigest(bytes.subarray(at + 24, at + 56)).slice(7), offset: at, length })
    at += length
  }
  return records
}

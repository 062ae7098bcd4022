// An index database that is damaged while the store is in use: nothing is lost, and it is rebuilt without a restart.

import { describe, expect, test } from 'bun:test'
import { mkdir, rmdir } from 'node:fs/promises'
import type { Disk } from '../../../../agent/contract/disk.ts'
import type { OpenSliceStore } from '../../../../agent/slices/store.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import { damageBlocks, hideSlices, misplaceSlices } from '../../../support/machine/index-damage.ts'
import { createRandom } from '../../../support/properties.ts'
import type { ModelImage, SliceModel, StoreOptions } from '../../../support/images/slice-model.ts'
import { createSliceModel, digestsOf, filesBelow, openStore, readBack, readOutcome, writeAll, noiseBlocks } from '../../../support/images/slice-model.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

const SCRUB = { bytesPerSecond: Infinity }
const CLEAN = { corrupt: [], missing: [], faults: [], damagedRoots: [] }

interface Scene extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly state: string
  readonly model: SliceModel
  readonly store: OpenSliceStore
  readonly images: ModelImage[]
  /** `damaged` and `rebuilt`, as the store reported them. */
  readonly reported: string[]
}

/** A store with three images in sealed packs, whose rows are all on disk. */
async function openScene(more: Partial<StoreOptions> = {}, blocks = 60): Promise<Scene> {
  const folder = await createTemporaryFolder()
  const model = createSliceModel()
  const reported: string[] = []
  const images: ModelImage[] = []
  {
    // Opened with a smaller length every pack is sealed, and its rows leave memory.
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 20_000 })
    for (let i = 0; i < 3; i++) images.push(await model.add(store, `image ${i}`, noiseBlocks(i, blocks)))
  }
  const store = await openStore({
    folder: folder.path,
    roots: [model],
    packSealBytes: 1000,
    onIndexDamaged: () => void reported.push('damaged'),
    onIndexRebuilt: () => void reported.push('rebuilt'),
    ...more,
  })
  return {
    folder,
    state: folder.file('state'),
    model,
    store,
    images,
    reported,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** The real disk, which counts the reads of packs and fails those that `isFailing` names. */
function createWatchedDisk(isFailing: (path: string) => boolean = () => false): Disk & { reads: number } {
  const disk = createDisk()
  const watched = {
    ...disk,
    reads: 0,
    async openRead(path: string) {
      const file = await disk.openRead(path)
      return {
        ...file,
        read(into: Uint8Array, position: number) {
          watched.reads++
          return isFailing(path) ? Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })) : file.read(into, position)
        },
      }
    },
  }
  return watched
}

async function expectWhole({ store, model }: Scene): Promise<void> {
  for (const image of model.images.values()) expect([image.name, await readOutcome(store, image)]).toEqual([image.name, 'whole'])
}

describe('a read', () => {
  test.each([
    ['that the index lost', hideSlices],
    ['that the index lost in part', (state: string) => hideSlices(state, '8')],
    ['that the index has elsewhere', misplaceSlices],
    ['that lie in damaged blocks of the index', damageBlocks],
  ])('of slices %s returns them, and the index is rebuilt meanwhile', async (_, damage) => {
    await using scene = await openScene()
    expect(damage(scene.state)).toBeGreaterThan(0)
    await expectWhole(scene)
    await until('the index is whole again', () => scene.reported.includes('rebuilt'))
    expect(scene.reported).toEqual(['damaged', 'rebuilt'])
    expect(scene.store.stats()).toMatchObject({ rebuilding: null, slices: scene.model.live().size })
    expect(scene.store.quarantined()).toEqual([])
    expect(await scene.store.scrub(SCRUB)).toMatchObject(CLEAN)
    await expectWhole(scene)
  })

  test('of thousands of slices that the index lost searches the packs once', async () => {
    const disk = createWatchedDisk()
    await using scene = await openScene({ disk })
    const large = await scene.model.add(scene.store, 'large', noiseBlocks(9, 40_000))
    expect(digestsOf(large.manifest).length).toBeGreaterThan(5000)
    const before = disk.reads
    await readBack(scene.store, large.manifest)
    const whole = disk.reads - before
    hideSlices(scene.state)
    await readBack(scene.store, large.manifest)
    await until('the index is whole again', () => scene.reported.includes('rebuilt'))
    // The search and the rebuild read trailer and table of each pack; each slice that is found is verified.
    const { packs, slices } = scene.store.stats()
    expect(disk.reads - before - whole).toBeLessThan(whole + 4 * packs + slices + 100)
  }, 30_000)

  test('of slices that no pack has fails each time, and searches for them once', async () => {
    const disk = createWatchedDisk()
    await using scene = await openScene({ disk })
    const { manifest } = await encodeManifest([{ length: 512, digest: createRandom(77).bytes(32) }])
    await expect(readBack(scene.store, manifest)).rejects.toThrow('no pack has the slice')
    const before = disk.reads
    for (let i = 0; i < 5; i++) await expect(readBack(scene.store, manifest)).rejects.toThrow('no pack has the slice')
    expect(disk.reads).toBe(before)
    expect(scene.reported).toEqual([])
  })

  test('of slices for another store finds what the index lost', async () => {
    await using scene = await openScene()
    hideSlices(scene.state)
    const digests = digestsOf(scene.images[0]!.manifest).map((digest) => new Uint8Array(Buffer.from(digest, 'hex')))
    let frames = 0
    for await (const frame of scene.store.readStored(digests)) expect(Buffer.from(frame.digest).equals(Buffer.from(digests[frames++] ?? []))).toBe(true)
    expect(frames).toBe(digests.length)
  })

  test('continues when the index cannot be rebuilt, and a later scrub rebuilds it', async () => {
    await using scene = await openScene()
    const inTheWay = scene.folder.file('state', 'index.db.next')
    await mkdir(inTheWay)
    hideSlices(scene.state)
    await expectWhole(scene)
    expect(scene.store.stats().rebuilding).not.toBeNull()
    expect((await scene.store.scrub(SCRUB)).faults.join(' ')).toContain('cannot be rebuilt')
    await rmdir(inTheWay)
    expect((await scene.store.scrub(SCRUB)).faults.join(' ')).toContain('was rebuilt from the packs')
    expect(await scene.store.scrub(SCRUB)).toMatchObject(CLEAN)
    expect(scene.store.stats().rebuilding).toBeNull()
  })
})

describe('a rebuild of the index', () => {
  test('continues at the next start when the store is closed during it', async () => {
    for (const reads of [1, 5, 20]) {
      await using scene = await openScene()
      hideSlices(scene.state)
      for (const image of scene.images.slice(0, reads % 4)) await readOutcome(scene.store, image)
      await scene.store[Symbol.asyncDispose]()
      await using store = await openStore({ folder: scene.folder.path, roots: [scene.model], packSealBytes: 1000 })
      await expectWhole({ ...scene, store })
      await store.scrub(SCRUB)
      expect(await store.scrub(SCRUB)).toMatchObject(CLEAN)
    }
  })

  test('loses nothing of uploads, deletions and reads in parallel', async () => {
    await using scene = await openScene({}, 400)
    for (let round = 0; round < 4; round++) {
      hideSlices(scene.state, '48c'[round] ?? 'g')
      scene.model.remove(`image ${round - 1}`)
      await Promise.all([
        scene.model.add(scene.store, `new ${round}`, noiseBlocks(100 + round, 300)),
        scene.model.add(scene.store, `again ${round}`, noiseBlocks(round % 3, 400)),
        expectWhole(scene),
        scene.store.gc({ dryRun: false }),
      ])
      await expectWhole(scene)
    }
    await scene.store.scrub(SCRUB)
    expect(await scene.store.scrub(SCRUB)).toMatchObject(CLEAN)
    await expectWhole(scene)
  }, 30_000)

  test('does not bring back a quarantined record', async () => {
    await using scene = await openScene()
    const [image] = scene.images
    if (!image) throw new Error('an image is needed')
    const [pack = ''] = await filesBelow(scene.folder.file('mount'), '.pack')
    const bytes = Buffer.from(await Bun.file(pack).arrayBuffer())
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await Bun.write(pack, bytes)
    const { corrupt } = await scene.store.scrub(SCRUB)
    expect(corrupt).toHaveLength(1)
    hideSlices(scene.state, '8')
    const { missing } = await scene.store.scrub(SCRUB)
    expect(missing.map(({ digest }) => digest)).toEqual(corrupt.map(({ digest }) => digest))
    expect(scene.store.quarantined()).toHaveLength(1)
  })
})

describe('gc over slices that the index lost', () => {
  test('keeps one that is only pinned', async () => {
    await using scene = await openScene()
    const { store, model, images } = scene
    const bytes = images[0]?.bytes ?? Buffer.alloc(0)
    model.images.clear()
    // Found by deduplication, and named by nothing durable yet.
    await using ingest = store.ingest({ offset: 0, tail: new Uint8Array(0) })
    await writeAll(ingest, bytes)
    const checkpoint = await ingest.finish()
    hideSlices(scene.state)
    await store.gc({ dryRun: false })
    const { manifest } = await encodeManifest(checkpoint.entries)
    expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
    model.images.set('image', { name: 'image', bytes, manifest })
    checkpoint.release()
    await store.gc({ dryRun: false })
    await expectWhole(scene)
  })

  test('keeps them when their pack cannot be read at the time', async () => {
    let isSwept = false
    let failing = ''
    const disk = createWatchedDisk((path) => path === failing && !isSwept)
    await using scene = await openScene({
      disk,
      crashPoint(name) {
        if (name === 'gc:swept') isSwept = true
      },
    })
    for (const pack of await filesBelow(scene.folder.file('mount'), '.pack')) {
      isSwept = false
      failing = pack
      hideSlices(scene.state)
      await scene.store.gc({ dryRun: false }).catch(() => {})
      failing = ''
      await expectWhole(scene)
      await scene.store.scrub(SCRUB)
    }
    expect(await scene.store.scrub(SCRUB)).toMatchObject(CLEAN)
  })

  test('counts what is live once the index is intact, and removes what is dead', async () => {
    await using scene = await openScene()
    scene.model.remove('image 1')
    hideSlices(scene.state, '8')
    const report = await scene.store.gc({ dryRun: false })
    expect(report.slicesLive).toBe(scene.model.live().size)
    expect(scene.store.stats().slices).toBe(scene.model.live().size)
    await expectWhole(scene)
    expect(await scene.store.scrub(SCRUB)).toMatchObject(CLEAN)
  })
})

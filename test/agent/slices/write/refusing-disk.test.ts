// The slice store on a disk that refuses writes: what was acknowledged stays, what was not is forgotten everywhere, and once the disk accepts
// writes again the store works without being reopened.

import { describe, expect, test } from 'bun:test'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import { StoreWriteFailed } from '../../../../agent/contract/slices.ts'
import type { OpenSliceStore } from '../../../../agent/slices/store.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import type { Fault } from '../../../support/machine/fault-gate.ts'
import type { FaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createRandom } from '../../../support/properties.ts'
import { createSliceModel, filesBelow, folderBytes, openStore, readBack, noiseBlocks } from '../../../support/images/slice-model.ts'
import type { SliceModel } from '../../../support/images/slice-model.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

interface Scene extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly disk: FaultyDisk
  readonly model: SliceModel
  readonly store: OpenSliceStore
  /** Expects that every image of the model is intact, scrub finds nothing, and a gc leaves exactly the slices they need. */
  expectWhole(): Promise<void>
}

async function openScene(packSealBytes = 1024 * 1024): Promise<Scene> {
  const folder = await createTemporaryFolder()
  await createDisk().makeFolder(folder.file('mount'))
  const disk = await createFaultyDisk(folder.file('mount'))
  const model = createSliceModel()
  const store = await openStore({ folder: folder.path, disk, roots: [model], packSealBytes })
  await model.add(store, 'before', noiseBlocks(1, 60))
  return {
    folder,
    disk,
    model,
    store,
    async expectWhole() {
      for (const { bytes, manifest } of model.images.values()) expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
      expect(await store.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], faults: [], damagedRoots: [] })
      await store.gc({ dryRun: false })
      expect(store.stats().slices).toBe(model.live().size)
    },
    async [Symbol.asyncDispose]() {
      disk.clearFault()
      await store[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('a disk that refuses', () => {
  for (const fault of ['ENOSPC', 'EIO', 'short', 'torn', 'late'] satisfies Fault[]) {
    test(`with ${fault} ends the ingest with its cause, keeps what was acknowledged, and accepts the next one once it works again`, async () => {
      await using scene = await openScene()
      const { disk, model, store } = scene
      // First the write of the records fails, then their fsync.
      for (let at = 1; at <= 2; at++) {
        disk.plan({ at, fault, lasting: true })
        const failure = await model.add(store, 'during', noiseBlocks(20 + at, 60)).catch((error: unknown) => error)
        expect(failure).toBeInstanceOf(StoreWriteFailed)
        expect(failure).toMatchObject({ cause: { code: fault === 'ENOSPC' || fault === 'short' ? 'ENOSPC' : 'EIO' } })
        for (const { bytes, manifest } of model.images.values()) {
          disk.clearFault()
          expect((await readBack(store, manifest)).equals(bytes)).toBe(true)
        }
        await model.add(store, `after ${at}`, noiseBlocks(10 + at, 60))
        await model.add(store, `again ${at}`, noiseBlocks(20 + at, 60))
        await scene.expectWhole()
      }
    })
  }

  test('fails every ingest that had unsynced slices, and no other', async () => {
    await using scene = await openScene()
    const { disk, store } = scene
    const start = { offset: 0, tail: new Uint8Array(0) }
    await using first = store.ingest(start)
    await using second = store.ingest(start)
    await first.write(noiseBlocks(3, 100))
    await second.write(noiseBlocks(4, 100))
    const kept = await first.checkpoint()
    await first.write(noiseBlocks(5, 100))
    disk.plan({ at: 1, fault: 'EIO', lasting: true })
    const outcomes = await Promise.allSettled([first.checkpoint(), second.checkpoint()])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    disk.clearFault()
    await expect(first.write(noiseBlocks(6, 10))).rejects.toBeInstanceOf(StoreWriteFailed)
    const { manifest } = await encodeManifest(kept.entries)
    expect((await readBack(store, manifest)).equals(noiseBlocks(3, 100).subarray(0, manifest.imageLength))).toBe(true)
    kept.release()
    await using third = store.ingest(start)
    await third.write(noiseBlocks(7, 100))
    const { entries, release } = await third.finish()
    const whole: ManifestEntry[] = [...entries]
    expect((await readBack(store, (await encodeManifest(whole)).manifest)).equals(noiseBlocks(7, 100))).toBe(true)
    release()
  })

  test('stores the slices of a failed write again when another ingest brings them', async () => {
    await using scene = await openScene()
    const { disk, model, store } = scene
    disk.plan({ at: 3, fault: 'EIO' })
    for (let i = 0; i < 4; i++) {
      await model.add(store, 'same', noiseBlocks(8, 60)).catch(() => {})
      disk.plan({ at: 3 + i, fault: 'EIO' })
    }
    disk.clearFault()
    await model.add(store, 'same', noiseBlocks(8, 60))
    await disk.losePower(createRandom(5))
    await store[Symbol.asyncDispose]()
    disk.revive()
    await using again = await openStore({ folder: scene.folder.path, disk, roots: [model] })
    for (const { bytes, manifest } of model.images.values()) expect((await readBack(again, manifest)).equals(bytes)).toBe(true)
  })
})

describe('a full disk', () => {
  test('can be cleaned', async () => {
    await using scene = await openScene(64 * 1024)
    const { disk, model, store, folder } = scene
    for (let i = 0; i < 6; i++) await model.add(store, `image ${i}`, noiseBlocks(20 + i, 150))
    disk.plan({ at: 1, fault: 'ENOSPC', lasting: true })
    await model.add(store, 'too much', noiseBlocks(30, 100)).catch(() => {})
    for (let i = 0; i < 5; i++) model.remove(`image ${i}`)
    const before = await folderBytes(folder.file('mount', 'packs'))
    const report = await store.gc({ dryRun: false })
    expect(report.freedBytes).toBe(before - (await folderBytes(folder.file('mount', 'packs'))))
    expect(report.packsRemoved).toBeGreaterThan(3)
    disk.clearFault()
    await scene.expectWhole()
    await model.add(store, 'now', noiseBlocks(30, 100))
    await scene.expectWhole()
  })

  test('keeps no packs that failed writes created', async () => {
    await using scene = await openScene()
    const { disk, model, store, folder } = scene
    for (let i = 0; i < 10; i++) {
      disk.plan({ at: 1 + (i % 5), fault: 'ENOSPC', lasting: true })
      await model.add(store, 'never', noiseBlocks(40 + i, 60)).catch(() => {})
      disk.clearFault()
      await model.add(store, `image ${i}`, noiseBlocks(60 + i, 10))
    }
    await store.gc({ dryRun: false })
    const { packs } = store.stats()
    expect(packs).toBeLessThan(12)
    expect(await filesBelow(folder.file('mount', 'packs'), '.pack')).toHaveLength(packs)
    await scene.expectWhole()
  })
})

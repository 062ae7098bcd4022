// When the snapshot of the catalogue is written: after 500 changes, looked for once a minute, one at a time.

import { expect, test } from 'bun:test'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createCatalogueSnapshot } from '../../../agent/images/catalogue-snapshot.ts'
import { createManifestFiles } from '../../../agent/images/manifests/manifest-files.ts'
import { newLife } from '../../../agent/images/records/image-file.ts'
import { createImageKeeper } from '../../../agent/images/records/image-keeper.ts'
import { createImageTable } from '../../../agent/images/records/image-table.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { until } from '../../support/until.ts'

/** A snapshot of a catalogue whose images have no files, so that it is written quickly. */
async function openScene(disk: Disk = createDisk()) {
  const folder = await createTemporaryFolder()
  const clock = createManualClock()
  const log = createMemoryLog()
  const table = createImageTable()
  const keeper = createImageKeeper({ disk, folder: folder.file('images'), table, nowMs: clock.nowMs, ledger: { append: async () => {} } })
  const manifests = createManifestFiles({
    disk,
    folder: folder.file('images'),
    name: 'manifest',
    pause: async () => {},
    onDamaged: async (_id, error) => error,
  })
  const snapshot = createCatalogueSnapshot({ disk, clock, log, path: folder.file('snapshot'), keeper, manifests })
  const written = (): number => log.lines.filter(({ message }) => message === 'the snapshot of the catalogue was written').length
  return {
    clock,
    log,
    snapshot,
    written,
    change(times: number): void {
      for (let i = 0; i < times; i++) table.put({ image: memoryImage({ id: 'img_1', description: String(i) }), life: newLife() })
    },
    /** Lets time pass, and waits until this many snapshots were written in all. */
    async pass(ms: number, count: number): Promise<void> {
      clock.advance(ms)
      await until(`${count} snapshots were written`, () => written() >= count)
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect(written()).toBe(count)
    },
    async [Symbol.asyncDispose]() {
      await snapshot[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('it is written a minute after the 500th change, and again after 500 more', async () => {
  await using scene = await openScene()
  scene.snapshot.start(0)
  scene.change(499)
  await scene.pass(60_000, 0)
  scene.change(1)
  await scene.pass(59_999, 0)
  await scene.pass(1, 1)
  scene.change(499)
  await scene.pass(60_000, 1)
  scene.change(1)
  await scene.pass(60_000, 2)
})

test.each([
  [499, 0],
  [500, 1],
])('%i images that a start read from their files count as changes: %i snapshots', async (changes, count) => {
  await using scene = await openScene()
  scene.change(1000)
  scene.snapshot.start(changes)
  await scene.pass(60_000, count)
})

test('it is written once at a time, and not after the catalogue is closed', async () => {
  const real = createDisk()
  const gate = Promise.withResolvers<void>()
  let begun = 0
  const openWrite: Disk['openWrite'] = async (path, mode) => {
    begun++
    await gate.promise
    return real.openWrite(path, mode)
  }
  await using scene = await openScene({ ...real, openWrite })
  scene.snapshot.start(0)
  scene.change(500)
  await scene.pass(60_000, 0)
  scene.change(500)
  await scene.pass(60_000, 0)
  await until('the first one has begun', () => begun > 0)
  let isClosed = false
  const closed = scene.snapshot[Symbol.asyncDispose]().then(() => (isClosed = true))
  await scene.pass(0, 0)
  expect(isClosed).toBe(false)
  gate.resolve()
  await closed
  scene.change(500)
  await scene.pass(60_000, 0)
  expect(begun).toBe(1)
})

test('after a disk error it is tried again a minute later', async () => {
  const real = createDisk()
  let isBroken = true
  const openWrite: Disk['openWrite'] = (path, mode) => (isBroken ? Promise.reject(new Error('EIO')) : real.openWrite(path, mode))
  await using scene = await openScene({ ...real, openWrite })
  scene.snapshot.start(0)
  scene.change(500)
  await scene.pass(60_000, 0)
  await until('it has failed', () => scene.log.lines.some(({ message }) => message === 'the snapshot of the catalogue could not be written'))
  isBroken = false
  await scene.pass(60_000, 1)
})

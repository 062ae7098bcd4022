// Inspections and digests in the background: how many run at a time, what a failure of the disk or a damaged slice does, and what closing waits for.

import { expect, test } from 'bun:test'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { until } from '../../support/until.ts'

/** A disk that cannot read manifests while `isFailing`. */
function createFlakyDisk(): Disk & { isFailing: boolean } {
  const real = createDisk()
  const disk = {
    ...real,
    isFailing: true,
    async openRead(path: string) {
      if (disk.isFailing && path.endsWith('/manifest')) throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
      return real.openRead(path)
    },
  }
  return disk
}

async function openScene(folder: Awaited<ReturnType<typeof createTemporaryFolder>>) {
  const clock = createManualClock()
  const disk = createFlakyDisk()
  const store = await openImageStore(folder, { clock, disk })
  const attempts = (): number => store.log.lines.filter(({ message }) => message === 'an image could not be inspected').length
  const { id } = await store.publish(seededBytes(5000, 1), { name: 'one' })
  /** Waits for attempts and lets half a minute pass after each but the last. */
  const failUpTo = async (last: number): Promise<void> => {
    for (let attempt = 1; attempt <= last; attempt++) {
      await until(`attempt ${attempt}`, () => attempts() === attempt)
      if (attempt === last) return
      await clock.untilSleeping(1)
      clock.advance(29_999)
      await Bun.sleep(1)
      expect(attempts()).toBe(attempt)
      clock.advance(1)
    }
  }
  return { clock, disk, store, id, failUpTo }
}

test('an inspection that fails is tried again after half a minute, and says so meanwhile', async () => {
  await using folder = await createTemporaryFolder()
  const { clock, disk, store, id, failUpTo } = await openScene(folder)
  await using _store = store
  await failUpTo(2)
  const [shown] = store.catalogue.list({}, {}).items
  expect(shown).toMatchObject({ id, status: 'creating' })
  expect(shown?.statusReason).toStartWith('Attempt 2 of its inspection failed at 2026-01-01T00:00:30.000Z: EIO: i/o error, read. It is tried again by itself')
  disk.isFailing = false
  await clock.untilSleeping(1)
  clock.advance(30_000)
  await store.catalogue.settled()
  expect(store.catalogue.find(id)).toMatchObject({ status: 'available', statusReason: null })
})

test('an image whose inspection failed ten times is an error that can be restored', async () => {
  await using folder = await createTemporaryFolder()
  const { disk, store, id, failUpTo } = await openScene(folder)
  await using _store = store
  await failUpTo(10)
  await store.catalogue.settled()
  expect(store.catalogue.find(id)).toMatchObject({
    status: 'error',
    statusReason: 'The inspection failed: EIO: i/o error, read. Check the mount path, then restore the image to inspect it again.',
  })
  expect(store.events.map(({ type }) => type)).toEqual(['image.created', 'image.failed'])
  disk.isFailing = false
  await store.catalogue.restore(id, 'test')
  await store.catalogue.settled()
  expect(store.catalogue.find(id)).toMatchObject({ status: 'available' })
})

/** A disk that reads a manifest only once its gate is open. */
function createGatedDisk() {
  const real = createDisk()
  const gate = Promise.withResolvers<void>()
  const reading = new Set<string>()
  const disk: Disk = {
    ...real,
    async openRead(path) {
      if (path.endsWith('/manifest')) {
        reading.add(path)
        await gate.promise
      }
      return real.openRead(path)
    },
  }
  return { disk, reading, open: () => gate.resolve() }
}

test('two images are inspected at a time, others wait, and closing waits for those that are being inspected', async () => {
  await using folder = await createTemporaryFolder()
  const { disk, reading, open } = createGatedDisk()
  const store = await openImageStore(folder, { disk })
  for (let i = 1; i <= 4; i++) await store.publish(seededBytes(5000, i), { name: `image-${i}` })
  await until('two are inspected', () => reading.size === 2)
  await Bun.sleep(20)
  expect(reading.size).toBe(2)
  let isClosed = false
  const closed = store[Symbol.asyncDispose]().then(() => (isClosed = true))
  await Bun.sleep(20)
  expect(isClosed).toBe(false)
  open()
  await closed
  expect(reading.size).toBe(2)
})

test('the digest of one image is computed at a time, once no body arrives any more', async () => {
  await using folder = await createTemporaryFolder()
  const flaky = createFlakyDisk()
  flaky.isFailing = false
  let quietMs = 0
  await using store = await openImageStore(folder, { disk: flaky, quietMs: () => quietMs })
  const ids: string[] = []
  for (let i = 1; i <= 3; i++) ids.push((await store.publish(seededBytes(5000, i), { name: `image-${i}` })).id)
  await until('all are available', () => ids.every((id) => store.catalogue.need(id).status === 'available'))
  expect(ids.map((id) => store.catalogue.need(id).digest)).toEqual([null, null, null])
  const works = (): string[] => [...store.catalogue.liveTasks.list()].map(({ kind, state }) => `${kind} ${state}`)
  await until('one digest runs', () => works().includes('digest running'))
  expect(works()).toEqual(['digest running', 'digest queued', 'digest queued'])
  quietMs = 250
  await store.catalogue.settled()
  expect(ids.every((id) => store.catalogue.need(id).digest?.startsWith('sha256:'))).toBe(true)
  expect(works()).toEqual([])
})

test('a digest that the disk prevents is logged with its image, which keeps its content', async () => {
  await using folder = await createTemporaryFolder()
  const real = createDisk()
  let isFull = false
  const disk: Disk = {
    ...real,
    async writeFileAtomic(path, bytes) {
      if (isFull && path.endsWith('/image.json')) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      await real.writeFileAtomic(path, bytes)
    },
  }
  let quietMs = 0
  await using store = await openImageStore(folder, { disk, quietMs: () => quietMs })
  const { id } = await store.publish(seededBytes(5000, 1), { name: 'one' })
  await until('it is available', () => store.catalogue.need(id).status === 'available')
  isFull = true
  quietMs = 250
  await store.catalogue.settled()
  expect(store.log.lines.filter(({ message }) => message === 'work on an image failed').map(({ fields }) => fields['image'])).toEqual([id])
  expect(store.catalogue.need(id)).toMatchObject({ status: 'available', digest: null })
  expect(await store.read(id)).toEqual(Buffer.from(seededBytes(5000, 1)))
})

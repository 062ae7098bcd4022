// Inspections that fail for a reason of the disk: they are tried again, ten times in all.

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

// Prune with concurrent changes: the plan is checked again under the lock of each image.

import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('a prune skips images that were restored or deleted again after it was planned', async () => {
  await using folder = await createTemporaryFolder()
  const clock = createManualClock()
  let whileRemoving = async (): Promise<void> => {}
  const real = createDisk()
  const disk: Disk = {
    ...real,
    async removeTree(path) {
      await whileRemoving()
      return real.removeTree(path)
    },
  }
  await using store = await openImageStore(folder, { clock, disk, retention: { deletion: 'delayed', retentionMs: 60_000 } })
  const images = [await store.add(seededBytes(1000, 1)), await store.add(seededBytes(1000, 2)), await store.add(seededBytes(1000, 3))]
  for (const { id } of images) await store.catalogue.delete(id, 'test')
  clock.advance(60_000)
  const planned = (await store.catalogue.prune({ dryRun: true })).purged.map(({ id }) => id)
  const [first = '', restored = '', deletedAgain = ''] = planned
  expect(planned).toHaveLength(3)
  // The other images change after the plan is made, while its first image is being removed.
  whileRemoving = async () => {
    whileRemoving = async () => {}
    await store.catalogue.restore(restored, 'test')
    await store.catalogue.restore(deletedAgain, 'test')
    await store.catalogue.delete(deletedAgain, 'test')
  }
  const { purged, failed } = await store.catalogue.prune({ dryRun: false })
  expect([purged.map(({ id }) => id), failed]).toEqual([[first], []])
  expect(store.catalogue.find(first)).toBeUndefined()
  expect(store.catalogue.need(restored).status).toBe('available')
  expect(store.catalogue.need(deletedAgain).status).toBe('deleted')
  expect(await store.read(restored)).toHaveLength(1000)
})

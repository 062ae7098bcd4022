// Sync from a store while its images are deleted: the store stops sending a deleted image, and other images are not affected.

import { expect, test } from 'bun:test'
import { problemCode } from '../../../protocol/problems.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createSpace } from '../../../agent/system/space.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { createTwoFolders, openSyncTarget } from '../../support/agents/sync-target.ts'

test('copying an image stops when it is deleted at the source, and succeeds once it is restored there', async () => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  const space = createSpace({ disk: createDisk(), clock: systemClock, mount: folders.target.path, reservedBytes: () => 0 })
  let batches = 0
  let deleting: Promise<unknown> | undefined
  await using target = await openSyncTarget(folders.target, {
    space: {
      ...space,
      // Called before each batch: the image is deleted at the source after the first two batches.
      async isBelowReserve() {
        if (++batches > 2) await (deleting ??= source.catalogue.delete(image.id, 'admin'))
        return space.isBelowReserve()
      },
    },
  })
  const shared = seededBytes(4_000_000, 1)
  const bytes = Buffer.concat([shared, seededBytes(70_000_000, 2)])
  const kept = await source.add(shared, { name: 'kept' })
  const image = await source.add(bytes, { name: 'deleted' })
  const task = await target.pull(server.url, [image.id])
  expect(task.error && problemCode(task.error)).toBe('not-found')
  expect(target.store.catalogue.find(image.id)).toBeUndefined()
  // Other images can be copied, even if they share slices with it.
  expect((await target.pull(server.url, [kept.id])).state).toBe('succeeded')
  expect((await target.store.read(kept.id)).equals(shared)).toBe(true)
  await source.catalogue.restore(image.id, 'admin')
  expect((await target.pull(server.url, [image.id])).state).toBe('succeeded')
  expect((await target.store.read(image.id)).equals(bytes)).toBe(true)
}, 60_000)

// Sync from a store in which images are deleted meanwhile: nothing of a deleted image leaves it, and everything else goes on.

import { expect, test } from 'bun:test'
import { problemCode } from '../../../protocol/problems.ts'
import { createCuttingProxy } from '../../support/cutting-proxy.ts'
import { openImageStore, seededBytes } from '../../support/image-store.ts'
import { serveImages } from '../../support/image-server.ts'
import { createTwoFolders, HURRIED, openSyncTarget } from '../../support/sync-target.ts'

test('an image that is deleted at the source while it is copied comes no further, and whole once it is restored there', async () => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  await using proxy = await createCuttingProxy(server.port)
  await using target = await openSyncTarget(folders.target, { clock: HURRIED })
  const shared = seededBytes(4_000_000, 1)
  const bytes = Buffer.concat([shared, seededBytes(30_000_000, 2)])
  const kept = await source.add(shared, { name: 'kept' })
  const image = await source.add(bytes, { name: 'deleted' })
  // The lanes ask again after this, when the image is deleted already.
  proxy.setFaults({ cutAfter: 8_000_000, direction: 'down' }, 1)
  const deleting = (async () => {
    while (proxy.cuts < 1) await Bun.sleep(1)
    await source.catalogue.delete(image.id, 'admin')
  })()
  const task = await target.pull(proxy.url, [image.id])
  await deleting
  expect(task.error && problemCode(task.error)).toBe('not-found')
  expect(target.store.catalogue.find(image.id)).toBeUndefined()
  // Others go on, also with slices that they share with it.
  expect((await target.pull(proxy.url, [kept.id])).state).toBe('succeeded')
  expect((await target.store.read(kept.id)).equals(shared)).toBe(true)
  await source.catalogue.restore(image.id, 'admin')
  expect((await target.pull(proxy.url, [image.id])).state).toBe('succeeded')
  expect((await target.store.read(image.id)).equals(bytes)).toBe(true)
}, 30_000)

// The limit on images per owner applies to copied images.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { problemCode } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { createTwoFolders, openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'

setDefaultTimeout(60_000)

const outcome = (task: Task): string => (task.error ? problemCode(task.error) : task.state)

test('a sync that exceeds the limit of the owner is refused before anything is copied, even if it restores from the recycle bin', async () => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  await using target = await openSyncTarget(folders.target, {}, { imagesPerOwnerMax: 1 })
  const first = await source.add(seededBytes(300_000, 1), { owner: 'ann' })
  const second = await source.add(seededBytes(300_000, 2), { owner: 'ann' })

  expect(outcome(await target.pull(server.url, [first.id]))).toBe('succeeded')
  const before = target.store.slices.stats().slices
  const refused = await target.pull(server.url, [second.id])
  expect(outcome(refused)).toBe('limit-reached')
  expect(refused.error?.detail).toContain('owner ann has 1 image')
  expect(target.store.slices.stats().slices).toBe(before)
  // An existing image is not counted twice.
  expect(outcome(await target.pull(server.url, [first.id]))).toBe('succeeded')

  await target.store.catalogue.delete(first.id, 'test')
  expect(outcome(await target.pull(server.url, [second.id]))).toBe('succeeded')
  expect(outcome(await target.pull(server.url, [first.id]))).toBe('limit-reached')
  expect(target.store.catalogue.need(first.id).status).toBe('deleted')
})

test('a sync that exceeds the limit on bytes is refused before anything is copied', async () => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  await using target = await openSyncTarget(folders.target, {}, { bytesPerOwnerMax: 599_999 })
  const first = await source.add(seededBytes(300_000, 1), { owner: 'ann' })
  const second = await source.add(seededBytes(300_000, 2), { owner: 'ann' })
  expect(outcome(await target.pull(server.url, [first.id]))).toBe('succeeded')
  const before = target.store.slices.stats().slices
  expect(outcome(await target.pull(server.url, [second.id]))).toBe('limit-reached')
  expect(target.store.slices.stats().slices).toBe(before)
  expect(outcome(await target.pull(server.url, [first.id]))).toBe('succeeded')
})

test('two concurrent syncs do not exceed the limit', async () => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source, { downloads: 4 })
  await using target = await openSyncTarget(folders.target, {}, { imagesPerOwnerMax: 1 })
  const images = [await source.add(seededBytes(300_000, 1)), await source.add(seededBytes(300_000, 2))]
  const tasks = await Promise.all(images.map(({ id }) => target.pull(server.url, [id])))
  expect(tasks.map(outcome).toSorted()).toEqual(['limit-reached', 'succeeded'])
  expect(target.store.catalogue.list({}, { limit: 10 }).items).toHaveLength(1)
})

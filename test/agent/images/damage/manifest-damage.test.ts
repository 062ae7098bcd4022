// Whether the manifest of an image is whole: its file is read to the end, and the image is marked by what is found.

import { expect, test } from 'bun:test'
import { readFile, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { damage } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test('a manifest is whole until a byte of it changes, and again when it is back', async () => {
  await using folder = await createTemporaryFolder()
  let found = 0
  await using store = await openImageStore(folder, { damaged: () => void found++ })
  const { catalogue } = store
  const { id } = await store.add(seededBytes(200_000, 1), { name: 'one' })
  const path = folder.file('mount', 'images', id, 'manifest')
  const bytes = await readFile(path)
  expect(await catalogue.isWhole(id)).toBe(true)
  await damage(path, 100)
  expect(found).toBe(0)
  expect(await catalogue.isWhole(id)).toBe(false)
  expect(catalogue.need(id).status).toBe('error')
  // Damage that is known already calls for no second repair.
  expect(await catalogue.isWhole(id)).toBe(false)
  expect(found).toBe(1)
  await writeFile(path, bytes)
  expect(await catalogue.isWhole(id)).toBe(true)
  expect(catalogue.need(id).status).toBe('available')
  expect(store.events.map(({ type }) => type)).toEqual(['image.created', 'image.available', 'image.damaged', 'image.recovered'])
})

test('an image that has no manifest, or that does not exist, has no whole one, and nothing is reported', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const { id } = await store.add(gzipSync('content').subarray(0, 15), { name: 'one', decompress: true })
  expect(store.catalogue.byId(id)).toMatchObject({ status: 'error', manifestDigest: null })
  const before = store.events.length
  expect([await store.catalogue.isWhole(id), await store.catalogue.isWhole('img_missing')]).toEqual([false, false])
  expect(store.events).toHaveLength(before)
})

test('an image that is not unpacked yet cannot be read, and is not damaged', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const { id } = await store.publish(gzipSync(seededBytes(100_000, 1)), { name: 'one', decompress: true })
  await expect(store.catalogue.open(id)).rejects.toMatchObject({ code: 'wrong-status', message: 'Image one is not unpacked yet.' })
  await store.catalogue.settled()
  expect(store.catalogue.need(id)).toMatchObject({ status: 'available', length: 100_000 })
  expect(store.events.map(({ type }) => type)).toEqual(['image.created', 'image.available'])
})

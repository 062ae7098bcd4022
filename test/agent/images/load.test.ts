// Loading images at a start: a name that a dying process may have left in the page cache only is made durable before the image is shown.

import { describe, expect, test } from 'bun:test'
import { basename } from 'node:path'
import { readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { Image } from '../../../protocol/images/image.ts'

const SPACE = { totalBytes: 100, freeBytes: 90, reservedBytes: 0, promisedBytes: 0, availableBytes: 90 }

test.each([
  ['that was just written has its folder synced before it is read', 0, true],
  ['that is old is read at once', 86_400_000, false],
])('an image.json %s', async (_what, ageMs, isSynced) => {
  await using folder = await createTemporaryFolder()
  let id = ''
  {
    await using store = await openImageStore(folder)
    id = (await store.add(seededBytes(1000, 1), { name: 'one' })).id
  }
  const path = folder.file('mount', 'images', id, 'image.json')
  const changed = new Date(Date.now() - ageMs)
  await utimes(path, changed, changed)
  const real = createDisk()
  const operations: string[] = []
  const disk: Disk = {
    ...real,
    async syncFolder(synced) {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      await real.syncFolder(synced)
      if (basename(synced) === id) operations.push('synced')
    },
    readFile(read, lengthMax) {
      if (read === path) operations.push('read')
      return real.readFile(read, lengthMax)
    },
  }
  await using store = await openImageStore(folder, { disk })
  expect(store.catalogue.need(id)).toMatchObject({ name: 'one', status: 'available' })
  expect(operations).toEqual(isSynced ? ['synced', 'read'] : ['read'])
})

test('an image.json that is too long for one is kept in quarantine, and the content stays', async () => {
  await using folder = await createTemporaryFolder()
  let image: Image
  {
    await using store = await openImageStore(folder)
    image = await store.add(seededBytes(1000, 1), { name: 'one' })
  }
  const path = folder.file('mount', 'images', image.id, 'image.json')
  await writeFile(path, Buffer.alloc(2 * 1024 * 1024 + 1, ' '))
  await using store = await openImageStore(folder)
  expect(store.catalogue.byId(image.id)).toMatchObject({ status: 'error', length: 1000, manifestDigest: image.manifestDigest })
  expect(store.catalogue.byId(image.id)?.statusReason).toMatch(/^Its image\.json was damaged \(.+\) and is kept as quarantine\/img_\w+\.image\.json\.\d+\. /)
  expect((await readdir(folder.file('mount', 'quarantine'))).filter((name) => name.startsWith(`${image.id}.image.json.`))).toHaveLength(1)
  expect(store.events.map(({ type }) => type)).toEqual(['image.damaged'])
})

describe('an image without image.json', () => {
  test('has the length and digest of its manifest, and says that its content is intact', async () => {
    await using folder = await createTemporaryFolder()
    let image: Image
    {
      await using store = await openImageStore(folder)
      image = await store.add(seededBytes(1000, 1), { name: 'one' })
    }
    await rm(folder.file('mount', 'images', image.id, 'image.json'))
    await using store = await openImageStore(folder)
    expect(store.catalogue.byId(image.id)).toMatchObject({ status: 'error', name: image.id, length: 1000, manifestDigest: image.manifestDigest })
    expect(store.catalogue.byId(image.id)?.statusReason).toBe(
      'Its image.json is missing. Its content is intact: restore the image and set its name again, or delete it.',
    )
  })

  test('that was not unpacked yet has its compressed file, from which it can be restored', async () => {
    await using folder = await createTemporaryFolder()
    const raw = Buffer.alloc(100_000, 'content ')
    const space = { promise: async (_key: string, bytes: number) => bytes === 0, state: async () => SPACE }
    let id = ''
    {
      await using store = await openImageStore(folder, { space })
      id = (await store.add(gzipSync(raw), { name: 'one', decompress: true })).id
    }
    await rm(folder.file('mount', 'images', id, 'image.json'))
    await using store = await openImageStore(folder)
    expect(store.catalogue.byId(id)).toMatchObject({ status: 'error', length: gzipSync(raw).byteLength, manifestDigest: null })
    expect(store.catalogue.byId(id)?.statusReason).toBe(
      'Its image.json is missing. Its compressed file is intact: restore the image to unpack it and set its name again, or delete it.',
    )
    await store.catalogue.restore(id, 'test')
    await store.catalogue.settled()
    expect(store.catalogue.find(id)).toMatchObject({ status: 'available', length: raw.byteLength })
    expect((await store.read(id)).equals(raw)).toBe(true)
  })

  test('whose manifest is damaged too says so', async () => {
    await using folder = await createTemporaryFolder()
    let id = ''
    {
      await using store = await openImageStore(folder)
      id = (await store.add(seededBytes(1000, 1), { name: 'one' })).id
    }
    await rm(folder.file('mount', 'images', id, 'image.json'))
    await writeFile(folder.file('mount', 'images', id, 'manifest'), 'damaged')
    await using store = await openImageStore(folder)
    expect(store.catalogue.byId(id)).toMatchObject({ status: 'error', length: 0, manifestDigest: null })
    expect(store.catalogue.byId(id)?.statusReason).toMatch(/^Its image\.json is missing\. Its manifest is damaged too: .+\. Sync the image again/)
  })
})

// Loading images at a start: a name that a dying process may have left in the page cache only is made durable before the image is shown.

import { expect, test } from 'bun:test'
import { basename } from 'node:path'
import { utimes } from 'node:fs/promises'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

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

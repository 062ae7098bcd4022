// Publishing an image whose folder the disk could not read at the start: whether it was published before is not known.

import { expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { openImageStore } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const ID = 'img_00000000000000000000000000'
const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const

test('is refused until the folder can be read: its upload must not count as published', async () => {
  await using folder = await createTemporaryFolder()
  // What a power cut leaves of a publication: the folder, and no image.json.
  await mkdir(folder.file('mount', 'images', ID), { recursive: true })
  const real = createDisk()
  const disk: Disk = {
    ...real,
    list: (path) => (path.endsWith(ID) ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : real.list(path)),
  }
  await using store = await openImageStore(folder, { disk })
  expect(store.catalogue.find(ID)?.status).toBe('fileUnavailable')
  const image = { id: ID, draft: { name: 'debian', description: '' }, source: SOURCE }
  const content = {
    length: 1,
    async *blocks() {
      yield [{ length: 1, digest: null }]
    },
  }
  const error: unknown = await store.catalogue.publish(image, content).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ProblemError)
  expect(error instanceof ProblemError ? error.code : '').toBe('store-unavailable')
})

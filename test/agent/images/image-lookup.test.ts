// Counts of images: by status, and what they use by kind.

import { expect, test } from 'bun:test'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

test('counts have every image once, and sum what they use by kind', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const nothing = { count: 0, length: 0, storedSize: 0 }
  expect(store.catalogue.counts()).toEqual({ available: 0, deleted: 0, other: 0, damaged: 0, imageBytes: 0, usage: { total: nothing, byKind: {} } })

  // Noise is stored as it is, zeros are not stored at all.
  const [, gone] = [await store.add(seededBytes(5000, 1), { kind: 'template' }), await store.add(seededBytes(3000, 2), { kind: 'template' })]
  await store.add(new Uint8Array(10_000), { kind: 'disk' })
  await store.add(seededBytes(700, 3), { format: 'qcow2', kind: 'disk' })
  await store.catalogue.delete(gone.id, 'test')
  expect(store.catalogue.counts()).toEqual({
    available: 2,
    deleted: 1,
    other: 1,
    damaged: 0,
    imageBytes: 18_700,
    usage: {
      total: { count: 4, length: 18_700, storedSize: 8700 },
      byKind: { template: { count: 2, length: 8000, storedSize: 8000 }, disk: { count: 2, length: 10_700, storedSize: 700 } },
    },
  })
  expect(store.catalogue.counts({ key: 'disks', isSeen: ({ kind }) => kind === 'disk' }).usage.byKind).toEqual({
    disk: { count: 2, length: 10_700, storedSize: 700 },
  })
})

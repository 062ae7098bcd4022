// Images with damaged slices: they are degraded once, say so in one event, and recover when a later scrub finds them intact.

import { expect, test } from 'bun:test'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test('an image is degraded by a damaged slice, once, and recovers', async () => {
  await using folder = await createTemporaryFolder()
  let calls = 0
  await using store = await openImageStore(folder, { damaged: () => void calls++ })
  const { catalogue } = store
  const { id } = await store.add(seededBytes(5000, 1), { name: 'one' })
  const other = await store.add(seededBytes(5000, 2), { name: 'two' })
  const digest = (await manifestOf(catalogue, id)).digestAt(0)
  for (let found = 0; found < 2; found++) {
    catalogue.sliceDamaged(digest, 'its checksum does not match')
    await catalogue.settled()
  }
  expect([catalogue.need(id).status, catalogue.need(other.id).status, calls]).toEqual(['degraded', 'available', 1])
  expect(store.events.filter(({ type }) => type === 'image.degraded')).toEqual([
    {
      type: 'image.degraded',
      severity: 'error',
      subject: id,
      message:
        'Image one is degraded: one of its slices is damaged: its checksum does not match. Sync the image again from a store that has it; only damaged and missing slices are copied.',
    },
  ])
})

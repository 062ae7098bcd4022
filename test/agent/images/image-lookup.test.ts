// Look-ups of images by their content, and counts: by status, and what they use by kind.

import { expect, test } from 'bun:test'
import type { Image } from '../../../protocol/images/image.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

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

test('an image is found by its digest or by that of its manifest, and by nothing that it lacks', async () => {
  await using folder = await createTemporaryFolder()
  // No digest is computed of an image that declares none.
  await using store = await openImageStore(folder, { quietMs: () => 0 })
  const { catalogue } = store
  const bytes = seededBytes(5000, 1)
  const digest = `sha256:${Bun.SHA256.hash(bytes, 'hex')}`
  const { id, manifestDigest } = await store.publish(bytes, { digest })
  await until('the image is available', () => catalogue.need(id).status === 'available')
  const other = await store.publish(seededBytes(6000, 2))
  await until('the other image is available', () => catalogue.need(other.id).status === 'available')
  expect([catalogue.need(id).digest, catalogue.need(other.id).digest]).toEqual([digest, null])
  const idOf = (content: { readonly manifestDigest: string | null; readonly digest: string | null }): string | undefined => catalogue.withContent(content)?.id
  expect(idOf({ manifestDigest: null, digest })).toBe(id)
  expect(idOf({ manifestDigest, digest: null })).toBe(id)
  expect(idOf({ manifestDigest: other.manifestDigest, digest: null })).toBe(other.id)
  expect(idOf({ manifestDigest: null, digest: null })).toBeUndefined()
  expect(idOf({ manifestDigest: digest, digest: manifestDigest })).toBeUndefined()
  expect(catalogue.withDigest(digest).map((image) => image.id)).toEqual([id])
  expect(catalogue.withDigest(manifestDigest ?? '').map((image) => image.id)).toEqual([id])
  await catalogue.delete(id, 'test')
  expect(idOf({ manifestDigest, digest })).toBeUndefined()
  expect(catalogue.withDigest(digest)).toEqual([])
})

test('a digest that another store has reported finds the image only once it is computed here', async () => {
  await using from = await createTemporaryFolder()
  await using to = await createTemporaryFolder()
  await using source = await openImageStore(from)
  const bytes = seededBytes(5000, 1)
  const image: Image = await source.add(bytes)
  let isQuiet = false
  await using target = await openImageStore(to, { quietMs: () => (isQuiet ? Number.POSITIVE_INFINITY : 0) })
  await target.publish(bytes)
  {
    using content = await source.catalogue.open(image.id)
    await target.catalogue.adopt(image, content.manifest)
  }
  await until('the copy is available', () => target.catalogue.need(image.id).status === 'available')
  const found = (digest: string | null): boolean => target.catalogue.withDigest(digest ?? '').some(({ id }) => id === image.id)
  expect([found(image.digest), found(image.manifestDigest)]).toEqual([false, true])
  isQuiet = true
  await target.catalogue.settled()
  expect([found(image.digest), found(image.manifestDigest)]).toEqual([true, true])
})

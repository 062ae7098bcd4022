// Versions of the protocol between stores: an agent of version 1 as a source and as a target, and a source that speaks only newer versions.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { negotiateVersion, syncResultSchema } from '../../../protocol/sync/sync.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { openSyncTarget } from '../../support/agents/sync-target.ts'
import { startVersion1Source, VERSION_1_IMAGE } from '../../support/agents/version-1/source.ts'
import { pullVersion1 } from '../../support/agents/version-1/target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

const sha256 = (bytes: Uint8Array): string => new Bun.CryptoHasher('sha256').update(bytes).digest('hex')

test.each([
  [undefined, 1],
  [[1], 1],
  [[1, 2], 2],
  [[2, 3, 4], 2],
  [[3, 1], 1],
  [[3, 4], undefined],
] as const)('a store that announces %j is asked in version %p', (announced, version) => {
  expect(negotiateVersion(announced)).toBe(version)
})

test.each([[undefined], [[1]]] as const)('an image is copied from an agent of version 1 that announces %j', async (announced) => {
  await using folder = await createTemporaryFolder()
  await using target = await openSyncTarget(folder)
  await using source = startVersion1Source(announced ? { announced } : {})
  const task = await target.pull(source.url, ['debian'])
  expect(syncResultSchema.parse(task.result)).toMatchObject({ images: [{ id: VERSION_1_IMAGE.id, name: 'debian', outcome: 'copied' }] })
  expect(sha256(await target.store.read(VERSION_1_IMAGE.id))).toBe(VERSION_1_IMAGE.sha256)
  expect(source.requests).toEqual(['GET /v1/store', 'GET /v1/images/debian', `GET /v1/images/${VERSION_1_IMAGE.id}/manifest`, 'POST /v1/slices/fetch'])
})

test('slices that one agent of version 1 lacks come from another one', async () => {
  await using folder = await createTemporaryFolder()
  await using target = await openSyncTarget(folder)
  await using first = startVersion1Source({ lacks: [0, 2] })
  await using second = startVersion1Source({ lacks: [1, 3] })
  const order = { sources: [first, second].map(({ url }) => ({ url, token: 'viewer' })), images: ['debian'] }
  const task = await target.tasks.ended((await target.sync.start(order, 'test')).id)
  expect(task.error).toBeUndefined()
  expect(sha256(await target.store.read(VERSION_1_IMAGE.id))).toBe(VERSION_1_IMAGE.sha256)
  expect(syncResultSchema.parse(task.result).sources).toMatchObject([{ fault: null }, { slicesMoved: 2, fault: null }])
})

test('a slice that the only source lacks fails the sync', async () => {
  await using folder = await createTemporaryFolder()
  await using target = await openSyncTarget(folder)
  await using source = startVersion1Source({ lacks: [1] })
  const { error } = await target.pull(source.url, ['debian'])
  expect(error).toMatchObject({ type: 'urn:slipway:problem:not-found', detail: 'No source of the sync has 1 of the slices that are missing here.' })
})

test('a source that speaks only newer versions is refused', async () => {
  await using folder = await createTemporaryFolder()
  await using target = await openSyncTarget(folder)
  await using source = startVersion1Source({ announced: [3, 4] })
  const { error } = await target.pull(source.url, ['debian'])
  expect(error).toMatchObject({
    type: 'urn:slipway:problem:protocol-unsupported',
    detail: `${source.url} speaks version 3, 4 of the protocol between stores, this store 1 and 2.`,
    spoken: [3, 4],
    supported: [1, 2],
  })
  expect(source.requests).toEqual(['GET /v1/store'])
  expect(target.store.catalogue.list({}, { limit: 10 }).items).toEqual([])
})

test('an agent of version 1 copies an image from this agent', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const bytes = Buffer.concat([Buffer.from(seededBytes(700_000, 1)), Buffer.alloc(200_704), Buffer.alloc(100_000, 'slipway ')])
  await store.add(bytes, { name: 'debian' })
  await using server = await serveImages(store)
  expect((await pullVersion1(server.url, 'viewer', 'debian')).equals(bytes)).toBe(true)
})

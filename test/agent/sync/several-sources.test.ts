// Syncs from several sources: a source that fails or lacks slices is replaced by another one, and the result names it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { SyncResult } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import { createSpace } from '../../../agent/system/space.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { openLyingPeer } from '../../support/agents/lying-peer.ts'
import type { Lie } from '../../support/agents/lying-peer.ts'
import { IMMEDIATE_CLOCK, openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { manifestOf } from '../../support/images/whole-manifest.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

const BYTES = Buffer.from(seededBytes(4_000_000, 1))

async function setUp() {
  const own = new AsyncDisposableStack()
  const first = own.use(await openImageStore(own.use(await createTemporaryFolder())))
  const second = own.use(await openImageStore(own.use(await createTemporaryFolder())))
  const target = own.use(await openSyncTarget(own.use(await createTemporaryFolder()), { pace: { rateWindowMs: 200, bytesPerSecondMin: 1000 } }))
  const pull = async (urls: readonly string[], images: string[]): Promise<Task> => {
    const { id } = await target.sync.start({ sources: urls.map((url) => ({ url, token: 'viewer' })), images }, 'test')
    return target.tasks.ended(id)
  }
  return { first, second, target, pull, own, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

function resultOf(task: Task): SyncResult {
  expect(task.error).toBeUndefined()
  return syncResultSchema.parse(task.result)
}

test('what a source does not deliver comes from another one, also from one that has the slices but not the image', async () => {
  await using it = await setUp()
  const { first, second, target, own, pull } = it
  const image = await first.add(BYTES, { name: 'debian' })
  await second.add(BYTES, { name: 'other' })
  const honest = own.use(await serveImages(second))
  const lying = own.use(await openLyingPeer(first, image.id))
  lying.lie('slices-none')
  const result = resultOf(await pull([lying.url, honest.url], [image.id]))
  expect(result.sources).toMatchObject([
    { url: lying.url, slicesMoved: 0, fault: { name: 'truncated' } },
    { url: honest.url, slicesMoved: result.slicesMoved, fault: null },
  ])
  expect(result.slicesMoved).toBeGreaterThan(50)
  expect((await target.store.read(image.id)).equals(BYTES)).toBe(true)
})

test('a source that does not answer does not stop the sync, and the result names it', async () => {
  await using it = await setUp()
  const { first, target, own, pull } = it
  const image = await first.add(BYTES, { name: 'debian' })
  const honest = own.use(await serveImages(first))
  const result = resultOf(await pull(['http://127.0.0.1:9', honest.url], ['debian']))
  expect(result.sources?.at(-1)).toMatchObject({ url: honest.url, slicesMoved: result.slicesMoved, fault: null })
  expect((await target.store.read(image.id)).equals(BYTES)).toBe(true)
})

/** The fault by which the result names a source that lies in this way. */
const FAULTS: Partial<Record<Lie, string>> = {
  'manifest-damaged': 'bad-manifest',
  'manifest-shorter': 'wrong-image',
  'manifest-cut': 'truncated',
  'manifest-endless': 'too-long',
  'manifest-redirect': 'redirect',
  'manifest-slow': 'slow',
  'slice-bytes': 'wrong-slice',
  'slice-unasked': 'unasked-slice',
  'slice-longer': 'bad-frame',
  'slice-shorter': 'bad-frame',
  'slice-codec': 'bad-frame',
  'slices-reversed': 'unasked-slice',
  'slices-none': 'truncated',
  'slices-long': 'unasked-slice',
  'slices-cut': 'truncated',
  'slices-endless': 'unasked-slice',
  'slices-redirect': 'redirect',
  'slices-slow': 'slow',
  'absent-unasked': 'unasked-slice',
}

describe('a source that lies, beside an honest one', () => {
  test.each(Object.entries(FAULTS) as [Lie, string][])('(%s) is named with %s, and the image is copied', async (lie, fault) => {
    await using it = await setUp()
    const { first, target, own, pull } = it
    const image = await first.add(BYTES.subarray(0, 900_000), { name: 'debian' })
    const other = await first.add(BYTES.subarray(1_000_000, 1_900_000), { name: 'other' })
    const honest = own.use(await serveImages(first))
    const lying = own.use(await openLyingPeer(first, other.id))
    lying.lie(lie)
    const result = resultOf(await pull([lying.url, honest.url], [image.id]))
    expect(lying.told).toBe(1)
    expect(result.sources).toMatchObject([
      { url: lying.url, faults: 1, fault: { name: fault } },
      { url: honest.url, faults: 0, fault: null },
    ])
    expect((await target.store.read(image.id)).equals(BYTES.subarray(0, 900_000))).toBe(true)
    await target.store.slices.gc({ dryRun: false })
    expect(target.store.slices.stats().slices).toBe((await manifestOf(target.store.catalogue, image.id)).count)
  })
})

test('slices that a source has lost come from another one', async () => {
  await using it = await setUp()
  const { first, second, target, own, pull } = it
  const image = await first.add(BYTES, { name: 'debian' })
  await second.add(BYTES, { name: 'other' })
  const honest = own.use(await serveImages(second))
  const lying = own.use(await openLyingPeer(first, image.id))
  lying.lie('slices-absent')
  const result = resultOf(await pull([lying.url, honest.url], [image.id]))
  expect(result.sources).toMatchObject([{ slicesMoved: 0, fault: null }, { slicesMoved: result.slicesMoved }])
  expect((await target.store.read(image.id)).equals(BYTES)).toBe(true)
})

test('a manifest longer than the free space is refused with its first bytes', async () => {
  await using it = await setUp()
  const { first, target, own } = it
  const image = await first.add(BYTES, { name: 'debian' })
  const lying = own.use(await openLyingPeer(first, image.id))
  lying.lie('manifest-huge')
  const { disk, mount } = target.store
  const space = createSpace({ disk, clock: IMMEDIATE_CLOCK, mount, reservedBytes: () => 1e18 })
  const small = own.use(await openSyncTarget(own.use(await createTemporaryFolder()), { space }))
  const task = await small.pull(lying.url, [image.id])
  expect(task.error).toMatchObject({ type: 'urn:slipway:problem:insufficient-storage', detail: expect.stringContaining('4294967248 bytes') })
  expect(small.store.catalogue.list({}, { limit: 10 }).items).toEqual([])
})

test('a batch is taken away from a source that is much slower than another one', async () => {
  await using it = await setUp()
  const { first, own } = it
  const image = await first.add(BYTES, { name: 'debian' })
  const honest = own.use(await serveImages(first))
  const slow = own.use(await openLyingPeer(first, image.id))
  slow.lie('slices-slow')
  // At the default pace a trickle is a fault only after a minute.
  const target = own.use(await openSyncTarget(own.use(await createTemporaryFolder())))
  const order = { sources: [slow, honest].map(({ url }) => ({ url, token: 'viewer' })), images: [image.id] }
  const result = resultOf(await target.tasks.ended((await target.sync.start(order, 'test')).id))
  expect(result.sources).toMatchObject([
    { url: slow.url, slicesMoved: 0, faults: 0, fault: null },
    { url: honest.url, slicesMoved: result.slicesMoved, fault: null },
  ])
  expect((await target.store.read(image.id)).equals(BYTES)).toBe(true)
})

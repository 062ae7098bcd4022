// Syncs from several sources: a source that fails or lacks slices is replaced by another one, and the result names it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { syncResultSchema } from '../../../protocol/sync.ts'
import type { SyncResult } from '../../../protocol/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { openLyingPeer } from '../../support/agents/lying-peer.ts'
import { openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

const BYTES = Buffer.from(seededBytes(4_000_000, 1))

async function setUp() {
  const own = new AsyncDisposableStack()
  const first = own.use(await openImageStore(own.use(await createTemporaryFolder())))
  const second = own.use(await openImageStore(own.use(await createTemporaryFolder())))
  const target = own.use(await openSyncTarget(own.use(await createTemporaryFolder())))
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

// A sync of many images: what became of each, what stops none of the others, and what a dry run says.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { problem } from '../../../protocol/problems.ts'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { SyncResult } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import { serveImages, STORE_ID } from '../../support/agents/image-server.ts'
import { createTwoFolders, openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'

// Inspections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const resultOf = ({ result }: Task): SyncResult => syncResultSchema.parse(result)
const outcomesOf = (task: Task): string[] => resultOf(task).images.map(({ name, outcome }) => `${name} ${outcome}`)

async function setUp(changes: Parameters<typeof openSyncTarget>[1] = {}) {
  await using stack = new AsyncDisposableStack()
  const folders = stack.use(await createTwoFolders())
  const source = stack.use(await openImageStore(folders.source))
  const server = stack.use(await serveImages(source))
  const target = stack.use(await openSyncTarget(folders.target, changes))
  const owned = stack.move()
  return { folders, source, server, target, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('an image that fails stops none of the others, and the task names it', async () => {
  await using it = await setUp({
    admitNew({ kind }) {
      if (kind === 'backup') throw problem('forbidden', 'No backups here.')
    },
  })
  const { source, server, target } = it
  const one = await source.add(seededBytes(100_000, 1), { name: 'one' })
  const two = await source.add(seededBytes(100_000, 2), { name: 'two', kind: 'backup' })
  const three = await source.add(seededBytes(100_000, 3), { name: 'three' })
  const task = await target.pull(server.url, [one.id, 'nothing', two.id, three.id])
  expect(task.state).toBe('failed')
  expect(task.error).toMatchObject({ type: 'urn:slipway:problem:not-found', failed: 2, total: 4 })
  expect(task.error?.detail).toStartWith('2 of 4 images were not copied; the others are here. nothing: ')
  expect(task.error?.detail).toEndWith(' two: No backups here.')
  expect(outcomesOf(task)).toEqual(['one copied', 'nothing failed', 'two failed', 'three copied'])
  expect(resultOf(task).images.map(({ error }) => error?.type)).toEqual([
    undefined,
    'urn:slipway:problem:not-found',
    'urn:slipway:problem:forbidden',
    undefined,
  ])
  expect([one, two, three].map(({ id }) => target.store.catalogue.find(id)?.status)).toEqual(['available', undefined, 'available'])
  const again = await target.pull(server.url, [one.id, three.id])
  expect(outcomesOf(again)).toEqual(['one already-there', 'three already-there'])
  expect(resultOf(again)).toMatchObject({ bytesMoved: 0, bytesAvoided: 200_000 })
})

test('the content of an image that is here under another id is not copied', async () => {
  await using it = await setUp()
  const { source, server, target } = it
  const bytes = seededBytes(100_000, 1)
  const here = await target.store.add(bytes, { name: 'here' })
  const there = await source.add(bytes, { name: 'there' })
  const twin = await source.add(seededBytes(50_000, 2), { name: 'twin' })
  const twinToo = await source.add(seededBytes(50_000, 2), { name: 'twin too' })
  const task = await target.pull(server.url, [there.id, twin.id, twinToo.id])
  expect(resultOf(task).images).toMatchObject([
    { id: there.id, name: 'there', outcome: 'same-as', sameAs: here.id, bytesMoved: 0, bytesPresent: 100_000 },
    { id: twin.id, outcome: 'copied' },
    { id: twinToo.id, outcome: 'same-as', sameAs: twin.id },
  ])
  expect(target.store.catalogue.find(there.id)).toBeUndefined()
  await target.store.catalogue.delete(here.id, 'test')
  expect(outcomesOf(await target.pull(server.url, [there.id]))).toEqual(['there copied'])
})

test('moved and avoided bytes are those of the image: new slices, slices that are here, and zeros', async () => {
  await using it = await setUp()
  const { source, server, target } = it
  const shared = seededBytes(2_000_000, 1)
  await target.store.add(shared, { name: 'first' })
  const image = await source.add(Buffer.concat([shared, new Uint8Array(1_048_576), seededBytes(500_000, 2)]), { name: 'second' })
  const { images, bytesMoved, bytesAvoided } = resultOf(await target.pull(server.url, [image.id]))
  const [one] = images
  expect(one).toMatchObject({ outcome: 'copied', bytesMoved })
  expect(bytesMoved).toBeGreaterThan(500_000)
  expect(bytesMoved).toBeLessThan(800_000)
  // The last slice of the first image ends earlier than it would within the second.
  expect(one?.bytesZero).toBeGreaterThan(1_000_000)
  expect(one?.bytesZero).toBeLessThanOrEqual(1_048_576 + 4096)
  expect(one?.bytesPresent).toBeGreaterThan(1_800_000)
  expect(bytesAvoided).toBe((one?.bytesPresent ?? 0) + (one?.bytesZero ?? 0))
})

test('a dry run says what a sync would do, and changes nothing', async () => {
  await using it = await setUp({
    admitNew({ kind }) {
      if (kind === 'backup') throw problem('forbidden', 'No backups here.')
    },
  })
  const { folders, source, server, target } = it
  const here = await source.add(seededBytes(100_000, 1), { name: 'here' })
  await target.pull(server.url, [here.id])
  const fresh = await source.add(Buffer.concat([seededBytes(300_000, 2), new Uint8Array(700_000 - 300_000)]), { name: 'fresh' })
  const refused = await source.add(seededBytes(1000, 3), { name: 'refused', kind: 'backup' })
  const slices = target.store.slices.stats().slices
  const { id } = await target.sync.start({ source: { url: server.url, token: 'viewer' }, images: [here.id, fresh.id, refused.id], dryRun: true }, 'test')
  const task = await target.tasks.ended(id)
  expect(outcomesOf(task)).toEqual(['here already-there', 'fresh would-copy', 'refused failed'])
  const planned = resultOf(task)
  expect(planned).toMatchObject({ dryRun: true, bytesMoved: 0, slicesMoved: 0 })
  expect(planned.images[1]?.bytesMoved).toBe(303_104)
  expect(planned.images[1]?.bytesZero).toBe(396_896)
  expect(target.store.slices.stats().slices).toBe(slices)
  expect(target.store.catalogue.find(fresh.id)).toBeUndefined()
  expect(await target.store.disk.list(folders.target.file('mount', 'sync'))).toEqual([])
})

test('a sync remembers a source for repairs if it may, and a dry run does not', async () => {
  const remembered: unknown[] = []
  await using it = await setUp({ remember: async (partner) => void remembered.push(partner) })
  const { source, server, target } = it
  const image = await source.add(seededBytes(1000, 1), { name: 'one' })
  const run = async (healing: boolean, dryRun: boolean): Promise<unknown> => {
    const order = { source: { url: server.url, token: 'viewer', healing }, images: [image.id], dryRun }
    const { error } = await target.tasks.ended((await target.sync.start(order, 'test')).id)
    expect(error).toBeUndefined()
    return remembered.splice(0)
  }
  expect(await run(true, true)).toEqual([])
  expect(await run(false, false)).toEqual([])
  expect(await run(true, false)).toEqual([{ storeId: STORE_ID, name: expect.any(String), url: server.url, token: 'viewer' }])
})

test('a grant that has ended is named, with what to do', async () => {
  await using it = await setUp()
  const { source, server, target } = it
  const image = await source.add(seededBytes(1000, 1), { name: 'one' })
  const task = await target.pull(server.url, [image.id], `slg_${'a'.repeat(43)}`)
  expect(task.error).toMatchObject({
    type: 'urn:slipway:problem:grant-ended',
    detail: `The grant of ${server.url} for this copy has expired or was revoked.`,
    action: expect.stringContaining('task retry'),
  })
})

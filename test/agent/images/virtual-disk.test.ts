// Virtual disks belong to an instance: they cannot be edited and are deleted with their last binding. Labels of other images.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { DeletionPolicy } from '../../../agent/contract/store.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

const DAY_MS = 86_400_000

async function codeOf(running: Promise<unknown>): Promise<string> {
  try {
    await running
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

async function withDisk<T>(
  deletion: DeletionPolicy['deletion'],
  run: (store: Awaited<ReturnType<typeof openImageStore>>, id: string) => Promise<T>,
): Promise<T> {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder, { retention: { deletion, retentionMs: 3 * DAY_MS } })
  const image = await store.add(seededBytes(1000, 1), { kind: 'virtualDisk', sourceInstance: 'vm-1' })
  return await run(store, image.id)
}

describe('a virtual disk', () => {
  test('is bound to the instance that it names, from the beginning', () =>
    withDisk('delayed', async ({ catalogue }, id) => {
      expect(catalogue.need(id)).toMatchObject({ status: 'available', kind: 'virtualDisk', bindings: ['vm-1'], sourceInstance: 'vm-1' })
      expect(await codeOf(catalogue.delete(id, 'test'))).toBe('image-bound')
    }))

  test('cannot be edited', () =>
    withDisk('delayed', async ({ catalogue }, id) => {
      expect(await codeOf(catalogue.patch(id, { name: 'other' }, 'test'))).toBe('virtual-disk')
      expect(await codeOf(catalogue.patch(id, { protected: true }, 'test'))).toBe('virtual-disk')
      expect(catalogue.need(id)).toMatchObject({ name: id, protected: false })
    }))

  test('goes to the recycle bin with its last binding, and comes back without one', () =>
    withDisk('delayed', async ({ catalogue, events }, id) => {
      await catalogue.bind(id, 'vm-2', 'test')
      expect(await catalogue.unbind(id, 'vm-1', 'test')).toMatchObject({ status: 'available', bindings: ['vm-2'] })
      expect(await catalogue.unbind(id, 'vm-1', 'test')).toMatchObject({ status: 'available', bindings: ['vm-2'] })
      const gone = await catalogue.unbind(id, 'vm-2', 'test')
      expect(gone).toMatchObject({ status: 'deleted', bindings: [] })
      expect(Date.parse(gone.expiresAt ?? '') - Date.parse(gone.deletedAt ?? '')).toBe(3 * DAY_MS)
      expect(events.at(-1)).toMatchObject({ type: 'image.deleted', subject: id })
      expect(await catalogue.restore(id, 'test')).toMatchObject({ status: 'available', bindings: [] })
      expect(await codeOf(catalogue.delete(id, 'test'))).toBe('no problem')
    }))

  test('is removed for good with its last binding if the store has no recycle bin', () =>
    withDisk('immediate', async ({ catalogue }, id) => {
      expect(await catalogue.unbind(id, 'vm-1', 'test')).toMatchObject({ status: 'deleting', bindings: [] })
      expect(catalogue.find(id)).toBeUndefined()
    }))

  test('stays in the recycle bin if the store keeps deleted images', () =>
    withDisk('never', async ({ catalogue }, id) => {
      expect(await catalogue.unbind(id, 'vm-1', 'test')).toMatchObject({ status: 'deleted', expiresAt: null })
    }))

  test('keeps its binding while it is being inspected', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id } = await store.publish(seededBytes(1000, 1), { kind: 'virtualDisk', sourceInstance: 'vm-1' })
    expect(await codeOf(store.catalogue.unbind(id, 'vm-1', 'test'))).toBe('wrong-status')
    await store.catalogue.settled()
    expect(store.catalogue.need(id).bindings).toEqual(['vm-1'])
  })

  test('without an instance is bound like any image, and then belongs to that instance', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id, bindings } = await store.add(seededBytes(1000, 1), { kind: 'virtualDisk' })
    expect(bindings).toEqual([])
    await store.catalogue.bind(id, 'vm-9', 'test')
    expect(await store.catalogue.unbind(id, 'vm-9', 'test')).toMatchObject({ status: 'deleted' })
  })
})

test('an image of another kind that names its instance is not bound, and stays when its last binding goes', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const { id, bindings } = await store.add(seededBytes(1000, 1), { kind: 'capture', sourceInstance: 'vm-1' })
  expect(bindings).toEqual([])
  await store.catalogue.bind(id, 'vm-1', 'test')
  expect(await store.catalogue.unbind(id, 'vm-1', 'test')).toMatchObject({ status: 'available', bindings: [], sourceInstance: 'vm-1' })
})

test('labels are merged, survive a restart, and number at most 64', async () => {
  await using folder = await createTemporaryFolder()
  let id = ''
  {
    await using store = await openImageStore(folder)
    id = (await store.add(seededBytes(1000, 1), { labels: { env: 'test', team: 'a' } })).id
    expect((await store.catalogue.patch(id, { labels: { env: null, zone: 'b' } }, 'test')).labels).toEqual({ team: 'a', zone: 'b' })
  }
  await using store = await openImageStore(folder)
  const { catalogue } = store
  expect(catalogue.need(id).labels).toEqual({ team: 'a', zone: 'b' })
  const more = Object.fromEntries(Array.from({ length: 62 }, (_, i) => [`k${i}`, 'v']))
  expect(Object.keys((await catalogue.patch(id, { labels: more }, 'test')).labels)).toHaveLength(64)
  expect(await codeOf(catalogue.patch(id, { labels: { last: 'v' } }, 'test'))).toBe('limit-reached')
  expect(await codeOf(catalogue.patch(id, { labels: { last: 'v', team: null } }, 'test'))).toBe('no problem')
})

// Sync onto a disk that dies at every write operation: the target has either the whole image or none of it, and the next attempt on a
// working disk copies it.

import { expect, test } from 'bun:test'
import { createPeerNetwork } from '../../agent/sync/peer-network.ts'
import { createSync } from '../../agent/sync/sync.ts'
import { systemClock } from '../../agent/system/clock.ts'
import { createDisk } from '../../agent/system/disk.ts'
import { resolveName } from '../../agent/system/network.ts'
import { createSpace } from '../../agent/system/space.ts'
import type { Disk } from '../../agent/contract/disk.ts'
import type { Task } from '../../protocol/task.ts'
import { createFailingDisk } from '../support/machine/failing-disk.ts'
import { openImageStore, seededBytes } from '../support/images/image-store.ts'
import type { ImageStore } from '../support/images/image-store.ts'
import { serveImages } from '../support/agents/image-server.ts'
import { createMemoryProver } from '../support/memory/memory-prover.ts'
import { createMemoryTasks } from '../support/memory/memory-state.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'

/** A clock under which retries follow at once. */
const IMMEDIATE_CLOCK = { ...systemClock, sleep: async () => {} }

/** Makes one attempt with a target of its own, which is closed at the end. */
async function attempt(folder: TemporaryFolder, disk: Disk, url: string, id: string, look: (store: ImageStore, task: Task) => Promise<void>): Promise<void> {
  await using store = await openImageStore(folder, { disk, clock: IMMEDIATE_CLOCK, roots: [{ list: () => sync.roots.list() }] })
  const { mount, catalogue, slices, log } = store
  const tasks = createMemoryTasks(systemClock)
  const space = createSpace({ disk, clock: systemClock, mount, reservedBytes: () => 0 })
  const network = createPeerNetwork([], resolveName)
  const storeId = 'b5b3c2ad-5b1f-4f7f-8a86-0d7c3e0e6c21'
  const sync = await createSync({
    disk,
    clock: IMMEDIATE_CLOCK,
    log,
    mount,
    storeId,
    prover: await createMemoryProver(storeId),
    images: catalogue,
    slices,
    space,
    tasks,
    crashPoint: () => {},
    admitNew: () => {},
    network,
  })
  const task = await sync.start({ source: { url, token: 'viewer' }, images: [id] }, 'test')
  await look(store, await tasks.ended(task.id))
}

test('an image is copied whole or not at all when the disk dies at the n-th operation', async () => {
  await using sourceFolder = await createTemporaryFolder()
  await using source = await openImageStore(sourceFolder)
  await using server = await serveImages(source)
  const bytes = Buffer.from(seededBytes(1_500_000, 1))
  const { id } = await source.add(bytes)
  let n = 0
  for (let isWhole = false; !isWhole && n < 100;) {
    n++
    await using folder = await createTemporaryFolder()
    // The store exists before the disk starts to fail.
    await (await openImageStore(folder))[Symbol.asyncDispose]()
    const disk = createFailingDisk(createDisk())
    disk.failAfter(n)
    try {
      await attempt(folder, disk, server.url, id, async (store, task) => {
        isWhole = task.state === 'succeeded' && store.catalogue.find(id)?.status === 'available'
        const found = store.catalogue.find(id)
        if (found && found.status !== 'creating' && found.status !== 'error') expect((await store.read(id)).equals(bytes)).toBe(true)
      })
    } catch (error) {
      // The disk died while the store was opened or closed.
      expect(error).toMatchObject({ code: 'EIO' })
    }
    await attempt(folder, createDisk(), server.url, id, async (store, task) => {
      expect([n, task.state, task.error]).toEqual([n, 'succeeded', undefined])
      await store.catalogue.settled()
      expect([n, store.catalogue.need(id).status]).toEqual([n, 'available'])
      expect((await store.read(id)).equals(bytes)).toBe(true)
      expect(await store.disk.list(folder.file('mount', 'sync'))).toEqual([])
      expect((await store.slices.scrub({ bytesPerSecond: 1e12 })).missing).toEqual([])
    })
  }
  expect(n).toBeGreaterThan(8)
  expect(n).toBeLessThan(100)
}, 300_000)

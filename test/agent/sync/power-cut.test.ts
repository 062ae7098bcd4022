// Sync onto a disk that loses, in a power cut, everything that was not synced: what was acknowledged is there afterwards.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { createTwoFolders, IMMEDIATE_CLOCK, openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createFaultyDisk } from '../../support/machine/faulty-disk.ts'
import { createRandom } from '../../support/properties.ts'
import type { Random } from '../../support/properties.ts'

// Stores and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** The worst cut: nothing of what was not synced reaches the disk. */
const LOSES_ALL: Random = { ...createRandom(1), chance: () => false }
const BYTES = Buffer.from(seededBytes(900_000, 1))

test.each([
  // Every slice of the image is in the only batch: after it nothing has to be moved again.
  ['sync:lease-acquired', 'none'],
  ['sync:batch-synced', 'all'],
  ['sync:slices-moved', 'all'],
  ['sync:adopted', 'all'],
])('a power cut at %s keeps %s of the slices, and the next sync brings the rest', async (point, kept) => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  const { id } = await source.add(BYTES)
  const count = source.slices.stats().slices
  const mount = folders.target.file('mount')
  await mkdir(mount)
  const disk = await createFaultyDisk(mount)
  {
    let isReached = false
    const crashPoint = (name: string): void => {
      if (name !== point) return
      isReached = true
      // From here on nothing reaches the disk.
      disk.plan({ at: 1, fault: 'power' })
    }
    const target = await openSyncTarget(folders.target, { crashPoint, clock: IMMEDIATE_CLOCK }, { disk })
    await target.pull(server.url, [id])
    expect(isReached).toBe(true)
    await disk.losePower(LOSES_ALL)
    // The process is gone: what closing it would still write fails.
    await Promise.resolve(target[Symbol.asyncDispose]()).catch(() => {})
    disk.revive()
  }
  await using target = await openSyncTarget(folders.target, {}, { disk })
  expect(target.store.slices.stats().slices).toBe(kept === 'all' ? count : 0)
  if (point === 'sync:adopted') expect((await target.store.read(id)).equals(BYTES)).toBe(true)
  const task = await target.pull(server.url, [id])
  expect(task.error).toBeUndefined()
  expect(syncResultSchema.parse(task.result).slicesMoved).toBe(kept === 'all' ? 0 : count)
  await target.store.catalogue.settled()
  expect(target.store.catalogue.need(id).status).toBe('available')
  expect((await target.store.read(id)).equals(BYTES)).toBe(true)
  expect(await target.store.slices.scrub({ bytesPerSecond: 1e12 })).toMatchObject({ corrupt: [], missing: [] })
})

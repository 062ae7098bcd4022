// Exports on a disk that dies at every operation of a series of exports, and on one where every operation fails once. The next start finds every
// export that was acknowledged, no other file of ours, and the files of others as they were.

import { expect, test } from 'bun:test'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Disk } from '../../agent/contract/disk.ts'
import type { Exports } from '../../agent/contract/exports.ts'
import { createConverter } from '../../agent/convert/converter.ts'
import { openExports } from '../../agent/exports/exports.ts'
import { createDisk } from '../../agent/system/disk.ts'
import type { Image } from '../../protocol/images/image.ts'
import { openImageStore, seededBytes } from '../support/images/image-store.ts'
import type { ImageStore } from '../support/images/image-store.ts'
import { createFaultyDisk } from '../support/machine/faulty-disk.ts'
import type { Fault } from '../support/machine/fault-gate.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { createManualClock } from '../support/memory/manual-clock.ts'
import { createMemoryLog } from '../support/memory/memory-log.ts'
import { createMemoryTasks } from '../support/memory/memory-state.ts'
import { createRandom } from '../support/properties.ts'
import { systemClock } from '../../agent/system/clock.ts'

const BYTES = Buffer.concat([seededBytes(200_000, 1), new Uint8Array(100_000), seededBytes(50_000, 2)])

async function open(store: ImageStore, disk: Disk): Promise<{ exports: Exports; tasks: ReturnType<typeof createMemoryTasks> }> {
  const tasks = createMemoryTasks(createManualClock())
  const exports = await openExports({
    disk,
    clock: systemClock,
    log: createMemoryLog(),
    emit: () => {},
    crashPoint: () => {},
    mount: store.mount,
    images: store.catalogue,
    converter: createConverter({ slices: store.slices, clock: systemClock }),
    space: {
      promise: async () => true,
      state: async () => ({ totalBytes: 1e12, freeBytes: 1e12, reservedBytes: 0, promisedBytes: 0, availableBytes: 1e12 }),
    },
    tasks,
  })
  return { exports, tasks }
}

/** Exports two images, whose name is taken, and deletes the first export. Notes what was acknowledged. */
async function live(store: ImageStore, disk: Disk, images: readonly Image[], known: Map<string, 'ready' | 'deleted'>): Promise<boolean> {
  let isWhole = true
  const attempt = async (run: () => Promise<void>): Promise<void> => run().catch(() => void (isWhole = false))
  const opened = await open(store, disk).catch(() => undefined)
  if (!opened) return false
  const { exports, tasks } = opened
  for (const image of images)
    await attempt(async () => {
      const task = await tasks.ended((await exports.start({ image, createdBy: 'ann' })).id)
      if (task.state !== 'succeeded') throw new Error('the task failed')
      known.set(String(task.result?.['exportId']), 'ready')
    })
  await attempt(async () => {
    const [first] = known.keys()
    if (first === undefined) throw new Error('there is no export')
    known.set(first, 'deleted')
    await exports.delete(first, 'ann')
  })
  return isWhole
}

/** Checks the exports after the next start. An export whose deletion failed may be there or not. */
async function verify(store: ImageStore, known: ReadonlyMap<string, 'ready' | 'deleted'>, at: string): Promise<void> {
  const { exports } = await open(store, createDisk())
  const found = exports.list()
  for (const [id, state] of known) if (state === 'ready') expect([at, id, found.find((one) => one.id === id)?.state]).toEqual([at, id, 'ready'])
  const folder = join(store.mount, 'exports')
  for (const { state, name } of found) {
    expect([at, state]).toEqual([at, 'ready'])
    expect([at, readFileSync(join(folder, name)).equals(BYTES)]).toEqual([at, true])
  }
  expect([at, ...readdirSync(folder).toSorted()]).toEqual([at, ...['.slipway', 'disk.raw', ...found.map(({ name }) => name)].toSorted()])
  expect(readFileSync(join(folder, 'disk.raw'), 'utf8')).toBe('of somebody else')
  expect([at, ...readdirSync(join(folder, '.slipway')).toSorted()]).toEqual([at, ...found.map(({ id }) => `${id}.json`).toSorted()])
}

test.each(['EIO', 'ENOSPC', 'late', 'short', 'torn', 'kill', 'power'] as const satisfies readonly Fault[])(
  'no acknowledged export is lost, and nothing is left over, when any operation ends in %s',
  async (fault) => {
    await using shared = await createTemporaryFolder()
    await using store = await openImageStore(shared)
    const images = [await store.add(BYTES, { name: 'disk' }), await store.add(BYTES, { name: 'disk' })]
    const folder = join(store.mount, 'exports')
    let at = 1
    for (; at < 200; at++) {
      for (const name of readdirSync(store.mount).includes('exports') ? readdirSync(folder) : []) await createDisk().removeTree(join(folder, name))
      mkdirSync(folder, { recursive: true })
      mkdirSync(join(store.mount, 'quarantine'), { recursive: true })
      writeFileSync(join(folder, 'disk.raw'), 'of somebody else')
      const disk = await createFaultyDisk(folder)
      disk.plan({ at, fault, lasting: fault !== 'late' && at % 2 === 0 })
      const known = new Map<string, 'ready' | 'deleted'>()
      await live(store, disk, images, known)
      const { hasFailed, operations } = disk
      if (fault === 'power' && hasFailed) await disk.losePower(createRandom(at))
      disk.revive()
      await verify(store, known, `${fault} at operation ${at}`)
      if (operations < at) break
    }
    expect(at).toBeGreaterThan(15)
    expect(at).toBeLessThan(200)
  },
  300_000,
)

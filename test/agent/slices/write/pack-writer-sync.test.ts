// The pack writer around an fsync that is in progress: nothing is sealed, closed or acknowledged that this fsync may still refuse, and the index
// is written when packs are sealed.

import { expect, test } from 'bun:test'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { StoreWriteFailed } from '../../../../agent/contract/slices.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { PackWriter } from '../../../../agent/slices/write/pack-writer.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

/** A record of 164 bytes, header and all, and its row. */
function record(n: number): [parts: Uint8Array[], rows: PackRow[]] {
  return [[new Uint8Array(164).fill(n)], [{ digest: new Uint8Array(32).fill(n), offset: 0, length: 100, storedLength: 100 }]]
}

const broken = (): Error => Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })

async function openScene(sealBytes = 1_000_000) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const real = createDisk()
  const steps: string[] = []
  /** If set, the next fsync of a file waits for this. */
  const next: { sync?: Promise<void> | undefined; write?: Error | undefined } = {}
  const disk: Disk = {
    ...real,
    async openWrite(path, mode) {
      const file = await real.openWrite(path, mode)
      return {
        ...file,
        async write(parts, at) {
          if (next.write) throw next.write
          await file.write(parts, at)
          steps.push(`write at ${at}`)
        },
        async sync() {
          const held = next.sync
          next.sync = undefined
          if (held) steps.push('sync starts')
          await held
          await file.sync()
          steps.push('sync')
        },
        async truncate(length) {
          await file.truncate(length)
          steps.push(`cut to ${length}`)
        },
        async close() {
          steps.push('close')
          await file.close()
        },
      }
    },
  }
  let names = 0
  const newName = (): string => String(++names).padStart(32, '0')
  const writer = stack.use(new PackWriter({ disk, index, folder: folder.path, crashPoint: () => {}, log: createMemoryLog(), newName, sealBytes }))
  const own = stack.move()
  return { index, writer, steps, next, path: folder.file('index.db'), [Symbol.asyncDispose]: () => own.disposeAsync() }
}

/** Starts an fsync of what was appended that ends when the test says. */
async function startSync(scene: Awaited<ReturnType<typeof openScene>>): Promise<{ end: PromiseWithResolvers<void>; synced: Promise<unknown> }> {
  const end = Promise.withResolvers<void>()
  end.promise.catch(() => {})
  scene.next.sync = end.promise
  const synced = scene.writer.sync().catch((error: unknown) => error)
  await until('the fsync', () => scene.steps.includes('sync starts'))
  scene.steps.length = 0
  return { end, synced }
}

test('a full pack is sealed after the fsync in progress', async () => {
  await using scene = await openScene(300)
  await scene.writer.append(...record(1))
  const { end, synced } = await startSync(scene)
  const sealing = scene.writer.append(...record(2))
  await until('the record', () => scene.steps.length === 1)
  await Bun.sleep(3)
  expect(scene.steps).toEqual(['write at 180'])
  end.resolve()
  // The footer has 2 rows of 48 bytes and a trailer of 32.
  expect(await sealing).toMatchObject({ frameBytes: 128 })
  expect(await synced).toBeUndefined()
  expect(scene.steps).toEqual(['write at 180', 'sync', 'sync', 'write at 344', 'sync', 'close'])
})

test('a pack is not sealed when the fsync in progress fails, although a later one would not', async () => {
  await using scene = await openScene(300)
  const { pack } = await scene.writer.append(...record(1))
  const { end, synced } = await startSync(scene)
  const sealing = scene.writer.append(...record(2)).catch((error: unknown) => error)
  await until('the record', () => scene.steps.length === 1)
  end.reject(broken())
  expect(await sealing).toBeInstanceOf(StoreWriteFailed)
  expect(await synced).toBeInstanceOf(StoreWriteFailed)
  expect([scene.steps.includes('write at 344'), scene.index.pack(pack), scene.index.sliceCount]).toEqual([false, undefined, 0])
})

test('a pack is closed after the fsync in progress when it is retired', async () => {
  await using scene = await openScene()
  await scene.writer.append(...record(1))
  const { end } = await startSync(scene)
  const retiring = scene.writer.retire()
  await Bun.sleep(3)
  expect(scene.steps).toEqual([])
  end.resolve()
  await retiring
  expect(scene.steps).toEqual(['sync', 'close'])
})

test('a sync fails when an append has failed meanwhile', async () => {
  await using scene = await openScene()
  await scene.writer.append(...record(1))
  const { end, synced } = await startSync(scene)
  scene.next.write = broken()
  const appending = scene.writer.append(...record(2)).catch((error: unknown) => error)
  await Bun.sleep(3)
  end.resolve()
  expect(await appending).toBeInstanceOf(StoreWriteFailed)
  expect(await synced).toBeInstanceOf(StoreWriteFailed)
  // What the fsync has made durable stays.
  expect(scene.steps).toEqual(['sync', 'cut to 180', 'close'])
})

test('the index is written when a pack is sealed, and when abandoned packs are', async () => {
  await using scene = await openScene(300)
  await scene.writer.append(...record(1))
  await scene.writer.append(...record(2))
  await until('the rows are on disk', () => scene.index.waiting().length === 0)
  await scene.writer.append(...record(3))
  await scene.writer.retire()
  expect(scene.index.waiting()).toHaveLength(1)
  expect(await scene.writer.sealAbandoned()).toBe(80)
  expect(scene.index.waiting()).toHaveLength(0)
  expect(await scene.writer.sealAbandoned()).toBe(0)
})

test('nothing is appended while the index cannot take more rows', async () => {
  await using scene = await openScene()
  await scene.writer.append(...record(1))
  // So many rows would take seconds here.
  Object.defineProperty(scene.index, 'isOverfull', { value: true })
  await expect(scene.writer.append(...record(2))).rejects.toMatchObject({
    cause: { message: 'the index database cannot be written, and too many of its rows wait in memory' },
  })
})

// Sync onto a disk that loses unsynced writes: a copied image is there after a loss of power, and so is what an interrupted copy has moved.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import type { Task } from '../../protocol/task.ts'
import { createFaultyDisk } from '../support/machine/faulty-disk.ts'
import type { FaultyDisk } from '../support/machine/faulty-disk.ts'
import { openImageStore, seededBytes } from '../support/images/image-store.ts'
import type { ImageStore } from '../support/images/image-store.ts'
import { serveImages } from '../support/agents/image-server.ts'
import { IMMEDIATE_CLOCK, openSyncTarget } from '../support/agents/sync-target.ts'
import type { SyncTarget } from '../support/agents/sync-target.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { createRandom, runSeed } from '../support/properties.ts'

const NOTHING = 0
/** Long enough for two batches of slices. */
const BYTES = seededBytes(40_000_000, 1)

const stack = new AsyncDisposableStack()
let source: ImageStore
let url: string
let id: string

beforeAll(async () => {
  source = stack.use(await openImageStore(stack.use(await createTemporaryFolder())))
  url = stack.use(await serveImages(source)).url
  id = (await source.add(BYTES)).id
})
afterAll(() => stack[Symbol.asyncDispose]())

async function openFaulty(folder: TemporaryFolder): Promise<FaultyDisk> {
  await mkdir(folder.file('mount'))
  return createFaultyDisk(folder.file('mount'))
}

const openTarget = (folder: TemporaryFolder, disk: FaultyDisk, crashPoint: (name: string) => void = () => {}): Promise<SyncTarget> =>
  openSyncTarget(folder, { crashPoint, clock: IMMEDIATE_CLOCK }, { disk, clock: IMMEDIATE_CLOCK })

/** Copies the image until it ends, or the disk dies. */
async function pullOnce(folder: TemporaryFolder, disk: FaultyDisk, crashPoint?: (name: string) => void): Promise<Task | undefined> {
  let task: Task | undefined
  try {
    await using target = await openTarget(folder, disk, crashPoint)
    task = await target.pull(url, [id])
  } catch (error) {
    if (!disk.isDead) throw error
  }
  return task
}

const resultOf = (task: Task | undefined) => task?.result as { slicesMoved: number; slicesPresent: number } | undefined

async function expectCopied(store: ImageStore): Promise<void> {
  await store.catalogue.settled()
  expect(store.catalogue.need(id).status).toBe('available')
  expect((await store.read(id)).equals(BYTES)).toBe(true)
  expect(await store.slices.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], damagedRoots: [] })
}

describe('after a loss of power', () => {
  test('an image whose copy was reported is whole, although nothing unsynced was kept', async () => {
    await using folder = await createTemporaryFolder()
    const disk = await openFaulty(folder)
    {
      await using target = await openTarget(folder, disk)
      expect(await target.pull(url, [id])).toMatchObject({ state: 'succeeded' })
      await disk.losePower(createRandom(1), NOTHING)
    }
    disk.revive()
    await using store = await openImageStore(folder, { disk })
    await expectCopied(store)
  }, 60_000)

  test.each(['sync:lease-acquired', 'sync:batch-synced', 'sync:slices-moved', 'sync:adopted'])(
    'at %s, what was moved is kept by the lease through a gc, and is not copied again',
    async (planned) => {
      await using folder = await createTemporaryFolder()
      const disk = await openFaulty(folder)
      let passed = 0
      const first = await pullOnce(folder, disk, (name) => {
        if (name !== planned || passed > 0) return
        passed++
        // The next operation of the disk finds no power.
        disk.plan({ at: 1, fault: 'power', lasting: true })
      })
      expect([passed, first?.state === 'succeeded']).toEqual([1, false])
      await disk.losePower(createRandom(1), NOTHING)
      disk.revive()

      await using target = await openTarget(folder, disk)
      await target.store.slices.gc({ dryRun: false })
      const second = await target.pull(url, [id])
      expect([second.state, second.error]).toEqual(['succeeded', undefined])
      const slices = new Set((await source.catalogue.open(id).then(digestsOf)).map(String)).size
      const { slicesMoved = 0 } = resultOf(second) ?? {}
      if (planned === 'sync:lease-acquired') expect(slicesMoved).toBe(slices)
      else if (planned === 'sync:batch-synced') expect(slicesMoved).toBeLessThan(slices)
      else expect(slicesMoved).toBe(0)
      await expectCopied(target.store)
    },
    60_000,
  )

  test('wherever it is lost, the next attempt copies the image', async () => {
    const seed = runSeed()
    const random = createRandom(seed)
    for (let run = 0; run < 6; run++) {
      await using folder = await createTemporaryFolder()
      const disk = await openFaulty(folder)
      const at = 1 + random.below(120)
      disk.plan({ at, fault: 'power' })
      const first = await pullOnce(folder, disk)
      await disk.losePower(random)
      disk.revive()
      {
        await using target = await openTarget(folder, disk)
        if (first?.state === 'succeeded') expect(target.store.catalogue.find(id)).toBeDefined()
        const second = await target.pull(url, [id])
        expect([seed, at, second.state, second.error]).toEqual([seed, at, 'succeeded', undefined])
        await disk.losePower(random, NOTHING)
      }
      disk.revive()
      await using store = await openImageStore(folder, { disk })
      await expectCopied(store)
    }
  }, 120_000)
})

async function digestsOf(content: Awaited<ReturnType<ImageStore['catalogue']['open']>>): Promise<string[]> {
  using opened = content
  const digests: string[] = []
  for await (const block of opened.manifest.blocks())
    for (let i = block.first; i < block.first + block.count; i++) if (!block.isZeroAt(i)) digests.push(Buffer.from(block.digestAt(i)).toString('hex'))
  return digests
}

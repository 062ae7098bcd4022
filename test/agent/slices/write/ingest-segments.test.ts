// The segments that an ingest gives to its workers, and what it holds meanwhile: long runs of zeros reach no worker, buffers are bounded, and
// pins last no longer than somebody needs them.

import { describe, expect, test } from 'bun:test'
import type { Disk, DiskFile } from '../../../../agent/contract/disk.ts'
import { StoreWriteFailed } from '../../../../agent/contract/slices.ts'
import type { Checkpoint, IngestStart } from '../../../../agent/contract/slices.ts'
import { createFilter } from '../../../../agent/slices/index/filter.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { createIngest } from '../../../../agent/slices/write/ingest.ts'
import { PackWriter } from '../../../../agent/slices/write/pack-writer.ts'
import { createPins } from '../../../../agent/slices/write/pins.ts'
import type { Pins } from '../../../../agent/slices/write/pins.ts'
import { WorkerPool } from '../../../../agent/slices/write/worker-pool.ts'
import type { RunningJob } from '../../../../agent/slices/write/worker-pool.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { noiseBlocks, SMALL_CUTTER } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createRandom } from '../../../support/properties.ts'
import { until } from '../../../support/until.ts'

const KIB = 1024
const MIB = 1024 * KIB
const NOTHING: IngestStart = { offset: 0, tail: new Uint8Array(0) }
/** Zero runs, with null, and slices, with the length of several that are adjacent. */
type Stretch = readonly ['zeros' | 'slices', number]

/** A pool that records the bytes of each segment and whether it is cut to its end. */
class RecordingPool extends WorkerPool {
  readonly segments: [bytes: number, isLast: boolean][] = []
  /** If set, jobs are not done but given to this. */
  instead: (() => RunningJob) | undefined
  /** If set, the next job is done after this. */
  after: Promise<void> | undefined

  override run(job: Parameters<WorkerPool['run']>[0]): RunningJob {
    if (job.kind === 'segment') this.segments.push([job.end - SMALL_CUTTER.maximum, job.last])
    const { after } = this
    this.after = undefined
    if (!after) return this.instead?.() ?? super.run(job)
    const later = after.then(() => super.run(job))
    return { cut: later.then(({ cut }) => cut), done: later.then(({ done }) => done) }
  }
}

async function openScene() {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const real = createDisk()
  /** Awaited before each fsync of a file that is written. */
  const held: { sync: () => Promise<void> } = { sync: async () => {} }
  const disk: Disk = {
    ...real,
    async openWrite(path, mode): Promise<DiskFile> {
      const file = await real.openWrite(path, mode)
      return { ...file, sync: () => held.sync().then(() => file.sync()) }
    },
  }
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const log = createMemoryLog()
  let packs = 0
  const newName = (): string => String(++packs).padStart(32, '0')
  const writer = stack.use(new PackWriter({ disk, log, index, folder: folder.path, crashPoint: () => {}, newName, sealBytes: 100 * MIB }))
  const pins = createPins()
  const pool = stack.use(new RecordingPool({ count: 1, cutter: SMALL_CUTTER, log }))
  const ingest = (start = NOTHING) => createIngest({ cutter: SMALL_CUTTER, pins, pool, writer, index }, start)
  const own = stack.move()
  return { writer, pins, pool, held, ingest, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

function stretchesOf({ entries }: Checkpoint): Stretch[] {
  const stretches: Stretch[] = []
  for (const { length, digest } of entries) {
    const kind = digest ? 'slices' : 'zeros'
    const last = stretches.at(-1)
    if (last?.[0] === kind) stretches[stretches.length - 1] = [kind, last[1] + length]
    else stretches.push([kind, length])
  }
  return stretches
}

const zeros = (bytes: number): Buffer => Buffer.alloc(bytes)
/** Bytes of which none is zero. */
const noise = (bytes: number): Buffer => Buffer.alloc(bytes, 'not a zero')
const pinned = (pins: Pins, { entries }: Pick<Checkpoint, 'entries'>): boolean[] => entries.flatMap(({ digest }) => (digest ? [pins.has(digest)] : []))

// Blocks have 512 bytes.
test.each<[string, readonly Buffer[], readonly (readonly [number, boolean])[], readonly Stretch[]]>([
  [
    'bytes fill segments of 2 MiB',
    [noise(2 * MIB + 100)],
    [
      [2 * MIB, false],
      [100, true],
    ],
    [['slices', 2 * MIB + 100]],
  ],
  [
    'a piece goes on in the next segment',
    [noise(100), noise(2 * MIB)],
    [
      [2 * MIB, false],
      [100, true],
    ],
    [['slices', 2 * MIB + 100]],
  ],
  [
    'a full segment is followed by an empty one',
    [noise(2 * MIB)],
    [
      [2 * MIB, false],
      [0, true],
    ],
    [['slices', 2 * MIB]],
  ],
  [
    '512 KiB of zeros end a segment and are in none',
    [noise(4096), zeros(512 * KIB), noise(100)],
    [
      [4096, true],
      [100, true],
    ],
    [
      ['slices', 4096],
      ['zeros', 512 * KIB],
      ['slices', 100],
    ],
  ],
  [
    'a byte less is in a segment',
    [noise(4096), zeros(512 * KIB - 1), noise(1)],
    [[4096 + 512 * KIB, true]],
    [
      ['slices', 4096],
      ['zeros', 512 * KIB - 512],
      ['slices', 512],
    ],
  ],
  [
    'a run is counted across pieces',
    [zeros(300 * KIB), zeros(1), zeros(299 * KIB - 1), noise(7)],
    [
      [0, true],
      [7, true],
    ],
    [
      ['zeros', 599 * KIB],
      ['slices', 7],
    ],
  ],
  [
    'a run begins at a block',
    [noise(100), zeros(MIB), noise(50)],
    [
      [512, true],
      [150, true],
    ],
    [
      ['slices', 512],
      ['zeros', MIB - 512],
      ['slices', 150],
    ],
  ],
  [
    'and ends at one',
    [zeros(MIB + 511), noise(1)],
    [
      [0, true],
      [512, true],
    ],
    [
      ['zeros', MIB],
      ['slices', 512],
    ],
  ],
  ['one zero before other bytes is kept', [zeros(1), noise(511)], [[512, true]], [['slices', 512]]],
  [
    'a run at the end is in none either',
    [noise(512), zeros(512 * KIB + 3)],
    [
      [512, true],
      [3, true],
    ],
    [
      ['slices', 512],
      ['zeros', 512 * KIB + 3],
    ],
  ],
])('%s', async (_what, pieces, segments, stretches) => {
  await using scene = await openScene()
  await using ingest = scene.ingest()
  for (const piece of pieces) await ingest.write(piece)
  expect(stretchesOf(await ingest.finish())).toEqual([...stretches])
  expect(scene.pool.segments).toEqual(segments.map(([bytes, isLast]) => [bytes, isLast]))
})

test('an ingest that continues begins its blocks where the tail does', async () => {
  await using scene = await openScene()
  await using ingest = scene.ingest({ offset: 8192, tail: noise(100) })
  await ingest.write(zeros(412))
  await ingest.write(zeros(MIB))
  await ingest.write(noise(10))
  expect(stretchesOf(await ingest.finish())).toEqual([
    ['slices', 512],
    ['zeros', MIB],
    ['slices', 10],
  ])
  expect(scene.pool.segments).toEqual([
    [412, true],
    [10, true],
  ])
})

describe('a checkpoint', () => {
  test('submits what there is, and nothing when there is nothing', async () => {
    await using scene = await openScene()
    await using ingest = scene.ingest()
    await ingest.checkpoint()
    expect(scene.pool.segments).toEqual([])
    await ingest.write(noise(1))
    expect((await ingest.checkpoint()).tail).toEqual(new Uint8Array(noise(1)))
    expect(scene.pool.segments).toEqual([[1, false]])
  })

  test('has the entries, bytes and pins of what was written since the one before', async () => {
    await using scene = await openScene()
    await using ingest = scene.ingest()
    const content = [1, 2, 3].map((seed) => Buffer.concat([noiseBlocks(seed, 2), zeros(512)]))
    const checkpoints: Checkpoint[] = []
    for (const bytes of content) {
      await ingest.write(bytes)
      checkpoints.push(await ingest.checkpoint())
    }
    expect(checkpoints.map(stretchesOf)).toEqual(
      content.map(() => [
        ['slices', 1024],
        ['zeros', 512],
      ]),
    )
    expect(checkpoints.map(({ storedBytes }) => storedBytes)).toEqual([1088, 1088, 1088])
    checkpoints[1]?.release()
    expect(checkpoints.map((checkpoint) => pinned(scene.pins, checkpoint))).toEqual([[true], [false], [true]])
    await ingest[Symbol.asyncDispose]()
    expect(checkpoints.map((checkpoint) => pinned(scene.pins, checkpoint))).toEqual([[false], [false], [false]])
  })

  test('has a slice that comes twice in a segment once, also if the worker takes both for stored', async () => {
    await using scene = await openScene()
    await using ingest = scene.ingest()
    // Without a filter, workers take every slice for stored.
    await ingest.write(Buffer.concat([noiseBlocks(1, 2), zeros(512), noiseBlocks(1, 2), zeros(512), noiseBlocks(2, 2)]))
    const { entries, storedBytes } = await ingest.finish()
    const digests = entries.flatMap(({ digest }) => (digest ? [Buffer.from(digest).toString('hex')] : []))
    expect([digests.length, digests[0] === digests[1], digests[1] === digests[2]]).toEqual([3, true, false])
    expect(storedBytes).toBe(2 * (64 + 1024))
  })

  test('pins a slice that another ingest has stored since the worker asked whether it is', async () => {
    await using scene = await openScene()
    // A filter in which stored slices are missing.
    scene.pool.setFilter(createFilter(1000))
    const bytes = Buffer.concat([noiseBlocks(1, 2), zeros(512)])
    await using other = scene.ingest()
    await other.write(bytes)
    const first = await other.finish()
    first.release()
    await using ingest = scene.ingest()
    await ingest.write(bytes)
    const checkpoint = await ingest.checkpoint()
    expect([first.storedBytes, checkpoint.storedBytes]).toEqual([64 + 1024, 0])
    expect(pinned(scene.pins, checkpoint)).toEqual([true])
  })

  test('that cannot be synced fails, and pins nothing', async () => {
    await using scene = await openScene()
    await using ingest = scene.ingest()
    const bytes = Buffer.concat([noiseBlocks(1, 2), zeros(512)])
    await ingest.write(bytes)
    let syncs = 0
    // The first fsync is that of the header of a new pack.
    scene.held.sync = async () => {
      if (++syncs === 2) throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
    }
    await expect(ingest.checkpoint()).rejects.toThrow(StoreWriteFailed)
    const digest = new Uint8Array(Bun.SHA256.hash(bytes.subarray(0, 1024)) as Uint8Array)
    expect(scene.pins.has(digest)).toBe(false)
    await expect(ingest.write(noise(1))).rejects.toThrow(StoreWriteFailed)
    await expect(ingest.finish()).rejects.toThrow(StoreWriteFailed)
  })

  test('fails when the ingest is closed during its fsync', async () => {
    await using scene = await openScene()
    const ingest = scene.ingest()
    await ingest.write(Buffer.concat([noiseBlocks(1, 2), zeros(512)]))
    const waiting = Promise.withResolvers<void>()
    let syncs = 0
    scene.held.sync = () => (++syncs === 2 ? waiting.promise : Promise.resolve())
    const checkpoint = ingest.checkpoint()
    checkpoint.catch(() => {})
    await until('the fsync', () => syncs === 2)
    await ingest[Symbol.asyncDispose]()
    waiting.resolve()
    await expect(checkpoint).rejects.toThrow('the ingest was closed')
  })

  test('is of no use after another write to the pack has failed', async () => {
    await using scene = await openScene()
    await using ingest = scene.ingest()
    await ingest.write(noiseBlocks(1, 4))
    await using other = scene.ingest()
    await other.write(noiseBlocks(2, 4))
    scene.held.sync = async () => {
      throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
    }
    await expect(other.finish()).rejects.toThrow(StoreWriteFailed)
    scene.held.sync = async () => {}
    await expect(ingest.write(noise(1))).rejects.toThrow(StoreWriteFailed)
    await expect(ingest.checkpoint()).rejects.toThrow(StoreWriteFailed)
  })

  test('fails when another write to the pack fails meanwhile', async () => {
    await using scene = await openScene()
    await using ingest = scene.ingest()
    const worker = Promise.withResolvers<void>()
    scene.pool.after = worker.promise
    await ingest.write(noiseBlocks(1, 4))
    const checkpoint = ingest.checkpoint()
    checkpoint.catch(() => {})
    await until('its segment is with the worker', () => scene.pool.segments.length === 1)
    await using other = scene.ingest()
    await other.write(noiseBlocks(2, 4))
    scene.held.sync = async () => {
      throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
    }
    await expect(other.finish()).rejects.toThrow(StoreWriteFailed)
    scene.held.sync = async () => {}
    worker.resolve()
    await expect(checkpoint).rejects.toThrow(StoreWriteFailed)
  })

  test('is refused after the end, and so are bytes; an ingest that is closed says so', async () => {
    await using scene = await openScene()
    await using ingest = scene.ingest()
    await ingest.finish()
    await expect(ingest.checkpoint()).rejects.toThrow('an ingest takes no bytes after finish')
    await expect(ingest.write(noise(1))).rejects.toThrow('an ingest takes no bytes after finish')
    const closed = scene.ingest()
    await closed[Symbol.asyncDispose]()
    await expect(closed.write(noise(1))).rejects.toThrow('the ingest was closed')
    await expect(closed.finish()).rejects.toThrow('the ingest was closed')
  })
})

describe('closing an ingest', () => {
  const bytes = noiseBlocks(1, 4096)

  /** Returns the slices of the bytes, which nothing pins any more. */
  async function slicesOf(scene: Awaited<ReturnType<typeof openScene>>): Promise<Pick<Checkpoint, 'entries'>> {
    await using ingest = scene.ingest()
    await ingest.write(bytes)
    const { entries, release } = await ingest.finish()
    release()
    return { entries }
  }

  test('releases what no checkpoint has, and waits for what its workers do', async () => {
    await using scene = await openScene()
    const slices = await slicesOf(scene)
    for (const isWorkerBehind of [false, true]) {
      const ingest = scene.ingest()
      const worker = Promise.withResolvers<void>()
      if (isWorkerBehind) scene.pool.after = worker.promise
      await ingest.write(bytes)
      if (!isWorkerBehind) await until('its slices are pinned', () => pinned(scene.pins, slices).includes(true))
      let isClosed = false
      const closing = ingest[Symbol.asyncDispose]().then(() => (isClosed = true))
      if (isWorkerBehind) {
        await Bun.sleep(2)
        expect(isClosed).toBe(false)
      }
      worker.resolve()
      await closing
      expect([isWorkerBehind, pinned(scene.pins, slices).includes(true)]).toEqual([isWorkerBehind, false])
    }
  })
})

describe('when the workers are behind', () => {
  /** An ingest of whose segments no worker is done with, and the rejection of all of them. */
  async function stall(scene: Awaited<ReturnType<typeof openScene>>) {
    const done = Promise.withResolvers<never>()
    done.promise.catch(() => {})
    const cut = { kind: 'cut' as const, carry: new Uint8Array(0) }
    scene.pool.instead = () => ({ cut: Promise.resolve(cut), done: done.promise })
    const ingest = scene.ingest()
    const bytes = createRandom(1).bytes(2 * MIB)
    for (let segment = 0; segment < 8; segment++) await ingest.write(bytes)
    return { ingest, fail: done.reject }
  }

  test('a write waits for one of eight segments', async () => {
    await using scene = await openScene()
    const { ingest, fail } = await stall(scene)
    let isDone = false
    const write = ingest.write(noise(1)).finally(() => (isDone = true))
    write.catch(() => {})
    await Bun.sleep(5)
    expect([isDone, scene.pool.segments.length]).toEqual([false, 8])
    fail(new Error('a worker is gone'))
    // What waited is told, and so is everybody who comes later.
    await expect(write).rejects.toThrow('a worker is gone')
    await expect(ingest.write(noise(1))).rejects.toThrow('a worker is gone')
    await expect(ingest.finish()).rejects.toThrow('a worker is gone')
    await ingest[Symbol.asyncDispose]()
  })

  test('so does the end of the image', async () => {
    await using scene = await openScene()
    const { ingest, fail } = await stall(scene)
    const end = ingest.finish()
    end.catch(() => {})
    await Bun.sleep(5)
    expect(scene.pool.segments).toHaveLength(8)
    fail(new Error('a worker is gone'))
    await expect(end).rejects.toThrow('a worker is gone')
    await ingest[Symbol.asyncDispose]()
  })
})

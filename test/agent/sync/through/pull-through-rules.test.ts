// Rules of reads through origins: how many images at a time, who joins whom, what is shown of a pull, and what a stop ends.

import { describe, expect, test } from 'bun:test'
import type { TaskContext, TaskRunner } from '../../../../agent/contract/work.ts'
import { createPullThrough, PULLS_MAX } from '../../../../agent/sync/through/pull-through.ts'
import type { PullThroughDeps } from '../../../../agent/sync/through/pull-through.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { problem, ProblemError } from '../../../../protocol/problems.ts'
import { untilAborted } from '../../../../protocol/until-aborted.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const idOf = (n: number): string => `img_${String(n).padStart(26, '0')}`
const digestOf = (n: number): string => `sha256:${String(n).padStart(64, '0')}`
const imageOf = (id: string): Image => {
  const n = Number(id.slice(4))
  const hubs = { kind: 'upload', uploadId: 'upl_1', storeId: null, url: null, filename: 'a.raw', device: null } as const
  return memoryImage({
    id,
    name: `image-${n}`,
    manifestDigest: digestOf(n),
    digest: digestOf(1000 + n),
    source: hubs,
    bindings: ['vm-1'],
    protected: true,
    uniqueSize: 7,
  })
}

/** Reads through one origin that has every image. Each pull waits in its queue until the test lets it run. */
function open() {
  const here = new Set<string>()
  const progress: [number, number | null][] = []
  const queue: { readonly id: string; readonly go: () => void }[] = []
  const state = { isEnabled: true, isFound: true }
  let runner: TaskRunner = () => Promise.reject(new Error('no runner'))
  const get = async (id: string): Promise<Image> => {
    if (state.isFound) return imageOf(id)
    throw new ProblemError({ type: 'urn:slipway:problem:not-found', title: '', status: 404, detail: '', action: '' }, { isFromPeer: true })
  }
  /** A manifest that does not arrive. */
  async function* manifest(_id: string, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<Uint8Array> {
    await untilAborted(signal)
    yield* []
    throw signal.reason
  }
  const origin = { kind: 'origin', name: 'hub', url: 'http://hub', state: 'reachable', storeId: 'hub-id', version: 2, client: { images: { get, manifest } } }
  const deps = {
    clock: createManualClock(),
    log: createMemoryLog(),
    emit: () => {},
    crashPoint: () => {},
    origins: { list: () => [origin], usable: async () => [origin], answered() {}, failed() {} },
    images: { find: (id: string) => (here.has(id) ? imageOf(id) : undefined) },
    slices: {},
    space: { promise: async () => true },
    openShare: () => ({ take: async () => {}, inFlightMax: () => Infinity, [Symbol.dispose]() {} }),
    leases: {
      find: async () => undefined,
      receive: (_id: string, pieces: AsyncIterable<Uint8Array>) => Array.fromAsync(pieces),
      endAttempt() {},
      remove: async () => {},
    },
    inOrder: async (id: string, run: () => Promise<void>) => {
      await new Promise<void>((resolve) => void queue.push({ id, go: resolve }))
      return run()
    },
    gate: {
      isEnabled: () => state.isEnabled,
      requireEnabled() {
        if (!state.isEnabled) throw problem('store-unavailable', 'The store is disabled.')
      },
    },
    admitNew: () => {},
    tasks: { register: (_kind: string, run: TaskRunner) => void (runner = run), start: async () => ({}) },
  } as unknown as PullThroughDeps
  const through = createPullThrough(deps)
  const outcomeOf = (running: Promise<unknown>): Promise<unknown> =>
    running.then(
      (value) => value ?? 'here',
      (error: unknown) => (error instanceof ProblemError ? error.code : String(error)),
    )
  const found = async (id: string): Promise<Image> => {
    const image = await through.find(id)
    if (!image) throw new Error(`${id} was not found`)
    return image
  }
  return {
    through,
    progress,
    here,
    queue,
    state,
    found,
    outcomeOf,
    read: async (id: string, what: 'manifest' | 'content' = 'content') => outcomeOf(through.open(await found(id), what)),
    runTask: (id: string) => {
      const context: TaskContext = {
        taskId: 't',
        signal: new AbortController().signal,
        isRerun: true,
        resultSoFar: () => {},
        progress: (done, total) => void progress.push([done, total]),
      }
      return outcomeOf(runner({ image: id, startedMs: 0 }, context))
    },
  }
}
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
}

test('four images are read at a time; the fifth is refused, readers of one of the four join it, and one that has ended makes room', async () => {
  expect(PULLS_MAX).toBe(4)
  const { read, queue, here, through, found } = open()
  const reads = [1, 2, 3, 4].map((n) => read(idOf(n)))
  await turns()
  const fifth = await found(idOf(5))
  const refused = await through.open(fifth, 'content').catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'limit-reached', message: '4 images are being read from origins at the moment.', headers: { 'Retry-After': '5' } })
  reads.push(read(idOf(4)))
  await turns()
  expect(queue.map(({ id }) => id)).toEqual([1, 2, 3, 4].map(idOf))
  here.add(idOf(1))
  queue[0]?.go()
  expect(await reads[0]).toBe('here')
  reads.push(read(idOf(5)))
  await turns()
  expect(queue.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5].map(idOf))
  for (const { id, go } of queue) {
    here.add(id)
    go()
  }
  expect(await Promise.all(reads)).toEqual(Array.from({ length: 6 }, () => 'here'))
})

test('a read in progress is found by the id, the manifest or the content of its image, until it ends', async () => {
  const { through, read, queue, here } = open()
  const reads = [read(idOf(1)), read(idOf(2))]
  await turns()
  expect([idOf(2), digestOf(2), digestOf(1002), digestOf(3), 'image-2'].map((ref) => through.inProgress(ref)?.id)).toEqual([
    idOf(2),
    idOf(2),
    idOf(2),
    undefined,
    undefined,
  ])
  for (const n of [1, 2]) here.add(idOf(n))
  for (const { go } of queue) go()
  await Promise.all(reads)
  await turns()
  expect(through.inProgress(idOf(2))).toBeUndefined()
})

describe('an image of an origin', () => {
  test('is shown without what only the origin says of it, and with where it is', async () => {
    const { found } = open()
    expect(await found(idOf(1))).toMatchObject({
      name: 'image-1',
      bindings: [],
      protected: false,
      uniqueSize: null,
      source: { kind: 'sync', storeId: 'hub-id', url: 'http://hub', filename: 'a.raw' },
    })
  })

  test('is not looked for when it is here by now, or at no origin', async () => {
    const { through, here, state } = open()
    here.add(idOf(1))
    expect(await through.find(idOf(1))).toBeUndefined()
    state.isFound = false
    expect(await through.find(idOf(2))).toBeUndefined()
  })

  test('cannot be read without a look-up before', async () => {
    const { through, outcomeOf } = open()
    expect(await outcomeOf(through.open(imageOf(idOf(1)), 'content'))).toBe(`Error: image ${idOf(1)} was not found at an origin`)
  })

  test('is not read while the store is disabled; its manifest is', async () => {
    const { read, state, queue, here } = open()
    state.isEnabled = false
    expect(await read(idOf(1))).toBe('store-unavailable')
    const manifest = read(idOf(1), 'manifest')
    await turns()
    expect(queue).toHaveLength(1)
    here.add(idOf(1))
    queue[0]?.go()
    expect(await manifest).toBe('here')
  })
})

describe('a task that runs again', () => {
  test('has nothing to do for an image that is here, also if it came during the look-up', async () => {
    const { runTask, here, queue } = open()
    here.add(idOf(1))
    expect(await runTask(idOf(1))).toEqual({ outcome: 'already-there' })
    const running = runTask(idOf(2))
    here.add(idOf(2))
    expect(await running).toEqual({ outcome: 'already-there' })
    expect(queue).toEqual([])
  })

  test('fails for an image that no origin has any more', async () => {
    const { runTask, state } = open()
    state.isFound = false
    expect(await runTask(idOf(1))).toBe('not-found')
  })

  test('starts the copy again without a reader, or joins the one in progress', async () => {
    const { runTask, read, queue, here, progress } = open()
    const tasks = [runTask(idOf(1))]
    const reading = read(idOf(2))
    await turns()
    tasks.push(runTask(idOf(2)))
    await turns()
    expect(queue.map(({ id }) => id)).toEqual([idOf(1), idOf(2)])
    for (const { id, go } of queue) {
      here.add(id)
      go()
    }
    const nothing = { outcome: 'copied', origin: 'hub', slicesMoved: 0, bytesMoved: 0, bytesAvoided: 0 }
    expect(await Promise.all(tasks)).toMatchObject([nothing, nothing])
    expect(progress).toEqual([
      [0, 0],
      [0, 0],
    ])
    await reading
  })
})

test('a stop ends the pulls, waits for them, and lets no other begin', async () => {
  const { through, read, queue, found, outcomeOf } = open()
  const other = await found(idOf(2))
  const reading = read(idOf(1))
  await turns()
  let isOver = false
  const over = through[Symbol.asyncDispose]().then(() => (isOver = true))
  await turns()
  expect(isOver).toBe(false)
  expect(await outcomeOf(through.open(other, 'content'))).toBe('shutting-down')
  // Its manifest would never arrive.
  queue[0]?.go()
  await over
  expect(await reading).toBe('interrupted')
})

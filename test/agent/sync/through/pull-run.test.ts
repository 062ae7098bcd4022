// One pull of an image through an origin: the order of its steps, what it counts, and what it leaves when it ends early.

import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { createDisk } from '../../../../agent/system/disk.ts'
import type { KnownOrigin } from '../../../../agent/contract/origins.ts'
import { openLeases } from '../../../../agent/sync/leases.ts'
import { runPull } from '../../../../agent/sync/through/pull-run.ts'
import type { Opened, PullRun, PullRunDeps } from '../../../../agent/sync/through/pull-run.ts'
import { CODEC_RAW } from '../../../../protocol/slices/frames.ts'
import type { AnswerFrame } from '../../../../protocol/slices/frames.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import { problem } from '../../../../protocol/problems.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { MEMORY_IMAGE, memoryImage } from '../../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'
import { until } from '../../../support/until.ts'

const sliceOf = (byte: number) => {
  const stored = Buffer.alloc(4096, byte)
  return { digest: new Uint8Array(new Bun.CryptoHasher('sha256').update(stored).digest()), length: 4096, stored }
}
/** An image of three slices and a run of zeros as long as two of them. */
const SLICES = [sliceOf(1), sliceOf(2), sliceOf(3)]
const IMAGE_LENGTH = 20_480
/** A header of 32 bytes, four entries of 40, and a trailer of 32. */
const MANIFEST_LENGTH = 224

/** A pull of the image, of which the store has the first `here` slices. What happens is listed in order. */
async function open({ here = 0, failAfter = Infinity }: { readonly here?: number; readonly failAfter?: number } = {}) {
  const folder = await createTemporaryFolder()
  const clock = createManualClock()
  const log = createMemoryLog()
  const slices = createMemorySlices()
  {
    await using receiver = slices.receive()
    for (const slice of SLICES.slice(0, here)) await receiver.put({ ...slice, codec: CODEC_RAW })
  }
  const { manifest, digest } = await encodeManifest([...SLICES, { length: 8192, digest: null }])
  const image = memoryImage({ name: 'one', owner: 'ann', length: IMAGE_LENGTH, storedSize: null, manifestDigest: digest })
  const events: string[] = []
  const happened = (what: string) => (): void => void events.push(what)
  const leases = await openLeases({ disk: createDisk(), clock, log, mount: folder.path, missing: (digests) => slices.missing(digests) })
  const state = { isHere: false, adopt: async (): Promise<boolean> => true, hasRoom: true, hasManifest: true }
  let asked = 0
  const client = {
    images: {
      async *manifest() {
        yield state.hasManifest ? manifest.bytes : Buffer.alloc(MANIFEST_LENGTH)
      },
    },
    slices: {
      async *fetchPresent(digests: readonly string[]): AsyncGenerator<AnswerFrame> {
        for (const name of digests) {
          if (++asked > failAfter) throw problem('peer-refused', 'The origin refuses.', { fault: 'refused' })
          const slice = SLICES.find((one) => `sha256:${one.digest.toHex()}` === name)
          if (slice) yield { kind: 'slice', frame: { ...slice, codec: CODEC_RAW } }
        }
      },
    },
  }
  const origin = { kind: 'origin', name: 'hub', url: 'http://hub', state: 'reachable', storeId: 'hub', version: 2, client } as unknown as KnownOrigin
  const deps = {
    clock,
    log,
    leases,
    slices,
    crashPoint: (point: string) => void events.push(point),
    emit: ({ type, message }: { type: string; message: string }) => void events.push(`${type}: ${message}`),
    openShare: () => ({ take: async () => {}, inFlightMax: () => Infinity, [Symbol.dispose]: happened('share closed') }),
    space: {
      async promise(_key: string, bytes: number) {
        await new Promise(setImmediate)
        events.push(`promise ${bytes}`)
        return state.hasRoom || bytes === 0
      },
      isBelowReserve: async () => false,
    },
    images: {
      find: () => (state.isHere ? image : undefined),
      admit({ id, owner, length }: { id: string; owner: string; length: number }) {
        events.push(`admit ${id === MEMORY_IMAGE} ${owner} ${length}`)
        return { [Symbol.dispose]: happened('claim released') }
      },
      adopt() {
        events.push('adopt')
        return state.adopt()
      },
      async open() {
        events.push('content held')
        return { manifest, [Symbol.dispose]: happened('content released') }
      },
    },
  } as unknown as PullRunDeps
  const opened = Promise.withResolvers<Opened | undefined>()
  const admitted = Promise.withResolvers<void>()
  const wanted = Promise.withResolvers<boolean>()
  const idle = Promise.withResolvers<void>()
  const task = Promise.withResolvers<void>()
  const ended = new AbortController()
  const seen: [number, number][] = []
  for (const { promise } of [opened, admitted]) promise.catch(() => {})
  const run: PullRun = {
    image,
    origin,
    signal: ended.signal,
    opened,
    admitted,
    wanted: wanted.promise,
    untilIdle: () => idle.promise,
    removed: happened('removed'),
    async startTask() {
      events.push('task')
      await task.promise
    },
    kept: () => void events.push(existsSync(folder.file('sync', MEMORY_IMAGE)) ? 'kept before its lease is removed' : 'kept'),
    counts: { total: 0, done: 0, slicesMoved: 0, bytesMoved: 0, bytesAvoided: 0 },
    progressed: () => void seen.push([run.counts.done, run.counts.total]),
  }
  return {
    deps,
    run,
    state,
    events,
    seen,
    wanted,
    idle,
    task,
    ended,
    slices,
    clock,
    leases,
    /** Whether the lease of the image is there. */
    hasLease: async () => (await createDisk().list(folder.file('sync'))).length > 0,
    start: () => runPull(deps, run).catch((error: unknown) => error),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

describe('a pull', () => {
  test('admits the image, promises its space, shows its task and takes the lease before the first slice, and keeps it before it says so', async () => {
    await using it = await open({ here: 1 })
    it.wanted.resolve(true)
    it.task.resolve()
    it.idle.resolve()
    expect(await it.start()).toBeUndefined()
    expect(it.events).toEqual([
      `promise ${2 * MANIFEST_LENGTH}`,
      `admit true ann ${IMAGE_LENGTH}`,
      `promise ${8192 + MANIFEST_LENGTH}`,
      'task',
      'through:lease-acquired',
      'sync:batch-synced',
      `promise ${MANIFEST_LENGTH}`,
      'adopt',
      'through:adopted',
      'kept',
      'image.pulled: Image one was read through origin hub and is kept.',
      'content held',
      'removed',
      'content released',
      'claim released',
      'removed',
      'promise 0',
      'share closed',
    ])
    expect(await it.hasLease()).toBe(false)
  })

  test('counts what was missing, what moved, and what did not: slices that are here, and zeros', async () => {
    await using it = await open({ here: 1 })
    it.wanted.resolve(true)
    it.task.resolve()
    it.idle.resolve()
    await it.start()
    expect(it.run.counts).toEqual({ total: 8192, done: 8192, slicesMoved: 2, bytesMoved: 2 * (4096 + 48), bytesAvoided: 12_288 })
    expect(it.seen).toEqual([
      [4096, 8192],
      [8192, 8192],
    ])
  })

  test('counts a slice that an upload has stored meanwhile as done, and not as moved', async () => {
    await using it = await open()
    it.wanted.resolve(true)
    it.idle.resolve()
    const end = it.start()
    await until('the task starts', () => it.events.includes('task'))
    await using receiver = it.slices.receive()
    for (const slice of SLICES.slice(1)) await receiver.put({ ...slice, codec: CODEC_RAW })
    it.task.resolve()
    await end
    expect(it.run.counts).toMatchObject({ total: 12_288, slicesMoved: 1 })
  })

  test('shows no more than all as done, also if a slice is lost and moved twice', async () => {
    await using it = await open({ here: 3 })
    it.wanted.resolve(true)
    it.idle.resolve()
    const end = it.start()
    await until('the task starts', () => it.events.includes('task'))
    // A gc that listed the roots before the lease removes what was counted as here.
    it.slices.sweep([])
    it.task.resolve()
    await end
    expect(it.run.counts).toMatchObject({ total: 0, done: 0, slicesMoved: 3 })
  })

  test('lets readers begin when the task is durable, and fetches nothing before', async () => {
    await using it = await open()
    it.wanted.resolve(true)
    const end = it.start()
    let isAdmitted = false
    const opened = await it.run.opened.promise
    void opened?.admitted.then(() => (isAdmitted = true))
    await until('the task starts', () => it.events.includes('task'))
    await Bun.sleep(2)
    expect([isAdmitted, it.seen]).toEqual([false, []])
    it.task.resolve()
    await opened?.admitted
    await until('the image is kept', () => it.events.includes('kept'))
    expect(it.events).not.toContain('claim released')
    it.idle.resolve()
    await end
  })

  test('holds the content of the image until its last reader has left, or the agent stops', async () => {
    for (const leave of [(it: Awaited<ReturnType<typeof open>>) => it.idle.resolve(), (it: Awaited<ReturnType<typeof open>>) => it.ended.abort()]) {
      await using it = await open()
      it.wanted.resolve(true)
      it.task.resolve()
      const end = it.start()
      await until('the content is held', () => it.events.at(-1) === 'removed')
      await Bun.sleep(2)
      expect(it.events).not.toContain('content released')
      leave(it)
      await end
      expect(it.events).toContain('content released')
    }
  })
})

describe('a pull ends', () => {
  test('at once for an image that a sync has copied meanwhile', async () => {
    await using it = await open()
    it.state.isHere = true
    expect(await it.start()).toBeUndefined()
    expect(await it.run.opened.promise).toBeUndefined()
    expect(it.events).toEqual(['kept'])
  })

  test('without a trace when its readers wanted the manifest only', async () => {
    await using it = await open()
    it.wanted.resolve(false)
    expect(await it.start()).toBeUndefined()
    expect(await it.run.admitted.promise.catch((error: Error) => error.name)).toBe('PullEnded')
    expect(it.events).toEqual([`promise ${2 * MANIFEST_LENGTH}`, 'removed', 'removed', 'promise 0', 'share closed'])
    expect(await it.hasLease()).toBe(false)
  })

  test('when there is no room, before anybody is shown a task', async () => {
    await using it = await open()
    it.wanted.resolve(true)
    const end = it.start()
    await it.run.opened.promise.then(() => (it.state.hasRoom = false))
    expect(await end).toMatchObject({ code: 'insufficient-storage' })
    expect(it.events).not.toContain('task')
    expect(it.events.slice(-4)).toEqual(['claim released', 'removed', 'promise 0', 'share closed'])
    expect(await it.hasLease()).toBe(false)
  })

  test('when it is cancelled while its task starts, before the lease', async () => {
    await using it = await open()
    it.wanted.resolve(true)
    const end = it.start()
    await until('the task starts', () => it.events.includes('task'))
    it.ended.abort(new Error('cancelled'))
    it.task.resolve()
    expect(await end).toEqual(new Error('cancelled'))
    expect(it.events).not.toContain('through:lease-acquired')
    expect(await it.hasLease()).toBe(false)
  })

  test.each([
    ['with its lease, which protects what was fetched', 1, true],
    ['without a lease that protects nothing', 0, false],
  ])('%s, when the origin fails after %i slices', async (_what, failAfter, hasLease) => {
    await using it = await open({ failAfter })
    it.wanted.resolve(true)
    it.task.resolve()
    expect(await it.start()).toMatchObject({ code: 'peer-refused' })
    expect(await it.hasLease()).toBe(hasLease)
    expect(it.events.slice(-3)).toEqual(['removed', 'promise 0', 'share closed'])
    expect(it.events).not.toContain('adopt')
  })

  test('without a trace when no manifest arrives that is one', async () => {
    await using it = await open()
    it.state.hasManifest = false
    it.wanted.resolve(true)
    // Retries wait for the clock.
    const end = it.start()
    for (let tries = 1; tries < 8; tries++) {
      await it.clock.untilSleeping(1)
      it.clock.advance(10_000)
    }
    expect(await end).toMatchObject({ code: 'peer-invalid' })
    expect(await it.hasLease()).toBe(false)
  })

  test('and lets its lease expire', async () => {
    await using it = await open({ failAfter: 1 })
    it.wanted.resolve(true)
    it.task.resolve()
    await it.start()
    // Its files have the time of the machine, which may be years after the one of the clock.
    it.clock.advance(50 * 366 * 86_400_000)
    expect(await it.leases.expire()).toEqual([MEMORY_IMAGE])
  })

  test('and the next one goes on with the manifest and the lease of the one before', async () => {
    await using it = await open({ failAfter: 1 })
    it.wanted.resolve(true)
    it.task.resolve()
    it.idle.resolve()
    await it.start()
    const before = it.events.length
    // Again it gets one slice, and keeps the lease although this time nothing new arrives.
    expect(await it.start()).toMatchObject({ code: 'peer-refused' })
    expect(await it.hasLease()).toBe(true)
    // No manifest was promised space: the one of the lease is used.
    expect(it.events.slice(before, before + 2)).toEqual([`admit true ann ${IMAGE_LENGTH}`, `promise ${8192 + MANIFEST_LENGTH}`])
  })
})

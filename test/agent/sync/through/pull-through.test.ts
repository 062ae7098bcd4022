// Reads through an origin that lies: a reader gets the true bytes or an error, nothing wrong is published, and an honest origin serves afterwards.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { PullThrough } from '../../../../agent/contract/origins.ts'
import { createOrigins } from '../../../../agent/sync/origins/origins.ts'
import { createPullThrough } from '../../../../agent/sync/through/pull-through.ts'
import { ABSENT_MS, createLookup, LOOKUPS_MAX } from '../../../../agent/sync/through/lookup.ts'
import { createSpace } from '../../../../agent/system/space.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { problem, ProblemError } from '../../../../protocol/problems.ts'
import { LIE_NAMES, openLyingPeer } from '../../../support/agents/lying-peer.ts'
import type { LyingPeer } from '../../../support/agents/lying-peer.ts'
import { IMMEDIATE_CLOCK, openSyncTarget } from '../../../support/agents/sync-target.ts'
import type { SyncTarget } from '../../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

// Stores and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const BYTES = Buffer.from(seededBytes(900_000, 1))
/** An origin below this rate is too slow. */
const PACE = { rateWindowMs: 200, bytesPerSecondMin: 1000 }

const stack = new AsyncDisposableStack()
let peer: LyingPeer
let id: string
/** The kind of images that the edge does not take. */
let refusedKind: string | undefined

beforeAll(async () => {
  const source = stack.use(await openImageStore(stack.use(await createTemporaryFolder())))
  id = (await source.add(BYTES, { name: 'debian' })).id
  peer = stack.use(await openLyingPeer(source, (await source.add(seededBytes(900_000, 2), { name: 'other' })).id))
})

afterAll(() => stack.disposeAsync())

interface Edge extends AsyncDisposable {
  readonly target: SyncTarget
  readonly through: PullThrough
  /** Reads the image; returns its bytes, or the code of a problem. */
  read(): Promise<Buffer | string>
}

async function openEdge(): Promise<Edge> {
  const own = new AsyncDisposableStack()
  const target = own.use(await openSyncTarget(own.use(await createTemporaryFolder())))
  const { log, catalogue, slices, disk, mount } = target.store
  // Each read comes after the time for which an absent image is remembered.
  let laterMs = 0
  const clock = { ...IMMEDIATE_CLOCK, monotonicMs: () => systemClock.monotonicMs() + laterMs }
  const settings = [{ name: 'hub', url: peer.url, token: 'viewer' }]
  const origins = own.use(createOrigins({ clock: systemClock, log, settings, storeId: 'own', fetch, stallTimeoutMs: 500, pace: PACE }))
  const through = own.use(
    createPullThrough({
      clock,
      log,
      emit: () => {},
      origins,
      images: catalogue,
      slices,
      space: createSpace({ disk, clock: systemClock, mount, reservedBytes: () => 0 }),
      ...target.sync.copies,
      tasks: target.tasks,
      gate: { isEnabled: () => true, requireEnabled: () => {} },
      admitNew: ({ kind }) => {
        if (kind === refusedKind) throw problem('kind-not-accepted', 'test')
      },
      crashPoint: () => {},
    }),
  )
  return {
    target,
    through,
    async read() {
      laterMs += ABSENT_MS
      for (const origin of origins.list()) origins.answered(origin)
      try {
        const image = await through.find(id)
        if (!image) return 'not-found'
        using content = await through.open(image, 'content')
        if (!content) return 'here'
        const pieces: Uint8Array[] = []
        for await (const piece of content.read(0, image.length, new AbortController().signal)) pieces.push(piece.slice())
        return Buffer.concat(pieces)
      } catch (error) {
        if (error instanceof ProblemError) return error.code
        throw error
      }
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  }
}

/** Lies that a retry repeats for seconds before the read fails; syncs are tested with them (test/agent/sync/lying-peer.test.ts). */
const LONG_LIES: readonly string[] = ['manifest-huge', 'manifest-endless', 'manifest-slow', 'slices-slow', 'slices-endless']

describe('an origin that lies', () => {
  // `other-bytes` is another image under the same id: true to its manifest, and nothing here contradicts it.
  test.each(LIE_NAMES.filter((lie) => lie !== 'other-bytes' && !LONG_LIES.includes(lie)))(
    '(%s) gives a reader the true bytes or an error, and publishes nothing wrong',
    async (lie) => {
      await using edge = await openEdge()
      peer.lie(undefined)
      await until('the origin is known', async () => (await edge.through.find(`img_${'0'.repeat(26)}`).catch(() => 'down')) === undefined)
      peer.lie(lie)
      const got = await edge.read()
      peer.lie(undefined)
      expect(Buffer.isBuffer(got) ? got.equals(BYTES) : typeof got).toBe(Buffer.isBuffer(got) ? true : 'string')
      await until('the pull has ended', () => edge.through.inProgress(id) === undefined)
      const { catalogue } = edge.target.store
      const kept = catalogue.find(id)
      if (kept === undefined) {
        expect([...catalogue.each()]).toEqual([])
        const again = await until('it is read', async () => {
          const bytes = await edge.read()
          return Buffer.isBuffer(bytes) ? bytes : undefined
        })
        expect(again.equals(BYTES)).toBe(true)
      }
      await until('the image is kept', () => edge.through.inProgress(id) === undefined && catalogue.find(id)?.status === 'available')
      await catalogue.settled()
      expect((await edge.target.store.read(id)).equals(BYTES)).toBe(true)
      expect(await edge.target.store.disk.list(`${edge.target.store.mount}/sync`)).toEqual([])
    },
  )
})

test('a reader that is slower than the pull reads all bytes, even if the image is deleted for good meanwhile', async () => {
  await using edge = await openEdge()
  const { catalogue, slices } = edge.target.store
  peer.lie(undefined)
  const image = await until('the origin is known', () => edge.through.find(id).catch(() => undefined))
  const content = await edge.through.open(image, 'content')
  try {
    await until('the image is kept', () => catalogue.find(id)?.status === 'available')
    await catalogue.settled()
    // Shown as available before the pull ends: what the pull itself holds must be gone.
    await until('the lease is removed', async () => (await edge.target.store.disk.list(`${edge.target.store.mount}/sync`)).length === 0)
    await catalogue.delete(id, 'test', { permanent: true })
    await slices.gc({ dryRun: false })
    await slices.gc({ dryRun: false })
    expect(slices.stats().slices).toBeGreaterThan(0)
    // The image is not here any more, and nobody joins the pull that has kept it.
    expect(edge.through.inProgress(id)).toBeUndefined()
    const pieces: Uint8Array[] = []
    for await (const piece of content?.read(0, image.length, new AbortController().signal) ?? []) pieces.push(piece.slice())
    expect(Buffer.concat(pieces).equals(BYTES)).toBe(true)
  } finally {
    content?.[Symbol.dispose]()
  }
  // Without a reader, nothing protects the slices.
  await until('the slices are gone', async () => {
    await slices.gc({ dryRun: false })
    return slices.stats().slices === 0
  })
})

describe('a look-up', () => {
  test('remembers what no origin has, shares requests, and refuses too many', async () => {
    const asked: string[] = []
    let nowMs = 0
    const client = { images: { get: async (ref: string) => (asked.push(ref), Promise.reject(notFound)) } }
    const notFound = new ProblemError({ type: 'urn:slipway:problem:not-found', title: '', status: 404, detail: '', action: '' }, { isFromPeer: true })
    const origin = { name: 'hub', url: 'http://hub', state: 'reachable', storeId: 'x', version: 2, client } as unknown as Awaited<
      ReturnType<ReturnType<typeof createOrigins>['usable']>
    >[number]
    const origins = {
      list: () => [origin],
      usable: async () => [origin],
      answered() {},
      failed() {},
      onReachable: () => ({ [Symbol.dispose]() {} }),
      [Symbol.dispose]() {},
    }
    const find = createLookup({ clock: { ...systemClock, monotonicMs: () => nowMs }, origins })
    const ref = (n: number): string => `img_${String(n).padStart(26, '0')}`
    expect(await Promise.all([find(ref(1)), find(ref(1)), find(ref(1)), find('debian'), find('sha256:12')])).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ])
    expect(asked).toEqual([ref(1)])
    nowMs = ABSENT_MS - 1
    await find(ref(1))
    expect(asked).toHaveLength(1)
    nowMs = ABSENT_MS
    await find(ref(1))
    expect(asked).toHaveLength(2)
    const many = await Promise.allSettled(Array.from({ length: LOOKUPS_MAX + 1 }, (_, n) => find(ref(10 + n))))
    expect(many.map(({ status }) => status)).toEqual([...Array(LOOKUPS_MAX).fill('fulfilled'), 'rejected'])
  })
})

test('an image of a kind that the store does not take is not fetched, and its metadata can be read', async () => {
  await using edge = await openEdge()
  peer.lie(undefined)
  const image = await until('the origin is known', () => edge.through.find(id).catch(() => undefined))
  refusedKind = image.kind
  try {
    expect(await edge.read()).toBe('kind-not-accepted')
    expect(edge.through.inProgress(id)).toBeUndefined()
    expect([...edge.target.store.catalogue.each()]).toEqual([])
    expect(edge.target.store.slices.stats().slices).toBe(0)
  } finally {
    refusedKind = undefined
  }
  expect(Buffer.isBuffer(await edge.read())).toBe(true)
})

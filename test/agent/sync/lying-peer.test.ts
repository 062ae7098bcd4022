// Sync from a peer that lies: the task ends with the right problem, nothing wrong is published, gc leaves no unreferenced slice, and a later
// honest sync succeeds.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { problemCode } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import { LIE_NAMES, openLyingPeer } from '../../support/agents/lying-peer.ts'
import type { Lie, LyingPeer } from '../../support/agents/lying-peer.ts'
import { IMMEDIATE_CLOCK, openSyncTarget } from '../../support/agents/sync-target.ts'
import type { SyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { manifestOf } from '../../support/images/whole-manifest.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

// Stores and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** How a sync of an image that is not here yet ends. A lie that costs only time or bytes ends in a true copy. */
const OUTCOMES: Record<Exclude<Lie, 'other-bytes' | 'manifest-huge'>, string> = {
  'another-image': 'peer-invalid',
  'another-id': 'peer-invalid',
  'changed-since': 'digest-mismatch',
  'changes-again': 'digest-mismatch',
  'wrong-manifest-digest': 'digest-mismatch',
  'wrong-length': 'digest-mismatch',
  'no-manifest-digest': 'wrong-status',
  'manifest-damaged': 'peer-invalid',
  'manifest-shorter': 'digest-mismatch',
  'manifest-longer': 'digest-mismatch',
  'manifest-empty': 'peer-invalid',
  'manifest-cut': 'peer-invalid',
  'manifest-goes-on': 'peer-unreachable',
  'manifest-endless': 'peer-unreachable',
  'manifest-slow': 'peer-unreachable',
  'manifest-redirect': 'peer-unreachable',
  'entries-shorter': 'peer-invalid',
  'entries-longer': 'peer-invalid',
  'entry-longer': 'peer-invalid',
  'slice-bytes': 'peer-invalid',
  'slice-unasked': 'peer-invalid',
  'slice-unasked-between': 'succeeded',
  'slice-longer': 'peer-invalid',
  'slice-shorter': 'peer-invalid',
  'slice-codec': 'peer-invalid',
  'slice-bomb': 'peer-invalid',
  'slice-window': 'peer-invalid',
  'slices-reversed': 'peer-invalid',
  'slices-short': 'peer-invalid',
  'slices-none': 'peer-invalid',
  'slices-long': 'succeeded',
  'slices-cut': 'succeeded',
  'slices-cut-in-slice': 'peer-invalid',
  'slices-endless': 'peer-invalid',
  'slices-slow': 'peer-unreachable',
  'slices-redirect': 'peer-unreachable',
  'slices-absent': 'not-found',
  'absent-unasked': 'peer-invalid',
}
const OUTCOME_PAIRS = Object.entries(OUTCOMES) as [Exclude<Lie, 'other-bytes' | 'manifest-huge'>, string][]

/** Lies after which slices stay that were right, under a lease. */
const LEAVES_SLICES: readonly Lie[] = ['entry-longer', 'slices-short', 'slices-endless']

const BYTES = Buffer.from(seededBytes(900_000, 1))
const OTHER_BYTES = Buffer.from(seededBytes(900_000, 2))
/** A peer below this rate is too slow. An honest peer on a busy machine may fall below it too: then it is asked again. */
const PACE = { rateWindowMs: 200, bytesPerSecondMin: 1000 }
const LEASE_MS = 25 * 3_600_000

const stack = new AsyncDisposableStack()
let peer: LyingPeer
let id: string
let otherId: string

beforeAll(async () => {
  const folder = stack.use(await createTemporaryFolder())
  const source = stack.use(await openImageStore(folder))
  id = (await source.add(BYTES, { name: 'debian' })).id
  otherId = (await source.add(OTHER_BYTES, { name: 'other' })).id
  peer = stack.use(await openLyingPeer(source, otherId))
})

afterAll(() => stack.disposeAsync())

interface Setup extends AsyncDisposable {
  readonly target: SyncTarget
  /** Moves the clock of leases. */
  advance(ms: number): void
}

async function setUp(): Promise<Setup> {
  const own = new AsyncDisposableStack()
  const folder = own.use(await createTemporaryFolder())
  let laterMs = 0
  const clock = { ...IMMEDIATE_CLOCK, nowMs: () => Date.now() + laterMs }
  const target = own.use(await openSyncTarget(folder, { clock, pace: PACE }))
  peer.lie(undefined)
  return { target, advance: (ms) => void (laterMs += ms), [Symbol.asyncDispose]: () => own.disposeAsync() }
}

function outcomeOf(task: Task): string {
  return task.error ? problemCode(task.error) : task.state
}

/** Expects the image here as the source has it, and no other slices. */
async function expectCopy({ store }: SyncTarget, bytes: Buffer = BYTES): Promise<void> {
  await store.catalogue.settled()
  expect(store.catalogue.need(id)).toMatchObject({ status: 'available', name: 'debian', length: bytes.byteLength })
  expect((await store.read(id)).equals(bytes)).toBe(true)
  await store.slices.gc({ dryRun: false })
  const manifest = await manifestOf(store.catalogue, id)
  expect(store.slices.stats().slices).toBe(manifest.count)
  expect(await store.slices.scrub({ bytesPerSecond: 1e12 })).toMatchObject({ corrupt: [], missing: [] })
  expect(await store.disk.list(`${store.mount}/sync`)).toEqual([])
}

function published({ store }: SyncTarget): string[] {
  return store.catalogue.list({}, { limit: 10 }).items.map((image) => image.id)
}

describe('a sync from a peer that lies', () => {
  test('is tested with every lie', () => {
    expect([...OUTCOME_PAIRS.map(([lie]) => lie), 'other-bytes', 'manifest-huge'].toSorted()).toEqual([...LIE_NAMES].toSorted())
  })

  test.each(OUTCOME_PAIRS)('(%s) ends with %s, publishes nothing wrong, and succeeds when the peer is honest', async (lie, outcome) => {
    await using it = await setUp()
    const { target } = it
    peer.lie(lie)
    const task = await target.pull(peer.url, [id])
    expect([outcomeOf(task), peer.told > 0]).toEqual([outcome, true])
    if (outcome === 'succeeded') return await expectCopy(target)
    expect(published(target)).toEqual([])
    // A lease keeps the slices that were right for the next attempt; without one, none stays.
    expect((await target.store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
    const leases = await target.store.disk.list(`${target.store.mount}/sync`)
    expect(leases).toEqual(LEAVES_SLICES.includes(lie) ? [id] : [])
    expect(target.store.slices.stats().slices > 0).toBe(leases.length > 0)
    peer.lie(undefined)
    expect(outcomeOf(await target.pull(peer.url, [id]))).toBe('succeeded')
    await expectCopy(target)
  })

  test.each([...LEAVES_SLICES])('(%s) leaves no slice once its lease has expired', async (lie) => {
    await using it = await setUp()
    const { target } = it
    peer.lie(lie)
    await target.pull(peer.url, [id])
    it.advance(LEASE_MS)
    expect(await target.sync.expire()).toEqual([id])
    await target.store.slices.gc({ dryRun: false })
    expect(target.store.slices.stats().slices).toBe(0)
    expect(await target.store.disk.list(`${target.store.mount}/sync`)).toEqual([])
  })
})

describe('the same id with other bytes', () => {
  test('is refused while the image is here, which stays as it is', async () => {
    await using it = await setUp()
    const { target } = it
    expect(outcomeOf(await target.pull(peer.url, [id]))).toBe('succeeded')
    const before = target.store.catalogue.need(id)
    peer.lie('other-bytes')
    const task = await target.pull(peer.url, [id])
    expect([outcomeOf(task), task.error?.detail]).toEqual(['conflict', expect.stringContaining(id)])
    expect(target.store.catalogue.need(id)).toEqual(before)
    await expectCopy(target)
  })

  test('is refused for an image in the recycle bin', async () => {
    await using it = await setUp()
    const { target } = it
    await target.pull(peer.url, [id])
    await target.store.catalogue.delete(id, 'test')
    peer.lie('other-bytes')
    expect(outcomeOf(await target.pull(peer.url, [id]))).toBe('conflict')
    await target.store.catalogue.restore(id, 'test')
    await expectCopy(target)
  })

  test('replaces an attempt that did not end, of which nothing stays', async () => {
    await using it = await setUp()
    const { target } = it
    peer.lie('slices-short')
    expect(outcomeOf(await target.pull(peer.url, [id]))).toBe('peer-invalid')
    expect(target.store.slices.stats().slices).toBeGreaterThan(0)
    peer.lie('other-bytes')
    expect(outcomeOf(await target.pull(peer.url, [id]))).toBe('succeeded')
    await expectCopy(target, OTHER_BYTES)
  })
})

describe('a manifest whose lengths are not those of its slices', () => {
  test.each(['entries-shorter', 'entries-longer', 'entry-longer'] as const)('(%s) is refused although the slices are here', async (lie) => {
    await using it = await setUp()
    const { target } = it
    // Zeros after it change no slice, but make it another image.
    const more = Buffer.concat([BYTES, new Uint8Array(8192)])
    const here = await target.store.add(more)
    peer.lie(lie)
    expect(outcomeOf(await target.pull(peer.url, [id]))).toBe('peer-invalid')
    expect(published(target)).toEqual([here.id])
    expect((await target.store.read(here.id)).equals(more)).toBe(true)
  })
})

test('an answer about another image than the one that was asked for by id names both, and changes neither', async () => {
  await using it = await setUp()
  const { target } = it
  for (const lie of ['another-image', 'another-id'] as const) {
    peer.lie(lie)
    const task = await target.pull(peer.url, [id])
    expect(task.error?.detail).toBe(`${peer.url} was asked for image ${id} and answered with image ${otherId}.`)
    expect(published(target)).toEqual([])
  }
  // A name may stand for any image.
  peer.lie('another-image')
  expect(outcomeOf(await target.pull(peer.url, ['debian']))).toBe('succeeded')
  expect(published(target)).toEqual([otherId])
})

// One pass of healing: what is put back, from which origin, and what an origin that lies or fails leaves behind.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Origin } from '../../../../agent/contract/origins.ts'
import { createRateLimiter } from '../../../../agent/sync/limits/rate-limiter.ts'
import type { HealPassDeps } from '../../../../agent/sync/heal/heal-pass.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { serveImages } from '../../../support/agents/image-server.ts'
import { LIE_NAMES, openLyingPeer } from '../../../support/agents/lying-peer.ts'
import type { LyingPeer } from '../../../support/agents/lying-peer.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import type { ImageStore } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { BYTES, createPatient, expectHealed } from './patient.ts'

// Stores and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const OTHER_BYTES = Buffer.from(seededBytes(900_000, 2))
const stack = new AsyncDisposableStack()
let source: ImageStore
let peer: LyingPeer

beforeAll(async () => {
  source = stack.use(await openImageStore(stack.use(await createTemporaryFolder())))
  await source.add(BYTES, { name: 'debian' })
  const { id } = await source.add(OTHER_BYTES, { name: 'other' })
  peer = stack.use(await openLyingPeer(source, id))
})

afterAll(() => stack.disposeAsync())

describe('a pass', () => {
  test('asks an origin once for a batch, also for slices that it may not have', async () => {
    peer.lie(undefined)
    const requests: string[] = []
    await using patient = await createPatient([peer.url], (url, init) => {
      requests.push(`${init.method} ${new URL(url).pathname}`)
      return fetch(url, init)
    })
    await patient.origins.usable()
    expect(await patient.heal()).toMatchObject({ slicesHealed: 3 })
    expect(requests).toEqual(['GET /v1/store', 'POST /v1/slices/fetch'])
    await expectHealed(patient)
  })

  test('counts what it fetches against the rate of the store', async () => {
    peer.lie(undefined)
    await using patient = await createPatient([peer.url])
    const share = createRateLimiter({ clock: systemClock, bytesPerSecond: () => undefined }).open({ priority: 'normal' })
    const taken: number[] = []
    const take: typeof share.take = (bytes, signal) => {
      taken.push(bytes)
      return share.take(bytes, signal)
    }
    await patient.heal({ openShare: () => ({ ...share, take, [Symbol.dispose]: () => share[Symbol.dispose]() }) })
    // Three slices of random bytes, each with a header of 48 bytes.
    const lengths = [...taken].map((bytes) => bytes - 48)
    expect(lengths).toHaveLength(3)
    for (const length of lengths) expect(length).toBeGreaterThanOrEqual(16 * 1024)
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(BYTES.byteLength)
  })

  test('puts damaged slices back from an origin that has them in another image, and says so', async () => {
    peer.lie(undefined)
    await using patient = await createPatient([peer.url])
    patient.store.events.length = 0
    expect(await patient.heal()).toEqual({ slicesHealed: 3, slicesLeft: 0, imagesHealed: [patient.id], imagesLeft: [] })
    expect(patient.points).toEqual(['heal:slices-stored'])
    await expectHealed(patient)
    expect(patient.store.events.map(({ type, message }) => [type, message])).toEqual([
      ['image.recovered', 'Image a copy is intact again.'],
      ['slices.healed', '3 damaged slices were fetched from origin origin-0 and put back.'],
    ])
    // Nothing is left to do.
    expect(await patient.heal()).toEqual({ slicesHealed: 0, slicesLeft: 0, imagesHealed: [], imagesLeft: [] })
  })

  test('asks the next origin for what one lacks', async () => {
    await using empty = await openImageStore(stack.use(await createTemporaryFolder()))
    await using emptyServer = await serveImages(empty)
    await using goodServer = await serveImages(source)
    await using patient = await createPatient([emptyServer.url, goodServer.url])
    expect(await patient.heal()).toMatchObject({ slicesHealed: 3, slicesLeft: 0 })
    await expectHealed(patient)
  })

  test('leaves the image degraded when no origin has the slices, and says which', async () => {
    await using empty = await openImageStore(stack.use(await createTemporaryFolder()))
    await using server = await serveImages(empty)
    await using patient = await createPatient([server.url])
    expect(await patient.heal()).toBe('data-corrupt')
    expect([patient.store.catalogue.need(patient.id).status, patient.store.slices.stats().quarantined]).toEqual(['degraded', 3])
    expect(patient.store.events.at(-1)).toMatchObject({ type: 'heal.incomplete', details: { slicesLeft: 3, imagesLeft: [patient.id] } })
  })

  test('without an origin that answers changes nothing', async () => {
    await using patient = await createPatient(['http://127.0.0.1:9'])
    expect(await patient.heal()).toBe('origin-unreachable')
    expect(patient.store.catalogue.need(patient.id).status).toBe('degraded')
  })

  test('writes nothing while the free space is below the reserve', async () => {
    peer.lie(undefined)
    await using patient = await createPatient([peer.url])
    expect(await patient.heal({ space: { isBelowReserve: async () => true } })).toBe('insufficient-storage')
    expect(await patient.heal()).toMatchObject({ slicesHealed: 3 })
    await expectHealed(patient)
  })

  test('heals an image in the recycle bin, which stays there', async () => {
    peer.lie(undefined)
    await using patient = await createPatient([peer.url])
    await patient.store.catalogue.delete(patient.id, 'test')
    expect(await patient.heal()).toMatchObject({ slicesHealed: 3, imagesHealed: [patient.id] })
    expect(patient.store.catalogue.need(patient.id).status).toBe('deleted')
    await patient.store.catalogue.restore(patient.id, 'test')
    await expectHealed(patient)
  })

  test('finds slices that are back already, and does not ask for them', async () => {
    peer.lie(undefined)
    await using patient = await createPatient([peer.url])
    // Storing the same bytes again repairs the slices, and no scrub has noticed.
    await patient.store.add(BYTES, { name: 'again' })
    expect(patient.store.catalogue.need(patient.id).status).toBe('degraded')
    expect(await patient.heal()).toEqual({ slicesHealed: 0, slicesLeft: 0, imagesHealed: [patient.id], imagesLeft: [] })
    await expectHealed(patient)
  })

  test('copies an image in error again from the first origin that has it', async () => {
    peer.lie(undefined)
    await using patient = await createPatient([peer.url, peer.url])
    const asked: string[] = []
    const copyAgain = async ({ name }: Origin): Promise<boolean> => {
      asked.push(name)
      return name === 'origin-1'
    }
    const damaged = { image: patient.store.catalogue.need(patient.id), damage: 'manifest' as const }
    const images: HealPassDeps['images'] = { ...patient.store.catalogue, damagedImages: () => [damaged] }
    expect(await patient.heal({ images, copyAgain })).toMatchObject({ imagesHealed: [patient.id] })
    expect(asked).toEqual(['origin-0', 'origin-1'])
    expect(patient.store.events.map(({ message }) => message)).toContain('Image a copy was repaired from origin origin-1: its manifest was damaged.')
  })
})

describe('an origin that lies', () => {
  /** Lies about slices; those about images and manifests are told to syncs. A lie that costs only bytes heals all the same. */
  const OUTCOMES: Readonly<Record<string, string>> = {
    'slice-bytes': 'origin-unreachable',
    'slice-unasked': 'origin-unreachable',
    'slice-unasked-between': 'origin-unreachable',
    'slice-longer': 'origin-unreachable',
    'slice-shorter': 'origin-unreachable',
    'slice-codec': 'origin-unreachable',
    'slice-bomb': 'origin-unreachable',
    'slice-window': 'origin-unreachable',
    'slices-reversed': 'origin-unreachable',
    'slices-short': 'origin-unreachable',
    'slices-none': 'origin-unreachable',
    'slices-long': 'healed',
    'slices-cut': 'healed',
    'slices-cut-in-slice': 'origin-unreachable',
    'slices-endless': 'origin-unreachable',
    'slices-slow': 'origin-unreachable',
    'slices-redirect': 'origin-unreachable',
    // It says that it does not have them.
    'slices-absent': 'data-corrupt',
  }

  test('is tested with every lie about slices', () => {
    expect(Object.keys(OUTCOMES).toSorted()).toEqual(LIE_NAMES.filter((lie) => lie.startsWith('slice')).toSorted())
  })

  test.each(LIE_NAMES.filter((lie) => lie.startsWith('slice')))('(%s) puts nothing wrong into the store, and an honest one heals it', async (lie) => {
    await using patient = await createPatient([peer.url])
    const before = patient.store.slices.stats().slices
    peer.lie(lie)
    await patient.origins.usable()
    const outcome = await patient.heal()
    peer.lie(undefined)
    expect(typeof outcome === 'string' ? outcome : 'healed').toBe(OUTCOMES[lie] ?? '')
    if (typeof outcome === 'string') {
      expect(patient.store.catalogue.need(patient.id).status).toBe('degraded')
      expect(patient.store.slices.stats().slices).toBeLessThan(before + 3)
      const [origin] = patient.origins.list()
      if (origin) patient.origins.answered(origin)
      expect(await patient.heal()).toMatchObject({ slicesLeft: 0 })
    }
    await expectHealed(patient)
    // Exactly the slices of the image are stored.
    await patient.store.slices.gc({ dryRun: false })
    expect(patient.store.slices.stats().slices).toBe(before + 3)
  })
})

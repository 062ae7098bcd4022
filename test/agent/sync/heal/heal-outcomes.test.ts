// How a pass of healing ends: what its result, its problem and its events say of what was put back and of what is left.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Origins } from '../../../../agent/contract/origins.ts'
import type { HealPassDeps } from '../../../../agent/sync/heal/heal-pass.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { problem } from '../../../../protocol/problems.ts'
import { serveImages } from '../../../support/agents/image-server.ts'
import { openImageStore } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { BYTES, createPatient, expectHealed } from './patient.ts'
import type { Patient } from './patient.ts'

// Stores and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const stack = new AsyncDisposableStack()
/** Address of a store that has the image, and of one that has nothing. */
let good: string
let empty: string

beforeAll(async () => {
  const source = stack.use(await openImageStore(stack.use(await createTemporaryFolder())))
  await source.add(BYTES, { name: 'debian' })
  good = stack.use(await serveImages(source)).url
  empty = stack.use(await serveImages(stack.use(await openImageStore(stack.use(await createTemporaryFolder()))))).url
})

afterAll(() => stack.disposeAsync())

/** The images of a patient, as if these were damaged. */
function withDamaged({ store, id }: Patient, damage: 'manifest' | 'slices', count: number): HealPassDeps['images'] {
  const image = store.catalogue.need(id)
  const damaged = Array.from({ length: count }, (_, i) => ({ image: { ...image, id: i === 0 ? id : `img_${String(i).padStart(26, '0')}` }, damage }))
  return { ...store.catalogue, damagedImages: () => damaged }
}

const incompleteOf = ({ store }: Patient) => store.events.findLast(({ type }) => type === 'heal.incomplete')

describe('slices that no image names', () => {
  test('are put back too, as those of unfinished uploads', async () => {
    await using patient = await createPatient([good])
    const images = withDamaged(patient, 'slices', 0)
    expect(await patient.heal({ images })).toEqual({ slicesHealed: 3, slicesLeft: 0, imagesHealed: [], imagesLeft: [] })
    expect(patient.progress).toEqual([[3, 3]])
    expect(patient.store.slices.stats().quarantined).toBe(0)
    expect(incompleteOf(patient)).toBeUndefined()
  })

  test('that no origin has do not fail a pass: what needs them is counted with the images', async () => {
    await using patient = await createPatient([empty])
    expect(await patient.heal({ images: withDamaged(patient, 'slices', 0) })).toEqual({ slicesHealed: 0, slicesLeft: 0, imagesHealed: [], imagesLeft: [] })
    expect(patient.progress).toEqual([[0, 3]])
    expect(incompleteOf(patient)).toBeUndefined()
  })
})

describe('what no origin has', () => {
  test('is left: the problem names the images and says what to do', async () => {
    await using patient = await createPatient([empty])
    const error = await patient.problem()
    expect([error.code, error.message]).toEqual(['data-corrupt', '1 image and 3 slices are still damaged: no origin has them.'])
    expect(error.problem).toMatchObject({
      images: [patient.id],
      slicesHealed: 0,
      action: 'Sync the images from a store that has them, or add such a store as an origin. If none has them, delete the images.',
    })
    expect(incompleteOf(patient)).toMatchObject({
      severity: 'warning',
      subject: 'own',
      message: '1 image could not be repaired; no origin sent 3 slices of them.',
      details: { slicesLeft: 3, imagesLeft: [patient.id] },
    })
  })

  test('is a manifest: the pass fails although no slice is left', async () => {
    await using patient = await createPatient([good])
    const error = await patient.problem({ images: withDamaged(patient, 'manifest', 1) })
    expect([error.code, error.message]).toEqual(['data-corrupt', '1 image and 0 slices are still damaged: no origin has them.'])
    expect(error.problem).toMatchObject({ slicesHealed: 3 })
    expect(incompleteOf(patient)).toMatchObject({ details: { slicesLeft: 0, imagesLeft: [patient.id] } })
  })

  test('is named for 20 images at most, and counted for all', async () => {
    await using patient = await createPatient([good])
    const error = await patient.problem({ images: withDamaged(patient, 'manifest', 21) })
    expect(error.message).toStartWith('21 images and 0 slices')
    expect(error.problem['images']).toHaveLength(20)
    expect(incompleteOf(patient)?.message).toBe('21 images could not be repaired; no origin sent 0 slices of them.')
    expect(incompleteOf(patient)?.details?.['imagesLeft']).toHaveLength(20)
  })
})

test('of the images that are whole again a result names 20', async () => {
  await using patient = await createPatient([good])
  const result = await patient.heal({ images: withDamaged(patient, 'manifest', 21), copyAgain: async () => true })
  expect(typeof result === 'string' ? result : result.imagesHealed).toHaveLength(20)
})

describe('an origin that does not answer', () => {
  test('is named with its cause, and may have what is left', async () => {
    await using patient = await createPatient([good], (url, init) =>
      new URL(url).pathname === '/v1/slices/fetch' ? Promise.reject(new TypeError('the line is down')) : fetch(url, init),
    )
    const error = await patient.problem()
    expect(error.code).toBe('origin-unreachable')
    expect(error.message).toStartWith('1 image and 3 slices are still damaged: not every origin answered. ')
    expect(error.message.length).toBeGreaterThan('1 image and 3 slices are still damaged: not every origin answered. '.length)
    expect(patient.origins.list()[0]?.state).toBe('unreachable')
  })

  test('is not asked again in the same pass, and the next one is asked for the rest', async () => {
    const asked: string[] = []
    await using patient = await createPatient(['http://127.0.0.1:1', good], async (url, init) => {
      const { origin, pathname } = new URL(url)
      if (pathname === '/v1/slices/fetch') asked.push(origin)
      if (origin !== 'http://127.0.0.1:1') return fetch(url, init)
      if (pathname === '/v1/store') return fetch(`${good}/v1/store`, init)
      throw new TypeError('the line is down')
    })
    // The damaged image is looked at as well, after the slices that no image names.
    expect(await patient.heal()).toMatchObject({ slicesHealed: 3, imagesHealed: [patient.id] })
    expect(asked).toEqual(['http://127.0.0.1:1', good])
    await expectHealed(patient)
  })

  test('without a failure on the way is said in one sentence', async () => {
    await using patient = await createPatient(['http://127.0.0.1:9'])
    expect((await patient.problem()).message).toBe('1 image and 3 slices are still damaged: not every origin answered.')
  })
})

test('a failure of this store ends the pass as it is, also while a manifest is copied', async () => {
  await using patient = await createPatient([good])
  const full = new Error('EIO')
  const broken: HealPassDeps['slices'] = {
    missing: (digests) => patient.store.slices.missing(digests),
    quarantined: () => patient.store.slices.quarantined(),
    settleQuarantine: () => patient.store.slices.settleQuarantine(),
    lostPacks: () => patient.store.slices.lostPacks(),
    receive() {
      throw full
    },
  }
  expect(await patient.heal({ slices: broken }).catch((error: unknown) => error)).toBe(full)
  const copyAgain = (): Promise<boolean> => Promise.reject(full)
  expect(await patient.heal({ images: withDamaged(patient, 'manifest', 1), copyAgain }).catch((error: unknown) => error)).toBe(full)
})

test('an origin that fails to send a manifest is named, and the next one is asked', async () => {
  await using patient = await createPatient([good, good])
  const copyAgain: HealPassDeps['copyAgain'] = async ({ name }) => {
    if (name === 'origin-0') throw problem('peer-unreachable', 'The answer broke off.', { fault: 'cut' })
    return true
  }
  const images = withDamaged(patient, 'manifest', 1)
  expect(await patient.heal({ images, copyAgain })).toMatchObject({ imagesHealed: [patient.id] })
  const copyNothing: HealPassDeps['copyAgain'] = () => Promise.reject(problem('peer-unreachable', 'The answer broke off.', { fault: 'cut' }))
  expect((await patient.problem({ images, copyAgain: copyNothing })).code).toBe('origin-unreachable')
})

test('what a store sent that is no origin is announced with that store', async () => {
  await using patient = await createPatient([good])
  const origins: Pick<Origins, 'usable' | 'answered' | 'failed'> = {
    usable: async () => (await patient.origins.usable()).map((origin) => ({ ...origin, kind: 'partner', name: 'hub' })),
    answered() {},
    failed() {},
  }
  await patient.heal({ origins })
  const event = patient.store.events.find(({ type }) => type === 'slices.healed')
  expect(event).toMatchObject({
    severity: 'info',
    subject: 'own',
    message: '3 damaged slices were fetched from store hub, which this store synced with, and put back.',
    details: { partner: 'hub', url: good, slices: 3 },
  })
  expect(event?.details?.['digests']).toHaveLength(3)
})

describe('an image whose slices are all stored', () => {
  /** The images of a patient whose damage a reader keeps reporting until the given look; and what the pass waited. */
  function reportedUntil(patient: Patient, lastLook: number) {
    const waits: number[] = []
    let looks = 0
    const images: HealPassDeps['images'] = {
      ...withDamaged(patient, 'slices', 1),
      slicesIntact: async () => ++looks > lastLook,
    }
    // Waits of 0 let other work run; how many there are depends on the machine.
    const clock = { ...systemClock, sleep: async (ms: number) => void (ms > 0 && waits.push(ms)) }
    return { images, clock, waits }
  }

  test('is looked at again, half a second later, while readers still report damage', async () => {
    await using patient = await createPatient([good])
    const { images, clock, waits } = reportedUntil(patient, 9)
    expect(await patient.heal({ images, clock })).toMatchObject({ imagesHealed: [patient.id] })
    expect(waits).toEqual(Array(9).fill(500))
  })

  test('is left after ten looks', async () => {
    await using patient = await createPatient([good])
    const { images, clock, waits } = reportedUntil(patient, 10)
    expect(await patient.heal({ images, clock })).toBe('data-corrupt')
    expect(waits).toEqual(Array(10).fill(500))
  })

  test('is whole when nobody reports its damage any more', async () => {
    await using patient = await createPatient([good])
    let asked = 0
    const damaged = withDamaged(patient, 'slices', 1)
    const images: HealPassDeps['images'] = { ...damaged, damagedImages: () => (asked++ === 0 ? damaged.damagedImages() : []), slicesIntact: async () => false }
    expect(await patient.heal({ images })).toMatchObject({ imagesHealed: [patient.id] })
  })

  test('is left while the index names a pack that is gone', async () => {
    await using patient = await createPatient([good])
    const { store } = patient
    const slices: HealPassDeps['slices'] = {
      missing: (digests) => store.slices.missing(digests),
      receive: () => store.slices.receive(),
      quarantined: () => store.slices.quarantined(),
      settleQuarantine: () => store.slices.settleQuarantine(),
      lostPacks: async () => ({ names: ['a.pack'] }),
    }
    expect(await patient.heal({ slices })).toBe('data-corrupt')
    expect(incompleteOf(patient)).toMatchObject({ details: { slicesLeft: 0, imagesLeft: [patient.id] } })
  })
})

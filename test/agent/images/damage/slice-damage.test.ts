// Images with damaged slices: they are degraded once, say so in one event, and recover when a later scrub finds them intact.

import { describe, expect, test } from 'bun:test'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test('an image is degraded by a damaged slice, once, and recovers', async () => {
  await using folder = await createTemporaryFolder()
  let calls = 0
  await using store = await openImageStore(folder, { damaged: () => void calls++ })
  const { catalogue } = store
  const { id } = await store.add(seededBytes(5000, 1), { name: 'one' })
  const other = await store.add(seededBytes(5000, 2), { name: 'two' })
  const digest = (await manifestOf(catalogue, id)).digestAt(0)
  for (let found = 0; found < 2; found++) {
    catalogue.sliceDamaged(digest, 'its checksum does not match')
    await catalogue.settled()
  }
  expect([catalogue.need(id).status, catalogue.need(other.id).status, calls]).toEqual(['degraded', 'available', 1])
  expect(store.events.filter(({ type }) => type === 'image.degraded')).toEqual([
    {
      type: 'image.degraded',
      severity: 'error',
      subject: id,
      message:
        'Image one is degraded: one of its slices is damaged: its checksum does not match. Sync the image again from a store that has it; only damaged and missing slices are copied.',
    },
  ])
})

describe('a scrub', () => {
  /** A store with the images `one` and `two`; `at` is the time on its clock. */
  async function openTwo() {
    const folder = await createTemporaryFolder()
    const clock = createManualClock()
    const store = await openImageStore(folder, { clock, quietMs: () => Number.POSITIVE_INFINITY })
    const { id } = await store.add(seededBytes(5000, 1), { name: 'one' })
    const other = await store.add(seededBytes(5000, 2), { name: 'two' })
    store.events.length = 0
    const applied = async (damagedRoots: readonly string[], startedAtMs: number): Promise<void> => {
      await store.catalogue.applyScrub({ damagedRoots, startedAtMs })
      await store.catalogue.settled()
    }
    const statuses = (): string[] => [id, other.id].map((one) => store.catalogue.need(one).status)
    return {
      store,
      clock,
      id,
      applied,
      statuses,
      events: () => store.events.map(({ type, message }) => [type, message]),
      async [Symbol.asyncDispose]() {
        await store[Symbol.asyncDispose]()
        await folder[Symbol.asyncDispose]()
      },
    }
  }

  test('degrades the images that it names, and says when it ended', async () => {
    await using two = await openTwo()
    await two.applied([`image ${two.id}`, 'upload upl_1', 'image img_unknown'], 0)
    expect(two.statuses()).toEqual(['degraded', 'available'])
    expect(two.events()).toEqual([
      [
        'image.degraded',
        'Image one is degraded: the scrub that ended at 2026-01-01T00:00:00.000Z found damaged or missing slices. ' +
          'Sync the image again from a store that has it; only damaged and missing slices are copied.',
      ],
    ])
  })

  test('that began after the damage was found, and does not name the image, clears it', async () => {
    await using two = await openTwo()
    await two.applied([`image ${two.id}`], 0)
    const foundAtMs = two.clock.nowMs()
    await two.applied([`image ${two.id}`], foundAtMs + 1)
    expect(two.statuses()).toEqual(['degraded', 'available'])
    // It began when the damage was found, and may have passed the slice before.
    await two.applied([], foundAtMs)
    expect(two.statuses()).toEqual(['degraded', 'available'])
    await two.applied([], foundAtMs + 1)
    expect(two.statuses()).toEqual(['available', 'available'])
    expect(two.events().slice(1)).toEqual([['image.recovered', 'Image one is intact again.']])
    await two.applied([], foundAtMs + 1)
    expect(two.events()).toHaveLength(2)
  })

  test('says of an image whether its damage was cleared', async () => {
    await using two = await openTwo()
    const { catalogue } = two.store
    const laterMs = two.clock.nowMs() + 1
    expect(await catalogue.slicesIntact(two.id, laterMs)).toBe(false)
    await two.applied([`image ${two.id}`], 0)
    expect(await catalogue.slicesIntact(two.id, laterMs - 1)).toBe(false)
    expect(await catalogue.slicesIntact(two.id, laterMs)).toBe(true)
    expect(await catalogue.slicesIntact('img_unknown', laterMs)).toBe(false)
  })
})

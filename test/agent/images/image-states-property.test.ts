// Any sequence of changes keeps an image in a state that makes sense: its reason, its times, its content and the way back from the recycle bin.

import { expect, test } from 'bun:test'
import { undetected } from '../../../agent/images/formats/inspection.ts'
import fc from 'fast-check'
import { newLife } from '../../../agent/images/records/image-file.ts'
import type { StoredImage } from '../../../agent/images/records/image-file.ts'
import {
  adopted,
  allows,
  binned,
  concluded,
  fresh,
  givenUp,
  patched,
  refused,
  removing,
  restored,
  resynced,
  withDigest,
  withManifestDamage,
  withoutDamage,
  withSliceDamage,
} from '../../../agent/images/records/image-states.ts'
import type { ImageChange } from '../../../agent/images/records/image-states.ts'
import { explained } from '../../../agent/images/pending/status-reason.ts'
import { imageStatusSchema } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { propertyOptions } from '../../support/properties.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const OTHER_DIGEST = `sha256:${'b'.repeat(64)}`
const NOW_MS = 1_700_000_000_000
const NEW = { id: 'img_00000000000000000000000000', draft: { name: 'debian', description: '' }, source: memoryImage().source }

const ACCEPTED = { kind: 'accepted', format: 'raw', virtualSize: 100, details: null } as const
const REFUSED = {
  kind: 'refused',
  refusal: 'unsafe-image',
  format: null,
  virtualSize: null,
  details: undetected('unsafe-image'),
  reason: 'Unsafe. Flatten it.',
} as const

/** What can happen to an image, with the change of the state machine that it is. */
const STEPS: readonly (readonly [ImageChange, (stored: StoredImage) => StoredImage | undefined])[] = [
  ['conclude', (stored) => concluded(stored, { inspection: ACCEPTED as never, storedSize: 100 }, NOW_MS)],
  ['conclude', (stored) => concluded(stored, { inspection: REFUSED, storedSize: null }, NOW_MS)],
  ['giveUp', (stored) => givenUp(stored, { code: 'internal', reason: 'The inspection failed. Restore the image.' })],
  ['setDigest', (stored) => withDigest(stored, DIGEST)],
  ['setDigest', (stored) => withDigest(stored, OTHER_DIGEST)],
  ['markSliceDamage', (stored) => withSliceDamage(stored, 'a disk died. Sync it again.', NOW_MS)],
  ['markManifestDamage', (stored) => withManifestDamage(stored, 'its file is missing')],
  ['clearDamage', (stored) => (stored.life.damage === null ? undefined : withoutDamage(stored))],
  ['resync', (stored) => resynced(stored, { ...stored.image, status: 'available', statusReason: null }, NOW_MS)],
  ['bin', (stored) => binned(stored, NOW_MS, null)],
  ['bin', (stored) => binned(stored, NOW_MS, '2026-02-01T00:00:00.000Z')],
  ['restore', (stored) => restored(stored)],
  ['remove', (stored) => removing(stored)],
]

const STARTS: readonly (() => StoredImage)[] = [
  () => fresh(NEW, 100, DIGEST, NOW_MS),
  () => fresh({ ...NEW, draft: { ...NEW.draft, kind: 'virtualDisk', sourceInstance: 'vm-1' } }, 100, DIGEST, NOW_MS),
  () => refused(NEW, 100, { code: 'payload-too-large', reason: 'It has too many slices. Upload it elsewhere.' }, NOW_MS),
  () => adopted(memoryImage({ digest: DIGEST, manifestDigest: DIGEST }), NOW_MS),
]

/** Applies a step; a step that the state machine or a rule refuses changes nothing. */
function applied(stored: StoredImage, [change, run]: (typeof STEPS)[number]): StoredImage {
  if (!allows(change, stored.image.status)) return stored
  try {
    return run(stored) ?? stored
  } catch (error) {
    if (error instanceof ProblemError) return stored
    throw error
  }
}

test('every sequence of changes leaves an image with a reason, with times that match its status, and with its content', () => {
  fc.assert(
    fc.property(fc.nat(STARTS.length - 1), fc.array(fc.nat(STEPS.length - 1), { maxLength: 30 }), (start, steps) => {
      let stored = STARTS[start]?.() ?? fresh(NEW, 100, DIGEST, NOW_MS)
      const { id, length, createdAt } = stored.image
      for (const index of steps) {
        const step = STEPS[index]
        const before = stored
        stored = step ? applied(stored, step) : stored
        const { image, life } = stored
        expect(image).toMatchObject({ id, length, createdAt })
        if (image.status === 'available') expect([image.statusReason, life.damage]).toEqual([null, null])
        else expect(image.statusReason).toMatch(/^[A-Z].*\.$/s)
        // Outside of the bin an image has no date of deletion, except while it is being removed from there.
        if (image.status !== 'deleted' && image.status !== 'deleting') expect([image.deletedAt, image.expiresAt]).toEqual([null, null])
        if (image.status === 'deleted') expect(image.deletedAt).not.toBeNull()
        if (before.image.status === 'deleting') expect(image.status).toBe('deleting')
        // What was never accepted is not available.
        if (image.status === 'available' && before.image.status !== 'available') expect(image.availableAt).not.toBeNull()
      }
    }),
    propertyOptions(2000),
  )
})

test('an image comes back from the recycle bin as it was', () => {
  fc.assert(
    fc.property(fc.nat(STARTS.length - 1), fc.array(fc.nat(STEPS.length - 1), { maxLength: 12 }), (start, steps) => {
      let stored = STARTS[start]?.() ?? fresh(NEW, 100, DIGEST, NOW_MS)
      for (const index of steps) {
        const step = STEPS[index]
        if (step) stored = applied(stored, step)
      }
      if (!allows('bin', stored.image.status) || stored.life.damage === 'manifest') return
      const back = restored(binned(stored, NOW_MS, null))
      expect(back.image).toEqual(stored.image)
      expect(back.life.damage).toBe(stored.life.damage)
    }),
    propertyOptions(1000),
  )
})

test('an edit never changes the status, and never a virtual disk', () => {
  fc.assert(
    fc.property(fc.constantFrom(...imageStatusSchema.options), fc.string(), fc.boolean(), (status, name, isVirtual) => {
      const stored = { image: memoryImage({ status, kind: isVirtual ? 'virtualDisk' : 'disk' }), life: newLife() }
      if (isVirtual) expect(() => patched(stored, { name })).toThrow(ProblemError)
      else expect(patched(stored, { name, labels: { a: 'b' } }).image).toEqual({ ...stored.image, name, labels: { a: 'b' } })
    }),
    propertyOptions(200),
  )
})

test.each(imageStatusSchema.options.filter((status) => status !== 'available'))(
  'an image of an earlier version that is %s gets a reason when it is shown',
  (status) => {
    const image = memoryImage({ status, statusReason: null })
    expect(explained(image, undefined).statusReason).toMatch(/^[A-Z].*\.$/s)
    if (status !== 'creating') expect(explained({ ...image, statusReason: 'Known.' }, undefined).statusReason).toBe('Known.')
  },
)

test('an image that is being created says what it waits for, and since when', () => {
  const image = memoryImage({ status: 'creating', statusReason: 'Stored.', length: 1_000_000 })
  const work = { imageId: image.id, kind: 'inspect', queuedAtMs: NOW_MS, startedAtMs: null, done: 0, unpackedBytes: null, failure: null } as const
  expect(explained(image, work).statusReason).toBe('It waits for its inspection since 2023-11-14T22:13:20.000Z, because others run. It starts by itself.')
  expect(explained(image, { ...work, startedAtMs: NOW_MS }).statusReason).toBe(
    'It is being inspected since 2023-11-14T22:13:20.000Z. Then it is available or error.',
  )
  expect(explained(image, { ...work, startedAtMs: NOW_MS, done: 250_000 }).statusReason).toBe(
    'Its bytes are compared with the declared digest since 2023-11-14T22:13:20.000Z: 250 kB of 1.0 MB. Then it is available or error.',
  )
  expect(explained(image, { ...work, startedAtMs: NOW_MS, done: 250_000, unpackedBytes: 3_000_000 }).statusReason).toBe(
    'Its compressed file is being unpacked since 2023-11-14T22:13:20.000Z: 3.0 MB so far. Then it is inspected.',
  )
  expect(explained(image, { ...work, failure: { reason: 'EIO', atMs: NOW_MS, attempt: 2 } }).statusReason).toBe(
    'Attempt 2 of its inspection failed at 2023-11-14T22:13:20.000Z: EIO. It is tried again by itself; check the mount path if it keeps failing.',
  )
  expect(explained(image, { ...work, kind: 'digest' }).statusReason).toBe('Stored.')
  expect(explained(memoryImage(), work).statusReason).toBeNull()
})

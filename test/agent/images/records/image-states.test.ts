// State machine of an image: every allowed change of status works, and every other one is refused.

import { describe, expect, test } from 'bun:test'
import { undetected } from '../../../../agent/images/formats/inspection.ts'
import { newLife } from '../../../../agent/images/records/image-file.ts'
import type { ImageLife, StoredImage } from '../../../../agent/images/records/image-file.ts'
import {
  allows,
  binned,
  concluded,
  fresh,
  givenUp,
  lacksDigest,
  refused,
  removing,
  restored,
  resynced,
  withDigest,
  withManifestDamage,
  withoutDamage,
  withSliceDamage,
} from '../../../../agent/images/records/image-states.ts'
import type { ImageChange } from '../../../../agent/images/records/image-states.ts'
import { imageStatusSchema } from '../../../../protocol/images/image.ts'
import type { Image, ImageStatus } from '../../../../protocol/images/image.ts'
import { RAW_DETAILS } from '../../../support/images/inspected.ts'

const STATUSES = imageStatusSchema.options
const DIGEST = `sha256:${'a'.repeat(64)}`
const OTHER_DIGEST = `sha256:${'b'.repeat(64)}`
const NOW_MS = 1_700_000_000_000

const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
const NEW = { id: 'img_00000000000000000000000000', draft: { name: 'debian', description: '' }, source: SOURCE }

function storedAs(status: ImageStatus, image: Partial<Image> = {}, life: Partial<ImageLife> = {}): StoredImage {
  const stored = fresh(NEW, 100, DIGEST, NOW_MS)
  const statusReason = status === 'available' ? null : stored.image.statusReason
  return { image: { ...stored.image, status, statusReason, ...image }, life: newLife(life) }
}

/** All outcomes of each change from a status. */
const CHANGES: Readonly<Record<ImageChange, (status: ImageStatus) => (StoredImage | undefined)[]>> = {
  conclude: (status) => [
    concluded(storedAs(status), { inspection: { kind: 'accepted', format: 'raw', virtualSize: 100, details: RAW_DETAILS }, storedSize: 100 }, NOW_MS),
    concluded(
      storedAs(status),
      {
        inspection: { kind: 'refused', refusal: 'unsafe-image', format: null, virtualSize: null, details: undetected('unsafe-image'), reason: 'Unsafe.' },
        storedSize: null,
      },
      NOW_MS,
    ),
  ],
  giveUp: (status) => [givenUp(storedAs(status), { code: 'store-unavailable', reason: 'The disk failed.' })],
  setDigest: (status) => [withDigest(storedAs(status), DIGEST), withDigest(storedAs(status, { digest: OTHER_DIGEST }, { digestClaimed: true }), DIGEST)],
  markSliceDamage: (status) => [withSliceDamage(storedAs(status, {}, { before: { status: 'available', statusReason: null } }), 'a disk died.', NOW_MS)],
  markManifestDamage: (status) => [withManifestDamage(storedAs(status), 'its file is missing')],
  clearDamage: (status) => {
    if (status === 'deleted') return [withoutDamage(storedAs(status, {}, { damage: 'manifest' }))]
    if (status === 'degraded') return [withoutDamage(storedAs(status, {}, { damage: 'slices' }))]
    // An error caused by a damaged manifest returns to any status in which a manifest can be damaged.
    const earlier = STATUSES.filter((before) => allows('markManifestDamage', before) && before !== 'deleted')
    return earlier.map((before) => withoutDamage(storedAs(status, {}, { damage: 'manifest', before: { status: before, statusReason: null } })))
  },
  resync: (status) => [resynced(storedAs(status), storedAs('available').image, NOW_MS)],
  bin: (status) => [binned(storedAs(status), NOW_MS, null)],
  restore: (status) => {
    if (status !== 'deleted') return [restored(storedAs(status))]
    const earlier = STATUSES.filter((before) => allows('bin', before))
    return earlier.map((before) => restored(storedAs(status, {}, { before: { status: before, statusReason: null } })))
  },
  remove: (status) => [removing(storedAs(status))],
}

/** Every allowed change, written by hand: the statuses that each kind of change can result in, by the status before it. */
const ALLOWED: Readonly<Record<ImageChange, Partial<Record<ImageStatus, readonly ImageStatus[]>>>> = {
  conclude: { creating: ['available', 'error'] },
  giveUp: { creating: ['error'] },
  setDigest: { available: ['available', 'error'], degraded: ['degraded', 'error'] },
  markSliceDamage: { available: ['degraded'], degraded: ['degraded'], deleted: ['deleted'] },
  markManifestDamage: {
    creating: ['error'],
    uploading: ['error'],
    pending: ['error'],
    available: ['error'],
    degraded: ['error'],
    error: ['error'],
    deleted: ['deleted'],
  },
  clearDamage: { degraded: ['available'], error: ['creating', 'uploading', 'pending', 'available', 'degraded', 'error'], deleted: ['deleted'] },
  resync: { degraded: ['creating'], error: ['creating'], deleted: ['creating'] },
  bin: { available: ['deleted'], degraded: ['deleted'], error: ['deleted'] },
  restore: { deleted: ['available', 'degraded', 'error'], error: ['creating'] },
  remove: {
    creating: ['deleting'],
    uploading: ['deleting'],
    pending: ['deleting'],
    available: ['deleting'],
    degraded: ['deleting'],
    error: ['deleting'],
    deleted: ['deleting'],
    deleting: ['deleting'],
  },
}

describe('a change of status', () => {
  const changes = Object.keys(ALLOWED) as ImageChange[]
  const pairs = changes.flatMap((change) => STATUSES.map((status) => [change, status] as const))

  test.each(pairs)('%s from %s results in an allowed status, or is refused', (change, status) => {
    const allowed = ALLOWED[change][status]
    expect(allows(change, status)).toBe(allowed !== undefined)
    if (allowed) {
      const reached = new Set(CHANGES[change](status).map((stored) => stored?.image.status))
      expect([...reached].map(String).toSorted()).toEqual(allowed.map(String).toSorted())
      return
    }
    let outcome: (StoredImage | undefined)[] = []
    try {
      outcome = CHANGES[change](status)
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
    }
    expect(outcome.filter((stored) => stored !== undefined)).toEqual([])
  })

  test('never applies to an image with unreadable files', () => {
    expect(changes.filter((change) => allows(change, 'fileUnavailable'))).toEqual([])
  })

  test('ends at removal', () => {
    expect(changes.filter((change) => allows(change, 'deleting'))).toEqual(['remove'])
  })
})

test('an image whose inspection was given up keeps the code and the reason', () => {
  expect(givenUp(storedAs('creating'), { code: 'insufficient-storage', reason: 'The disk is full.' }).image).toMatchObject({
    status: 'error',
    statusReason: 'The disk is full.',
    formatDetails: { detected: 'unknown', refusal: 'insufficient-storage' },
  })
})

describe('a new image', () => {
  test('is creating, or an error if it can never have content', () => {
    expect(fresh(NEW, 100, DIGEST, NOW_MS).image.status).toBe('creating')
    expect(refused(NEW, 100, { code: 'data-corrupt', reason: 'The journal was damaged.' }, NOW_MS).image).toMatchObject({
      status: 'error',
      statusReason: 'The journal was damaged.',
      formatDetails: { detected: 'unknown', refusal: 'data-corrupt' },
    })
  })
})

describe('damage', () => {
  test('of the manifest keeps the earlier status, including damaged slices', () => {
    const degraded = withSliceDamage(storedAs('available'), 'a disk died.', NOW_MS)
    const lost = degraded && withManifestDamage(degraded, 'its file is missing')
    expect(lost?.image.status).toBe('error')
    const back = lost && withoutDamage(lost)
    expect(back).toMatchObject({ image: { status: 'degraded', statusReason: 'A disk died.' }, life: { damage: 'slices' } })
    expect(back && withoutDamage(back).image.status).toBe('available')
  })

  test('of slices that is cleared does not clear an error with another reason', () => {
    const mismatch = withDigest(storedAs('degraded', { digest: OTHER_DIGEST }, { damage: 'slices', digestClaimed: true }), DIGEST)
    expect(withoutDamage(mismatch).image).toMatchObject({ status: 'error', statusReason: expect.stringContaining('Digest mismatch') })
  })
})

describe('the recycle bin', () => {
  test.each([
    ['available', null],
    ['degraded', 'A disk died.'],
    ['error', 'Digest mismatch.'],
  ] as const)('returns an image to the status %s', (status, statusReason) => {
    const availableAt = status === 'error' ? null : '2026-01-01T00:00:00.000Z'
    const stored = storedAs(status, { statusReason, availableAt }, { damage: status === 'degraded' ? 'slices' : null })
    const deleted = binned(stored, NOW_MS, '2026-02-01T00:00:00.000Z')
    expect(deleted.image).toMatchObject({
      status: 'deleted',
      statusReason: 'It is in the recycle bin since 2023-11-14T22:13:20.000Z. It is deleted for good after 2026-02-01T00:00:00.000Z; restore brings it back.',
      deletedAt: '2023-11-14T22:13:20.000Z',
      expiresAt: '2026-02-01T00:00:00.000Z',
    })
    expect(restored(deleted)).toEqual(stored)
  })
})

describe('a sync', () => {
  const here: Partial<Image> = { owner: 'ann', bindings: ['vm-1'], protected: true }
  const source = storedAs('available', { name: 'theirs', owner: 'bob' }).image

  test('keeps owner, bindings and protection of an image with a damaged manifest', () => {
    const lost = withManifestDamage(storedAs('available', here), 'its file is missing')
    expect(lost && resynced(lost, source, NOW_MS).image).toMatchObject({ ...here, name: 'debian', status: 'creating' })
  })

  test('replaces an image that failed or lost its metadata', () => {
    for (const life of [{}, { damage: 'metadata' }] as const)
      expect(resynced(storedAs('error', here, life), source, NOW_MS).image).toMatchObject({ name: 'theirs', owner: 'bob', bindings: [], status: 'creating' })
  })
})

describe('the digest of an image', () => {
  test('makes an image an error when the source named another one, and only then', () => {
    const claimed = (digest: string) => storedAs('available', { digest }, { digestClaimed: true })
    for (const digest of [OTHER_DIGEST, `sha256:${'a'.repeat(63)}b`, `sha256:b${'a'.repeat(63)}`]) {
      const { image, life } = withDigest(claimed(digest), DIGEST)
      expect(image).toMatchObject({ status: 'error', digest: DIGEST, statusReason: expect.stringMatching(new RegExp(`${digest}.*${DIGEST}`)) })
      expect(life.digestClaimed).toBe(false)
    }
    expect(withDigest(claimed(DIGEST), DIGEST)).toMatchObject({ image: { status: 'available', statusReason: null }, life: { digestClaimed: false } })
  })

  test('is computed only if the content is readable and the store has not computed it yet', () => {
    expect(STATUSES.filter((status) => lacksDigest(storedAs(status)))).toEqual(['available', 'degraded'])
    expect(lacksDigest(storedAs('available', { digest: DIGEST }))).toBe(false)
    expect(lacksDigest(storedAs('available', { digest: DIGEST }, { digestClaimed: true }))).toBe(true)
  })
})

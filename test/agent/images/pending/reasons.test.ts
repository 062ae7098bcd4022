// The sentences about an image that is not available: one for each status, and for each step of the work on it.

import { expect, test } from 'bun:test'
import type { PendingWork } from '../../../../agent/images/pending/pending-works.ts'
import { binReason, explained } from '../../../../agent/images/pending/status-reason.ts'
import { workReason } from '../../../../agent/images/pending/work-reason.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const START = Date.parse('2026-01-01T00:00:00Z')
const WAITING: PendingWork = { imageId: 'img_1', kind: 'inspect', queuedAtMs: START, startedAtMs: null, done: 0, unpackedBytes: null, failure: null }
const STARTED: PendingWork = { ...WAITING, startedAtMs: START + 1000 }

test.each<[string, PendingWork, string]>([
  ['waits for its inspection', WAITING, 'It waits for its inspection since 2026-01-01T00:00:00.000Z, because others run. It starts by itself.'],
  ['waits for its digest', { ...WAITING, kind: 'digest' }, 'It waits for its digest since 2026-01-01T00:00:00.000Z, because others run. It starts by itself.'],
  ['is inspected', STARTED, 'It is being inspected since 2026-01-01T00:00:01.000Z. Then it is available or error.'],
  [
    'is compared with its digest',
    { ...STARTED, done: 1 },
    'Its bytes are compared with the declared digest since 2026-01-01T00:00:01.000Z: 1 B of 4.0 kB. Then it is available or error.',
  ],
  [
    'is unpacked',
    { ...STARTED, done: 1, unpackedBytes: 0 },
    'Its compressed file is being unpacked since 2026-01-01T00:00:01.000Z: 0 B so far. Then it is inspected.',
  ],
  [
    'is hashed',
    { ...STARTED, kind: 'digest', done: 2000 },
    'Its SHA-256 is computed since 2026-01-01T00:00:01.000Z: 2.0 kB of 4.0 kB. Digests pause while uploads run.',
  ],
  [
    'is tried again',
    { ...STARTED, failure: { reason: 'EIO', atMs: START + 2000, attempt: 3 } },
    'Attempt 3 of its inspection failed at 2026-01-01T00:00:02.000Z: EIO. It is tried again by itself; check the mount path if it keeps failing.',
  ],
])('an image that %s says so', (_what, work, reason) => {
  expect(workReason(work, { length: 4000 })).toBe(reason)
})

test('an image in the recycle bin says since when, and until when', () => {
  expect(binReason('2026-01-01', '2026-01-04')).toBe(
    'It is in the recycle bin since 2026-01-01. It is deleted for good after 2026-01-04; restore brings it back.',
  )
  expect(binReason('2026-01-01', null)).toBe('It is in the recycle bin since 2026-01-01. It stays there; restore brings it back.')
})

test('every status but available has a reason, its own if it has one', () => {
  const reasonOf = (changes: Partial<Image>, work?: PendingWork): string | null =>
    explained(memoryImage({ id: 'img_1', statusReason: null, ...changes }), work).statusReason
  expect(reasonOf({ status: 'available' }, WAITING)).toBeNull()
  expect(reasonOf({ status: 'creating' })).toStartWith('It waits for its inspection, or is being inspected.')
  expect(reasonOf({ status: 'creating' }, WAITING)).toStartWith('It waits for its inspection since 2026-01-01T00:00:00.000Z')
  expect(reasonOf({ status: 'creating' }, { ...WAITING, kind: 'digest' })).toStartWith('It waits for its inspection, or is being inspected.')
  expect(reasonOf({ status: 'deleted', deletedAt: '2026-01-01', expiresAt: null })).toStartWith('It is in the recycle bin since 2026-01-01.')
  expect(reasonOf({ status: 'deleted', deletedAt: null, createdAt: '2025-12-31', expiresAt: null })).toStartWith('It is in the recycle bin since 2025-12-31.')
  const starts = {
    deleting: 'It is being removed for good.',
    degraded: 'Some of its slices are damaged.',
    error: 'It cannot be used, and why is not known.',
    fileUnavailable: 'Its files cannot be read.',
    uploading: 'Its bytes are still uploaded.',
    pending: 'Its bytes are still uploaded.',
  } as const
  for (const [status, start] of Object.entries(starts) as [keyof typeof starts, string][]) {
    expect(reasonOf({ status })).toStartWith(start)
    expect(reasonOf({ status, statusReason: 'own' })).toBe('own')
  }
  expect(reasonOf({ status: 'deleted', statusReason: 'own' })).toBe('own')
  expect(reasonOf({ status: 'creating', statusReason: 'own' })).toBe('own')
})

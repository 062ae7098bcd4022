// What each change of an image changes, and that it changes nothing else: every member written down.

import { describe, expect, test } from 'bun:test'
import { undetected } from '../../../../agent/images/formats/inspection.ts'
import type { Refusal } from '../../../../agent/images/formats/inspection.ts'
import { blankImage, newLife } from '../../../../agent/images/records/image-file.ts'
import type { ImageLife, StoredImage } from '../../../../agent/images/records/image-file.ts'
import {
  adopted,
  binned,
  concluded,
  fresh,
  freshCompressed,
  isDamaged,
  lacksDigest,
  livesWith,
  neverHadContent,
  patched,
  refused,
  refuseUnreadable,
  removing,
  restored,
  resynced,
  stillUploaded,
  unpacked,
  uploaded,
  withDigest,
  withManifestDamage,
  withoutDamage,
  withSliceDamage,
} from '../../../../agent/images/records/image-states.ts'
import { errorCode } from '../../../../protocol/errors.ts'
import type { Image, ImagePatch, ImageStatus } from '../../../../protocol/images/image.ts'
import { imageStatusSchema } from '../../../../protocol/images/image.ts'
import { RAW_DETAILS } from '../../../support/images/inspected.ts'

const ID = 'img_00000000000000000000000000'
const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
const NEW = { id: ID, draft: { name: 'debian', description: 'text' }, source: SOURCE }
const NOW_MS = 1_700_000_000_000
const NOW = '2023-11-14T22:13:20.000Z'
const [DIGEST, OTHER] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`]
const CREATING = 'It waits for its inspection, or is being inspected. Then it is available or error; its task says more.'
const MANIFEST_ACTION = `Sync the image again from a store that has it, or restore images/${ID}/manifest from a backup and run scrub; otherwise delete the image.`

/** An image in this status that has content. */
function stored(status: ImageStatus, image: Partial<Image> = {}, life: Partial<ImageLife> = {}): StoredImage {
  return { image: blankImage({ id: ID, name: 'debian', status, manifestDigest: DIGEST, length: 100, ...image }, 0), life: newLife(life) }
}

/** Returns the members that differ. */
function changes(before: StoredImage, after: StoredImage | undefined): unknown {
  if (!after) return undefined
  const differing = <T extends object>(a: T, b: T): object =>
    Object.fromEntries(Object.entries(b).filter(([key, value]) => !Bun.deepEquals(a[key as keyof T], value)))
  return { image: differing(before.image, after.image), life: differing(before.life, after.life) }
}

function codeOf(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error instanceof Error ? [errorCode(error), error.message] : error
  }
  return 'nothing'
}

describe('a new image', () => {
  const begun = { status: 'creating', statusReason: CREATING } as const

  test('has what was declared, and waits for its inspection', () => {
    const { image, life } = fresh(NEW, 100, DIGEST, NOW_MS)
    expect(image).toEqual(blankImage({ id: ID, name: 'debian', description: 'text', source: SOURCE, manifestDigest: DIGEST, length: 100, ...begun }, NOW_MS))
    expect([image.createdAt, life]).toEqual([NOW, newLife()])
    const draft = {
      ...NEW.draft,
      kind: 'template',
      format: 'qcow2',
      digest: OTHER,
      os: 'Debian 12',
      cloudInit: true,
      mediaGroup: 'base',
      owner: 'ann',
      labels: { a: 'b' },
      sourceInstance: 'vm-1',
    } as const
    const declared = fresh({ ...NEW, draft, mayBeInstallation: false }, 100, null, NOW_MS)
    expect(declared.image).toMatchObject({ kind: 'template', format: null, digest: null, os: 'debian-12', cloudInit: true, mediaGroup: 'base', owner: 'ann' })
    expect(declared.image).toMatchObject({ labels: { a: 'b' }, sourceInstance: 'vm-1', bindings: [], requirements: { cpus: 1 }, manifestDigest: null })
    expect(declared.life.declared).toEqual({ digest: OTHER, format: 'qcow2', kind: 'template', mayBeInstallation: false })
  })

  test.each<[object, Image['kind'], readonly string[]]>([
    [{}, 'disk', []],
    [{ format: 'iso' }, 'iso', []],
    [{ format: 'raw' }, 'disk', []],
    [{ kind: 'virtualDisk' }, 'virtualDisk', []],
    [{ kind: 'virtualDisk', sourceInstance: 'vm-1' }, 'virtualDisk', ['vm-1']],
    [{ kind: 'snapshot', sourceInstance: 'vm-1' }, 'snapshot', []],
  ])('declared as %j is of the kind %s, and %j use it', (draft, kind, bindings) => {
    expect(fresh({ ...NEW, draft: { ...NEW.draft, ...draft } }, 1, null, 0).image).toMatchObject({ kind, bindings })
  })

  test('of a compressed file has no manifest until it is unpacked', () => {
    const packed = freshCompressed({ ...NEW, draft: { ...NEW.draft, digest: OTHER } }, 100, DIGEST, NOW_MS)
    expect([packed.image.manifestDigest, packed.image.length, packed.life.compressed]).toEqual([null, 100, DIGEST])
    expect(changes(packed, unpacked(packed, { digest: OTHER, imageLength: 500 }))).toEqual({
      image: { manifestDigest: OTHER, length: 500 },
      life: { compressed: null, declared: { digest: null, format: null, kind: null, mayBeInstallation: true } },
    })
  })

  test('that can never have content is an error for good', () => {
    const { image, life } = refused(NEW, 5, { code: 'invalid-input', reason: 'It is empty.' }, NOW_MS)
    expect(image).toMatchObject({ status: 'error', statusReason: 'It is empty.', length: 5, manifestDigest: null, formatDetails: undetected('invalid-input') })
    expect(life).toEqual(newLife({ damage: 'manifest' }))
    expect(neverHadContent({ image, life })).toBe(true)
    expect([neverHadContent(stored('error', {}, { damage: 'manifest' })), neverHadContent(stored('error', { manifestDigest: null }))]).toEqual([false, false])
  })

  test('that is still uploaded is shown as that, and cannot be changed', () => {
    const upload = { image: NEW, state: 'pending', reason: 'It waits.', length: 7, createdAtMs: NOW_MS } as const
    expect(uploaded(upload)).toMatchObject({ id: ID, status: 'pending', statusReason: 'It waits.', length: 7, manifestDigest: null, createdAt: NOW })
    const { code, message } = stillUploaded(upload)
    expect([code, message]).toEqual(['wrong-status', 'Image debian is pending. It waits.'])
  })
})

describe('a copied image', () => {
  const theirs = { name: 'theirs', owner: 'bob', digest: OTHER, format: 'qcow2', kind: 'template', uniqueSize: 5, protected: true } as const
  const source = stored('available', { ...theirs, bindings: ['vm'], availableAt: NOW, deletedAt: NOW, expiresAt: NOW }).image

  test('begins here without what belongs to a store', () => {
    const { image, life } = adopted(source, NOW_MS)
    const kept = { name: 'theirs', owner: 'bob', digest: OTHER, format: 'qcow2', kind: 'template', manifestDigest: DIGEST, length: 100 } as const
    expect(image).toEqual(blankImage({ id: ID, ...kept, statusReason: CREATING }, 0))
    const declared = { digest: null, format: 'qcow2', kind: 'template', mayBeInstallation: true } as const
    expect(life).toEqual(newLife({ declared, digestClaimed: true }))
    expect(adopted({ ...source, digest: null }, NOW_MS).life.digestClaimed).toBe(false)
    expect(adopted({ ...source, createdAt: '' }, NOW_MS).image.createdAt).toBe(NOW)
  })

  test('repairs what is here, and keeps its metadata', () => {
    const damaged = { damage: 'slices', damagedAtMs: 5, before: { status: 'available', statusReason: null } } as const
    const binnedHere = stored('deleted', { format: 'raw', deletedAt: NOW, expiresAt: NOW }, { ...damaged, compressed: OTHER })
    expect(changes(binnedHere, resynced(binnedHere, source, NOW_MS))).toEqual({
      image: { status: 'creating', statusReason: CREATING, deletedAt: null, expiresAt: null },
      life: {
        before: null,
        damage: null,
        damagedAtMs: 0,
        compressed: null,
        declared: { digest: null, format: 'raw', kind: null, mayBeInstallation: true },
      },
    })
  })

  test.each<[string, StoredImage, boolean]>([
    ['degraded', stored('degraded', {}, { damage: 'slices' }), false],
    ['an error with a damaged manifest', stored('error', {}, { damage: 'manifest' }), false],
    ['an error for another reason', stored('error'), true],
    ['without its metadata', stored('error', {}, { damage: 'metadata' }), true],
    ['degraded, with other content', stored('degraded', { manifestDigest: OTHER }, { damage: 'slices' }), true],
    ['in the recycle bin', stored('deleted'), false],
  ])('replaces the metadata of one that is %s only where it must', (_what, there, isReplaced) => {
    expect(resynced(there, source, NOW_MS).image.name).toBe(isReplaced ? 'theirs' : 'debian')
  })
})

describe('an inspection', () => {
  const creating = stored('creating', { statusReason: CREATING }, { damage: 'metadata', before: { status: 'error', statusReason: null } })
  const seen = { format: 'raw', virtualSize: 200, details: RAW_DETAILS } as const

  test('makes an image available, the first time only at this time', () => {
    const found = { inspection: { kind: 'accepted', ...seen }, storedSize: 50, digest: OTHER } as const
    expect(changes(creating, concluded(creating, found, NOW_MS))).toEqual({
      image: {
        status: 'available',
        statusReason: null,
        format: 'raw',
        formatDetails: RAW_DETAILS,
        virtualSize: 200,
        digest: OTHER,
        storedSize: 50,
        availableAt: NOW,
      },
      life: { damage: null, before: null },
    })
    const again = stored('creating', { availableAt: '2020-01-01T00:00:00.000Z', digest: DIGEST })
    const { digest: _digest, ...without } = found
    expect(concluded(again, without, NOW_MS).image).toMatchObject({ availableAt: '2020-01-01T00:00:00.000Z', digest: DIGEST })
  })

  const refusal = (code: Refusal) => ({ inspection: { kind: 'refused', refusal: code, ...seen, reason: 'No.' }, storedSize: null }) as const

  test.each<[Refusal, StoredImage, object]>([
    ['unsafe-image', stored('creating'), {}],
    ['data-corrupt', stored('creating'), { damage: 'slices', damagedAtMs: NOW_MS, before: { status: 'creating', statusReason: null } }],
    ['unsafe-image', stored('creating', {}, { compressed: OTHER }), { compressed: null, damage: 'manifest' }],
    ['insufficient-storage', stored('creating', {}, { compressed: OTHER }), {}],
    ['limit-reached', stored('creating', {}, { compressed: OTHER }), {}],
    [
      'data-corrupt',
      stored('creating', {}, { compressed: OTHER }),
      { damage: 'slices', damagedAtMs: NOW_MS, before: { status: 'creating', statusReason: null } },
    ],
  ])('that refuses an image as %s makes it an error', (code, before, life) => {
    expect(changes(before, concluded(before, refusal(code), NOW_MS))).toEqual({
      image: { status: 'error', statusReason: 'No.', format: 'raw', formatDetails: RAW_DETAILS, virtualSize: 200 },
      life,
    })
  })
})

describe('an edit', () => {
  const own = { cpus: 4, memory: null, disk: null }
  const debian = stored('available', { format: 'qcow2', os: 'debian-12', requirements: { ...own, memory: 536_870_912, disk: 4_294_967_296 } })

  test.each<[ImagePatch, unknown]>([
    [{ name: 'other' }, { name: 'other' }],
    [{ kind: 'template' }, { kind: 'template' }],
    [{ os: 'Windows 11' }, { os: 'windows-11', requirements: { cpus: 4, memory: 4_294_967_296, disk: 68_719_476_736 } }],
    [{ os: null }, { os: null, requirements: own }],
    [{ requirements: null }, { requirements: { cpus: 1, memory: 536_870_912, disk: 4_294_967_296 } }],
    [{ labels: { a: 'b' } }, { labels: { a: 'b' } }],
  ])('of %j changes only that', (patch, image) => {
    expect(changes(debian, patched(debian, patch))).toEqual({ image, life: {} })
  })

  test('to a kind that does not have the format is refused, once the format is known', () => {
    expect(codeOf(() => patched(debian, { kind: 'iso' }))).toEqual(['format-mismatch', 'An image of the kind iso is iso, not qcow2.'])
    expect(patched(stored('creating'), { kind: 'iso' }).image.kind).toBe('iso')
  })
})

describe('a digest', () => {
  test.each<[Partial<Image>, boolean]>([
    [{}, false],
    [{ digest: OTHER }, true],
  ])('of an image with %j is set', (image, digestClaimed) => {
    const before = stored('degraded', { statusReason: 'A disk died.', ...image }, { digestClaimed, damage: 'slices' })
    const after = withDigest(before, OTHER)
    expect(after).toEqual({ image: { ...before.image, digest: OTHER }, life: { ...before.life, digestClaimed: false } })
    expect(lacksDigest(after)).toBe(false)
  })
})

describe('damaged slices', () => {
  const damage = { damage: 'slices', damagedAtMs: NOW_MS } as const

  test.each<[StoredImage, unknown]>([
    [stored('available'), { image: { status: 'degraded', statusReason: 'It died.' }, life: damage }],
    [stored('degraded', {}, { damage: 'slices', damagedAtMs: 1 }), { image: { statusReason: 'It died.' }, life: { damagedAtMs: NOW_MS } }],
    [stored('error'), undefined],
    [
      stored('deleted', {}, { before: { status: 'available', statusReason: null } }),
      { image: {}, life: { ...damage, before: { status: 'degraded', statusReason: 'It died.' } } },
    ],
    [
      stored('deleted', {}, { before: { status: 'degraded', statusReason: 'Old.' } }),
      { image: {}, life: { ...damage, before: { status: 'degraded', statusReason: 'It died.' } } },
    ],
    [stored('deleted', {}, { before: { status: 'error', statusReason: 'Refused.' } }), undefined],
    [stored('deleted'), undefined],
  ])('of %j', (before, expected) => {
    expect(changes(before, withSliceDamage(before, 'it died.', NOW_MS))).toEqual(expected)
  })
})

describe('a damaged manifest', () => {
  test.each<[StoredImage, unknown]>([
    [
      stored('available', { statusReason: null }),
      {
        image: { status: 'error', statusReason: `Its manifest is damaged: it is gone. ${MANIFEST_ACTION}` },
        life: { damage: 'manifest', before: { status: 'available', statusReason: null } },
      },
    ],
    [stored('deleted', {}, { before: { status: 'available', statusReason: null } }), { image: {}, life: { damage: 'manifest' } }],
    [stored('error', {}, { damage: 'manifest' }), undefined],
    [stored('deleting'), undefined],
    [stored('fileUnavailable'), undefined],
  ])('of %j', (before, expected) => {
    expect(changes(before, withManifestDamage(before, 'it is gone'))).toEqual(expected)
  })
})

describe('damage that is gone', () => {
  const slices = { damage: 'slices', damagedAtMs: 5 } as const
  const cleared = { damage: null, damagedAtMs: 0 } as const

  test.each<[StoredImage, unknown]>([
    [stored('degraded', { statusReason: 'It died.' }, slices), { image: { status: 'available', statusReason: null }, life: cleared }],
    [
      stored('deleted', {}, { ...slices, before: { status: 'degraded', statusReason: 'It died.' } }),
      { image: {}, life: { ...cleared, before: { status: 'available', statusReason: null } } },
    ],
    [stored('deleted', {}, { ...slices, before: { status: 'error', statusReason: 'No.' } }), { image: {}, life: cleared }],
    [stored('deleted', {}, slices), { image: {}, life: cleared }],
    [stored('deleted', {}, { damage: 'manifest', before: { status: 'degraded', statusReason: 'It died.' } }), { image: {}, life: { damage: null } }],
    [
      stored('error', { statusReason: 'Unreadable.' }, { ...slices, before: { status: 'creating', statusReason: null } }),
      { image: { status: 'creating', statusReason: null }, life: { ...cleared, before: null } },
    ],
    [stored('error', { statusReason: 'Mismatch.' }, slices), { image: {}, life: cleared }],
    [stored('error', { statusReason: 'Mismatch.' }, { damage: 'metadata' }), { image: {}, life: { damage: null } }],
    [
      stored('error', { statusReason: 'Damaged.' }, { damage: 'manifest', damagedAtMs: 5, before: { status: 'degraded', statusReason: 'It died.' } }),
      { image: { status: 'degraded', statusReason: 'It died.' }, life: { damage: 'slices', damagedAtMs: 0, before: null } },
    ],
    [
      stored('error', { statusReason: 'Damaged.' }, { damage: 'manifest', before: { status: 'available', statusReason: null } }),
      { image: { status: 'available', statusReason: null }, life: { damage: null, before: null } },
    ],
    [stored('error', { statusReason: 'Damaged.' }, { damage: 'manifest' }), { image: { status: 'creating', statusReason: CREATING }, life: { damage: null } }],
  ])('from %j', (before, expected) => {
    expect(changes(before, withoutDamage(before))).toEqual(expected)
  })

  test.each<[ImageStatus, ImageLife['damage'], boolean]>([
    ['available', null, false],
    ['degraded', 'slices', true],
    ['error', 'manifest', true],
    ['error', 'metadata', true],
    ['deleted', 'slices', false],
    ['deleting', 'slices', false],
  ])('an image that is %s with damage %s counts as damaged: %p', (status, damage, expected) => {
    expect(isDamaged(stored(status, {}, { damage }))).toBe(expected)
  })

  test('an image that was refused before it had content does not count as damaged', () => {
    expect(isDamaged(stored('error', { manifestDigest: null }, { damage: 'manifest' }))).toBe(false)
  })
})

describe('the recycle bin', () => {
  test('remembers the status, and why it had it', () => {
    const before = stored('degraded', { statusReason: 'It died.' })
    expect(changes(before, binned(before, NOW_MS, null))).toEqual({
      image: { status: 'deleted', statusReason: `It is in the recycle bin since ${NOW}. It stays there; restore brings it back.`, deletedAt: NOW },
      life: { before: { status: 'degraded', statusReason: 'It died.' } },
    })
  })

  const bin = { deletedAt: NOW, expiresAt: NOW } as const
  const outside = { deletedAt: null, expiresAt: null } as const

  test.each<[StoredImage, unknown]>([
    [stored('deleted', { statusReason: 'Bin.', ...bin }), { image: { status: 'available', statusReason: null, ...outside }, life: {} }],
    [
      stored('deleted', { statusReason: 'Bin.', ...bin }, { before: { status: 'error', statusReason: 'No.' } }),
      { image: { status: 'error', statusReason: 'No.', ...outside }, life: { before: null } },
    ],
    [
      stored('deleted', { statusReason: 'Bin.', ...bin }, { damage: 'manifest', before: { status: 'available', statusReason: null } }),
      { image: { status: 'error', statusReason: `Its manifest is damaged. ${MANIFEST_ACTION}`, ...outside }, life: {} },
    ],
    [stored('error', {}, { damage: 'metadata' }), { image: { status: 'creating', statusReason: CREATING }, life: { damage: null } }],
    [
      stored('error', { manifestDigest: null }, { compressed: OTHER, before: { status: 'creating', statusReason: null } }),
      { image: { status: 'creating', statusReason: CREATING }, life: { before: null } },
    ],
  ])('gives back %j', (before, expected) => {
    expect(changes(before, restored(before))).toEqual(expected)
  })

  test.each<[StoredImage, string, string]>([
    [stored('error', { availableAt: NOW }), 'wrong-status', 'Image debian is error, not in the recycle bin.'],
    [stored('error', { manifestDigest: null }), 'wrong-status', 'Image debian is error, not in the recycle bin.'],
    [stored('error', {}, { damage: 'manifest' }), 'wrong-status', 'Image debian is error, not in the recycle bin.'],
    [stored('available'), 'wrong-status', 'Image debian is available, not in the recycle bin.'],
    [stored('fileUnavailable', { statusReason: 'EIO.' }), 'store-unavailable', `The files of image ${ID} cannot be read now. EIO.`],
    [stored('fileUnavailable'), 'store-unavailable', `The files of image ${ID} cannot be read now.`],
  ])('does not have %j', (before, code, message) => {
    expect(codeOf(() => restored(before))).toEqual([code, message])
  })
})

test('a removal is refused only while the files cannot be read', () => {
  const before = stored('available')
  expect(changes(before, removing(before))).toEqual({
    image: { status: 'deleting', statusReason: 'It is being removed for good. If the removal was interrupted, the next cleanup finishes it.' },
    life: {},
  })
  expect(codeOf(() => removing(stored('fileUnavailable')))).toEqual(['store-unavailable', `The files of image ${ID} cannot be read now.`])
  const unreadable = imageStatusSchema.options.filter((status) => codeOf(() => refuseUnreadable(stored(status).image)) !== 'nothing')
  expect(unreadable).toEqual(['fileUnavailable'])
})

test.each<[Partial<Image>, boolean]>([
  [{ kind: 'virtualDisk', bindings: ['vm-1'] }, true],
  [{ kind: 'virtualDisk', bindings: ['vm-2'] }, false],
  [{ kind: 'virtualDisk', bindings: ['vm-1', 'vm-2'] }, false],
  [{ kind: 'virtualDisk', bindings: [] }, false],
  [{ kind: 'disk', bindings: ['vm-1'] }, false],
])('%j goes with the instance vm-1: %p', (image, expected) => {
  expect(livesWith(stored('available', image).image, 'vm-1')).toBe(expected)
})

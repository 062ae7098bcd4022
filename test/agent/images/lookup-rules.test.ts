// What ids and names mean, which images count, and what is shown of them: on a table, without a store around it.

import { describe, expect, test } from 'bun:test'
import type { ImageInProgress } from '../../../agent/contract/images.ts'
import { createImageLookup } from '../../../agent/images/image-lookup.ts'
import { newLife } from '../../../agent/images/records/image-file.ts'
import type { ImageLife } from '../../../agent/images/records/image-file.ts'
import { createImageKeeper } from '../../../agent/images/records/image-keeper.ts'
import { createImageTable } from '../../../agent/images/records/image-table.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'

const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
const [DIGEST, MANIFEST] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`]

const uploadOf = (id: string, name: string): ImageInProgress => ({
  image: { id, draft: { name, description: '', mediaGroup: 'old' }, source: SOURCE },
  state: 'uploading',
  reason: 'It is uploaded.',
  length: 7,
  createdAtMs: 0,
})

function setUp(uploads?: readonly ImageInProgress[]) {
  const table = createImageTable()
  const inProgress = () =>
    uploads && { images: () => uploads, image: (id: string) => uploads.find(({ image }) => image.id === id), recordPublished: async () => {} }
  const keeper = createImageKeeper({ disk: createDisk(), folder: '/nowhere', table, nowMs: () => 0, ledger: { append: async () => {} }, inProgress })
  const counted: unknown[] = []
  const lookup = createImageLookup({
    keeper,
    uniqueSizes: {
      known: (id) => (id === 'img_1' ? 11 : null),
      async count(ids, audience) {
        counted.push([ids, audience?.key])
        return 5
      },
    },
    inProgress,
    works: { of: (imageId) => ({ imageId, kind: 'inspect', queuedAtMs: 0, startedAtMs: null, done: 0, unpackedBytes: null, failure: null }) },
    place: (image) => ({ ...image, mediaGroup: 'placed' }),
  })
  const put = (id: string, changes: Partial<Image> = {}, life: Partial<ImageLife> = {}): void =>
    void table.put({ image: memoryImage({ id, name: id, ...changes }), life: newLife(life) })
  return { lookup, table, keeper, put, counted }
}

function refusal(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error instanceof ProblemError ? [error.code, error.message] : error
  }
}

describe('a name', () => {
  test.each<[Image['status'], boolean]>([
    ['available', true],
    ['error', true],
    ['creating', true],
    ['deleted', false],
    ['deleting', false],
  ])('means an image that is %s: %p', (status, isMeant) => {
    const { lookup, put } = setUp()
    put('img_1', { name: 'debian', status })
    expect(lookup.named('debian').map(({ id }) => id)).toEqual(isMeant ? ['img_1'] : [])
    expect(lookup.resolve('debian')?.id).toBe(isMeant ? 'img_1' : undefined)
    expect(lookup.named('img_1').map(({ id }) => id)).toEqual(['img_1'])
  })

  test('that several images have is refused with at most ten of their ids', () => {
    const { lookup, put } = setUp()
    expect(refusal(() => lookup.need('debian'))).toEqual(['not-found', 'There is no image debian.'])
    const ids = Array.from({ length: 12 }, (_, i) => `img_${10 + i}`)
    for (const id of ids) put(id, { name: 'debian' })
    expect(refusal(() => lookup.need('debian'))).toEqual(['conflict', '12 images are named debian.'])
    expect(() => lookup.need('debian')).toThrow(expect.objectContaining({ problem: expect.objectContaining({ ids: ids.slice(0, 10) }) }))
    expect(lookup.resolve('debian')).toBeUndefined()
    put('debian', { name: 'other' })
    expect(lookup.need('debian').name).toBe('other')
  })

  test('means an image that exists rather than one that is still uploaded', () => {
    const { lookup, put } = setUp([uploadOf('img_8', 'debian'), uploadOf('img_9', 'debian'), uploadOf('img_1', 'debian'), uploadOf('img_7', 'alone')])
    expect(refusal(() => lookup.need('debian'))).toEqual(['conflict', '3 images are named debian.'])
    put('img_1', { name: 'debian' })
    expect([lookup.need('debian').id, lookup.resolve('debian')?.id]).toEqual(['img_1', 'img_1'])
    // One that was just published is there once.
    expect(lookup.named('debian').map(({ id }) => id)).toEqual(['img_1', 'img_8', 'img_9'])
    expect(lookup.need('alone')).toMatchObject({ id: 'img_7', status: 'uploading', statusReason: 'It is uploaded.', mediaGroup: 'placed', length: 7 })
  })
})

describe('an id', () => {
  test('finds images that exist, and by another way also those that are still uploaded', () => {
    const { lookup, put, keeper } = setUp([uploadOf('img_9', 'new')])
    put('img_1')
    expect([lookup.find('img_1')?.id, lookup.find('img_9'), lookup.find('img_0')]).toEqual(['img_1', undefined, undefined])
    expect([lookup.byId('img_1')?.status, lookup.byId('img_9')?.mediaGroup, lookup.byId('img_0')]).toEqual(['available', 'placed', undefined])
    keeper.unfinished.add('img_1')
    expect([lookup.find('img_1'), lookup.byId('img_1')?.id]).toEqual([undefined, 'img_1'])
  })
})

describe('content', () => {
  test.each<[string, Partial<Image>, boolean]>([
    ['with the digest of the file', { digest: DIGEST, manifestDigest: null }, true],
    ['with the digest of the manifest', { digest: null, manifestDigest: MANIFEST }, true],
    ['with neither', { digest: null, manifestDigest: null }, false],
    ['with them exchanged', { digest: MANIFEST, manifestDigest: DIGEST }, false],
    ['that is not available', { digest: DIGEST, manifestDigest: MANIFEST, status: 'degraded' }, false],
  ])('of an image %s', (_what, changes, isFound) => {
    const { lookup, put, keeper } = setUp()
    put('img_1', changes)
    expect(lookup.withContent({ manifestDigest: MANIFEST, digest: DIGEST })?.id).toBe(isFound ? 'img_1' : undefined)
    expect(lookup.withContent({ manifestDigest: null, digest: null })).toBeUndefined()
    keeper.unfinished.add('img_1')
    expect(lookup.withContent({ manifestDigest: MANIFEST, digest: DIGEST })).toBeUndefined()
  })

  test.each<[Partial<Image>, boolean, boolean]>([
    [{ digest: DIGEST }, false, true],
    [{ digest: DIGEST, status: 'degraded' }, false, true],
    [{ digest: DIGEST, status: 'error' }, false, false],
    [{ digest: DIGEST }, true, false],
    [{ manifestDigest: DIGEST }, true, true],
  ])('of an image with %j, its digest claimed: %p, is served by the digest: %p', (changes, digestClaimed, isFound) => {
    const { lookup, put } = setUp()
    put('img_1', changes, { digestClaimed })
    expect(lookup.withDigest(DIGEST).map(({ id }) => id)).toEqual(isFound ? ['img_1'] : [])
  })
})

describe('an image that is shown', () => {
  test('has its unique size, counted for who asks, and the reason of its status', async () => {
    const { lookup, put, counted } = setUp([uploadOf('img_9', 'new')])
    put('img_1', { status: 'creating' })
    const shown = await lookup.show('img_1', { key: 'ann', isSeen: () => true })
    expect([shown.uniqueSize, shown.statusReason]).toEqual([
      11,
      'It waits for its inspection since 1970-01-01T00:00:00.000Z, because others run. It starts by itself.',
    ])
    expect(await lookup.show('new')).toMatchObject({ id: 'img_9', uniqueSize: null })
    expect(counted).toEqual([[['img_1'], 'ann']])
  })

  test('in a list is shown likewise, those that are uploaded included', () => {
    const { lookup, put } = setUp([uploadOf('img_9', 'new')])
    put('img_1')
    put('img_2')
    const shown = lookup.list({}, {}).items.map(({ id, uniqueSize, mediaGroup }) => [id, uniqueSize, mediaGroup])
    expect(shown).toEqual([
      ['img_2', null, null],
      ['img_1', 11, null],
      ['img_9', null, 'placed'],
    ])
    expect(lookup.list({}, { limit: 2 }).next).not.toBeNull()
    expect(lookup.list({}, {}, { key: 'ann', isSeen: ({ id }) => id === 'img_1' }).items.map(({ id }) => id)).toEqual(['img_1'])
  })
})

test('the unique size of names is that of their images, and an upload has none', async () => {
  const { lookup, put, counted } = setUp([uploadOf('img_9', 'new')])
  put('img_1', { name: 'debian' })
  put('img_2')
  expect(await lookup.uniqueSize(['debian', 'img_2'])).toBe(5)
  expect(counted).toEqual([[['img_1', 'img_2'], undefined]])
  expect(refusal(() => lookup.uniqueSize(['new']))).toEqual(['wrong-status', 'Image new is uploading. It is uploaded.'])
})

test('counts have every image once, by status and kind, for who may see them', () => {
  const { lookup, put } = setUp()
  put('img_1', { kind: 'disk', length: 1, storedSize: 10 })
  put('img_2', { kind: 'disk', length: 2, storedSize: null, status: 'deleted' })
  put('img_3', { kind: 'template', length: 4, storedSize: 40, status: 'degraded' }, { damage: 'slices' })
  const disks = { count: 2, length: 3, storedSize: 10 }
  expect(lookup.counts()).toEqual({
    available: 1,
    deleted: 1,
    other: 1,
    damaged: 1,
    imageBytes: 7,
    usage: { total: { count: 3, length: 7, storedSize: 50 }, byKind: { disk: disks, template: { count: 1, length: 4, storedSize: 40 } } },
  })
  expect(lookup.counts({ key: 'ann', isSeen: ({ kind }) => kind === 'disk' })).toEqual({
    available: 1,
    deleted: 1,
    other: 0,
    damaged: 0,
    imageBytes: 3,
    usage: { total: disks, byKind: { disk: disks } },
  })
})

// Changes of media groups without a store around them: what a change keeps, what is refused, who sees which group, and what a broken file does.

import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { Disk } from '../../../agent/contract/disk.ts'
import type { ImageInProgress } from '../../../agent/contract/images.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import { encodeGroupFile } from '../../../agent/images/groups/group-file.ts'
import type { GroupSettings } from '../../../agent/images/groups/group-file.ts'
import { createGroupRecords } from '../../../agent/images/groups/group-records.ts'
import { createMediaGroups } from '../../../agent/images/media-groups.ts'
import { newLife } from '../../../agent/images/records/image-file.ts'
import { createImageTable } from '../../../agent/images/records/image-table.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
const NO_GROUPS: GroupSettings = { records: [], othersHidden: false }
/** A clock on which every step of a loop takes 8 ms, so that the loop lets other work run after each. */
function createBusyClock(seen: () => number) {
  const clock = createManualClock()
  let elapsedMs = 0
  /** What was seen after each pause. */
  const pauses: number[] = []
  return {
    ...clock,
    monotonicMs: () => (elapsedMs += 8),
    async sleep() {
      await new Promise((resolve) => setImmediate(resolve))
      pauses.push(seen())
    },
    pauses,
  }
}

async function openScene({
  disk = createDisk(),
  uploads = undefined as ImageInProgress[] | undefined,
  bytes = undefined as Uint8Array | string | undefined,
} = {}) {
  const folder = await createTemporaryFolder()
  if (bytes !== undefined) await writeFile(folder.file('media-groups.json'), bytes)
  const records = createGroupRecords()
  const table = createImageTable(() => {}, records.place)
  const events: NewEvent[] = []
  const hidden = (): string[] => [...table.each()].filter(({ image }) => image.hidden).map(({ image }) => image.id)
  const clock = createBusyClock(() => hidden().length)
  const groups = createMediaGroups({
    disk,
    clock,
    log: createMemoryLog(),
    emit: (event) => void events.push(event),
    crashPoint: () => {},
    mount: folder.path,
    records,
    table,
    inProgress: () => uploads && { images: () => uploads, image: () => undefined, recordPublished: async () => {} },
  })
  await groups.load()
  const put = (id: string, mediaGroup: string | null, changes: Partial<Image> = {}): void =>
    void table.put({ image: memoryImage({ id, mediaGroup, ...changes }), life: newLife() })
  return {
    groups,
    records,
    table,
    events,
    clock,
    folder,
    put,
    create: (name: string, visible = true, description = '') => groups.create({ name, description, visible }, 'test'),
    hidden,
    named: async () => (await groups.list({ limit: 100 })).items.map(({ name }) => name),
    onDisk: async () => (JSON.parse(await readFile(folder.file('media-groups.json'), 'utf8')) as { groups: GroupSettings }).groups,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

async function problemOf(running: Promise<unknown>): Promise<[string, string] | undefined> {
  try {
    await running
  } catch (error) {
    if (error instanceof ProblemError) return [error.code, error.message]
    throw error
  }
  return undefined
}

describe('a change', () => {
  test('keeps what it does not name', async () => {
    await using scene = await openScene()
    const { groups } = scene
    await scene.create('a', true, 'text')
    expect(await groups.patch('a', { visible: false }, 'test')).toEqual({ name: 'a', description: 'text', visible: false, images: 0 })
    expect(await groups.patch('a', { description: 'other' }, 'test')).toEqual({ name: 'a', description: 'other', visible: false, images: 0 })
    expect(await groups.patch('a', { name: 'b' }, 'test')).toEqual({ name: 'b', description: 'other', visible: false, images: 0 })
    // The former name stays with the group through changes that do not rename it.
    await groups.patch('b', { visible: true }, 'test')
    expect(await scene.onDisk()).toEqual({ records: [{ name: 'b', description: 'other', visible: true, formerNames: ['a'] }], othersHidden: false })
    await groups.patch('b', { name: 'a' }, 'test')
    expect((await scene.onDisk()).records).toEqual([{ name: 'a', description: 'other', visible: true, formerNames: ['b'] }])
  })

  test('has taken effect for every image once it is acknowledged, and lets other work run meanwhile', async () => {
    await using scene = await openScene()
    for (const id of ['img_1', 'img_2', 'img_3']) scene.put(id, 'a')
    await scene.groups.patch('a', { visible: false }, 'test')
    expect([scene.hidden(), scene.clock.pauses]).toEqual([
      ['img_1', 'img_2', 'img_3'],
      [1, 2, 3],
    ])
  })

  test('of a group that only images name begins with what they show', async () => {
    await using scene = await openScene({ bytes: 'damaged' })
    scene.put('img_1', 'a')
    expect(await scene.groups.patch('a', { description: 'text' }, 'test')).toEqual({ name: 'a', description: 'text', visible: false, images: 1 })
  })

  test.each([
    ['one that has the name', 'taken'],
    ['one that had the name before', 'old'],
    ['one that only images name', 'images'],
  ])('does not give a group the name of another: %s', async (_what, name) => {
    await using scene = await openScene()
    await scene.create('a')
    await scene.create('old')
    await scene.groups.patch('old', { name: 'taken' }, 'test')
    scene.put('img_1', 'images')
    expect(await problemOf(scene.groups.patch('a', { name }, 'test'))).toEqual([
      'conflict',
      `There is a media group ${name} already, or a group had this name before.`,
    ])
    expect(await scene.named()).toEqual(['a', 'images', 'taken'])
  })

  test('that would make the file longer than 2 MiB is refused, at one byte more', async () => {
    const recordOf = (i: number, description: string) => ({ name: `group ${i}`, description, visible: true, formerNames: [] })
    const all: GroupSettings = { records: Array.from({ length: 255 }, (_, i) => recordOf(i, i === 0 ? '' : 'ü'.repeat(4092))), othersHidden: false }
    const left = 2_097_152 - (await encodeGroupFile(all)).byteLength
    await using scene = await openScene({ bytes: await encodeGroupFile(all) })
    expect(left).toBeLessThan(4096)
    expect(await problemOf(scene.groups.patch('group 0', { description: 'x'.repeat(left + 1) }, 'test'))).toEqual([
      'limit-reached',
      'The settings of the media groups would exceed 2097152 bytes.',
    ])
    expect(await problemOf(scene.groups.patch('group 0', { description: 'x'.repeat(left) }, 'test'))).toBeUndefined()
    expect((await readFile(scene.folder.file('media-groups.json'))).byteLength).toBe(2_097_152)
  })
})

describe('creating a group', () => {
  test.each([
    ['a', 'The media group a exists already.'],
    ['before', 'The media group a had the name before before.'],
  ])('named %s is refused', async (name, detail) => {
    await using scene = await openScene()
    await scene.create('before')
    await scene.groups.patch('before', { name: 'a' }, 'test')
    expect(await problemOf(scene.create(name))).toEqual(['conflict', detail])
  })

  test('places the images that name it already', async () => {
    await using scene = await openScene()
    scene.put('img_1', 'a')
    expect(await scene.create('a', false)).toEqual({ name: 'a', description: '', visible: false, images: 1 })
    expect(scene.hidden()).toEqual(['img_1'])
  })
})

describe('deleting a group', () => {
  const uploadInto = (mediaGroup?: string): ImageInProgress => ({
    image: { id: 'img_9', draft: { name: 'x', description: '', ...(mediaGroup !== undefined && { mediaGroup }) }, source: SOURCE },
    state: 'uploading',
    reason: '',
    length: 1,
    createdAtMs: 0,
  })

  test('is refused while images are in it, and says how many', async () => {
    await using scene = await openScene()
    scene.put('img_1', 'a')
    expect(await problemOf(scene.groups.delete('a', 'test'))).toEqual(['conflict', '1 image is in the media group a, the recycle bin included.'])
    scene.put('img_2', 'a')
    expect(await problemOf(scene.groups.delete('a', 'test'))).toEqual(['conflict', '2 images are in the media group a, the recycle bin included.'])
    expect(await problemOf(scene.groups.delete('b', 'test'))).toEqual(['not-found', 'There is no media group "b".'])
  })

  test.each([['a'], ['before']])('is refused while an upload names it %s', async (mediaGroup) => {
    await using scene = await openScene({ uploads: [uploadInto(), uploadInto('unknown'), uploadInto(mediaGroup)] })
    await scene.create('before')
    await scene.groups.patch('before', { name: 'a' }, 'test')
    expect(await problemOf(scene.groups.delete('a', 'test'))).toEqual(['conflict', 'An upload in progress belongs to the media group a.'])
    expect(await scene.named()).toEqual(['a'])
  })

  test('is not held up by uploads into other groups or none', async () => {
    await using scene = await openScene({ uploads: [uploadInto(), uploadInto('unknown'), uploadInto('b')] })
    await scene.create('a')
    await scene.create('b')
    expect(await problemOf(scene.groups.delete('a', 'test'))).toBeUndefined()
    expect((await scene.onDisk()).records.map(({ name }) => name)).toEqual(['b'])
  })

  test('that is hidden is refused while the group of an image is not known', async () => {
    await using scene = await openScene()
    await scene.create('hidden', false)
    await scene.create('visible')
    scene.put('img_1', null, { status: 'fileUnavailable' })
    expect(await problemOf(scene.groups.delete('hidden', 'test'))).toEqual([
      'conflict',
      'The files of image img_1 cannot be read, so it may belong to the hidden media group hidden.',
    ])
    expect(await problemOf(scene.groups.delete('visible', 'test'))).toBeUndefined()
    scene.put('img_1', null)
    expect(await problemOf(scene.groups.delete('hidden', 'test'))).toBeUndefined()
  })
})

describe('a list', () => {
  test('has the groups of settings and of images, in pages', async () => {
    await using scene = await openScene()
    await scene.create('b', false, 'text')
    scene.put('img_1', 'c')
    scene.put('img_2', '')
    scene.put('img_3', null)
    await scene.create('a')
    const b = { name: 'b', description: 'text', visible: false, images: 0 }
    expect(await scene.groups.list({ limit: 2 })).toEqual({ items: [{ name: 'a', description: '', visible: true, images: 0 }, b], next: 'b' })
    expect(await scene.groups.list({ limit: 2, cursor: 'b' })).toEqual({ items: [{ name: 'c', description: '', visible: true, images: 1 }], next: null })
    expect(await scene.groups.list({ limit: 3 })).toMatchObject({ next: null })
  })

  test('for somebody has the visible groups, those of images that they see, and counts no others', async () => {
    await using scene = await openScene()
    for (const [name, visible] of [
      ['empty', true],
      ['hidden', false],
      ['mine', false],
    ] as const)
      await scene.create(name, visible)
    for (const [id, group] of [
      ['img_1', 'mine'],
      ['img_2', 'mine'],
      ['img_3', 'hidden'],
      ['img_4', 'named'],
    ] as const)
      scene.put(id, group)
    const seen = new Set(['img_1'])
    const { items } = await scene.groups.list({ limit: 100 }, { key: 'ann', isSeen: ({ id }) => seen.has(id) })
    expect(items.map(({ name, images }) => [name, images])).toEqual([
      ['empty', 0],
      ['mine', 1],
    ])
    expect(scene.clock.pauses).toHaveLength(4)
  })
})

describe('a group of an image from another store', () => {
  test('is hidden if nothing is known about it', async () => {
    await using scene = await openScene()
    await scene.create('known')
    for (const name of ['known', 'unknown']) await scene.groups.hideUnknown(name)
    expect((await scene.onDisk()).records.map(({ name, visible }) => [name, visible])).toEqual([
      ['known', true],
      ['unknown', false],
    ])
  })

  test('needs no settings while all groups are hidden', async () => {
    await using scene = await openScene({ bytes: 'damaged' })
    await scene.groups.hideUnknown('unknown')
    expect(await scene.onDisk()).toEqual({ records: [], othersHidden: true })
  })
})

describe('a file of media groups', () => {
  test('that is missing hides nothing', async () => {
    await using scene = await openScene()
    expect([scene.records.settings(), scene.events]).toEqual([NO_GROUPS, []])
  })

  test('that is damaged is kept in quarantine, by the time, and replaced by one that hides all groups', async () => {
    await using scene = await openScene({ bytes: 'damaged' })
    expect(scene.events).toEqual([
      {
        type: 'store.groups-damaged',
        severity: 'error',
        subject: 'media-groups.json',
        message:
          'media-groups.json is damaged. It is kept as quarantine/media-groups.json.1767225600000, and all media groups are hidden. ' +
          'Show each again, or restore the file from a backup and restart the agent.',
      },
    ])
    expect(await readdir(scene.folder.file('quarantine'))).toEqual(['media-groups.json.1767225600000'])
    expect(await scene.onDisk()).toEqual({ records: [], othersHidden: true })
    expect(await problemOf(scene.create('a'))).toBeUndefined()
  })

  test.each([['quarantine/media-groups.json.'], ['media-groups.json']])('that is damaged stays as it is if %s cannot be written', async (failing) => {
    const real = createDisk()
    const writeFileAtomic: Disk['writeFileAtomic'] = (path, bytes) =>
      path.includes(`/slipway-test-`) && path.slice(path.indexOf('/', path.indexOf('/slipway-test-') + 1) + 1).startsWith(failing)
        ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
        : real.writeFileAtomic(path, bytes)
    await using scene = await openScene({ disk: { ...real, writeFileAtomic }, bytes: 'damaged' })
    expect(await readFile(scene.folder.file('media-groups.json'), 'utf8')).toBe('damaged')
    expect(existsSync(scene.folder.file('quarantine'))).toBe(true)
    scene.put('img_1', 'a')
    expect(scene.hidden()).toEqual(['img_1'])
    expect(await problemOf(scene.create('a'))).toEqual(['store-unavailable', 'media-groups.json could not be read when the agent started.'])
  })

  test('that cannot be read hides all groups, is reported, and is not replaced', async () => {
    const real = createDisk()
    const readBroken: Disk['readFile'] = () => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }))
    await using scene = await openScene({ disk: { ...real, readFile: readBroken }, bytes: await encodeGroupFile(NO_GROUPS) })
    expect(scene.events).toEqual([
      {
        type: 'store.groups-unreadable',
        severity: 'error',
        subject: 'media-groups.json',
        message: 'media-groups.json cannot be read (EIO: i/o error). All media groups are hidden.',
      },
    ])
    expect(scene.records.settings()).toEqual({ records: [], othersHidden: true })
    expect(await problemOf(scene.create('a'))).toEqual(['store-unavailable', 'media-groups.json could not be read when the agent started.'])
  })
})

describe('the group of an image', () => {
  const records = createGroupRecords()
  records.replace({ records: [{ name: 'now', description: '', visible: false, formerNames: ['before'] }], othersHidden: false })

  test.each<[string | null, boolean, string | null, boolean]>([
    ['before', false, 'now', true],
    ['now', false, 'now', true],
    ['other', true, 'other', false],
    ['', true, '', false],
    [null, true, null, false],
  ])('%p, hidden: %p, is %p, hidden: %p', (mediaGroup, hidden, placed, isHidden) => {
    expect(records.place(memoryImage({ mediaGroup, hidden }))).toMatchObject({ mediaGroup: placed, hidden: isHidden })
  })

  test('that is right already leaves the image as it is', () => {
    for (const image of [memoryImage({ mediaGroup: 'now', hidden: true }), memoryImage({ mediaGroup: 'other' }), memoryImage()])
      expect(records.place(image)).toBe(image)
  })

  test('is found by the names that it had, but named by its own only', () => {
    expect([records.named('now')?.name, records.named('before'), records.of('before')?.name, records.of('other')]).toEqual(['now', undefined, 'now', undefined])
    expect(['now', 'before', 'other'].map((name) => records.isHidden(name))).toEqual([true, true, false])
  })
})

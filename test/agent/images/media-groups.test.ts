// Media groups: their settings on the mount path, what hides images, and what a restart, a full disk or a damaged file change about it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { decodeGroupFile, encodeGroupFile, GROUP_FILE_BYTES_MAX } from '../../../agent/images/groups/group-file.ts'
import type { GroupSettings } from '../../../agent/images/groups/group-file.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

const ALL = { limit: 100 }

async function codeOf(running: Promise<unknown>): Promise<string> {
  try {
    await running
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

describe('a media group', () => {
  test('that only images name is visible, and gets settings by a change', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { mediaGroups } = store.catalogue
    const image = await store.publish(seededBytes(1000, 1), { mediaGroup: 'linux' })
    expect(image).toMatchObject({ mediaGroup: 'linux', hidden: false })
    expect((await mediaGroups.list(ALL)).items).toEqual([{ name: 'linux', description: '', visible: true, images: 1 }])
    expect(await codeOf(mediaGroups.patch('windows', { visible: false }, 'test'))).toBe('not-found')
    expect(await mediaGroups.patch('linux', { visible: false }, 'test')).toEqual({ name: 'linux', description: '', visible: false, images: 1 })
    expect(store.catalogue.need(image.id).hidden).toBe(true)
    expect(await mediaGroups.patch('linux', { visible: true, description: 'free' }, 'test')).toEqual({
      name: 'linux',
      description: 'free',
      visible: true,
      images: 1,
    })
    expect(store.catalogue.need(image.id).hidden).toBe(false)
  })

  test('hides images that join it, and shows those that leave it', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { catalogue } = store
    expect(await catalogue.mediaGroups.create({ name: 'secret', description: '', visible: false }, 'test')).toMatchObject({ visible: false, images: 0 })
    expect(await codeOf(catalogue.mediaGroups.create({ name: 'secret', description: '', visible: true }, 'test'))).toBe('conflict')
    const { id } = await store.publish(seededBytes(1000, 1), { mediaGroup: 'secret' })
    expect(catalogue.need(id).hidden).toBe(true)
    expect(await catalogue.patch(id, { mediaGroup: null }, 'test')).toMatchObject({ mediaGroup: null, hidden: false })
    expect(await catalogue.patch(id, { mediaGroup: 'secret' }, 'test')).toMatchObject({ mediaGroup: 'secret', hidden: true })
    expect(await catalogue.patch(id, { mediaGroup: '' }, 'test')).toMatchObject({ hidden: false })
  })

  test('is deleted only without images, also of the recycle bin', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { catalogue } = store
    const { mediaGroups } = catalogue
    await mediaGroups.create({ name: 'a', description: '', visible: false }, 'test')
    const { id } = await store.add(seededBytes(1000, 1), { mediaGroup: 'a' })
    expect(await codeOf(mediaGroups.delete('a', 'test'))).toBe('conflict')
    await catalogue.delete(id, 'test')
    expect(await codeOf(mediaGroups.delete('a', 'test'))).toBe('conflict')
    await catalogue.restore(id, 'test')
    await catalogue.patch(id, { mediaGroup: 'b' }, 'test')
    expect(await codeOf(mediaGroups.delete('a', 'test'))).toBe('no problem')
    expect(await codeOf(mediaGroups.delete('a', 'test'))).toBe('not-found')
    expect((await mediaGroups.list(ALL)).items).toEqual([{ name: 'b', description: '', visible: true, images: 1 }])
    expect(await codeOf(mediaGroups.delete('b', 'test'))).toBe('conflict')
  })

  test('keeps its images when it is renamed, without writing their files, and a restart finds the same', async () => {
    await using folder = await createTemporaryFolder()
    let id = ''
    {
      await using store = await openImageStore(folder)
      const { mediaGroups } = store.catalogue
      id = (await store.add(seededBytes(1000, 1), { mediaGroup: 'old' })).id
      await mediaGroups.create({ name: 'other', description: '', visible: true }, 'test')
      const before = await stat(`${store.mount}/images/${id}/image.json`)
      expect(await mediaGroups.patch('old', { name: 'new', visible: false }, 'test')).toEqual({ name: 'new', description: '', visible: false, images: 1 })
      expect((await stat(`${store.mount}/images/${id}/image.json`)).ino).toBe(before.ino)
      expect(store.catalogue.need(id)).toMatchObject({ mediaGroup: 'new', hidden: true })
      expect(await codeOf(mediaGroups.patch('new', { name: 'other' }, 'test'))).toBe('conflict')
      expect(await codeOf(mediaGroups.create({ name: 'old', description: '', visible: true }, 'test'))).toBe('conflict')
      expect(await codeOf(mediaGroups.patch('old', { visible: true }, 'test'))).toBe('not-found')
    }
    await using store = await openImageStore(folder)
    expect(store.catalogue.need(id)).toMatchObject({ mediaGroup: 'new', hidden: true })
    expect((await store.catalogue.mediaGroups.list(ALL)).items.map(({ name }) => name)).toEqual(['new', 'other'])
    // An image that still names the former name belongs to the group too.
    expect(await store.publish(seededBytes(1000, 2), { mediaGroup: 'old' })).toMatchObject({ mediaGroup: 'new', hidden: true })
    expect(await store.catalogue.mediaGroups.patch('new', { name: 'old' }, 'test')).toMatchObject({ name: 'old', images: 2 })
  })

  test.each([['  '], [' spaces '], ['two\nlines']])('that images name %j gets no settings before it gets a proper name', async (mediaGroup) => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { mediaGroups } = store.catalogue
    const { id } = await store.publish(seededBytes(1000, 1), { mediaGroup })
    expect(await codeOf(mediaGroups.patch(mediaGroup, { visible: false }, 'test'))).toBe('invalid-input')
    expect(store.catalogue.need(id)).toMatchObject({ mediaGroup, hidden: false })
    expect(await mediaGroups.patch(mediaGroup, { name: 'proper', visible: false }, 'test')).toMatchObject({ name: 'proper', images: 1 })
    expect(store.catalogue.need(id)).toMatchObject({ mediaGroup: 'proper', hidden: true })
  })

  test('cannot be renamed more often than its former names are kept', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { mediaGroups } = store.catalogue
    await mediaGroups.create({ name: 'name 0', description: '', visible: true }, 'test')
    for (let i = 0; i < 16; i++) await mediaGroups.patch(`name ${i}`, { name: `name ${i + 1}` }, 'test')
    expect(await codeOf(mediaGroups.patch('name 16', { name: 'name 17' }, 'test'))).toBe('limit-reached')
    expect(await mediaGroups.patch('name 16', { name: 'name 3' }, 'test')).toMatchObject({ name: 'name 3' })
  })

  test('has settings up to the limit of the store', async () => {
    await using folder = await createTemporaryFolder()
    const settings: GroupSettings = {
      records: Array.from({ length: 1000 }, (_, i) => ({ name: `group ${i}`, description: i < 240 ? 'ü'.repeat(4096) : '', visible: true, formerNames: [] })),
      othersHidden: false,
    }
    await createDisk().makeFolder(folder.file('mount'))
    await writeFile(folder.file('mount', 'media-groups.json'), await encodeGroupFile(settings))
    await using store = await openImageStore(folder)
    const { mediaGroups } = store.catalogue
    expect(await codeOf(mediaGroups.create({ name: 'one more', description: '', visible: true }, 'test'))).toBe('limit-reached')
    expect(await mediaGroups.patch('group 7', { visible: false }, 'test')).toMatchObject({ visible: false })
    const first = await mediaGroups.list({ limit: 2 })
    expect([first.items.map(({ name }) => name), first.next]).toEqual([['group 0', 'group 1'], 'group 1'])
    const page = await mediaGroups.list({ limit: 3, cursor: 'group 997' })
    expect([page.items.map(({ name }) => name), page.next]).toEqual([['group 998', 'group 999'], null])
    // The file is bounded too.
    let code = 'no problem'
    for (let i = 240; i < 300 && code === 'no problem'; i++) code = await codeOf(mediaGroups.patch(`group ${i}`, { description: 'ü'.repeat(4096) }, 'test'))
    expect(code).toBe('limit-reached')
    expect((await stat(`${store.mount}/media-groups.json`)).size).toBeLessThanOrEqual(GROUP_FILE_BYTES_MAX)
  })

  test('comes hidden from another store, unless this store has settings of it', async () => {
    await using from = await createTemporaryFolder()
    await using to = await createTemporaryFolder()
    await using source = await openImageStore(from)
    await using target = await openImageStore(to)
    const images = [await source.add(new Uint8Array(4096), { mediaGroup: 'a' }), await source.add(new Uint8Array(8192), { mediaGroup: 'b' })]
    for (const name of ['a', 'b']) await source.catalogue.mediaGroups.patch(name, { visible: false }, 'test')
    await target.catalogue.mediaGroups.create({ name: 'b', description: '', visible: true }, 'test')
    for (const { id } of images) {
      using content = await source.catalogue.open(id)
      await target.catalogue.adopt(source.catalogue.need(id), content.manifest)
    }
    expect(images.map(({ id }) => target.catalogue.need(id).hidden)).toEqual([true, false])
    expect((await target.catalogue.mediaGroups.list(ALL)).items).toMatchObject([
      { name: 'a', visible: false },
      { name: 'b', visible: true },
    ])
  })
})

describe('the file of the media groups', () => {
  const settings: GroupSettings = { records: [{ name: 'a', description: 'x', visible: false, formerNames: ['b'] }], othersHidden: false }

  test('is read as it was written, and any flipped byte is noticed', async () => {
    const bytes = await encodeGroupFile(settings)
    expect(await decodeGroupFile(bytes)).toEqual(settings)
    for (let at = 0; at < bytes.byteLength - 1; at++) {
      const flipped = bytes.slice()
      flipped[at] = (flipped[at] ?? 0) ^ 1
      const found = await decodeGroupFile(flipped)
      if (found) expect([at, found]).toEqual([at, settings])
      expect(await decodeGroupFile(bytes.subarray(0, at))).toBeUndefined()
    }
  })

  test('hides every group when it is damaged, and is kept in quarantine', async () => {
    await using folder = await createTemporaryFolder()
    let id = ''
    {
      await using store = await openImageStore(folder)
      id = (await store.add(seededBytes(1000, 1), { mediaGroup: 'a' })).id
      await store.catalogue.mediaGroups.create({ name: 'b', description: '', visible: true }, 'test')
      await writeFile(`${store.mount}/media-groups.json`, 'damaged')
    }
    for (const isFirst of [true, false]) {
      await using store = await openImageStore(folder)
      expect(store.catalogue.need(id)).toMatchObject({ mediaGroup: 'a', hidden: true })
      expect(store.events.filter(({ type }) => type === 'store.groups-damaged')).toHaveLength(isFirst ? 1 : 0)
      const kept = (await readdir(`${store.mount}/quarantine`)).filter((name) => name.startsWith('media-groups.json.'))
      expect(await Promise.all(kept.map((name) => readFile(`${store.mount}/quarantine/${name}`, 'utf8')))).toEqual(['damaged'])
      expect((await store.publish(seededBytes(1000, 2), { mediaGroup: 'c' })).hidden).toBe(true)
      if (!isFirst) {
        await store.catalogue.mediaGroups.patch('a', { visible: true }, 'test')
        expect(store.catalogue.need(id).hidden).toBe(false)
      }
    }
  })

  test('hides every group while it cannot be read, and is not replaced', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using store = await openImageStore(folder)
      await store.add(seededBytes(1000, 1), { mediaGroup: 'a' })
      await rm(`${store.mount}/media-groups.json`, { force: true })
      await createDisk().makeFolder(`${store.mount}/media-groups.json`)
    }
    await using store = await openImageStore(folder)
    expect((await store.catalogue.mediaGroups.list(ALL)).items).toEqual([{ name: 'a', description: '', visible: false, images: 1 }])
    expect(await codeOf(store.catalogue.mediaGroups.patch('a', { visible: true }, 'test'))).toBe('store-unavailable')
  })

  test('that cannot be written changes nothing', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createDisk()
    let isFull = false
    const failing: typeof disk = {
      ...disk,
      writeFileAtomic(path, bytes) {
        if (isFull && path.endsWith('media-groups.json')) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        return disk.writeFileAtomic(path, bytes)
      },
    }
    await using store = await openImageStore(folder, { disk: failing })
    const { id } = await store.publish(seededBytes(1000, 1), { mediaGroup: 'a' })
    isFull = true
    expect(await codeOf(store.catalogue.mediaGroups.patch('a', { visible: false }, 'test'))).toBe('insufficient-storage')
    expect(store.catalogue.need(id).hidden).toBe(false)
    isFull = false
    await store.catalogue.mediaGroups.patch('a', { visible: false }, 'test')
    expect(store.catalogue.need(id).hidden).toBe(true)
  })
})

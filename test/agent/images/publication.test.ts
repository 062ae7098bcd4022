// Publishing an image whose folder the disk could not read at the start: whether it was published before is not known.

import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const ID = 'img_00000000000000000000000000'
const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const

test('is refused until the folder can be read: its upload must not count as published', async () => {
  await using folder = await createTemporaryFolder()
  // What a power cut leaves of a publication: the folder, and no image.json.
  await mkdir(folder.file('mount', 'images', ID), { recursive: true })
  const real = createDisk()
  const disk: Disk = {
    ...real,
    list: (path) => (path.endsWith(ID) ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : real.list(path)),
  }
  await using store = await openImageStore(folder, { disk })
  expect(store.catalogue.find(ID)?.status).toBe('fileUnavailable')
  const image = { id: ID, draft: { name: 'debian', description: '' }, source: SOURCE }
  const content = {
    length: 1,
    async *blocks() {
      yield [{ length: 1, digest: null }]
    },
  }
  const error: unknown = await store.catalogue.publish(image, content).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ProblemError)
  expect(error instanceof ProblemError ? error.code : '').toBe('store-unavailable')
})

describe('an image that is copied from another store', () => {
  const bytes = seededBytes(100_000, 1)

  /** A store that has an image, and another, on a disk, that has the slices of it under another id. */
  async function setUp(disk: Disk = createDisk()) {
    await using stack = new AsyncDisposableStack()
    const source = stack.use(await openImageStore(stack.use(await createTemporaryFolder())))
    const target = stack.use(await openImageStore(stack.use(await createTemporaryFolder()), { disk }))
    const image = await source.add(bytes, { name: 'debian', description: 'theirs', owner: 'ann' })
    await target.add(bytes, { name: 'same content' })
    const adopt = async (from = image): Promise<boolean | string> => {
      using content = await source.catalogue.open(image.id)
      return await target.catalogue.adopt(from, content.manifest).catch((error: unknown) => (error instanceof ProblemError ? error.code : String(error)))
    }
    const own = stack.move()
    return { source, target, image, adopt, [Symbol.asyncDispose]: () => own.disposeAsync() }
  }

  test('is new once, inspected, with the metadata of its source', async () => {
    await using scene = await setUp()
    const { target, image, adopt } = scene
    expect(await adopt()).toBe(true)
    expect(target.catalogue.need(image.id)).toMatchObject({ name: 'debian', description: 'theirs', owner: 'ann', status: 'available', length: 100_000 })
    expect((await target.read(image.id)).equals(bytes)).toBe(true)
    expect(await adopt()).toBe(false)
    expect(await adopt({ ...image, id: '../../etc' })).toBe('invalid-input')
  })

  test('does not replace another image with its id', async () => {
    await using scene = await setUp()
    const { target, image, adopt } = scene
    await target.publish(seededBytes(1000, 2), { name: 'mine' }, image.id)
    await target.catalogue.settled()
    expect(await adopt()).toBe('conflict')
    expect(target.catalogue.need(image.id)).toMatchObject({ name: 'mine', length: 1000 })
  })

  test('comes back from the recycle bin as it was there', async () => {
    await using scene = await setUp()
    const { target, image, adopt } = scene
    await adopt()
    await target.catalogue.patch(image.id, { description: 'ours' }, 'root')
    await target.catalogue.delete(image.id, 'root')
    expect(target.catalogue.need(image.id).status).toBe('deleted')
    expect(await adopt()).toBe(true)
    expect(target.catalogue.need(image.id)).toMatchObject({ status: 'available', description: 'ours', deletedAt: null })
  })

  test('does not exist before its hidden media group is hidden here', async () => {
    const real = createDisk()
    let isBroken = true
    const refuse = (path: string): void => {
      if (isBroken && path.includes('media-groups.json')) throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' })
    }
    const disk: Disk = {
      ...real,
      async writeFileAtomic(path, bytes) {
        refuse(path)
        await real.writeFileAtomic(path, bytes)
      },
    }
    await using scene = await setUp(disk)
    const { target, image, adopt } = scene
    const hidden = { ...image, mediaGroup: 'secret', hidden: true }
    expect(await adopt(hidden)).not.toBe(true)
    expect(target.catalogue.find(image.id)).toBeUndefined()
    isBroken = false
    expect(await adopt(hidden)).toBe(true)
    expect(target.catalogue.need(image.id)).toMatchObject({ mediaGroup: 'secret', hidden: true, status: 'available' })
  })

  test('replaces one in the recycle bin that was never available', async () => {
    await using scene = await setUp()
    const { target, image, adopt } = scene
    await target.publish(bytes, { name: 'mine', format: 'qcow2' }, image.id)
    await target.catalogue.settled()
    expect(target.catalogue.need(image.id).status).toBe('error')
    await target.catalogue.delete(image.id, 'root')
    expect(await adopt()).toBe(true)
    expect(target.catalogue.need(image.id).status).toBe('available')
  })
})

test('an upload that can never have content is an image in error, once', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const image = { id: ID, draft: { name: 'debian', description: '' }, source: SOURCE }
  const refused = await store.catalogue.refuse(image, 5, { code: 'invalid-input', reason: 'It is empty.' })
  expect(refused).toMatchObject({ id: ID, status: 'error', statusReason: 'It is empty.', length: 5, formatDetails: { refusal: 'invalid-input' } })
  expect(existsSync(folder.file('mount', 'images', ID, 'image.json'))).toBe(true)
  expect(await store.catalogue.refuse(image, 7, { code: 'invalid-input', reason: 'Again.' })).toEqual(refused)
  expect(store.catalogue.need(ID)).toEqual(refused)
})

// Saving images: a change is visible in memory only once image.json is durable.

import { describe, expect, test } from 'bun:test'
import { createImageKeeper } from '../../../../agent/images/records/image-keeper.ts'
import type { ImageKeeperDeps } from '../../../../agent/images/records/image-keeper.ts'
import { createImageTable } from '../../../../agent/images/records/image-table.ts'
import { changed, fresh } from '../../../../agent/images/records/image-states.ts'
import { decodeImageFile, encodeImageFile, IMAGE_FILE_BYTES_MAX, isNameRecent } from '../../../../agent/images/records/image-file.ts'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { problemCode, ProblemError } from '../../../../protocol/problems.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createRandom } from '../../../support/properties.ts'
import { createFailingDisk } from '../../../support/machine/failing-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const ID = 'img_00000000000000000000000000'
const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const

/** Number of the operation of an atomic write that makes the new name durable. */
const FOLDER_SYNC = 6

function keeperOf(folder: TemporaryFolder, disk: Disk, others: Partial<ImageKeeperDeps> = {}) {
  return createImageKeeper({ disk, folder: folder.file('images'), table: createImageTable(), nowMs: () => 0, ledger: { append: async () => {} }, ...others })
}

/** Opens a keeper with one image named `before`. */
async function open(folder: TemporaryFolder, disk: Disk) {
  const keeper = keeperOf(folder, disk)
  await disk.makeFolder(keeper.folder(ID))
  await keeper.save(fresh({ id: ID, draft: { name: 'before', description: '' }, source: SOURCE }, 100, null, 0))
  return keeper
}

async function nameOnDisk(folder: TemporaryFolder): Promise<string> {
  const found = await decodeImageFile(new Uint8Array(await Bun.file(folder.file('images', ID, 'image.json')).arrayBuffer()))
  return found.kind === 'whole' ? found.stored.image.name : found.reason
}

describe('a change', () => {
  test('is visible in memory only once its file is durable', async () => {
    await using folder = await createTemporaryFolder()
    const real = createDisk()
    const seen: string[] = []
    const disk: Disk = {
      ...real,
      async writeFileAtomic(path, bytes) {
        seen.push(keeper?.need(ID).image.name ?? 'nothing')
        await real.writeFileAtomic(path, bytes)
        seen.push(keeper?.need(ID).image.name ?? 'nothing')
      },
    }
    let keeper: Awaited<ReturnType<typeof open>> | undefined
    keeper = await open(folder, disk)
    await keeper.change(ID, (stored) => changed(stored, { name: 'after' }))
    expect(seen).toEqual(['nothing', 'nothing', 'before', 'before'])
    expect([keeper.need(ID).image.name, await nameOnDisk(folder)]).toEqual(['after', 'after'])
  })

  test('that fails on disk changes neither memory nor file', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createFailingDisk(createDisk())
    const keeper = await open(folder, disk)
    disk.failAfter(1, 'ENOSPC')
    const refused = await keeper.change(ID, (stored) => changed(stored, { name: 'after' })).catch((error: unknown) => error)
    expect(refused instanceof ProblemError && problemCode(refused.problem)).toBe('insufficient-storage')
    disk.failAfter(undefined)
    expect([keeper.need(ID).image.name, await nameOnDisk(folder)]).toEqual(['before', 'before'])
  })

  test('whose write fails after the file was replaced is written again', async () => {
    await using folder = await createTemporaryFolder()
    const disk = await createFaultyDisk(folder.path)
    const keeper = await open(folder, disk)
    disk.plan({ at: FOLDER_SYNC, fault: 'EIO' })
    await keeper.change(ID, (stored) => changed(stored, { name: 'after' }))
    expect(disk.hasFailed).toBe(true)
    await disk.losePower(createRandom(1), 0)
    disk.revive()
    expect(await nameOnDisk(folder)).toBe('after')
  })

  test('that fails twice after the file was replaced is visible in memory, and is written again before it is relied on', async () => {
    await using folder = await createTemporaryFolder()
    const faulty = await createFaultyDisk(folder.path)
    const disk: Disk = {
      ...faulty,
      async writeFileAtomic(path, bytes) {
        faulty.plan(isFailing ? { at: FOLDER_SYNC, fault: 'EIO' } : undefined)
        await faulty.writeFileAtomic(path, bytes)
      },
    }
    let isFailing = false
    const keeper = await open(folder, disk)
    isFailing = true
    await expect(keeper.change(ID, (stored) => changed(stored, { name: 'after' }))).rejects.toThrow('could not be saved')
    isFailing = false
    expect([keeper.need(ID).image.name, await nameOnDisk(folder)]).toEqual(['after', 'after'])
    // A change that changes nothing is acknowledged only once the file is durable.
    await keeper.change(ID, () => undefined)
    await faulty.losePower(createRandom(1), 0)
    faulty.revive()
    expect(await nameOnDisk(folder)).toBe('after')
  })

  test('that exceeds the length limit of the file changes neither memory nor file', async () => {
    await using folder = await createTemporaryFolder()
    const keeper = await open(folder, createDisk())
    const refused = await keeper.change(ID, (stored) => changed(stored, { description: 'x'.repeat(IMAGE_FILE_BYTES_MAX) })).catch((error: unknown) => error)
    expect(refused instanceof ProblemError && problemCode(refused.problem)).toBe('payload-too-large')
    expect([keeper.need(ID).image.description, await nameOnDisk(folder)]).toEqual(['', 'before'])
  })

  test('that records damage is visible in memory even if the disk cannot be written', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createFailingDisk(createDisk())
    const keeper = await open(folder, disk)
    disk.failAfter(1, 'EROFS')
    await expect(keeper.note(ID, (stored) => changed(stored, { name: 'found' }))).rejects.toThrow()
    disk.failAfter(undefined)
    expect([keeper.need(ID).image.name, await nameOnDisk(folder)]).toEqual(['found', 'before'])
  })
})

test('an image.json is written up to 2 MiB, and not with one byte more', async () => {
  await using folder = await createTemporaryFolder()
  const keeper = await open(folder, createDisk())
  const left = 2_097_152 - (await encodeImageFile(keeper.accounted(keeper.need(ID)))).byteLength
  await expect(keeper.change(ID, (stored) => changed(stored, { description: 'x'.repeat(left + 1) }))).rejects.toMatchObject({ code: 'payload-too-large' })
  await keeper.change(ID, (stored) => changed(stored, { description: 'x'.repeat(left) }))
  expect(Bun.file(folder.file('images', ID, 'image.json')).size).toBe(2_097_152)
})

test.each([
  [0, 0, true],
  [0, 3_599_999, true],
  [0, 3_600_000, false],
  [3_599_999, 0, true],
  [3_600_000, 0, false],
])('the name of a file changed at %i may not be durable at %i: %p', (modifiedMs, nowMs, expected) => {
  expect(isNameRecent(modifiedMs, nowMs)).toBe(expected)
})

describe('an image that is not there', () => {
  test('does not exist, unless an upload will become it', async () => {
    await using folder = await createTemporaryFolder()
    const image = { id: ID, draft: { name: 'debian', description: '' }, source: SOURCE }
    const upload = { image, state: 'uploading', reason: 'It is uploaded.', length: 1, createdAtMs: 0 } as const
    const inProgress = () => ({ images: () => [upload], image: (id: string) => (id === ID ? upload : undefined), recordPublished: async () => {} })
    const refusal = (keeper: ReturnType<typeof keeperOf>, id: string): string => {
      try {
        return keeper.need(id).image.id
      } catch (error) {
        return error instanceof ProblemError ? `${error.code}: ${error.message}` : String(error)
      }
    }
    for (const others of [{}, { inProgress: () => undefined }])
      expect(refusal(keeperOf(folder, createDisk(), others), ID)).toBe(`not-found: There is no image ${ID}.`)
    const keeper = keeperOf(folder, createDisk(), { inProgress })
    expect(refusal(keeper, ID)).toBe('wrong-status: Image debian is uploading. It is uploaded.')
    expect(refusal(keeper, 'img_other')).toBe('not-found: There is no image img_other.')
  })

  test('is not noted, and appears only once it is saved', async () => {
    await using folder = await createTemporaryFolder()
    const keeper = keeperOf(folder, createDisk())
    await keeper.note(ID, () => {
      throw new Error('edited')
    })
    keeper.unfinished.add(ID)
    const stored = fresh({ id: ID, draft: { name: 'new', description: '' }, source: SOURCE }, 100, null, 0)
    await expect(keeper.save(stored)).rejects.toThrow('could not be saved')
    expect([keeper.table.get(ID), keeper.unfinished.has(ID)]).toEqual([undefined, true])
    await createDisk().makeFolder(keeper.folder(ID))
    await keeper.save(stored)
    expect([keeper.need(ID).image.name, keeper.unfinished.has(ID)]).toEqual(['new', false])
  })
})

test('a change that changes nothing writes the file only if its last write failed, once', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createFailingDisk(createDisk())
  const keeper = await open(folder, disk)
  const written = async (): Promise<number> => {
    const before = disk.operations
    await keeper.change(ID, () => undefined)
    await keeper.note(ID, () => undefined)
    return disk.operations - before
  }
  expect(await written()).toBe(0)
  disk.failAfter(1)
  await expect(keeper.change(ID, (stored) => changed(stored, { name: 'after' }))).rejects.toThrow()
  disk.failAfter(undefined)
  expect([await written(), await written()]).toEqual([1, 0])
})

describe('the ended periods of an image', () => {
  const period = (i: number) => ({ owner: null, length: 1, storedSize: 1, fromMs: i, toMs: i + 1 })
  const withPeriods = (count: number) => ({ ended: Array.from({ length: count }, (_, i) => period(i)), running: null, untilMs: count })

  test.each([
    [100, 100, 0],
    [101, 0, 101],
  ])('of which there are %i: %i stay in image.json, %i move to the ledger first', async (count, kept, moved) => {
    await using folder = await createTemporaryFolder()
    const seen: unknown[] = []
    const append: ImageKeeperDeps['ledger']['append'] = async (periods, options) => {
      await new Promise((resolve) => setImmediate(resolve))
      seen.push([periods.length, options, keeper.need(ID).life.usage?.ended.length])
    }
    const keeper = keeperOf(folder, createDisk(), { ledger: { append } })
    await createDisk().makeFolder(keeper.folder(ID))
    const stored = fresh({ id: ID, draft: { name: 'before', description: '' }, source: SOURCE }, 100, null, 0)
    keeper.table.put({ image: stored.image, life: { ...stored.life, usage: withPeriods(count) } })
    await keeper.change(ID, (now) => changed(now, { name: 'after' }))
    expect(keeper.need(ID).life.usage).toEqual({ ended: withPeriods(kept).ended, running: null, untilMs: count })
    expect(seen).toEqual(moved === 0 ? [] : [[moved, { mayRepeat: true }, count]])
  })

  test('stay where they are if the ledger cannot be written, and nothing is changed', async () => {
    await using folder = await createTemporaryFolder()
    const append = () => Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }))
    const keeper = keeperOf(folder, createDisk(), { ledger: { append } })
    await createDisk().makeFolder(keeper.folder(ID))
    const stored = fresh({ id: ID, draft: { name: 'before', description: '' }, source: SOURCE }, 100, null, 0)
    keeper.table.put({ image: stored.image, life: { ...stored.life, usage: withPeriods(101) } })
    const refused = keeper.change(ID, (now) => changed(now, { name: 'after' }))
    await expect(refused).rejects.toMatchObject({
      code: 'insufficient-storage',
      message: 'The usage of the image could not be saved: the disk of the store is full.',
    })
    expect(keeper.need(ID)).toMatchObject({ image: { name: 'before' }, life: { usage: { ended: { length: 101 } } } })
  })
})

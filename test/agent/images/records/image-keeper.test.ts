// Saving images: a change is visible in memory only once image.json is durable.

import { describe, expect, test } from 'bun:test'
import { createImageKeeper } from '../../../../agent/images/records/image-keeper.ts'
import { createImageTable } from '../../../../agent/images/records/image-table.ts'
import { changed, fresh } from '../../../../agent/images/records/image-states.ts'
import { decodeImageFile, IMAGE_FILE_BYTES_MAX } from '../../../../agent/images/records/image-file.ts'
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

/** Opens a keeper with one image named `before`. */
async function open(folder: TemporaryFolder, disk: Disk) {
  const keeper = createImageKeeper({ disk, folder: folder.file('images'), table: createImageTable(), nowMs: () => 0, ledger: { append: async () => {} } })
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

// The faulty disk itself: a power cut keeps what was synced, and nothing else when no part of the rest is kept.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { createRandom } from '../properties.ts'
import { createFaultyDisk } from './faulty-disk.ts'
import type { FaultyDisk } from './faulty-disk.ts'
import { createTemporaryFolder } from './temporary-folder.ts'
import type { TemporaryFolder } from './temporary-folder.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** Runs work on a disk, cuts its power, and returns the contents of the files that are left, by name. */
async function leftOf(work: (disk: FaultyDisk, folder: TemporaryFolder) => Promise<void>, kept = 0): Promise<Record<string, readonly number[]>> {
  await using folder = await createTemporaryFolder()
  const disk = await createFaultyDisk(folder.path)
  await work(disk, folder)
  await disk.losePower(createRandom(1), kept)
  const names = (await readdir(folder.path)).toSorted()
  const files = new Map<string, readonly number[]>()
  for (const name of names) files.set(name, [...(await Bun.file(folder.file(name)).bytes())])
  return Object.fromEntries(files)
}

describe('after a power cut', () => {
  test('a file has its synced bytes once its folder was synced, and does not exist before', async () => {
    const write =
      (isSynced: boolean, isNamed: boolean) =>
      async (disk: FaultyDisk, folder: TemporaryFolder): Promise<void> => {
        await using file = await disk.openWrite(folder.file('a'), 'create')
        await file.write([bytes(1, 2, 3)], 0)
        if (isSynced) await file.sync()
        if (isNamed) await disk.syncFolder(folder.path)
        await file.write([bytes(9)], 1)
      }
    expect(await leftOf(write(true, true))).toEqual({ a: [1, 2, 3] })
    expect(await leftOf(write(false, true))).toEqual({ a: [] })
    expect(await leftOf(write(true, false))).toEqual({})
    expect(await leftOf(write(false, false), 1)).toMatchObject({ a: expect.anything() })
  })

  test('bytes that were cut off and written over again are zeros in between', async () => {
    const left = await leftOf(async (disk, folder) => {
      await using file = await disk.openWrite(folder.file('a'), 'create')
      await file.write([bytes(1, 2, 3, 4, 5, 6)], 0)
      await file.sync()
      await disk.syncFolder(folder.path)
      await file.truncate(2)
      await file.write([bytes(8)], 4)
      await file.sync()
      await file.truncate(1)
    })
    expect(left).toEqual({ a: [1, 2, 0, 0, 8] })
  })

  test('an fsync that nobody has waited for had no effect', async () => {
    await using folder = await createTemporaryFolder()
    const disk = await createFaultyDisk(folder.path)
    await using file = await disk.openWrite(folder.file('a'), 'create')
    await file.write([bytes(1, 2, 3)], 0)
    await disk.syncFolder(folder.path)
    const [syncing, naming] = [file.sync(), disk.syncFolder(folder.path)].map((ending) => ending.catch((error: unknown) => error))
    await disk.losePower({ ...createRandom(1), chance: () => false })
    expect(await syncing).toMatchObject({ code: 'EIO' })
    expect(await naming).toMatchObject({ code: 'EIO' })
    expect([...(await Bun.file(folder.file('a')).bytes())]).toEqual([])
    disk.revive()
  })

  test('a rename and a removal hold once their folder was synced', async () => {
    const write = async (disk: FaultyDisk, folder: TemporaryFolder): Promise<void> => {
      await disk.writeFileAtomic(folder.file('a'), bytes(1))
      await disk.writeFileAtomic(folder.file('b'), bytes(2))
    }
    expect(await leftOf(write)).toEqual({ a: [1], b: [2] })
    // The last operation of both is the fsync of the folder.
    const operations = 2
    const changes: { change: (disk: FaultyDisk, folder: TemporaryFolder) => Promise<void>; after: Record<string, readonly number[]> }[] = [
      { change: (disk, folder) => disk.rename(folder.file('a'), folder.file('b')), after: { b: [1] } },
      { change: (disk, folder) => disk.remove(folder.file('a')), after: { b: [2] } },
    ]
    for (const { change, after } of changes) {
      const changed = (at: number) =>
        leftOf(async (disk, folder) => {
          await write(disk, folder)
          disk.plan({ at, fault: 'kill' })
          await change(disk, folder).catch(() => {})
          expect(disk.isDead).toBe(at <= operations)
        })
      expect(await changed(operations)).toEqual({ a: [1], b: [2] })
      expect(await changed(operations + 1)).toEqual(after)
    }
  })
})

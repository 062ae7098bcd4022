// The guard of the mount path, with a folder that is moved away, as after a network mount dropped: an empty folder remains, or none.

import { describe, expect, test } from 'bun:test'
import { mkdirSync, readdirSync, renameSync, rmdirSync, utimesSync, writeFileSync } from 'node:fs'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { guardMount, MountGone } from '../../../agent/system/mounted-disk.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

const MARK = 'store.json'

async function openMount(folder: TemporaryFolder): Promise<{ disk: Disk; mount: string; take(): void; giveBack(): void }> {
  const mount = folder.file('mount')
  mkdirSync(mount)
  writeFileSync(`${mount}/${MARK}`, '{"uuid":"one"}')
  writeFileSync(`${mount}/there`, 'bytes')
  return {
    disk: await guardMount(createDisk(), mount, MARK),
    mount,
    take() {
      renameSync(mount, folder.file('elsewhere'))
      mkdirSync(mount)
    },
    giveBack() {
      rmdirSync(mount)
      renameSync(folder.file('elsewhere'), mount)
    },
  }
}

/** Every operation that reads or changes something below the mount path. */
const operations = (disk: Disk, mount: string): Record<string, () => Promise<unknown>> => ({
  openRead: () => disk.openRead(`${mount}/there`),
  openWrite: () => disk.openWrite(`${mount}/there`, 'existing'),
  create: () => disk.openWrite(`${mount}/new`, 'create'),
  readFile: () => disk.readFile(`${mount}/there`, 100),
  writeFileAtomic: () => disk.writeFileAtomic(`${mount}/new`, 'bytes'),
  rename: () => disk.rename(`${mount}/there`, `${mount}/new`),
  remove: () => disk.remove(`${mount}/there`),
  removeTree: () => disk.removeTree(`${mount}/folder`),
  makeFolder: () => disk.makeFolder(`${mount}/a/b`),
  list: () => disk.list(mount),
  stat: () => disk.stat(`${mount}/there`),
})

describe('guardMount', () => {
  test('refuses every operation while an empty folder is in place of the mount path, and leaves it empty', async () => {
    await using folder = await createTemporaryFolder()
    const { disk, mount, take, giveBack } = await openMount(folder)
    take()
    for (const [name, run] of Object.entries(operations(disk, mount))) {
      const outcome = await run().then(
        () => 'done',
        (error: unknown) => (error instanceof MountGone ? error.code : error),
      )
      expect([name, outcome]).toEqual([name, 'ENOTCONN'])
    }
    expect(readdirSync(mount)).toEqual([])
    giveBack()
    expect(new TextDecoder().decode(await disk.readFile(`${mount}/there`, 100))).toBe('bytes')
    await disk.makeFolder(`${mount}/a/b`)
    expect(await disk.list(`${mount}/a`)).toEqual(['b'])
  })

  test('refuses every operation, and the question for space, while the mount path does not exist', async () => {
    await using folder = await createTemporaryFolder()
    const { disk, mount } = await openMount(folder)
    renameSync(mount, folder.file('elsewhere'))
    for (const [name, run] of Object.entries({ ...operations(disk, mount), space: () => disk.space(mount) })) {
      const outcome = await run().then(
        () => 'done',
        (error: unknown) => (error instanceof MountGone ? error.code : error),
      )
      expect([name, outcome]).toEqual([name, 'ENOTCONN'])
    }
    renameSync(folder.file('elsewhere'), mount)
    expect((await disk.space(mount)).totalBytes).toBeGreaterThan(0)
  })

  test('reports a file as missing while the store is mounted', async () => {
    await using folder = await createTemporaryFolder()
    const { disk, mount } = await openMount(folder)
    expect(await disk.stat(`${mount}/nothing`)).toBeUndefined()
    expect(await disk.list(`${mount}/nothing`)).toEqual([])
    await disk.remove(`${mount}/nothing`)
    await expect(disk.openRead(`${mount}/nothing`)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(disk.readFile(`${mount}/nothing`, 10)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('compares the bytes of the mark and not its time', async () => {
    await using folder = await createTemporaryFolder()
    const { disk, mount } = await openMount(folder)
    utimesSync(`${mount}/${MARK}`, 1, 1)
    await disk.makeFolder(`${mount}/still`)
    writeFileSync(`${mount}/${MARK}`, '{"uuid":"two"}')
    await expect(disk.makeFolder(`${mount}/other`)).rejects.toThrow(MountGone)
  })

  test('does not guard other paths', async () => {
    await using folder = await createTemporaryFolder()
    const { disk, mount, take } = await openMount(folder)
    take()
    await disk.writeFileAtomic(folder.file('state'), 'x')
    expect(await disk.stat(folder.file('nothing'))).toBeUndefined()
    expect(await disk.list(`${mount}-not`)).toEqual([])
  })
})

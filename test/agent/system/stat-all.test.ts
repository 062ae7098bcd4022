// States of many files at a time: the same as those of a disk, file by file.

import { symlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'bun:test'
import { createDisk } from '../../../agent/system/disk.ts'
import { createStatAll } from '../../../agent/system/stat-all.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

test('states of files of all kinds are those that the disk returns, in the order of the paths', async () => {
  await using folder = await createTemporaryFolder()
  await writeFile(folder.file('file'), 'some bytes')
  await symlink('nowhere', folder.file('link'))
  const paths = [folder.file('missing'), folder.file('file'), folder.path, folder.file('link'), '/dev/null', folder.file('file', 'below a file')]
  const disk = createDisk()
  const expected = await Promise.all(paths.map((path) => disk.stat(path)))
  expect(expected.map((found) => found?.kind)).toEqual([undefined, 'file', 'folder', 'link', 'other', undefined])
  const statAll = createStatAll()
  expect(await statAll(paths)).toEqual(expected)
  expect(await statAll([])).toEqual([])
})

test('requests that wait together get their own answers', async () => {
  await using folder = await createTemporaryFolder()
  const statAll = createStatAll()
  const lengths = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      await writeFile(folder.file(String(i)), 'x'.repeat(i))
      return (await statAll([folder.file(String(i)), folder.file('missing')])).map((found) => found?.length)
    }),
  )
  expect(lengths).toEqual(Array.from({ length: 20 }, (_, i) => [i, undefined]))
})

test('an error of the file system has its code, and the next request is answered', async () => {
  const statAll = createStatAll()
  await expect(statAll([`/${'x'.repeat(300)}`])).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
  expect((await statAll(['/']))[0]?.kind).toBe('folder')
})

test('the thread does not keep a process alive', () => {
  const program = `const { createStatAll } = await import(${JSON.stringify(`${import.meta.dir}/../../../agent/system/stat-all.ts`)})
    console.log((await createStatAll()(['/']))[0].kind)`
  const { stdout, exitCode } = Bun.spawnSync([process.execPath, '-e', program], { timeout: 60_000 })
  expect([stdout.toString(), exitCode]).toEqual(['folder\n', 0])
})

// The disk: what is synced when, what a failed operation leaves, and what is refused.

import { describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, relative } from 'node:path'
import { createDisk } from '../../../agent/system/disk.ts'
import { watchFileOperations } from '../../support/machine/file-operations.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

const disk = createDisk()

/** Runs work and returns the writes and syncs in it, each with its path and what `seen` says at its start. */
async function stepsOf(folder: TemporaryFolder, run: () => Promise<unknown>, seen: () => string = () => ''): Promise<string[]> {
  const steps: string[] = []
  using _watch = await watchFileOperations((name, when, path) => {
    if (when === 'ends' || !['write', 'datasync', 'sync'].includes(name)) return
    const below = relative(folder.path, path) || '.'
    steps.push(`${name} ${basename(below).replace(/\.\d+\.\d+\.tmp$/, '.tmp')}${seen()}`)
  })
  await run()
  steps.push('resolves')
  return steps
}

describe('a file that is replaced', () => {
  test('is synced before it gets its name, and its name before it counts', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('x')
    writeFileSync(path, 'old')
    const steps = await stepsOf(
      folder,
      () => disk.writeFileAtomic(path, 'new'),
      () => `: ${readFileSync(path, 'utf8')}`,
    )
    expect(steps).toEqual(['write .x.tmp: old', 'datasync .x.tmp: old', 'sync .: new', 'resolves'])
    expect(statSync(path).mode & 0o777).toBe(0o640)
    await disk.writeFileAtomic(path, Uint8Array.of(1, 2))
    expect([...readFileSync(path)]).toEqual([1, 2])
    expect(readdirSync(folder.path)).toEqual(['x'])
  })

  test('stays, and no other file does, when the new one cannot take its place', async () => {
    await using folder = await createTemporaryFolder()
    mkdirSync(folder.file('x', 'y'), { recursive: true })
    await expect(disk.writeFileAtomic(folder.file('x'), 'new')).rejects.toMatchObject({ code: 'EISDIR' })
    expect(readdirSync(folder.path)).toEqual(['x'])
  })
})

describe('a name is durable', () => {
  test('after a rename, in both folders', async () => {
    await using folder = await createTemporaryFolder()
    mkdirSync(folder.file('a'))
    mkdirSync(folder.file('b'))
    writeFileSync(folder.file('a', 'x'), 'x')
    const isMoved = (): string => (existsSync(folder.file('b', 'x')) ? ': moved' : '')
    expect(await stepsOf(folder, () => disk.rename(folder.file('a', 'x'), folder.file('b', 'x')), isMoved)).toEqual([
      'sync b: moved',
      'sync a: moved',
      'resolves',
    ])
    expect(await stepsOf(folder, () => disk.rename(folder.file('b', 'x'), folder.file('b', 'y')))).toEqual(['sync b', 'resolves'])
  })

  test('after a removal; one of nothing syncs nothing', async () => {
    await using folder = await createTemporaryFolder()
    writeFileSync(folder.file('x'), 'x')
    const isThere = (): string => (existsSync(folder.file('x')) ? ': there' : ': gone')
    expect(await stepsOf(folder, () => disk.remove(folder.file('x')), isThere)).toEqual(['sync .: gone', 'resolves'])
    expect(await stepsOf(folder, () => disk.remove(folder.file('x')))).toEqual(['resolves'])
    mkdirSync(folder.file('d'))
    await expect(disk.remove(folder.file('d'))).rejects.toMatchObject({ code: expect.stringMatching(/^E(?:ISDIR|PERM)$/) })
    writeFileSync(folder.file('d', 'y'), 'y')
    expect(await stepsOf(folder, () => disk.removeTree(folder.file('d')))).toEqual(['sync .', 'resolves'])
    expect(existsSync(folder.file('d'))).toBe(false)
  })

  test('after a folder was made: each new one in its parent', async () => {
    await using folder = await createTemporaryFolder()
    expect(await stepsOf(folder, () => disk.makeFolder(folder.file('a', 'b', 'c')))).toEqual(['sync b', 'sync a', 'sync .', 'resolves'])
    expect(await stepsOf(folder, () => disk.makeFolder(folder.file('a', 'b', 'c')))).toEqual(['resolves'])
    expect(await stepsOf(folder, () => disk.makeFolder(folder.file('a', 'd')))).toEqual(['sync a', 'resolves'])
    expect(await stepsOf(folder, () => disk.syncFolder(folder.file('a')))).toEqual(['sync a', 'resolves'])
  })
})

describe('an open file', () => {
  test('is written in order, read up to its end, and synced', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('x')
    await using file = await disk.openWrite(path, 'create')
    expect(statSync(path).mode & 0o777).toBe(0o640)
    await file.write([Buffer.from('ab'), Buffer.alloc(0), Buffer.from('cde')], 3)
    expect(readFileSync(path, 'latin1')).toBe('\0\0\0abcde')
    const into = Buffer.alloc(4)
    expect([await file.read(into, 5), into.toString()]).toEqual([3, 'cde\0'])
    expect([await file.read(into, 8), await file.length()]).toEqual([0, 8])
    expect(await stepsOf(folder, () => file.sync())).toEqual(['datasync x', 'resolves'])
    await file.truncate(4)
    expect(await file.length()).toBe(4)
    await expect(disk.openWrite(path, 'create')).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(disk.openWrite(folder.file('y'), 'existing')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(disk.openRead(folder.file('y'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('is never what a link names', async () => {
    await using folder = await createTemporaryFolder()
    writeFileSync(folder.file('x'), 'x')
    symlinkSync('x', folder.file('link'))
    const link = folder.file('link')
    for (const open of [() => disk.openRead(link), () => disk.openWrite(link, 'existing'), () => disk.readFile(link, 10)])
      await expect(open()).rejects.toMatchObject({ code: 'ELOOP' })
  })
})

test('a small file is read whole, up to its bound', async () => {
  await using folder = await createTemporaryFolder()
  writeFileSync(folder.file('x'), 'four')
  expect(new TextDecoder().decode(await disk.readFile(folder.file('x'), 4))).toBe('four')
  await expect(disk.readFile(folder.file('x'), 3)).rejects.toBeInstanceOf(RangeError)
})

test('says what a path is, and what is in a folder', async () => {
  await using folder = await createTemporaryFolder()
  writeFileSync(folder.file('file'), 'four')
  mkdirSync(folder.file('folder'))
  symlinkSync('file', folder.file('link'))
  expect(await disk.stat(folder.file('file'))).toMatchObject({ kind: 'file', length: 4, modifiedMs: statSync(folder.file('file')).mtimeMs })
  expect(await disk.stat(folder.file('folder'))).toMatchObject({ kind: 'folder' })
  expect(await disk.stat(folder.file('link'))).toMatchObject({ kind: 'link' })
  expect(await disk.stat('/dev/null')).toMatchObject({ kind: 'other' })
  expect(await disk.stat(folder.file('none'))).toBeUndefined()
  expect(await disk.stat(folder.file('file', 'below'))).toBeUndefined()
  expect((await disk.list(folder.path)).toSorted()).toEqual(['file', 'folder', 'link'])
  expect(await disk.list(folder.file('none'))).toEqual([])
  await expect(disk.list(folder.file('file'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  const space = await disk.space(folder.path)
  expect(space.totalBytes).toBeGreaterThan(space.freeBytes)
  expect(space.freeBytes).toBeGreaterThan(1024 * 1024)
})

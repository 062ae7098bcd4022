// Opening and reading files of the node, and what is never opened.

import { describe, expect, test } from 'bun:test'
import { appendFile, chmod, link, mkdir, rename, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { FileShortened, openLocalFile } from '../../../../agent/imports/local/local-file.ts'
import type { LocalFile } from '../../../../agent/imports/local/local-file.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

async function opened(root: string, ...parts: string[]): Promise<LocalFile> {
  const opening = await openLocalFile(root, parts)
  if (opening.kind !== 'file') throw new Error(opening.why)
  return opening.file
}

async function bytesFrom(file: LocalFile, offset: number): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(file.read(offset)))
}

describe('a local file', () => {
  test('is read from any offset', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = Buffer.from(seededBytes(2_500_000, 1))
    await mkdir(folder.file('a', 'b'), { recursive: true })
    await writeFile(folder.file('a', 'b', 'c.img'), bytes)
    await using file = await opened(folder.path, 'a', 'b', 'c.img')
    expect(file.identity.length).toBe(2_500_000)
    for (const offset of [0, 1, 1_048_576, 2_499_999, 2_500_000]) expect((await bytesFrom(file, offset)).equals(bytes.subarray(offset))).toBe(true)
    expect(await file.isUnchanged()).toBe(true)
  })

  test('may be read in part', async () => {
    await using folder = await createTemporaryFolder()
    await writeFile(folder.file('c.img'), seededBytes(3_000_000, 1))
    await using file = await opened(folder.path, 'c.img')
    for await (const piece of file.read(0)) {
      expect(piece.byteLength).toBe(1_048_576)
      break
    }
  })

  test('may be empty', async () => {
    await using folder = await createTemporaryFolder()
    await writeFile(folder.file('c.img'), '')
    await using file = await opened(folder.path, 'c.img')
    expect((await bytesFrom(file, 0)).byteLength).toBe(0)
  })

  test('is changed by a write and a truncation, and not by a rename, a link or a mode', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('c.img')
    await writeFile(path, 'first')
    await using file = await opened(folder.path, 'c.img')
    await rename(path, folder.file('d.img'))
    await link(folder.file('d.img'), path)
    await chmod(path, 0o600)
    expect(await file.isUnchanged()).toBe(true)
    await appendFile(path, 'x')
    expect(await file.isUnchanged()).toBe(false)
  })

  test('that becomes shorter while it is read fails', async () => {
    await using folder = await createTemporaryFolder()
    await writeFile(folder.file('c.img'), seededBytes(5_000_000, 1))
    await using file = await opened(folder.path, 'c.img')
    const read = file.read(0)
    await read.next()
    await truncate(folder.file('c.img'), 1000)
    const failure = await Array.fromAsync(read).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(FileShortened)
  })
})

describe('nothing else is opened', () => {
  test('links anywhere in the path', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(folder.file('root', 'real'), { recursive: true })
    await writeFile(folder.file('root', 'real', 'c.img'), 'x')
    await writeFile(folder.file('secret'), 'x')
    await symlink('real', folder.file('root', 'inner'))
    await symlink('..', folder.file('root', 'up'))
    await symlink(folder.file('secret'), folder.file('root', 'c.img'))
    await symlink('nowhere', folder.file('root', 'dangling'))
    await symlink('root', folder.file('linked-root'))
    const root = folder.file('root')
    await (await opened(root, 'real', 'c.img'))[Symbol.asyncDispose]()
    for (const parts of [['inner', 'c.img'], ['up', 'secret'], ['c.img'], ['dangling'], ['inner']])
      expect(await openLocalFile(root, parts)).toEqual({ kind: 'refused', why: 'link' })
    expect(await openLocalFile(folder.file('linked-root'), ['real', 'c.img'])).toEqual({ kind: 'refused', why: 'link' })
  })

  test('folders, FIFOs, sockets and devices, without waiting for them', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(folder.file('folder'))
    expect(Bun.spawnSync(['mkfifo', folder.file('fifo')]).exitCode).toBe(0)
    const server = createServer().listen(folder.file('socket'))
    for (const name of ['folder', 'fifo', 'socket']) expect(await openLocalFile(folder.path, [name])).toEqual({ kind: 'refused', why: 'not-a-file' })
    expect(await openLocalFile('/dev', ['null'])).toEqual({ kind: 'refused', why: 'not-a-file' })
    server.close()
  })

  test('what is missing, and what is on another file system', async () => {
    await using folder = await createTemporaryFolder()
    await writeFile(folder.file('c.img'), 'x')
    for (const parts of [['none'], ['none', 'c.img'], ['c.img', 'c.img'], ['x'.repeat(300)]])
      expect(await openLocalFile(folder.path, parts)).toEqual({ kind: 'refused', why: 'missing' })
    expect(await openLocalFile('/', ['proc', 'self', 'status'])).toEqual({ kind: 'refused', why: 'link' })
    expect(await openLocalFile('/', ['proc', 'uptime'])).toEqual({ kind: 'refused', why: 'other-device' })
  })
})

// Imports of paths: which are below imports.roots, and which file is read.

import { describe, expect, test } from 'bun:test'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { createPathScheme } from '../../../../agent/imports/local/path-scheme.ts'
import { createMountScheme } from '../../../../agent/imports/local/mount-scheme.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const { signal } = new AbortController()

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  return error instanceof ProblemError ? error.code : String(error)
}

describe('a path', () => {
  const scheme = createPathScheme([
    { path: '/srv/images', real: '/srv/images' },
    { path: '/data/link', real: '/mnt/real' },
  ])
  const check = (path: string) => codeOf(scheme.check({ kind: 'path', path }))

  test('is allowed below a root, as it is configured and as it resolves', async () => {
    for (const path of ['/srv/images/a.img', '/srv/images/b/c.img', '//srv/./images//a.img', '/data/link/a.img', '/mnt/real/a.img'])
      expect(await check(path)).toBe('undefined')
  })

  test('is refused elsewhere, and when it is no plain absolute path', async () => {
    for (const path of ['/srv/images', '/srv/images/', '/srv/imagesx/a.img', '/srv', '/', '/etc/passwd', '/data/a.img'])
      expect([path, await check(path)]).toEqual([path, 'source-not-allowed'])
    for (const path of ['srv/images/a.img', '', './a', '/srv/images/../a.img', '/srv/images/..', '/srv/images/a\0.img'])
      expect([path, await check(path)]).toEqual([path, 'invalid-input'])
    expect(await codeOf(createPathScheme([]).check({ kind: 'path', path: '/srv/images/a.img' }))).toBe('source-not-allowed')
  })

  test('is read, and has a validator that changes with the file', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = Buffer.from(seededBytes(1_500_000, 1))
    await writeFile(folder.file('a.img'), bytes)
    const own = createPathScheme([{ path: folder.path, real: folder.path }])
    const open = () => own.source({ kind: 'path', path: folder.file('a.img') }, {}).open(signal)
    await using first = await open()
    expect(first.facts).toMatchObject({ length: 1_500_000, filename: 'a.img', canResume: true })
    expect(Buffer.concat(await Array.fromAsync(first.read(7, signal))).equals(bytes.subarray(7))).toBe(true)
    await writeFile(folder.file('b.img'), bytes)
    await rename(folder.file('b.img'), folder.file('a.img'))
    await using second = await open()
    expect(second.facts.validator).not.toBe(first.facts.validator)
  })

  test('gives no last byte of a file that was written meanwhile', async () => {
    await using folder = await createTemporaryFolder()
    await writeFile(folder.file('a.img'), seededBytes(2_500_000, 1))
    const own = createPathScheme([{ path: folder.path, real: folder.path }])
    await using open = await own.source({ kind: 'path', path: folder.file('a.img') }, {}).open(signal)
    const pieces = open.read(0, signal)[Symbol.asyncIterator]()
    let count = (await pieces.next()).value?.byteLength ?? 0
    await writeFile(folder.file('a.img'), seededBytes(2_500_000, 2))
    const rest = (async () => {
      for (;;) {
        const next = await pieces.next()
        if (next.done === true) return
        count += next.value.byteLength
      }
    })()
    expect(await codeOf(rest)).toBe('source-changed')
    expect(count).toBeLessThan(2_500_000)
  })

  test('that is a link, a folder, missing, or not readable is refused for that reason', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(folder.file('folder'))
    await writeFile(folder.file('a.img'), 'x')
    await symlink('a.img', folder.file('link.img'))
    const own = createPathScheme([{ path: folder.path, real: folder.path }])
    const open = (name: string) => codeOf(own.source({ kind: 'path', path: folder.file(name) }, {}).open(signal))
    expect(await open('link.img')).toBe('source-not-allowed')
    expect(await open('folder')).toBe('source-refused')
    expect(await open('none')).toBe('source-refused')
  })
})

describe('a file of the mount path', () => {
  test('must be the one that was found', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(folder.file('inbox'))
    await writeFile(folder.file('inbox', 'a.img'), 'x')
    const scheme = createMountScheme(folder.path)
    const open = (path: string) => scheme.source({ kind: 'mount', path, identity: { inode: '1', length: 1, modifiedNs: '1' } }, {}).open(signal)
    expect(await codeOf(open('inbox/a.img'))).toBe('source-changed')
    expect(await codeOf(open('inbox/none.img'))).toBe('source-changed')
  })
})

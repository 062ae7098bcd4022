// Browses a real folder, and tries every known way to escape from it.

import { describe, expect, test } from 'bun:test'
import { mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileBrowser } from '../../../agent/browse/browser.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const PAGE = { limit: 100 }

async function createFixture() {
  const folder = await createTemporaryFolder()
  const mount = folder.file('mount')
  await mkdir(join(mount, 'images', 'img_1'), { recursive: true })
  await writeFile(join(mount, 'images', 'img_1', 'image.json'), '{"name":"x"}')
  await writeFile(join(mount, 'store.json'), 'store')
  await mkdir(folder.file('outside'))
  await writeFile(folder.file('outside', 'secret'), 'secret')
  return { folder, mount, browser: createFileBrowser({ mount }), [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    const result = await attempt
    if (result !== null && typeof result === 'object' && Symbol.asyncDispose in result) await (result as AsyncDisposable)[Symbol.asyncDispose]()
    return 'allowed'
  } catch (error) {
    return error instanceof ProblemError ? error.code : String(error)
  }
}

async function read(browser: ReturnType<typeof createFileBrowser>, path: string): Promise<string> {
  await using file = await browser.open(path)
  let text = ''
  for await (const piece of file.read(0, file.length)) text += new TextDecoder().decode(piece)
  return text
}

describe('list', () => {
  test('shows names, kinds, lengths and times, sorted', async () => {
    await using fixture = await createFixture()
    const { items, next } = await fixture.browser.list('', PAGE)
    expect(items.map(({ name, kind, length }) => [name, kind, length])).toEqual([
      ['images', 'folder', 0],
      ['store.json', 'file', 5],
    ])
    expect(items[1]?.modifiedAt).toBe(formatTime((await stat(join(fixture.mount, 'store.json'))).mtimeMs))
    expect(next).toBeNull()
    expect((await fixture.browser.list('images/img_1', PAGE)).items.map(({ name }) => name)).toEqual(['image.json'])
    expect((await fixture.browser.list('/', PAGE)).items).toHaveLength(2)
  })

  test('withholds a folder and everything below it, by every path', async () => {
    await using fixture = await createFixture()
    const { browser, mount } = fixture
    await mkdir(join(mount, 'uploads', 'upl_1', 'deep'), { recursive: true })
    await symlink('uploads/upl_1', join(mount, 'way'))
    await mkdir(join(mount, 'uploads-old'))
    const withheld = ['uploads', 'sync']
    for (const path of ['uploads', 'uploads/', './uploads', 'uploads/./upl_1', 'uploads/upl_1/deep', 'way', 'way/deep'])
      expect([path, await codeOf(browser.list(path, { ...PAGE, withheld }))]).toEqual([path, 'forbidden'])
    for (const path of ['', 'images', 'uploads-old']) expect(await codeOf(browser.list(path, { ...PAGE, withheld }))).toBe('allowed')
    expect((await browser.list('uploads', PAGE)).items.map(({ name }) => name)).toEqual(['upl_1'])
  })

  test('pages through a folder without loss or repetition', async () => {
    await using fixture = await createFixture()
    await mkdir(join(fixture.mount, 'many'))
    const names = Array.from({ length: 25 }, (_, index) => `ä ${String(index).padStart(2, '0')} %2f`)
    for (const name of names) await writeFile(join(fixture.mount, 'many', name), '')
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await fixture.browser.list('many', { limit: 7, cursor })
      seen.push(...page.items.map(({ name }) => name))
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    expect(seen).toEqual(names)
  })

  test('shows a link to an entry inside as that entry, and a link that leads outside, is broken or circular as other', async () => {
    await using fixture = await createFixture()
    const { mount, folder, browser } = fixture
    await symlink('images/img_1/image.json', join(mount, 'a-file'))
    await symlink(join(mount, 'images'), join(mount, 'b-folder'))
    await symlink(folder.file('outside', 'secret'), join(mount, 'c-outside'))
    await symlink('nothing', join(mount, 'd-broken'))
    await symlink('e-circle', join(mount, 'e-circle'))
    const links = (await browser.list('', PAGE)).items.slice(0, 5)
    expect(links.map(({ name, kind, length }) => [name, kind, length])).toEqual([
      ['a-file', 'file', 12],
      ['b-folder', 'folder', 0],
      ['c-outside', 'other', 0],
      ['d-broken', 'other', 0],
      ['e-circle', 'other', 0],
    ])
    expect(await read(browser, 'b-folder/img_1/image.json')).toBe('{"name":"x"}')
  })

  test('refuses a file as a folder, and a folder as a file', async () => {
    await using fixture = await createFixture()
    expect(await codeOf(fixture.browser.list('store.json', PAGE))).toBe('not-found')
    expect(await codeOf(fixture.browser.list('store.json/x', PAGE))).toBe('not-found')
    expect(await codeOf(fixture.browser.open('images'))).toBe('not-found')
    expect(await codeOf(fixture.browser.open(''))).toBe('not-found')
    expect(await codeOf(fixture.browser.open('nothing'))).toBe('not-found')
  })
})

test('a mount path that does not exist is a store that is unavailable', async () => {
  await using fixture = await createFixture()
  await rm(fixture.mount, { recursive: true })
  expect(await codeOf(fixture.browser.list('', PAGE))).toBe('store-unavailable')
  expect(await codeOf(fixture.browser.open('store.json'))).toBe('store-unavailable')
})

describe('a path that leads out of the mount path', () => {
  const attempts: [string, string][] = [
    ['..', 'outside-mount-path'],
    ['../outside/secret', 'outside-mount-path'],
    ['images/../../outside/secret', 'outside-mount-path'],
    ['images/../store.json', 'outside-mount-path'],
    ['./../outside', 'outside-mount-path'],
    ['/etc/passwd', 'outside-mount-path'],
    ['//etc/passwd', 'outside-mount-path'],
    ['store.json\0.png', 'outside-mount-path'],
    ['..\\outside\\secret', 'outside-mount-path'],
    ['images\\..\\..\\outside', 'outside-mount-path'],
    ['%2e%2e/outside/secret', 'not-found'],
    ['%2e%2e%2foutside%2fsecret', 'not-found'],
    ['..%2foutside', 'not-found'],
    ['..%c0%afoutside', 'not-found'],
    ['\uff0e\uff0e/outside', 'not-found'],
    ['x'.repeat(300), 'not-found'],
    ['a/'.repeat(2000), 'invalid-input'],
    ['x'.repeat(5000), 'invalid-input'],
  ]
  for (const [path, code] of attempts) {
    test(`is refused: ${JSON.stringify(path.slice(0, 40))}`, async () => {
      await using fixture = await createFixture()
      expect(await codeOf(fixture.browser.list(path, PAGE))).toBe(code)
      expect(await codeOf(fixture.browser.open(path))).toBe(code)
    })
  }

  test('is refused through links to files, to folders, and to other links', async () => {
    await using fixture = await createFixture()
    const { mount, folder, browser } = fixture
    await symlink(folder.file('outside', 'secret'), join(mount, 'file'))
    await symlink(folder.file('outside'), join(mount, 'folder'))
    await symlink('../outside', join(mount, 'relative'))
    await symlink('relative', join(mount, 'chain'))
    await symlink('/', join(mount, 'root'))
    for (const path of ['file', 'folder/secret', 'relative/secret', 'chain/secret', 'root/etc/passwd'])
      expect(await codeOf(browser.open(path))).toBe('outside-mount-path')
    for (const path of ['folder', 'relative', 'chain', 'root', 'root/etc']) expect(await codeOf(browser.list(path, PAGE))).toBe('outside-mount-path')
  })

  test('is refused for a folder whose name begins with that of the mount path', async () => {
    await using fixture = await createFixture()
    const { mount, folder, browser } = fixture
    await mkdir(folder.file('mount-other'))
    await writeFile(folder.file('mount-other', 'secret'), 'secret')
    await symlink('../mount-other', join(mount, 'link'))
    expect(await codeOf(browser.open('link/secret'))).toBe('outside-mount-path')
  })

  test('is refused for devices and pipes, and does not hang', async () => {
    await using fixture = await createFixture()
    expect(await Bun.spawn(['mkfifo', join(fixture.mount, 'pipe')]).exited).toBe(0)
    await symlink('/dev/zero', join(fixture.mount, 'zero'))
    expect(await codeOf(fixture.browser.open('pipe'))).toBe('not-found')
    expect(await codeOf(fixture.browser.open('zero'))).toBe('outside-mount-path')
    expect((await fixture.browser.list('', PAGE)).items.find(({ name }) => name === 'pipe')?.kind).toBe('other')
  })

  test('is refused while folders are replaced by links', async () => {
    await using fixture = await createFixture()
    const { mount, folder, browser } = fixture
    await mkdir(join(mount, 'real'))
    await writeFile(join(mount, 'real', 'secret'), 'harmless')
    await mkdir(join(mount, 'spare'))
    const spare = await mkdtemp(join(tmpdir(), 'slipway-swap-'))
    await symlink(folder.file('outside'), join(spare, 'link'))
    let isOver = false
    const swap = async (): Promise<void> => {
      while (!isOver) {
        await rename(join(mount, 'real'), join(spare, 'real'))
        await rename(join(spare, 'link'), join(mount, 'real'))
        await rename(join(mount, 'real'), join(spare, 'link'))
        await rename(join(spare, 'real'), join(mount, 'real'))
      }
    }
    const swapping = swap()
    let reads = 0
    // On a busy machine the folder may be missing at each attempt for a long time.
    for (let round = 0; round < 400 || (reads === 0 && round < 100_000); round++) {
      try {
        expect(await read(browser, 'real/secret')).toBe('harmless')
        reads++
      } catch (error) {
        expect(error).toBeInstanceOf(ProblemError)
      }
    }
    isOver = true
    await swapping
    await rm(spare, { recursive: true })
    expect(reads).toBeGreaterThan(0)
  })
})

describe('open', () => {
  test('reads ranges, and returns another tag after a change of equal length', async () => {
    await using fixture = await createFixture()
    const path = join(fixture.mount, 'store.json')
    let before = ''
    {
      await using file = await fixture.browser.open('store.json')
      expect(file).toMatchObject({ name: 'store.json', length: 5 })
      before = file.etag
      const pieces: Uint8Array[] = []
      for await (const piece of file.read(1, 4)) pieces.push(piece)
      expect(Buffer.concat(pieces).toString()).toBe('tor')
    }
    await writeFile(path, 'STORE')
    await using file = await fixture.browser.open('store.json')
    expect(file.etag).not.toBe(before)
  })

  test('throws when the file ends before its announced length', async () => {
    await using fixture = await createFixture()
    await using file = await fixture.browser.open('store.json')
    await writeFile(join(fixture.mount, 'store.json'), 's')
    const drain = async () => {
      for await (const piece of file.read(0, 5)) void piece
    }
    await expect(drain()).rejects.toThrow('announced')
  })
})

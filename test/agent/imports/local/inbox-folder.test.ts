// The steps by which a file leaves the inbox: nothing that was not imported is ever removed or overwritten.

import { describe, expect, test } from 'bun:test'
import { existsSync, writeFileSync } from 'node:fs'
import { link, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { INBOX_ENTRIES_MAX, openInboxFolder } from '../../../../agent/imports/local/inbox-folder.ts'
import type { InboxFolder } from '../../../../agent/imports/local/inbox-folder.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { guardMount, MountGone } from '../../../../agent/system/mounted-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const disk = createDisk()

const openInbox = (folder: TemporaryFolder): Promise<InboxFolder> => openInboxFolder(folder.file('inbox'), { disk, crashPoint() {} })

async function identityOf(inbox: InboxFolder, name: string) {
  const identity = await inbox.identify(name)
  if (!identity) throw new Error(`${name} does not exist`)
  return identity
}

test('an inbox is not created where the store is not mounted', async () => {
  await using folder = await createTemporaryFolder()
  const mount = folder.file('mount')
  await mkdir(mount)
  await writeFile(`${mount}/store.json`, '{"uuid":"one"}')
  const guarded = await guardMount(disk, mount, 'store.json')
  await rename(mount, folder.file('elsewhere'))
  expect(await openInboxFolder(`${mount}/inbox`, { disk: guarded, crashPoint() {} }).catch((error: unknown) => error)).toBeInstanceOf(MountGone)
  expect(existsSync(mount)).toBe(false)
})

test('a file is set aside and removed', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  await writeFile(folder.file('inbox', 'a.img'), 'first')
  expect(await inbox.setAside('a.img', await identityOf(inbox, 'a.img'), 'img_1')).toBe(true)
  expect(existsSync(folder.file('inbox', 'a.img'))).toBe(false)
  expect(await inbox.isAside('img_1')).toBe(true)
  await inbox.removeAside('img_1')
  expect(await readdir(folder.file('inbox', '.slipway'))).toEqual([])
})

test('a file that is not the imported one stays', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  await writeFile(folder.file('inbox', 'a.img'), 'first')
  const imported = await identityOf(inbox, 'a.img')
  await writeFile(folder.file('inbox', 'a.img'), 'second, longer')
  expect(await inbox.setAside('a.img', imported, 'img_1')).toBe(false)
  expect(await readFile(folder.file('inbox', 'a.img'), 'utf8')).toBe('second, longer')
  expect(await inbox.setAside('none.img', imported, 'img_1')).toBe(false)
})

test('a file is put back under its name, or under a similar one if that is taken', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  for (const [claim, name] of [
    ['img_1', 'a.img'],
    ['img_2', 'a.img.2'],
  ] as const) {
    await writeFile(folder.file('inbox', '.slipway', `${claim}.file`), claim)
    await inbox.putBack(claim, 'a.img')
    expect(await readFile(folder.file('inbox', name), 'utf8')).toBe(claim)
    expect(await inbox.isAside(claim)).toBe(false)
  }
  // A crash between the link and the removal of the first name.
  await writeFile(folder.file('inbox', '.slipway', 'img_3.file'), 'third')
  await link(folder.file('inbox', '.slipway', 'img_3.file'), folder.file('inbox', 'b.img'))
  await inbox.putBack('img_3', 'b.img')
  expect((await readdir(folder.file('inbox'))).toSorted()).toEqual(['.slipway', 'a.img', 'a.img.2', 'b.img', 'refused'])
})

test('refused files never replace each other, and names of any length fit', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  for (const [claim, kept] of [
    ['img_1', 'a.img'],
    ['img_2', 'a.img.2'],
  ] as const) {
    await writeFile(folder.file('inbox', '.slipway', `${claim}.file`), claim)
    expect(await inbox.moveToRefused(claim, 'a.img', `because of ${claim}`)).toBe(kept)
    expect(await readFile(folder.file('inbox', 'refused', kept), 'utf8')).toBe(claim)
    expect(await readFile(folder.file('inbox', 'refused', `${kept}.reason.txt`), 'utf8')).toBe(`because of ${claim}\n`)
  }
  await writeFile(folder.file('inbox', '.slipway', 'img_3.file'), 'third')
  expect(await inbox.moveToRefused('img_3', 'ü'.repeat(127), 'too long')).toBe('ü'.repeat(100))
})

test('tickets are kept, and other files beside them are not taken for tickets', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  await inbox.writeTicket('img_1', '{"a":1}')
  await writeFile(folder.file('inbox', '.slipway', 'img_1.file'), 'x')
  await writeFile(folder.file('inbox', '.slipway', '.img_2.json.1.tmp'), 'x')
  expect([...(await inbox.readTickets())]).toEqual([['img_1', '{"a":1}']])
  await inbox.removeTicket('img_1')
  expect([...(await inbox.readTickets())]).toEqual([])
})

test('a look considers 10,000 entries, and says that there are more', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  expect(INBOX_ENTRIES_MAX).toBe(10_000)
  // The two folders of the agent count too.
  for (let count = 0; count < 9_998; count++) writeFileSync(folder.file('inbox', `${count}.img`), '')
  expect(await inbox.list().then(({ entries, isCut }) => [entries.length, isCut])).toEqual([10_000, false])
  await writeFile(folder.file('inbox', 'last.img'), '')
  expect(await inbox.list().then(({ entries, isCut }) => [entries.length, isCut])).toEqual([10_000, true])
}, 60_000)

test('an inbox that contains a file with the name of its folder is refused', async () => {
  await using folder = await createTemporaryFolder()
  await mkdir(folder.file('inbox'))
  await writeFile(folder.file('inbox', 'refused'), 'x')
  const failure = await openInbox(folder).catch((error: unknown) => (error as { code?: string }).code)
  expect(failure).toBe('EEXIST')
})

describe('a thousand files with the same name', () => {
  /** Creates `name`, `name.2` and so on. */
  const fill = (folder: TemporaryFolder, ...path: readonly string[]): void => {
    for (let count = 1; count <= 1000; count++) writeFileSync(folder.file(...path) + (count === 1 ? '' : `.${count}`), 'other')
  }
  const UUID = /^a\.img\.[0-9a-f]{8}-[0-9a-f-]{27}$/

  test('in the inbox: the next one is put back under a name of its own, and is not lost', async () => {
    await using folder = await createTemporaryFolder()
    const inbox = await openInbox(folder)
    fill(folder, 'inbox', 'a.img')
    await writeFile(folder.file('inbox', '.slipway', 'img_1.file'), 'mine')
    await inbox.putBack('img_1', 'a.img')
    const [name = 'none', ...others] = (await readdir(folder.file('inbox'))).filter((found) => UUID.test(found))
    expect(others).toEqual([])
    expect(await readFile(folder.file('inbox', name), 'utf8')).toBe('mine')
    expect(await inbox.isAside('img_1')).toBe(false)
  })

  test('among the refused ones: the next one is kept too, beside its reason', async () => {
    await using folder = await createTemporaryFolder()
    const inbox = await openInbox(folder)
    fill(folder, 'inbox', 'refused', 'a.img')
    await writeFile(folder.file('inbox', '.slipway', 'img_1.file'), 'mine')
    const kept = await inbox.moveToRefused('img_1', 'a.img', 'because')
    expect(kept).toMatch(UUID)
    expect(await readFile(folder.file('inbox', 'refused', kept), 'utf8')).toBe('mine')
    expect(await readFile(folder.file('inbox', 'refused', `${kept}.reason.txt`), 'utf8')).toBe('because\n')
    expect((await readdir(folder.file('inbox', 'refused'))).length).toBe(1002)
  })
})

test('names as long as the file system allows are put back, and are shortened only when they are taken', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  const name = 'n'.repeat(255)
  for (const [claim, kept] of [
    ['img_1', name],
    ['img_2', `${'n'.repeat(200)}.2`],
  ] as const) {
    await writeFile(folder.file('inbox', '.slipway', `${claim}.file`), claim)
    await inbox.putBack(claim, name)
    expect(await readFile(folder.file('inbox', kept), 'utf8')).toBe(claim)
  }
})

test('a ticket is read up to 64 KiB', async () => {
  await using folder = await createTemporaryFolder()
  const inbox = await openInbox(folder)
  await inbox.writeTicket('img_1', 'x'.repeat(65_536))
  await inbox.writeTicket('img_2', 'x'.repeat(65_537))
  expect([...(await inbox.readTickets()).values()].map(({ length }) => length)).toEqual([65_536, 65_536])
})

describe('every step is durable when it resolves', () => {
  /** An inbox, and the folders that were synced, by their names, each noted when its fsync is over. */
  async function openWatched() {
    const folder = await createTemporaryFolder()
    const synced: string[] = []
    const watched = {
      ...disk,
      async syncFolder(path: string) {
        const names = (await readdir(path)).toSorted().join(' ')
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
        await disk.syncFolder(path)
        synced.push(`${basename(path)}: ${names}`)
      },
    }
    const inbox = await openInboxFolder(folder.file('inbox'), { disk: watched, crashPoint() {} })
    const take = (): string[] => synced.splice(0)
    return { folder, inbox, take, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
  }

  test('opening: the name of the inbox, and those of its folders', async () => {
    await using scene = await openWatched()
    expect(scene.take()).toEqual([`${basename(scene.folder.path)}: inbox`, 'inbox: .slipway refused'])
  })

  test('setting a file aside: its new name before its old one goes', async () => {
    await using scene = await openWatched()
    await writeFile(scene.folder.file('inbox', 'a.img'), 'first')
    const identity = await identityOf(scene.inbox, 'a.img')
    scene.take()
    expect(await scene.inbox.setAside('a.img', identity, 'img_1')).toBe(true)
    expect(scene.take()).toEqual(['.slipway: img_1.file', 'inbox: .slipway refused'])
    await scene.inbox.putBack('img_1', 'a.img')
    expect(scene.take()).toEqual(['.slipway: ', 'inbox: .slipway a.img refused'])
    expect(await scene.inbox.setAside('a.img', await identityOf(scene.inbox, 'a.img'), 'img_2')).toBe(true)
    scene.take()
    await scene.inbox.removeAside('img_2')
    expect(scene.take()).toEqual(['.slipway: '])
  })

  test('a refusal: the file in its new folder, then its old name', async () => {
    await using scene = await openWatched()
    await writeFile(scene.folder.file('inbox', '.slipway', 'img_1.file'), 'mine')
    scene.take()
    await scene.inbox.moveToRefused('img_1', 'a.img', 'because')
    expect(scene.take()).toEqual(['refused: a.img a.img.reason.txt', '.slipway: '])
  })

  test('the removal of a ticket', async () => {
    await using scene = await openWatched()
    await scene.inbox.writeTicket('img_1', '{}')
    scene.take()
    await scene.inbox.removeTicket('img_1')
    expect(scene.take()).toEqual(['.slipway: '])
  })
})

// Which folders of the inbox are durable when each step resolves: a file that left its folder must not be there again after a power cut.

import { expect, test } from 'bun:test'
import { writeFile } from 'node:fs/promises'
import { openInboxFolder } from '../../../../agent/imports/local/inbox-folder.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test('each step syncs the folders that it changed', async () => {
  await using folder = await createTemporaryFolder()
  const real = createDisk()
  const synced: string[] = []
  const disk: typeof real = {
    ...real,
    async syncFolder(path) {
      await real.syncFolder(path)
      synced.push(path.slice(folder.path.length) || '/')
    },
  }
  /** Returns the folders that a step synced. */
  const syncedBy = async (step: Promise<unknown>): Promise<string[]> => {
    await step
    return synced.splice(0)
  }
  const inbox = await openInboxFolder(folder.file('inbox'), { disk, crashPoint: () => {} })
  expect(synced.splice(0)).toEqual(['/', '/inbox'])
  for (const name of ['a.img', 'b.img', 'c.img']) await writeFile(folder.file('inbox', name), name)
  const setAside = async (name: string, ticket: string): Promise<void> => {
    const identity = await inbox.identify(name)
    if (!identity || !(await inbox.setAside(name, identity, ticket))) throw new Error(`${name} is not set aside`)
  }
  expect(await syncedBy(setAside('a.img', 'img_1'))).toEqual(['/inbox/.slipway', '/inbox'])
  expect(await syncedBy(inbox.removeAside('img_1'))).toEqual(['/inbox/.slipway'])
  expect(await syncedBy(setAside('b.img', 'img_2'))).toEqual(['/inbox/.slipway', '/inbox'])
  expect(await syncedBy(inbox.putBack('img_2', 'b.img'))).toEqual(['/inbox/.slipway', '/inbox'])
  expect(await syncedBy(setAside('c.img', 'img_3'))).toEqual(['/inbox/.slipway', '/inbox'])
  expect(await syncedBy(inbox.moveToRefused('img_3', 'c.img', 'it is no image'))).toEqual(['/inbox/refused', '/inbox/.slipway'])
  await inbox.writeTicket('img_4', '{}')
  synced.length = 0
  expect(await syncedBy(inbox.removeTicket('img_4'))).toEqual(['/inbox/.slipway'])
})

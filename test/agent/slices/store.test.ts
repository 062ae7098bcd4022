// Opening a slice store: the name of its folder is durable before anything in it is read or written.

import { expect, test } from 'bun:test'
import { basename } from 'node:path'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openStore } from '../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

test('the folder of the packs is synced into the mount path before it is read', async () => {
  await using folder = await createTemporaryFolder()
  const real = createDisk()
  const mount = folder.file('mount')
  const operations: string[] = []
  const waiting: (() => void)[] = []
  const disk: Disk = {
    ...real,
    list(path) {
      operations.push(`list ${basename(path)}`)
      return real.list(path)
    },
    async syncFolder(path) {
      if (path === mount) await new Promise<void>((resolve) => waiting.push(resolve))
      operations.push(`sync ${basename(path)}`)
      await real.syncFolder(path)
    },
  }
  const opening = openStore({ folder: folder.path, disk })
  await until('the mount path is being synced', () => waiting.length === 1)
  await Bun.sleep(5)
  expect(operations).toEqual([])
  waiting.shift()?.()
  await using _store = await opening
  expect(operations[0]).toBe('sync mount')
  expect(operations).toContain('list packs')
})

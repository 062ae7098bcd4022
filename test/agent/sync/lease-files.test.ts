// The files of a lease: a received manifest is durable before it can become the manifest of the lease.

import { expect, test } from 'bun:test'
import { createLeaseFiles } from '../../../agent/sync/lease-files.ts'
import { createOrderedDisk } from '../../support/machine/ordered-disk.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const ID = 'img_00000000000000000000000001'

async function* pieces(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('one ')
  yield Buffer.from('two')
}

test('a manifest is synced before it is returned, and renamed after that', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const files = createLeaseFiles(disk, folder.path)
  const file = await files.receive(ID, pieces())
  expect(disk.take()).toEqual(['remove manifest.part', 'write manifest.part', 'write manifest.part', 'sync manifest.part'])
  await files.acquire(ID)
  expect(disk.take()).toEqual(['rename manifest.part manifest'])
  const bytes = new Uint8Array(20)
  expect(Buffer.from(bytes.subarray(0, await file.read(bytes, 0))).toString()).toBe('one two')
  await file.close()
  await files.noteAttempt(ID)
  await files.remove(ID)
  expect(disk.take()).toEqual(['close manifest.part', 'replace attempt', `remove ${ID}`])
  expect([await files.open(ID), await files.lastAttemptMs(ID)]).toEqual([undefined, 0])
})

test('the file of a manifest that does not arrive whole is closed', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const torn = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one')
    throw new Error('cut')
  }
  await expect(createLeaseFiles(disk, folder.path).receive(ID, torn())).rejects.toThrow('cut')
  expect(disk.take()).toEqual(['remove manifest.part', 'write manifest.part', 'close manifest.part'])
})

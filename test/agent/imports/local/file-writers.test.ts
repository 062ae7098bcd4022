// The search for processes that write to a file.

import { expect, test } from 'bun:test'
import { open, stat, writeFile } from 'node:fs/promises'
import { findWriters } from '../../../../agent/imports/local/file-writers.ts'
import type { FileKey } from '../../../../agent/imports/local/file-writers.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

async function keyOf(path: string): Promise<FileKey> {
  const { dev, ino } = await stat(path, { bigint: true })
  return `${dev}:${ino}`
}

test('finds files that a process has open for writing, and not those that it only reads', async () => {
  await using folder = await createTemporaryFolder()
  const keys: Record<string, FileKey> = {}
  for (const name of ['read', 'written', 'appended', 'closed', 'by-another']) {
    await writeFile(folder.file(name), 'x')
    keys[name] = await keyOf(folder.file(name))
  }
  await using _read = await open(folder.file('read'), 'r')
  await using _written = await open(folder.file('written'), 'r+')
  await using _appended = await open(folder.file('appended'), 'a')
  const other = Bun.spawn(['sh', '-c', `exec 3>>"${folder.file('by-another')}"; exec sleep 60`])
  try {
    const wanted = new Set(Object.values(keys))
    await until('the other process has opened it', async () => (await findWriters(wanted)).size === 3)
    const expected = new Set(['written', 'appended', 'by-another'].map((name) => keys[name] as FileKey))
    expect(await findWriters(wanted)).toEqual(expected)
  } finally {
    other.kill()
    await other.exited
  }
  expect(await findWriters(new Set())).toEqual(new Set())
})

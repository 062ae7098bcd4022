// A file that a command writes: its bytes are on the disk before its name appears, and its name before the command says so.

import { expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { writeLocalFile } from '../../../bot/system/local-files.ts'
import { watchFileOperations } from '../../support/machine/file-operations.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

async function* piecesOf(...pieces: readonly string[]): AsyncGenerator<string> {
  yield* pieces
}

test('is synced before it has its name, and its folder before the write resolves', async () => {
  await using folder = await createTemporaryFolder()
  const path = folder.file('manifest.json')
  const steps: string[] = []
  using _watch = await watchFileOperations((name, when, of) => {
    const what = of === folder.path ? 'folder' : `${statSync(of).size} bytes`
    steps.push(`${name} of ${what} ${when}: ${existsSync(path) ? 'named' : 'not named'}`)
  })
  expect(await writeLocalFile(path, piecesOf('one', 'two'))).toEqual({ path, length: 6 })
  steps.push('resolves')
  expect(steps.filter((step) => !step.startsWith('write'))).toEqual([
    'datasync of 6 bytes starts: not named',
    'datasync of 6 bytes ends: not named',
    'close of 6 bytes starts: not named',
    'close of 6 bytes ends: not named',
    'sync of folder starts: named',
    'sync of folder ends: named',
    'close of folder starts: named',
    'close of folder ends: named',
    'resolves',
  ])
  expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777, readdirSync(folder.path)]).toEqual(['onetwo', 0o600, ['manifest.json']])
})

test('leaves nothing when its bytes end early, and does not replace a file', async () => {
  await using folder = await createTemporaryFolder()
  const path = folder.file('manifest.json')
  const cut = async function* (): AsyncGenerator<string> {
    yield 'one'
    throw new Error('the store went away')
  }
  await expect(writeLocalFile(path, cut())).rejects.toThrow(`${path} cannot be written: the store went away.`)
  expect(readdirSync(folder.path)).toEqual([])
  await writeLocalFile(path, piecesOf('first'))
  await expect(writeLocalFile(path, piecesOf('second'))).rejects.toThrow(`${path} exists.`)
  expect([readFileSync(path, 'utf8'), readdirSync(folder.path)]).toEqual(['first', ['manifest.json']])
})

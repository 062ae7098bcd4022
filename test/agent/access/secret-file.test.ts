// Secret files: the order of what reaches the disk, and the mode before the content is read.

import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { readSecretFile, writeSecretFile } from '../../../agent/access/secret-file.ts'
import { watchFileOperations } from '../../support/machine/file-operations.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

let steps: string[]
beforeEach(() => void (steps = []))
let observation: Disposable | undefined
afterEach(() => {
  observation?.[Symbol.dispose]()
  observation = undefined
})

describe('writeSecretFile', () => {
  test('syncs the content before the name appears, and the name before it resolves', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('admin-token')
    observation = await watchFileOperations((name, when) => {
      const temporary = readdirSync(folder.path).find((file) => file.endsWith('.tmp'))
      const content = temporary === undefined ? 'no temporary file' : `${statSync(folder.file(temporary)).size} bytes`
      steps.push(`${name} ${when}: ${existsSync(path) ? 'named' : content}`)
    })
    await writeSecretFile(path, 'slp_x')
    steps.push('resolves')
    expect(steps).toEqual([
      'writeFile starts: 0 bytes',
      'writeFile ends: 6 bytes',
      'datasync starts: 6 bytes',
      'datasync ends: 6 bytes',
      'close starts: 6 bytes',
      'close ends: 6 bytes',
      'sync starts: named',
      'sync ends: named',
      'close starts: named',
      'close ends: named',
      'resolves',
    ])
  })
})

test('writeSecretFile rejects when the name cannot be given', async () => {
  await using folder = await createTemporaryFolder()
  await mkdir(folder.file('admin-token'))
  await expect(writeSecretFile(folder.file('admin-token'), 'slp_x')).rejects.toMatchObject({ code: 'EISDIR' })
})

describe('readSecretFile', () => {
  test('takes the file from other users before it reads, and closes it', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('key')
    await Bun.write(path, 'secret\n')
    await chmod(path, 0o644)
    observation = await watchFileOperations((name, when) => steps.push(`${name} ${when}: ${(statSync(path).mode & 0o777).toString(8)}`))
    expect(await readSecretFile(path)).toBe('secret')
    expect(steps).toEqual(['chmod starts: 644', 'chmod ends: 600', 'read starts: 600', 'read ends: 600', 'close starts: 600', 'close ends: 600'])
  })

  test('reads 4096 bytes at most', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('key'), 'x'.repeat(5000))
    expect(await readSecretFile(folder.file('key'))).toBe('x'.repeat(4096))
  })

  test('returns undefined without a file', async () => {
    await using folder = await createTemporaryFolder()
    expect(await readSecretFile(folder.file('key'))).toBeUndefined()
  })
})

// Sealed secrets: when they can be opened, and the file of their key.

import { describe, expect, test } from 'bun:test'
import { chmod, stat, symlink } from 'node:fs/promises'
import { openSealer } from '../../../agent/access/sealer.ts'
import { readSecretFile, writeSecretFile } from '../../../agent/access/secret-file.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

/** Opens a sealer on a key file, as the agent does. */
async function openOn(path: string) {
  let unusable = 0
  const sealer = await openSealer({
    readKey: () => readSecretFile(path),
    writeKey: (key) => writeSecretFile(path, key),
    onUnusable: () => unusable++,
  })
  return { ...sealer, unusable: () => unusable }
}

describe('a sealed secret', () => {
  test('opens only for its purpose and with the same key, also after a restart', async () => {
    await using folder = await createTemporaryFolder()
    const sealer = await openOn(folder.file('key'))
    const sealed = await sealer.seal('sécret', 'task 1')
    expect(sealed).not.toContain('cret')
    expect(await sealer.seal('sécret', 'task 1')).not.toBe(sealed)
    expect(await sealer.open(sealed, 'task 1')).toBe('sécret')
    expect(await sealer.open(sealed, 'task 2')).toBeUndefined()
    expect(await (await openOn(folder.file('key'))).open(sealed, 'task 1')).toBe('sécret')
    expect(await (await openOn(folder.file('other'))).open(sealed, 'task 1')).toBeUndefined()
  })

  test('is a nonce of 12 bytes, the text and a tag of 16 bytes', async () => {
    await using folder = await createTemporaryFolder()
    const sealed = await (await openOn(folder.file('key'))).seal('abc', 'p')
    expect(sealed).toMatch(/^v1\.[\w-]+$/)
    expect(Buffer.from(sealed.slice('v1.'.length), 'base64url')).toHaveLength(12 + 3 + 16)
  })

  test('does not open after a change, and neither does other text', async () => {
    await using folder = await createTemporaryFolder()
    const sealer = await openOn(folder.file('key'))
    const sealed = await sealer.seal('secret', 'p')
    for (let i = 0; i < sealed.length; i++) {
      const other = sealed[i] === 'A' ? 'B' : 'A'
      const changed = sealed.slice(0, i) + other + sealed.slice(i + 1)
      // The last character contains bits that base64url does not use.
      if (i < sealed.length - 1) expect(await sealer.open(changed, 'p')).toBeUndefined()
    }
    for (const text of ['', 'v1.', 'v1.AAAA', 'v2.AAAA', 'v1.%%%']) expect(await sealer.open(text, 'p')).toBeUndefined()
  })
})

describe('the key file', () => {
  const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8)

  test('is readable to its owner only, also if it was readable to others before', async () => {
    await using folder = await createTemporaryFolder()
    await openOn(folder.file('key'))
    expect(await mode(folder.file('key'))).toBe('600')
    await chmod(folder.file('key'), 0o644)
    await openOn(folder.file('key'))
    expect(await mode(folder.file('key'))).toBe('600')
  })

  test('is replaced and logged when it is damaged', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('key'), 'no key\n')
    const sealer = await openOn(folder.file('key'))
    expect(sealer.unusable()).toBe(1)
    expect(await sealer.open(await sealer.seal('x', 'p'), 'p')).toBe('x')
    expect((await openOn(folder.file('key'))).unusable()).toBe(0)
  })

  test('that holds a key of the wrong length is replaced, and told', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('key'), 'AAAA\n')
    const sealer = await openOn(folder.file('key'))
    expect(sealer.unusable()).toBe(1)
    expect(await sealer.open(await sealer.seal('x', 'p'), 'p')).toBe('x')
  })

  test('is never read through a symbolic link', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('elsewhere'), 'x')
    await symlink(folder.file('elsewhere'), folder.file('key'))
    await expect(openOn(folder.file('key'))).rejects.toThrow('ELOOP')
  })
})

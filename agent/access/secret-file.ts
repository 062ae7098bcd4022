// Files that hold one secret in the state folder, such as the first admin token, for the user of the agent alone.

import { constants } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import { syncFolder } from '../contract/sync-folder.ts'

/** Writes a secret and a line end to a file of mode 0600, replacing it as a whole; durable when it resolves. */
export async function writeSecretFile(path: string, secret: string): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`
  const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  try {
    await file.writeFile(`${secret}\n`)
    await file.datasync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
}

/** Longest secret file in bytes. */
const SECRET_FILE_BYTES_MAX = 4096

/** The secret in a file, or undefined when there is no such file; its mode becomes 0600. */
export async function readSecretFile(path: string): Promise<string | undefined> {
  let file
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    await file.chmod(0o600)
    const { buffer, bytesRead } = await file.read({ buffer: new Uint8Array(SECRET_FILE_BYTES_MAX) })
    return new TextDecoder().decode(buffer.subarray(0, bytesRead)).trim()
  } finally {
    await file.close()
  }
}

// Files in the state folder that contain one secret, such as the first admin token. Only the agent's user can read them.

import { constants } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import { syncFolder } from '../contract/sync-folder.ts'

/** Writes a secret and a line end to a file of mode 0600. Replaces the file atomically; durable when it resolves. */
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

/** Returns the secret in a file, and sets the file's mode to 0600; undefined when the file does not exist. */
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

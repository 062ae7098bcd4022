// Key files: those that somebody gives to the bot, and the one that the bot makes in its home folder, beside the folder of its database.

import { closeSync, fdatasyncSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorText, hasCode } from '../../protocol/errors.ts'
import { formatKeys, parseKeys } from './keys.ts'
import type { Key } from './keys.ts'

/** Keys of a file; the first encrypts. `trouble` says why a file that is there cannot be used. */
export type KeyFile = { readonly keys: readonly Key[] } | { readonly trouble: string } | undefined

/** The key file that the bot makes, if it is given none. It is outside the folder of the database, so that a copy of that folder reads no token. */
export function homeKeyPath(home: string): string {
  return join(home, 'bot.key')
}

/** Reads a key file; undefined when there is none. */
export function readKeyFile(path: string): KeyFile {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    return hasCode(error, 'ENOENT') ? undefined : { trouble: `${path} cannot be read: ${errorText(error)}` }
  }
  const keys = parseKeys(text)
  return keys ? { keys } : { trouble: `${path} has a line that is not a key of 32 bytes in base64` }
}

/** Replaces a key file durably; only its owner can read it. The caller holds the write lock of the database, so that nobody else writes it. */
export function writeKeyFile(path: string, keys: readonly Key[]): void {
  const temporary = `${path}.partial`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeSync(file, formatKeys(keys))
    fdatasyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

// The error that says that the index database is damaged or of another version: it has to be made anew from the packs.

import { errorCode } from '../../../protocol/errors.ts'

export class IndexUnusable extends Error {
  override readonly name = 'IndexUnusable'
}

/** Whether an error says that the database is unusable, and not that the state folder is full or cannot be written. */
export function isIndexDamaged(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = error.name === 'SQLiteError' ? (errorCode(error) ?? '') : ''
  return error instanceof IndexUnusable || /^SQLITE_(?:CORRUPT|NOTADB|ERROR|MISMATCH|CONSTRAINT|READONLY|IOERR_SHORT_READ)/.test(code)
}

// The error for an index database that is damaged or of another version: it must be rebuilt from the packs.

import { errorCode } from '../../../protocol/errors.ts'

export class IndexUnusable extends Error {
  override readonly name = 'IndexUnusable'
}

/** Whether an error means that the database is unusable, as opposed to a state folder that is full or cannot be written. */
export function isIndexDamaged(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = error.name === 'SQLiteError' ? (errorCode(error) ?? '') : ''
  return error instanceof IndexUnusable || /^SQLITE_(?:CORRUPT|NOTADB|ERROR|MISMATCH|CONSTRAINT|READONLY|IOERR_SHORT_READ)/.test(code)
}

// Reads kept values of an agent that may be running, without touching its files: from a copy.

import { Database } from 'bun:sqlite'
import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '../../../protocol/errors.ts'
import type { KeptValues } from '../../contract/store.ts'

/** Largest database that is copied, in bytes. */
const COPY_BYTES_MAX = 1024 ** 3

/**
 * Returns the kept values with these keys, as the database has them now; undefined when there is no database. Nothing is opened in place, because a reader
 * would leave files beside the database that belong to its user, and the agent could not write them. Throws for a database that cannot be read.
 */
export async function readKeptValues(path: string, keys: readonly string[]): Promise<Pick<KeptValues, 'read'> | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-check-'))
  try {
    const copy = join(folder, 'agent.db')
    let bytes = 0
    // What the agent has written and not yet moved into the database is in its log.
    for (const end of ['', '-wal']) bytes += await copyIfThere(`${path}${end}`, `${copy}${end}`)
    if (bytes === 0) return undefined
    using database = new Database(copy, { strict: true })
    const select = database.query<{ value: string }, [string]>('SELECT value FROM kept WHERE key = ?')
    const values = new Map(keys.map((key): [string, unknown] => [key, JSON.parse(select.get(key)?.value ?? 'null') ?? undefined]))
    return { read: (key) => values.get(key) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Copies a file; returns its length in bytes, 0 when it does not exist. */
async function copyIfThere(from: string, to: string): Promise<number> {
  try {
    const { size } = await stat(from)
    if (size > COPY_BYTES_MAX) throw new Error(`${from} has more than 1 GiB`)
    await copyFile(from, to)
    return size
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0
    throw error
  }
}

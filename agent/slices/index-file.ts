// The file of the index database: what it holds of packs and slices, in SQLite. Knows nothing of rows that wait in memory.

import { Database, SQLiteError } from 'bun:sqlite'
import type { Statement } from 'bun:sqlite'
import { renameSync, rmSync } from 'node:fs'
import { isPackName } from './pack-format.ts'
import type { Location, PackEntry, SliceRow } from './slice-row.ts'

const SCHEMA_VERSION = 1
/** No store ever makes so many packs; a number above it is damage. */
const PACK_ID_MAX = 2 ** 40

/** How many slices there are, and how many bytes they are as stored. */
export interface Totals {
  readonly rows: number
  readonly bytes: number
}

type SliceColumns = [Uint8Array, number, number, number, number]

/** The database is of another version, or its file is damaged: it has to be made anew from the packs. */
export class IndexUnusable extends Error {
  override readonly name = 'IndexUnusable'
}

/** Whether an error says that the database is unusable, and not that the state folder is full or cannot be written. */
export function isIndexDamaged(error: unknown): boolean {
  return (
    error instanceof IndexUnusable ||
    (error instanceof SQLiteError && /^SQLITE_(?:CORRUPT|NOTADB|ERROR|MISMATCH|CONSTRAINT|READONLY|IOERR_SHORT_READ)/.test(error.code ?? ''))
  )
}

/** Owns the connection. Every call is synchronous. */
export class IndexFile implements Disposable {
  readonly #database: Database
  readonly #select: Statement<{ pack: number; offset: number; length: number; stored: number }, [Uint8Array]>
  readonly #upsert: Statement<unknown, SliceColumns>
  readonly #insert: Statement<unknown, SliceColumns>
  readonly #delete: Statement<unknown, [Uint8Array]>

  private constructor(database: Database) {
    this.#database = database
    this.#select = database.query('SELECT pack, offset, length, stored FROM slices WHERE digest = ?')
    this.#upsert = database.query(
      'INSERT INTO slices (digest, pack, offset, length, stored) VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET pack = excluded.pack, offset = excluded.offset, length = excluded.length, stored = excluded.stored',
    )
    this.#insert = database.query('INSERT INTO slices (digest, pack, offset, length, stored) VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING')
    this.#delete = database.query('DELETE FROM slices WHERE digest = ?')
  }

  /** Opens or makes the file. Throws SQLite's error when it is damaged. */
  static open(path: string): IndexFile {
    const database = new Database(path, { create: true, strict: true })
    try {
      database.run('PRAGMA journal_mode = WAL')
      // A lost transaction costs nothing: packs are read again from where the database left them.
      database.run('PRAGMA synchronous = NORMAL')
      database.run('PRAGMA cache_size = -65536')
      database.run('PRAGMA temp_store = MEMORY')
      const version = database.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version ?? 0
      if (version === 0) createSchema(database)
      else if (version !== SCHEMA_VERSION) throw new IndexUnusable(`the index database has version ${version}, known here is ${SCHEMA_VERSION}`)
      return new IndexFile(database)
    } catch (error) {
      database.close()
      throw error
    }
  }

  /** All packs. Throws IndexUnusable for numbers and names that nobody can have written. */
  packs(): PackEntry[] {
    const packs = this.#database.query<{ id: number; name: string; length: number; sealed: number }, []>('SELECT id, name, length, sealed FROM packs').all()
    const isSound = packs.every(({ id, name, length }) => isPackId(id) && isPackName(name) && Number.isSafeInteger(length) && length >= 0)
    if (!isSound || new Set(packs.map(({ id }) => id)).size < packs.length) throw new IndexUnusable('the packs of the index database are damaged')
    return packs.map(({ id, name, length, sealed }) => ({ id, name, length, sealed: sealed === 1 }))
  }

  /** The highest number that a pack ever had: numbers are never given twice, because rows of a pack that is gone may be left. */
  lastPackId(): number {
    const last = this.#database.query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'packs'").get()?.seq ?? 0
    if (last !== 0 && !isPackId(last)) throw new IndexUnusable('the numbers of packs in the index database are damaged')
    return last
  }

  setLastPackId(id: number): void {
    this.#database.transaction(() => {
      this.#database.run("DELETE FROM sqlite_sequence WHERE name = 'packs'")
      this.#database.query<unknown, [number]>("INSERT INTO sqlite_sequence (name, seq) VALUES ('packs', ?)").run(id)
    })()
  }

  /** Adds packs by their numbers, as not sealed. */
  addPacks(packs: Iterable<Pick<PackEntry, 'id' | 'name'>>): void {
    const insert = this.#database.query<unknown, [number, string]>(
      'INSERT INTO packs (id, name, length, sealed) VALUES (?, ?, 0, 0) ON CONFLICT (name) DO UPDATE SET length = 0, sealed = 0',
    )
    this.#database.transaction(() => {
      for (const { id, name } of packs) insert.run(id, name)
    })()
  }

  removePack(id: number): void {
    this.#database.query<unknown, [number]>('DELETE FROM packs WHERE id = ?').run(id)
  }

  totals(): Totals {
    const totals = this.#database
      .query<Totals, []>(
        "SELECT COALESCE(MAX(CASE WHEN key = 'rows' THEN value END), 0) AS rows, COALESCE(MAX(CASE WHEN key = 'bytes' THEN value END), 0) AS bytes FROM counts",
      )
      .get()
    return totals ?? { rows: 0, bytes: 0 }
  }

  find(digest: Uint8Array): Location | undefined {
    const row = this.#select.get(digest)
    return row ? { pack: row.pack, offset: row.offset, length: row.length, storedLength: row.stored } : undefined
  }

  /** Writes rows, what the totals are with them, and the packs that are now in whole, in one transaction. */
  put(rows: readonly SliceRow[], totals: Totals, sealed: readonly PackEntry[]): void {
    this.#database.transaction(() => {
      for (const row of rows) this.#upsert.run(row.digest, row.pack, row.offset, row.length, row.storedLength)
      if (rows.length > 0) this.#writeTotals(totals)
      for (const { id, length } of sealed)
        this.#database.query<unknown, [number, number]>('UPDATE packs SET length = ?, sealed = 1 WHERE id = ?').run(length, id)
    })()
  }

  /** Adds rows whose digest is not there yet, and what the totals are then, in one transaction; gives those added. */
  enter(rows: readonly SliceRow[], totals: Totals): { added: SliceRow[]; totals: Totals } {
    const added: SliceRow[] = []
    let { rows: count, bytes } = totals
    this.#database.transaction(() => {
      for (const row of rows) {
        if (this.#insert.run(row.digest, row.pack, row.offset, row.length, row.storedLength).changes === 0) continue
        added.push(row)
        count++
        bytes += row.storedLength
      }
      this.#writeTotals({ rows: count, bytes })
    })()
    return { added, totals: { rows: count, bytes } }
  }

  /** Removes rows and writes what the totals are without them, in one transaction. */
  remove(digests: readonly Uint8Array[], totals: Totals): void {
    this.#database.transaction(() => {
      for (const digest of digests) this.#delete.run(digest)
      this.#writeTotals(totals)
    })()
  }

  /** Drops the rows of packs that are not there; gives how many. A full walk. */
  removeOrphans(): number {
    return this.#database.query<unknown, []>('DELETE FROM slices WHERE pack NOT IN (SELECT id FROM packs)').run().changes
  }

  /** Counts the rows, and keeps what it found. A full walk. */
  recount(): Totals {
    const totals = this.#database.query<Totals, []>('SELECT COUNT(*) AS rows, COALESCE(SUM(stored), 0) AS bytes FROM slices').get() ?? { rows: 0, bytes: 0 }
    this.#writeTotals(totals)
    return totals
  }

  /** Rows in digest order after `after`, at most so many; a damaged one may come without a digest. */
  rowsAfter(after: Uint8Array | undefined, count: number): SliceRow[] {
    return this.#database
      .query<{ digest: Uint8Array; pack: number; offset: number; length: number; stored: number }, [Uint8Array, number]>(
        'SELECT digest, pack, offset, length, stored FROM slices WHERE digest > ? ORDER BY digest LIMIT ?',
      )
      .all(after ?? new Uint8Array(0), count)
      .map(({ stored, ...row }) => ({ ...row, storedLength: stored }))
  }

  /** Digests of the rows in order after `after`, at most so many. */
  digestsAfter(after: Uint8Array | undefined, count: number): Uint8Array[] {
    return this.#database
      .query<{ digest: Uint8Array }, [Uint8Array, number]>('SELECT digest FROM slices WHERE digest > ? ORDER BY digest LIMIT ?')
      .all(after ?? new Uint8Array(0), count)
      .map(({ digest }) => digest)
  }

  /** Everything written so far is on stable storage when it returns. */
  makeDurable(): void {
    this.#database.run('PRAGMA synchronous = FULL')
    this.#database.run('PRAGMA wal_checkpoint(TRUNCATE)')
    this.#database.run('PRAGMA synchronous = NORMAL')
  }

  /** The first thing that is wrong with the file, or undefined; takes seconds for some million rows. */
  fault(): string | undefined {
    return faultOf(this.#database)
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #writeTotals({ rows, bytes }: Totals): void {
    const write = this.#database.query<unknown, [string, number]>(
      'INSERT INTO counts (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    )
    write.run('rows', rows)
    write.run('bytes', bytes)
  }
}

/** Like `fault`, for a database that another thread uses. */
export function indexFaultAt(path: string): string | undefined {
  try {
    using database = new Database(path, { readonly: true, strict: true })
    return faultOf(database)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The whole check, which unlike the quick one sees keys that are not in their order: rows behind such a one are found by no search. */
function faultOf(database: Database): string | undefined {
  try {
    const result = database.query<{ integrity_check: string }, []>('PRAGMA integrity_check(1)').get()?.integrity_check
    if (result !== 'ok') return result ?? 'no answer'
    // One statement is one state of the database, whatever is written meanwhile.
    const counts = database
      .query<{ rows: number; known: number }, []>(
        "SELECT (SELECT COUNT(*) FROM slices) AS rows, COALESCE((SELECT value FROM counts WHERE key = 'rows'), 0) AS known",
      )
      .get()
    return counts && counts.rows !== counts.known ? `it holds ${counts.rows} slices and should hold ${counts.known}` : undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function isPackId(id: unknown): boolean {
  return typeof id === 'number' && Number.isSafeInteger(id) && id > 0 && id <= PACK_ID_MAX
}

/** Removes an index database. Derived data on the node itself: nothing is lost with it, and no order is needed. */
export function removeIndexFile(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
}

/** Gives a closed index database another name. */
export function renameIndexFile(from: string, to: string): void {
  removeIndexFile(to)
  // A log that is left does not belong to whatever gets the old name.
  for (const suffix of ['-wal', '-shm']) rmSync(from + suffix, { force: true })
  renameSync(from, to)
}

function createSchema(database: Database): void {
  database.transaction(() => {
    database.run('CREATE TABLE packs (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, length INTEGER NOT NULL, sealed INTEGER NOT NULL)')
    database.run(
      'CREATE TABLE slices (digest BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, stored INTEGER NOT NULL) WITHOUT ROWID',
    )
    database.run('CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)')
    database.run('CREATE TABLE counts (key TEXT PRIMARY KEY, value INTEGER NOT NULL)')
    database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`)
  })()
}

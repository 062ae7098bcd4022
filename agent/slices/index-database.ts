// Index database: where each slice lies. Node-local, never the truth: it can be deleted and is rebuilt from the packs.
// Rows of a pack wait in memory until it is sealed and then go in as one sorted batch: an unsealed pack is read again at the
// next start, so the database never names a record that was not durable. The filter answers for slices that are certainly new.

import { Database, SQLiteError } from 'bun:sqlite'
import type { Statement } from 'bun:sqlite'
import { createFilter } from './filter.ts'
import type { Filter } from './filter.ts'
import type { PackName, PackRow } from './pack-format.ts'
import { isPossible, sliceKey } from './slice-row.ts'
import type { Location, PackEntry, SliceRow } from './slice-row.ts'

const SCHEMA_VERSION = 1
const FILTER_CAPACITY_MIN = 1024 * 1024
/** Rows read at a time in a walk over all slices. */
const WALK_ROWS = 4096
/** Rows that may wait in memory; more means that the database cannot be written. */
const PENDING_ROWS_MAX = 512 * 1024

/** A row that waits until its pack is sealed, and the one of the same digest that it will replace. */
interface PendingRow extends SliceRow {
  readonly beneath: Location | undefined
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
    (error instanceof SQLiteError && /^SQLITE_(?:CORRUPT|NOTADB|ERROR|MISMATCH|READONLY|IOERR_SHORT_READ)/.test(error.code ?? ''))
  )
}

/** Owns the database file. Every call is synchronous, so between a look-up and what follows in the same tick nothing moves. */
export class IndexDatabase implements Disposable {
  readonly #database: Database
  readonly #pending = new Map<string, PendingRow>()
  readonly #select: Statement<{ pack: number; offset: number; length: number; stored: number }, [Uint8Array]>
  readonly #upsert: Statement<unknown, SliceColumns>
  readonly #delete: Statement<unknown, [Uint8Array]>
  readonly #packs = new Map<number, PackEntry>()
  readonly #packIds = new Map<PackName, number>()
  #filter: Filter
  #nextFilter: Filter | undefined
  #filterAdds = 0
  #filterComplete = false
  #isDistrusted = false
  /** Totals of the rows in the database, and what the pending ones will add to them. */
  #rows = 0
  #storedBytes = 0
  #pendingRows = 0
  #pendingBytes = 0
  /** Keys of rows that the next flushes take, the last one first, and packs that are sealed and not yet in the database as such. */
  #due: string[] = []
  readonly #sealing = new Set<number>()

  private constructor(database: Database) {
    this.#database = database
    this.#select = database.query('SELECT pack, offset, length, stored FROM slices WHERE digest = ?')
    this.#upsert = database.query(
      'INSERT INTO slices (digest, pack, offset, length, stored) VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET pack = excluded.pack, offset = excluded.offset, length = excluded.length, stored = excluded.stored',
    )
    this.#delete = database.query('DELETE FROM slices WHERE digest = ?')
    for (const row of database.query<{ id: number; name: string; length: number; sealed: number }, []>('SELECT id, name, length, sealed FROM packs').all()) {
      this.#know({ id: row.id, name: row.name, length: row.length, sealed: row.sealed === 1 })
    }
    const totals = database
      .query<{ rows: number; bytes: number }, []>(
        "SELECT COALESCE(MAX(CASE WHEN key = 'rows' THEN value END), 0) AS rows, COALESCE(MAX(CASE WHEN key = 'bytes' THEN value END), 0) AS bytes FROM counts",
      )
      .get()
    this.#rows = totals?.rows ?? 0
    this.#storedBytes = totals?.bytes ?? 0
    this.#filter = createFilter(Math.max(FILTER_CAPACITY_MIN, this.#rows * 2))
  }

  /** Opens or makes the database. Throws SQLite's error when the file is damaged: the caller then rebuilds it. */
  static open(path: string): IndexDatabase {
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
      return new IndexDatabase(database)
    } catch (error) {
      database.close()
      throw error
    }
  }

  get filter(): Filter {
    return this.#filter
  }

  /** Whether the filter knows every row; before that its "no" says nothing. */
  get isFilterComplete(): boolean {
    return this.#filterComplete
  }

  get sliceCount(): number {
    return this.#rows + this.#pendingRows
  }

  get storedBytes(): number {
    return this.#storedBytes + this.#pendingBytes
  }

  packs(): Iterable<PackEntry> {
    return this.#packs.values()
  }

  pack(id: number): PackEntry | undefined {
    return this.#packs.get(id)
  }

  /** Where a slice lies. A row whose pack is not there, or that is damaged, is none: its slice is as good as unknown. */
  find(digest: Uint8Array): Location | undefined {
    const location = this.#pending.get(sliceKey(digest)) ?? this.#findStored(digest)
    return location && this.#packs.has(location.pack) && isPossible(location) ? location : undefined
  }

  /** Adds rows of one pack; visible at once, in the database once the pack is sealed. A digest known before moves to the new place. */
  add(pack: number, rows: Iterable<PackRow>): void {
    // What was gathered for the next flushes does not know of these rows, and a flush of all must leave none behind.
    if (this.#packs.get(pack)?.sealed) this.#due = []
    for (const row of rows) {
      const digest = new Uint8Array(row.digest)
      const key = sliceKey(digest)
      const before = this.#pending.get(key)
      const beneath = before ? before.beneath : this.#findStored(digest)
      if (before) this.#forgetPending(before)
      const pending = { digest, pack, offset: row.offset, length: row.length, storedLength: row.storedLength, beneath }
      this.#pending.set(key, pending)
      this.#countPending(pending, 1)
      this.#filter.add(digest)
      this.#nextFilter?.add(digest)
      this.#filterAdds++
    }
  }

  /** Forgets slices that still lie where the rows say, in one transaction; gives those forgotten. */
  removeAll(rows: Iterable<Pick<SliceRow, 'digest' | 'pack' | 'offset'>>): Location[] {
    const removed: Location[] = []
    const stored: { digest: Uint8Array; location: Location }[] = []
    for (const { digest, pack, offset } of rows) {
      const pending = this.#pending.get(sliceKey(digest))
      const known = pending ?? this.#findStored(digest)
      if (!known || known.pack !== pack || known.offset !== offset) continue
      removed.push(known)
      if (pending) this.#forgetPending(pending)
      const beneath = pending ? pending.beneath : known
      if (beneath) stored.push({ digest, location: beneath })
    }
    if (stored.length > 0) this.#deleteStored(stored)
    return removed
  }

  /** Too many rows wait in memory because the database cannot be written. */
  get isOverfull(): boolean {
    return this.#pending.size >= PENDING_ROWS_MAX
  }

  /**
   * Writes rows of sealed packs that wait in memory, sorted by digest so that neighbouring pages are touched together, at most so many in one
   * transaction; tells whether more wait. A pack counts as sealed in the database once all its rows are in.
   */
  flush(rowsMax: number = Number.MAX_SAFE_INTEGER): boolean {
    if (this.#due.length === 0)
      this.#due = [...this.#pending]
        .filter(([, row]) => this.#isSealed(row))
        .map(([key]) => key)
        .toSorted()
        .toReversed()
    const due: PendingRow[] = []
    let rows = this.#rows
    let bytes = this.#storedBytes
    while (this.#due.length > 0 && due.length < rowsMax) {
      const row = this.#pending.get(this.#due.pop() ?? '')
      if (!row || !this.#isSealed(row)) continue
      due.push(row)
      rows += row.beneath ? 0 : 1
      bytes += row.storedLength - (row.beneath?.storedLength ?? 0)
    }
    const isLast = this.#due.length === 0
    const sealed = isLast ? [...this.#sealing].flatMap((id) => this.#packs.get(id) ?? []) : []
    try {
      this.#database.transaction(() => {
        for (const row of due) this.#upsert.run(row.digest, row.pack, row.offset, row.length, row.storedLength)
        if (due.length > 0) this.#writeCounts(rows, bytes)
        for (const { id, length } of sealed)
          this.#database.query<unknown, [number, number]>('UPDATE packs SET length = ?, sealed = 1 WHERE id = ?').run(length, id)
      })()
    } catch (error) {
      this.#due = []
      throw error
    }
    // Only a transaction that went through moves the counts: a full state folder leaves everything as it was.
    for (const row of due) this.#forgetPending(row)
    this.#rows = rows
    this.#storedBytes = bytes
    if (isLast) this.#sealing.clear()
    return !isLast
  }

  /** Everything written so far is on stable storage when it returns; needed before a file that it no longer names is removed. */
  makeDurable(): void {
    this.#database.run('PRAGMA synchronous = FULL')
    this.#database.run('PRAGMA wal_checkpoint(TRUNCATE)')
    this.#database.run('PRAGMA synchronous = NORMAL')
  }

  addPack(name: PackName): PackEntry {
    const row = this.#database
      .query<{ id: number }, [string]>(
        'INSERT INTO packs (name, length, sealed) VALUES (?, 0, 0) ON CONFLICT (name) DO UPDATE SET length = 0, sealed = 0 RETURNING id',
      )
      .get(name)
    if (!row) throw new Error('the index database gave no number for a pack')
    return this.#know({ id: row.id, name, length: 0, sealed: false })
  }

  /** Marks a pack as sealed with this length: the next `flush` lets its rows into the database. */
  sealPack(id: number, length: number): void {
    const entry = this.#packs.get(id)
    if (!entry) return
    this.#packs.set(id, { ...entry, length, sealed: true })
    this.#sealing.add(id)
    // What was gathered does not know of this pack.
    this.#due = []
  }

  /** Forgets a pack, and with it every slice that the index has there. */
  removePack(id: number): void {
    this.#database.query<unknown, [number]>('DELETE FROM packs WHERE id = ?').run(id)
    const name = this.#packs.get(id)?.name
    if (name !== undefined && this.#packIds.get(name) === id) this.#packIds.delete(name)
    this.#packs.delete(id)
    for (const row of [...this.#pending.values()]) if (row.pack === id) this.#forgetPending(row)
  }

  /** Drops the rows of packs that are not there and gives how many slices no other pack has; a full walk, needed only after damage. */
  removeOrphans(): number {
    this.flush()
    let removed = this.#database.query<unknown, []>('DELETE FROM slices WHERE pack NOT IN (SELECT id FROM packs)').run().changes
    if (removed === 0) return 0
    for (const [key, row] of [...this.#pending]) {
      if (!row.beneath || this.#packs.has(row.beneath.pack)) continue
      this.#forgetPending(row)
      const alone = { ...row, beneath: undefined }
      this.#pending.set(key, alone)
      this.#countPending(alone, 1)
      removed--
    }
    this.recount()
    return removed
  }

  /**
   * Rows of the database in digest order after `after`, and the last digest looked at, undefined at the end. Rows that one in memory
   * replaces are left out: `waiting` gives those.
   */
  walk(after: Uint8Array | undefined): { rows: SliceRow[]; last: Uint8Array | undefined } {
    const found = this.#database
      .query<{ digest: Uint8Array; pack: number; offset: number; length: number; stored: number }, [Uint8Array, number]>(
        'SELECT digest, pack, offset, length, stored FROM slices WHERE digest > ? ORDER BY digest LIMIT ?',
      )
      .all(after ?? new Uint8Array(0), WALK_ROWS)
    const rows = found
      .filter(({ digest }) => digest instanceof Uint8Array && !this.#pending.has(sliceKey(digest)))
      .map(({ stored, ...row }) => ({ ...row, storedLength: stored }))
    return { rows, last: found.length < WALK_ROWS ? undefined : found.at(-1)?.digest }
  }

  /** Rows that wait in memory, at this moment. */
  waiting(): SliceRow[] {
    return [...this.#pending.values()]
  }

  /** More slices were added than the filter was made for, or removed since: it answers "perhaps" too often. */
  get isFilterWorn(): boolean {
    return this.#filterAdds > this.#filter.capacity
  }

  /** Replaces the filter by one made from all rows, in steps; `pause` is awaited between them so that requests go on. */
  async rebuildFilter(pause: () => Promise<void>): Promise<void> {
    const filter = createFilter(Math.max(FILTER_CAPACITY_MIN, this.sliceCount * 2))
    // Rows added meanwhile go to both; until the new one is whole only the old one answers.
    this.#nextFilter = filter
    for (const row of this.#pending.values()) filter.add(row.digest)
    const select = this.#database.query<{ digest: Uint8Array }, [Uint8Array, number]>('SELECT digest FROM slices WHERE digest > ? ORDER BY digest LIMIT ?')
    let after: Uint8Array | undefined
    let adds = this.#pending.size
    for (;;) {
      const rows = select.all(after ?? new Uint8Array(0), WALK_ROWS)
      if (rows.length === 0) break
      for (const { digest } of rows) filter.add(digest)
      adds += rows.length
      after = rows.at(-1)?.digest
      await pause()
    }
    this.#filter = filter
    this.#filterAdds = adds
    this.#nextFilter = undefined
    this.#filterComplete = true
  }

  /** SQLite's own quick check, which takes a second for some million rows; the first fault found, or undefined. */
  fault(): string | undefined {
    return faultOf(this.#database)
  }

  getMeta(key: string): string | undefined {
    return this.#database.query<{ value: string }, [string]>('SELECT value FROM meta WHERE key = ?').get(key)?.value
  }

  setMeta(key: string, value: string): void {
    this.#database
      .query<unknown, [string, string]>('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      .run(key, value)
  }

  recount(): void {
    const totals = this.#database.query<{ rows: number; bytes: number }, []>('SELECT COUNT(*) AS rows, COALESCE(SUM(stored), 0) AS bytes FROM slices').get()
    this.#rows = totals?.rows ?? 0
    this.#storedBytes = totals?.bytes ?? 0
    this.#writeCounts(this.#rows, this.#storedBytes)
  }

  /**
   * Rows were missing that packs hold: a damaged page may hide more of them, and what is entered again may be hidden the next time. Such a
   * database is rebuilt at the next start.
   */
  distrust(): void {
    this.#isDistrusted = true
  }

  get isDistrusted(): boolean {
    return this.#isDistrusted
  }

  /** Rows of unsealed packs are not written: the next start reads these packs again. */
  [Symbol.dispose](): void {
    try {
      this.flush()
    } catch {
      // What scrub corrected and a full state folder does not take is corrected by the next scrub.
    }
    this.#database.close()
  }

  #findStored(digest: Uint8Array): Location | undefined {
    if (this.#filterComplete && !this.#filter.mayHave(digest)) return undefined
    const row = this.#select.get(digest)
    return row ? { pack: row.pack, offset: row.offset, length: row.length, storedLength: row.stored } : undefined
  }

  /** A file is known by one number only, or gc would remove it by the other: a damaged database may hold its name twice. */
  #know(pack: PackEntry): PackEntry {
    const other = this.#packIds.get(pack.name)
    if (other !== undefined && other !== pack.id) this.#packs.delete(other)
    this.#packs.set(pack.id, pack)
    this.#packIds.set(pack.name, pack.id)
    return pack
  }

  #isSealed(row: PendingRow): boolean {
    return this.#packs.get(row.pack)?.sealed === true
  }

  #countPending(row: PendingRow, sign: 1 | -1): void {
    if (!row.beneath) this.#pendingRows += sign
    this.#pendingBytes += sign * (row.storedLength - (row.beneath?.storedLength ?? 0))
  }

  #forgetPending(row: PendingRow): void {
    this.#pending.delete(sliceKey(row.digest))
    this.#countPending(row, -1)
  }

  /** Removes rows of the database in one transaction. */
  #deleteStored(stored: readonly { readonly digest: Uint8Array; readonly location: Location }[]): void {
    const rows = this.#rows - stored.length
    const bytes = stored.reduce((left, { location }) => left - location.storedLength, this.#storedBytes)
    this.#database.transaction(() => {
      for (const { digest } of stored) this.#delete.run(digest)
      this.#writeCounts(rows, bytes)
    })()
    this.#rows = rows
    this.#storedBytes = bytes
  }

  #writeCounts(rows: number, bytes: number): void {
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

function faultOf(database: Database): string | undefined {
  try {
    const result = database.query<{ quick_check: string }, []>('PRAGMA quick_check(1)').get()?.quick_check
    return result === 'ok' ? undefined : (result ?? 'no answer')
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
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

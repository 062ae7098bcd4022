// The file of the index database: its packs and runs, in SQLite. It is small, read completely when it is opened, and only written after that. A
// checksum over all rows detects changed, lost and added ones.

import { Database } from 'bun:sqlite'
import { renameSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { errorText } from '../../../protocol/errors.ts'
import { IndexUnusable } from './index-unusable.ts'
import { isPackName } from '../packs/pack-format.ts'
import type { PackName } from '../packs/pack-format.ts'
import { PACK_NUMBER_MAX } from './run-format.ts'
import type { PackEntry } from '../packs/slice-row.ts'

const SCHEMA_VERSION = 2
/** Checksums are summed modulo 2 to this power, which a number represents exactly. */
const CHECK_BITS = 52
const NEXT_SUFFIX = '.next'

/** A run: its number, which is never reused, and its age; rows of a higher age replace those of a lower one. */
export interface RunEntry {
  readonly run: number
  readonly age: number
}

/** Slices and their stored bytes in all runs, and the highest numbers that packs and runs ever had. */
export interface Counts {
  readonly rows: number
  readonly bytes: number
  readonly lastPack: number
  readonly lastRun: number
}

/** The changes of one transaction. */
export interface IndexChange {
  readonly packs?: readonly PackEntry[]
  readonly packsGone?: readonly number[]
  readonly runs?: readonly RunEntry[]
  readonly runsGone?: readonly number[]
  readonly counts?: Partial<Counts>
}

/** Owns the connection. Every call is synchronous. */
export class IndexFile implements Disposable {
  readonly #path: string
  readonly #database: Database
  readonly packs = new Map<number, PackEntry>()
  readonly runs = new Map<number, RunEntry>()
  #counts: Counts
  /** Sum of the checksums of all rows. */
  #check: bigint

  private constructor(path: string, database: Database) {
    this.#path = path
    this.#database = database
    const { packs, runs, counts, check } = readAll(database)
    for (const pack of packs) this.packs.set(pack.id, pack)
    for (const run of runs) this.runs.set(run.run, run)
    this.#counts = counts
    this.#check = check
  }

  /** Opens or creates the file. Throws IndexUnusable or SQLite's error when it is damaged. */
  static open(path: string): IndexFile {
    const database = new Database(path, { create: true })
    try {
      database.run('PRAGMA journal_mode = WAL')
      // A lost transaction costs nothing: recovery reads the packs again that the database does not have as sealed.
      database.run('PRAGMA synchronous = NORMAL')
      const version = database.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version
      if (version === 0) createSchema(database)
      else if (version !== SCHEMA_VERSION) throw new IndexUnusable(`the index database has version ${version}, but this agent uses ${SCHEMA_VERSION}`)
      return new IndexFile(path, database)
    } catch (error) {
      database.close()
      throw error
    }
  }

  /** Replaces the open file at a path by one with these packs, unsealed, and no runs. Changes nothing until the new file is complete. */
  static replace(path: string, before: IndexFile, packs: Iterable<PackEntry>, lastPack: number): IndexFile {
    removeFile(path + NEXT_SUFFIX)
    {
      using next = IndexFile.open(path + NEXT_SUFFIX)
      const unsealed = [...packs].map((pack) => ({ ...pack, length: 0, sealed: false }))
      next.write({ packs: unsealed, counts: { lastPack, lastRun: before.counts.lastRun } })
      next.makeDurable()
    }
    before[Symbol.dispose]()
    // A remaining log would not belong to the new file.
    removeFile(path)
    renameSync(path + NEXT_SUFFIX, path)
    return IndexFile.open(path)
  }

  get counts(): Counts {
    return this.#counts
  }

  /** Applies a change in one transaction. */
  write(change: IndexChange): void {
    const counts = { ...this.#counts, ...change.counts }
    let check = this.#check - countsCheck(this.#counts) + countsCheck(counts)
    const checkOf = (pack: PackEntry | undefined): bigint => (pack ? packCheck(pack) : 0n)
    for (const pack of change.packs ?? []) check += packCheck(pack) - checkOf(this.packs.get(pack.id))
    for (const id of change.packsGone ?? []) check -= checkOf(this.packs.get(id))
    for (const run of change.runs ?? []) check += runCheck(run)
    for (const number of change.runsGone ?? []) {
      const run = this.runs.get(number)
      if (run) check -= runCheck(run)
    }
    this.#database.transaction(() => this.#store(change, counts, Number(BigInt.asUintN(CHECK_BITS, check))))()
    // Memory changes only after the transaction has succeeded: a full state folder leaves everything unchanged.
    this.#counts = counts
    this.#check = check
    for (const pack of change.packs ?? []) this.packs.set(pack.id, pack)
    for (const id of change.packsGone ?? []) this.packs.delete(id)
    for (const run of change.runs ?? []) this.runs.set(run.run, run)
    for (const number of change.runsGone ?? []) this.runs.delete(number)
  }

  /**
   * Makes everything written before the call durable without blocking the event loop: syncs the log. SQLite synced what an earlier checkpoint
   * moved out of the log.
   */
  async sync(): Promise<void> {
    await using log = await open(`${this.#path}-wal`, 'r')
    await log.datasync()
  }

  /** Makes everything written so far durable. Blocks until it is. */
  makeDurable(): void {
    this.#database.run('PRAGMA synchronous = FULL')
    this.#database.run('PRAGMA wal_checkpoint(TRUNCATE)')
    this.#database.run('PRAGMA synchronous = NORMAL')
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #store({ packs, packsGone, runs, runsGone }: IndexChange, counts: Counts, check: number): void {
    const database = this.#database
    const putPack = database.query<unknown, [number, PackName, number, number]>('INSERT OR REPLACE INTO packs (id, name, length, sealed) VALUES (?, ?, ?, ?)')
    for (const { id, name, length, sealed } of packs ?? []) putPack.run(id, name, length, sealed ? 1 : 0)
    const dropPack = database.query<unknown, [number]>('DELETE FROM packs WHERE id = ?')
    for (const id of packsGone ?? []) dropPack.run(id)
    const putRun = database.query<unknown, [number, number]>('INSERT INTO runs (run, age) VALUES (?, ?)')
    for (const { run, age } of runs ?? []) putRun.run(run, age)
    const dropRun = database.query<unknown, [number]>('DELETE FROM runs WHERE run = ?')
    for (const run of runsGone ?? []) dropRun.run(run)
    const putCount = database.query<unknown, [string, number]>('INSERT OR REPLACE INTO counts (key, value) VALUES (?, ?)')
    for (const [key, value] of Object.entries({ ...counts, check })) putCount.run(key, value)
  }
}

interface Contents {
  readonly packs: readonly PackEntry[]
  readonly runs: readonly RunEntry[]
  readonly counts: Counts
  readonly check: bigint
}

/** Reads all rows. Throws IndexUnusable when the checksum does not match. */
function readAll(database: Database): Contents {
  const packs = readPacks(database)
  const runs = readRuns(database)
  const kept = new Map(
    database
      .query<{ key: string; value: number }, []>('SELECT key, value FROM counts')
      .all()
      .map(({ key, value }) => [key, value]),
  )
  const count = (key: keyof Counts): number => kept.get(key) ?? 0
  const counts = { rows: count('rows'), bytes: count('bytes'), lastPack: count('lastPack'), lastRun: count('lastRun') }
  const check = [...packs.map(packCheck), ...runs.map(runCheck)].reduce((sum, one) => sum + one, countsCheck(counts))
  if (Number(BigInt.asUintN(CHECK_BITS, check)) !== (kept.get('check') ?? 0)) throw new IndexUnusable('the rows of the index do not match their checksum')
  return { packs, runs, counts, check }
}

function readPacks(database: Database): PackEntry[] {
  const packs = database.query<{ id: number; name: string; length: number; sealed: number }, []>('SELECT id, name, length, sealed FROM packs').all()
  const isSound = packs.every(({ id, name, length }) => isNumber(id, 1) && id <= PACK_NUMBER_MAX && isPackName(name) && isNumber(length, 0))
  if (!isSound) throw new IndexUnusable('the packs of the index are damaged')
  return packs.map(({ id, name, length, sealed }) => ({ id, name, length, sealed: sealed === 1 }))
}

function readRuns(database: Database): RunEntry[] {
  const runs = database.query<RunEntry, []>('SELECT run, age FROM runs').all()
  if (!runs.every(({ run, age }) => isNumber(run, 1) && Number.isSafeInteger(age))) throw new IndexUnusable('the runs of the index are damaged')
  return runs
}

function isNumber(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least
}

function packCheck({ id, name, length, sealed }: PackEntry): bigint {
  return Bun.hash.xxHash64(`pack ${id} ${name} ${length} ${sealed}`)
}

function runCheck({ run, age }: RunEntry): bigint {
  return Bun.hash.xxHash64(`run ${run} ${age}`)
}

function countsCheck(counts: Counts): bigint {
  // A new file has no rows, and its sum is 0.
  return Object.values(counts).every((count) => count === 0) ? 0n : Bun.hash.xxHash64(`${counts.rows} ${counts.bytes} ${counts.lastPack} ${counts.lastRun}`)
}

/** Verifies the file at a path; returns the first fault, or undefined. */
export function indexFileFault(path: string): string | undefined {
  try {
    using database = new Database(path, { readonly: true })
    // Not quick_check, which misses keys that are out of order: rows after such a key are found by no query.
    const result = database.query<{ integrity_check: string }, []>('PRAGMA integrity_check(1)').get()?.integrity_check
    if (result !== 'ok') return result ?? 'no answer'
    // One transaction sees a consistent state, whatever is written meanwhile.
    database.transaction(() => readAll(database))()
    return undefined
  } catch (error) {
    return errorText(error)
  }
}

/** Deletes the file. It is derived data, so nothing is lost and the order of deletion does not matter. */
export function removeFile(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
}

function createSchema(database: Database): void {
  database.transaction(() => {
    database.run('CREATE TABLE packs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, length INTEGER NOT NULL, sealed INTEGER NOT NULL)')
    database.run('CREATE TABLE runs (run INTEGER PRIMARY KEY, age INTEGER NOT NULL)')
    database.run('CREATE TABLE counts (key TEXT PRIMARY KEY, value INTEGER NOT NULL)')
    database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`)
  })()
}

// The agent's own database in the state folder: tasks, events and small kept values. Everything in it is about this
// agent; what must move with the store is on the mount path.

import { Database } from 'bun:sqlite'
import { chmodSync, closeSync, constants, openSync } from 'node:fs'
import { errorCode, errorText } from '../../protocol/errors.ts'

/** Milliseconds to wait for another process that holds the database, such as a command beside the agent. */
const BUSY_TIMEOUT_MS = 5000

/** Each entry takes the schema from its index to the next version (PRAGMA user_version). Never change one that was released. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE tasks (
     id TEXT PRIMARY KEY,
     number INTEGER NOT NULL,
     kind TEXT NOT NULL,
     state TEXT NOT NULL,
     subject TEXT NOT NULL,
     created_by TEXT NOT NULL,
     created_ms INTEGER NOT NULL,
     ended_ms INTEGER,
     dedupe_key TEXT,
     params TEXT,
     starts INTEGER NOT NULL,
     progress TEXT NOT NULL,
     result TEXT,
     error TEXT
   ) STRICT;
   CREATE UNIQUE INDEX tasks_number ON tasks (number);
   CREATE INDEX tasks_state ON tasks (state, number);
   CREATE TABLE events (
     id INTEGER PRIMARY KEY,
     time_ms INTEGER NOT NULL,
     type TEXT NOT NULL,
     severity TEXT NOT NULL,
     subject TEXT NOT NULL,
     message TEXT NOT NULL,
     actor TEXT NOT NULL,
     details TEXT NOT NULL
   ) STRICT;
   CREATE INDEX events_type ON events (type, id);
   CREATE TABLE kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`,
  'ALTER TABLE tasks ADD COLUMN secret TEXT',
]

/** The database cannot be used; the message is a sentence with the next step. */
export class AgentDatabaseUnusable extends Error {
  override readonly name = 'AgentDatabaseUnusable'
}

/** An open database. Changes survive the end of the process at once; those made in `durably` also a loss of power. */
export interface AgentDatabase extends Disposable {
  readonly sql: Database
  /** Runs changes in one transaction that is on stable storage when it returns. Must not be nested. */
  durably<T>(change: () => T): T
  /** Rewrites the file and empties its log, so that nothing of deleted rows stays in either. */
  compact(): void
}

/**
 * Opens or makes the database, mode 0600, and brings its schema up to date. Throws AgentDatabaseUnusable when it is damaged, of a newer
 * version, or cannot be written.
 */
export function openAgentDatabase(path: string): AgentDatabase {
  const sql = openFile(path)
  return {
    sql,
    durably(change) {
      sql.run('PRAGMA synchronous = FULL')
      try {
        return sql.transaction(change).immediate()
      } finally {
        sql.run('PRAGMA synchronous = NORMAL')
      }
    },
    compact() {
      sql.run('VACUUM')
      sql.run('PRAGMA wal_checkpoint(TRUNCATE)')
    },
    [Symbol.dispose]: () => sql.close(),
  }
}

function openFile(path: string): Database {
  let sql: Database | undefined
  try {
    // Hashes of tokens and the key of links are in it: SQLite gives its further files the mode of this one.
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
    chmodSync(path, 0o600)
    sql = new Database(path, { strict: true })
    sql.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
    sql.run('PRAGMA journal_mode = WAL')
    // In WAL mode NORMAL keeps every commit over a crash of the process; only a loss of power needs the fsync of FULL.
    sql.run('PRAGMA synchronous = NORMAL')
    // Dropped parameters of tasks must not stay readable in free pages.
    sql.run('PRAGMA secure_delete = ON')
    migrate(sql, path)
    return sql
  } catch (error) {
    sql?.close()
    throw error instanceof AgentDatabaseUnusable ? error : unusable(path, error)
  }
}

function unusable(path: string, error: unknown): AgentDatabaseUnusable {
  const isDamaged = /^SQLITE_(?:CORRUPT|NOTADB)/.test(errorCode(error) ?? '')
  const reason = errorText(error)
  const text = isDamaged
    ? `The agent's database ${path} is damaged (${reason}). Put a copy of it back, or move it away: images are not in it, but tokens, schedules, tasks and events begin anew.`
    : `The agent's database ${path} cannot be used (${reason}). Check that the user of the agent may write to it and that the disk is not full.`
  return new AgentDatabaseUnusable(text, { cause: error })
}

function migrate(sql: Database, path: string): void {
  const { user_version: version } = sql.query<{ user_version: number }, []>('PRAGMA user_version').get() ?? { user_version: 0 }
  if (version > MIGRATIONS.length)
    throw new AgentDatabaseUnusable(
      `The agent's database ${path} is of a newer agent (schema ${version}, this one knows up to ${MIGRATIONS.length}). Run that agent, or move the file away.`,
    )
  const run = sql.transaction(() => {
    for (const statement of MIGRATIONS.slice(version)) sql.run(statement)
    sql.run(`PRAGMA user_version = ${MIGRATIONS.length}`)
  })
  if (version < MIGRATIONS.length) run.immediate()
}

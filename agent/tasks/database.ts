// The agent's database in the state folder: tasks, events and small kept values. It describes this agent only; everything
// that belongs to the store is on the mount path.

import { Database } from 'bun:sqlite'
import { chmodSync, closeSync, constants, openSync } from 'node:fs'
import { errorCode, errorText } from '../../protocol/errors.ts'

/** How long to wait for another process that has locked the database, such as a command, in milliseconds. */
const BUSY_TIMEOUT_MS = 5000

/** Each entry migrates the schema from the version of its index to the next one (PRAGMA user_version). Never change a released entry. */
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
  'ALTER TABLE tasks ADD COLUMN creator_token TEXT',
  'ALTER TABLE tasks ADD COLUMN hold TEXT',
  `ALTER TABLE tasks ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal'`,
]

/** The database cannot be used; the message is a sentence with the next step. */
export class AgentDatabaseUnusable extends Error {
  override readonly name = 'AgentDatabaseUnusable'
}

/** An open database. Every change survives a crash of the process; a change made in `durably` also survives a loss of power. */
export interface AgentDatabase extends Disposable {
  readonly sql: Database
  /** Runs changes in one transaction, which is on stable storage when this returns. Calls must not be nested. */
  durably<T>(change: () => T): T
  /** Rewrites the file and empties its log, so that no deleted row remains in either. */
  compact(): void
}

/**
 * Opens the database, or creates it with mode 0600, and migrates its schema. Throws AgentDatabaseUnusable when it is damaged, was written by
 * a newer agent, or cannot be written.
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
    // It contains hashes of tokens and the key of links. SQLite creates its other files with the mode of this one.
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
    chmodSync(path, 0o600)
    sql = new Database(path, { strict: true })
    sql.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
    sql.run('PRAGMA journal_mode = WAL')
    // In WAL mode NORMAL preserves every commit through a crash of the process; only a loss of power needs the fsync of FULL.
    sql.run('PRAGMA synchronous = NORMAL')
    // Deleted parameters of tasks must not remain readable in free pages.
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
    ? `The agent's database ${path} is damaged (${reason}). Restore a copy of it, or move it away: it contains no images, but without it tokens, schedules, tasks and events are lost.`
    : `The agent's database ${path} cannot be used (${reason}). Check that the user of the agent may write to it and that the disk is not full.`
  return new AgentDatabaseUnusable(text, { cause: error })
}

function migrate(sql: Database, path: string): void {
  const { user_version: version } = sql.query<{ user_version: number }, []>('PRAGMA user_version').get() ?? { user_version: 0 }
  if (version > MIGRATIONS.length)
    throw new AgentDatabaseUnusable(
      `The agent's database ${path} was written by a newer agent (schema ${version}; this agent supports up to ${MIGRATIONS.length}). Run that agent, or move the file away.`,
    )
  const run = sql.transaction(() => {
    for (const statement of MIGRATIONS.slice(version)) sql.run(statement)
    sql.run(`PRAGMA user_version = ${MIGRATIONS.length}`)
  })
  if (version < MIGRATIONS.length) run.immediate()
}

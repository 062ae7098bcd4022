// The bot's database, `<home>/bot/bot.db`: registry, buttons, modals, cards, unfinished uploads and the audit log. It contains tokens, so
// only its owner can read folder and file. Several processes (service and consoles) share it.

import { Database } from 'bun:sqlite'
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorText } from '../../protocol/errors.ts'
import { chainEarlierRows } from './audit-migration.ts'
import { ALERT_CARDS, ALERT_TABLES } from '../alerts/tables.ts'
import { ROLE_TABLES } from '../access/tables.ts'
import { APPROVAL_TABLES } from '../approvals/tables.ts'
import { BULK_TABLES } from '../bulk/tables.ts'
import { CREDENTIAL_TABLES } from '../credentials/tables.ts'
import { CATALOGUE_TABLES } from '../fleet/catalogue/tables.ts'
import { FLEET_TABLES, MAINTENANCE_COLUMNS, STATE_VERSIONS } from '../fleet/tables.ts'
import { UPLOAD_PAGE_TABLES } from '../gateway/tables.ts'
import { LINK_CARD_TABLES } from '../links/tables.ts'
import { HYPERVISOR_TABLES } from '../hypervisors/tables.ts'
import { CARDS_IN_OUTBOX, OUTBOX_TABLES } from '../outbox/tables.ts'
import { SAMPLE_TABLES } from '../samples/tables.ts'
import { STARTED_TABLES } from '../started/tables.ts'
import { ZONE_TABLES } from '../fleet/zones/tables.ts'
import { PAGE_TABLES } from '../entry/tables.ts'

/** How long to wait for the write lock of another process, in milliseconds. */
const BUSY_TIMEOUT_MS = 10_000

/** The open database. Each part of the bot prepares its own statements on it. */
export type BotDatabase = Database

/** Migrations from one version of the tables to the next: SQL, or a function for what SQL cannot do. `user_version` counts those that were applied. */
const MIGRATIONS: readonly (string | ((database: Database) => void))[] = [
  `CREATE TABLE stores (
     name TEXT PRIMARY KEY COLLATE NOCASE,
     url TEXT NOT NULL,
     token TEXT NOT NULL,
     zone TEXT NOT NULL,
     provider TEXT NOT NULL,
     store_id TEXT,
     added_ms INTEGER NOT NULL,
     last_seen_ms INTEGER,
     stopped_since_ms INTEGER,
     stopped_reason TEXT
   ) STRICT;
   CREATE TABLE uploads (
     key TEXT PRIMARY KEY,
     fingerprint TEXT NOT NULL,
     url TEXT NOT NULL,
     length INTEGER,
     metadata TEXT NOT NULL,
     created TEXT NOT NULL
   ) STRICT;
   CREATE INDEX uploads_fingerprint ON uploads (fingerprint);
   CREATE TABLE buttons (
     id TEXT PRIMARY KEY,
     command TEXT NOT NULL,
     role TEXT NOT NULL,
     user TEXT,
     used INTEGER NOT NULL DEFAULT 0,
     expires_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE cards (
     channel TEXT NOT NULL,
     ts TEXT NOT NULL,
     title TEXT NOT NULL,
     tasks TEXT NOT NULL,
     PRIMARY KEY (channel, ts)
   ) STRICT;
   CREATE TABLE audit (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     time_ms INTEGER NOT NULL,
     actor TEXT NOT NULL,
     surface TEXT NOT NULL,
     command TEXT NOT NULL,
     target TEXT NOT NULL,
     outcome TEXT NOT NULL,
     detail TEXT NOT NULL
   ) STRICT;`,
  `CREATE TABLE modals (
     id TEXT PRIMARY KEY,
     command TEXT NOT NULL,
     role TEXT NOT NULL,
     name TEXT NOT NULL,
     channel TEXT NOT NULL,
     user TEXT NOT NULL,
     expires_ms INTEGER NOT NULL
   ) STRICT;`,
  `CREATE TABLE slack_requests (key TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX slack_requests_until ON slack_requests (until_ms);`,
  // Triggers instead of foreign keys: a policy outlives the store that it names, and then says that the store is gone.
  `CREATE TABLE policies (
     name TEXT PRIMARY KEY COLLATE NOCASE,
     kind TEXT NOT NULL,
     copies INTEGER NOT NULL,
     source TEXT COLLATE NOCASE,
     scope TEXT NOT NULL,
     place TEXT COLLATE NOCASE,
     labels TEXT NOT NULL,
     kinds TEXT NOT NULL,
     grace_ms INTEGER NOT NULL,
     cron TEXT NOT NULL,
     timezone TEXT NOT NULL,
     paused INTEGER NOT NULL,
     created_ms INTEGER NOT NULL,
     anchor_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE policy_runs (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     policy TEXT NOT NULL COLLATE NOCASE,
     cause TEXT NOT NULL,
     actor TEXT NOT NULL,
     started_ms INTEGER NOT NULL,
     ordered INTEGER NOT NULL DEFAULT 0,
     lease_ms INTEGER NOT NULL,
     ended_ms INTEGER,
     outcome TEXT,
     result TEXT NOT NULL DEFAULT '',
     action TEXT NOT NULL DEFAULT '',
     copies TEXT NOT NULL DEFAULT '[]',
     failures TEXT NOT NULL DEFAULT '[]',
     findings TEXT NOT NULL DEFAULT '[]',
     removed INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   CREATE UNIQUE INDEX policy_runs_open ON policy_runs (policy) WHERE ended_ms IS NULL;
   CREATE INDEX policy_runs_policy ON policy_runs (policy, id);
   CREATE TRIGGER policies_renamed AFTER UPDATE OF name ON policies BEGIN
     UPDATE policy_runs SET policy = NEW.name WHERE policy = OLD.name;
   END;
   CREATE TRIGGER policies_removed AFTER DELETE ON policies BEGIN
     DELETE FROM policy_runs WHERE policy = OLD.name;
   END;
   CREATE TRIGGER stores_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
     UPDATE policies SET source = NEW.name WHERE source = OLD.name;
     UPDATE policies SET place = NEW.name WHERE scope = 'store' AND place = OLD.name;
   END;`,
  chainEarlierRows,
  FLEET_TABLES,
  ROLE_TABLES,
  MAINTENANCE_COLUMNS,
  OUTBOX_TABLES,
  ZONE_TABLES,
  CARDS_IN_OUTBOX,
  APPROVAL_TABLES,
  ALERT_TABLES,
  ALERT_CARDS,
  CREDENTIAL_TABLES,
  CATALOGUE_TABLES,
  LINK_CARD_TABLES,
  HYPERVISOR_TABLES,
  BULK_TABLES,
  PAGE_TABLES,
  STARTED_TABLES,
  UPLOAD_PAGE_TABLES,
  // What a form was opened with; empty for a confirmation.
  `ALTER TABLE modals ADD COLUMN form TEXT NOT NULL DEFAULT ''`,
  SAMPLE_TABLES,
  STATE_VERSIONS,
]

/** The bot's home cannot be used; the message is one sentence with the next step. */
export class HomeUnusable extends Error {
  override readonly name = 'HomeUnusable'
}

/** Opens the database of a home folder and migrates its tables. Throws HomeUnusable. */
export function openDatabase(home: string): BotDatabase {
  const path = join(home, 'bot', 'bot.db')
  try {
    return openFile(path)
  } catch (error) {
    if (error instanceof HomeUnusable) throw error
    const reason = errorText(error)
    throw new HomeUnusable(
      `${path} cannot be opened: ${reason}. Check its owner, the free space and SLIPWAY_HOME. If the file is damaged, move it away and add the stores again.`,
      { cause: error },
    )
  }
}

/** Creates a database in memory, for commands that need no stored data. */
export function openMemoryDatabase(): BotDatabase {
  const database = new Database(':memory:', { strict: true })
  migrate(database, ':memory:')
  return database
}

function openFile(path: string): BotDatabase {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // SQLite gives its journal files the mode of the database, so the mode must be set before the first page is written.
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
  const database = new Database(path, { strict: true })
  database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
  database.run('PRAGMA journal_mode = WAL')
  database.run('PRAGMA synchronous = FULL')
  // Tokens of deleted stores must not stay readable in free pages.
  database.run('PRAGMA secure_delete = ON')
  migrate(database, path)
  return database
}

function migrate(database: Database, path: string): void {
  database
    .transaction(() => {
      const row = database.query<{ user_version: number }, []>('PRAGMA user_version').get()
      const version = row?.user_version ?? 0
      if (version > MIGRATIONS.length)
        throw new HomeUnusable(
          `${path} was written by a newer version of Slipway (tables ${version}, this version knows ${MIGRATIONS.length}). Install that version again.`,
        )
      for (const step of MIGRATIONS.slice(version)) {
        if (typeof step === 'string') database.run(step)
        else step(database)
      }
      if (version < MIGRATIONS.length) database.run(`PRAGMA user_version = ${MIGRATIONS.length}`)
    })
    .immediate()
}

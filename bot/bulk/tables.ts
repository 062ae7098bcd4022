// Tables of bulk runs, as a migration of the bot's database.

/**
 * An item is one image in one store. `audit_seq` is the row of the audit log that says that it was begun; `task` the task that works on it in a store. An empty
 * `origin` means a run that no request for approval has started.
 */
export const BULK_TABLES = `
  CREATE TABLE bulk_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    verb TEXT NOT NULL,
    title TEXT NOT NULL,
    params TEXT NOT NULL,
    origin TEXT NOT NULL,
    surface TEXT NOT NULL,
    actor TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    owner TEXT NOT NULL,
    lease_ms INTEGER NOT NULL,
    cancelled_by TEXT NOT NULL DEFAULT ''
  ) STRICT;
  CREATE INDEX bulk_runs_open ON bulk_runs (surface) WHERE ended_ms IS NULL;
  CREATE UNIQUE INDEX bulk_runs_origin ON bulk_runs (origin) WHERE origin <> '';
  CREATE TABLE bulk_items (
    run INTEGER NOT NULL,
    n INTEGER NOT NULL,
    store TEXT NOT NULL COLLATE NOCASE,
    image TEXT NOT NULL,
    name TEXT NOT NULL,
    length INTEGER NOT NULL,
    params TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    task TEXT NOT NULL DEFAULT '',
    audit_seq INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    next TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run, n)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER bulk_items_of_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE bulk_items SET store = NEW.name WHERE store = OLD.name;
  END;
  CREATE TRIGGER bulk_items_of_removed AFTER DELETE ON bulk_runs BEGIN
    DELETE FROM bulk_items WHERE run = OLD.id;
  END;`

// Tables of the fleet's state, as a migration of the bot's database.

export const FLEET_TABLES = `
  ALTER TABLE stores ADD COLUMN reconnect_ms INTEGER;
  ALTER TABLE stores ADD COLUMN reconnect_asked INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE fleet_service (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    run TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    beat_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE fleet_states (
    store TEXT PRIMARY KEY COLLATE NOCASE,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    document TEXT NOT NULL,
    as_of_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE fleet_positions (
    store TEXT PRIMARY KEY COLLATE NOCASE,
    event_id INTEGER NOT NULL,
    skipped_ms INTEGER
  ) STRICT;
  CREATE TABLE fleet_events (
    store TEXT NOT NULL COLLATE NOCASE,
    event_id INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    type TEXT NOT NULL,
    severity TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (store, event_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE fleet_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    store TEXT NOT NULL COLLATE NOCASE,
    time_ms INTEGER NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL
  ) STRICT;
  CREATE INDEX fleet_changes_store ON fleet_changes (store, id);
  CREATE TABLE fleet_asked (
    person TEXT NOT NULL,
    scope TEXT NOT NULL,
    asked_ms INTEGER NOT NULL,
    change_id INTEGER NOT NULL,
    PRIMARY KEY (person, scope)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER fleet_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE fleet_states SET store = NEW.name WHERE store = OLD.name;
    UPDATE fleet_positions SET store = NEW.name WHERE store = OLD.name;
    UPDATE fleet_events SET store = NEW.name WHERE store = OLD.name;
    UPDATE fleet_changes SET store = NEW.name WHERE store = OLD.name;
  END;
  CREATE TRIGGER fleet_removed AFTER DELETE ON stores BEGIN
    DELETE FROM fleet_states WHERE store = OLD.name;
    DELETE FROM fleet_positions WHERE store = OLD.name;
    DELETE FROM fleet_events WHERE store = OLD.name;
    DELETE FROM fleet_changes WHERE store = OLD.name;
  END;
  CREATE TRIGGER fleet_moved AFTER UPDATE OF url, store_id ON stores
    WHEN NEW.url <> OLD.url OR (OLD.store_id IS NOT NULL AND NEW.store_id IS NOT OLD.store_id) BEGIN
    DELETE FROM fleet_states WHERE store = NEW.name;
  END;
  CREATE TRIGGER fleet_exchanged AFTER UPDATE OF store_id ON stores WHEN OLD.store_id IS NOT NULL AND NEW.store_id IS NOT OLD.store_id BEGIN
    DELETE FROM fleet_positions WHERE store = NEW.name;
    DELETE FROM fleet_events WHERE store = NEW.name;
  END;`

/** Maintenance of a store. */
export const MAINTENANCE_COLUMNS = `
  ALTER TABLE stores ADD COLUMN maintenance_until_ms INTEGER;
  ALTER TABLE stores ADD COLUMN maintenance_reason TEXT;
  ALTER TABLE stores ADD COLUMN maintenance_by TEXT;`

/** A text that differs for each write of a state. */
export const STATE_VERSIONS = `
  ALTER TABLE fleet_states ADD COLUMN version TEXT NOT NULL DEFAULT '';
  UPDATE fleet_states SET version = hex(randomblob(8));`

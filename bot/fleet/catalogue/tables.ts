// Tables of the catalogue: what images each store held, as a migration of the bot's database.

/**
 * `store` is null for a store that was removed from the registry: its images stay until CATALOGUE bounds remove them, and belong to the store with this UUID
 * when it is added again. `high`, `low` and `images` are the fingerprint of the rows.
 */
export const CATALOGUE_TABLES = `
  CREATE TABLE catalogue_stores (
    key INTEGER PRIMARY KEY,
    store TEXT UNIQUE COLLATE NOCASE,
    last_name TEXT NOT NULL COLLATE NOCASE,
    store_id TEXT NOT NULL,
    high INTEGER NOT NULL DEFAULT 0,
    low INTEGER NOT NULL DEFAULT 0,
    images INTEGER NOT NULL DEFAULT 0,
    announced TEXT NOT NULL DEFAULT '',
    beyond INTEGER NOT NULL DEFAULT 0,
    as_of_ms INTEGER,
    removed_ms INTEGER
  ) STRICT;
  CREATE INDEX catalogue_stores_id ON catalogue_stores (store_id);
  CREATE TABLE catalogue_images (
    store INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    kind TEXT NOT NULL,
    format TEXT,
    length INTEGER NOT NULL,
    stored_size INTEGER,
    digest TEXT,
    manifest_digest TEXT,
    owner TEXT,
    is_open INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    deleted_at TEXT,
    expires_at TEXT,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (store, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX catalogue_images_name ON catalogue_images (store, name);
  CREATE TRIGGER catalogue_store_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE catalogue_stores SET store = NEW.name, last_name = NEW.name WHERE store = OLD.name;
  END;
  CREATE TRIGGER catalogue_store_removed AFTER DELETE ON stores BEGIN
    UPDATE catalogue_stores SET store = NULL, removed_ms = unixepoch() * 1000 WHERE store = OLD.name;
  END;
  CREATE TRIGGER catalogue_store_added AFTER INSERT ON stores WHEN NEW.store_id IS NOT NULL BEGIN
    UPDATE catalogue_stores SET store = NEW.name, last_name = NEW.name, removed_ms = NULL
    WHERE key = (SELECT max(key) FROM catalogue_stores WHERE store_id = NEW.store_id AND store IS NULL);
  END;
  CREATE TRIGGER catalogue_store_exchanged AFTER UPDATE OF store_id ON stores WHEN NEW.store_id IS NOT OLD.store_id BEGIN
    UPDATE catalogue_stores SET store = NULL, removed_ms = unixepoch() * 1000 WHERE store = NEW.name AND store_id IS NOT NEW.store_id;
    UPDATE catalogue_stores SET store = NEW.name, last_name = NEW.name, removed_ms = NULL
    WHERE key = (SELECT max(key) FROM catalogue_stores WHERE store_id = NEW.store_id AND store IS NULL)
      AND NOT EXISTS (SELECT 1 FROM catalogue_stores WHERE store = NEW.name);
  END;`

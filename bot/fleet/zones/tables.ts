// Tables of zones and of the scope of each store, as a migration of the bot's database.

/**
 * A zone that only stores name (`is_kept` 0) goes with its last store; one that was added by command stays. The name in `stores.zone` says which zone a store is
 * attached to, and is empty for none.
 */
export const ZONE_TABLES = `
  CREATE TABLE zones (
    name TEXT PRIMARY KEY,
    description TEXT NOT NULL DEFAULT '',
    is_kept INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO zones (name, created_ms) SELECT zone, min(added_ms) FROM stores WHERE zone <> '' GROUP BY zone;
  CREATE TABLE store_scopes (store TEXT PRIMARY KEY COLLATE NOCASE, scope TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TRIGGER zones_store_added AFTER INSERT ON stores WHEN NEW.zone <> '' BEGIN
    INSERT OR IGNORE INTO zones (name, created_ms) VALUES (NEW.zone, NEW.added_ms);
  END;
  CREATE TRIGGER zones_store_moved AFTER UPDATE OF zone ON stores WHEN NEW.zone <> OLD.zone BEGIN
    INSERT OR IGNORE INTO zones (name, created_ms) SELECT NEW.zone, unixepoch() * 1000 WHERE NEW.zone <> '';
    DELETE FROM zones WHERE name = OLD.zone AND is_kept = 0 AND NOT EXISTS (SELECT 1 FROM stores WHERE zone = OLD.zone);
  END;
  CREATE TRIGGER zones_store_removed AFTER DELETE ON stores BEGIN
    DELETE FROM zones WHERE name = OLD.zone AND is_kept = 0 AND NOT EXISTS (SELECT 1 FROM stores WHERE zone = OLD.zone);
    DELETE FROM store_scopes WHERE store = OLD.name;
  END;
  CREATE TRIGGER scopes_store_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE store_scopes SET store = NEW.name WHERE store = OLD.name;
  END;`

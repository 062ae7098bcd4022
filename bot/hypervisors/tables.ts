// Table of the hypervisors that are bound to stores, as a migration of the bot's database.

export const HYPERVISOR_TABLES = `
  CREATE TABLE store_hypervisors (
    hypervisor TEXT PRIMARY KEY COLLATE NOCASE,
    store TEXT NOT NULL COLLATE NOCASE,
    bound_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX store_hypervisors_store ON store_hypervisors (store);
  CREATE TRIGGER hypervisors_store_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE store_hypervisors SET store = NEW.name WHERE store = OLD.name;
  END;
  CREATE TRIGGER hypervisors_store_removed AFTER DELETE ON stores BEGIN
    DELETE FROM store_hypervisors WHERE store = OLD.name;
  END;`

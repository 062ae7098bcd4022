// Table of the pages of upload links, as a migration of the bot's database.

/**
 * A row says at which store a link is, by the hash of its secret. The page of a link gets the secret from its address, so nobody who reads the database can
 * upload. `origin` is where a browser may reach the agent.
 */
export const UPLOAD_PAGE_TABLES = `
  CREATE TABLE upload_pages (
    hash TEXT PRIMARY KEY,
    store TEXT NOT NULL COLLATE NOCASE,
    link TEXT NOT NULL,
    origin TEXT NOT NULL,
    until_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX upload_pages_until ON upload_pages (until_ms);
  CREATE TRIGGER upload_pages_store_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE upload_pages SET store = NEW.name WHERE store = OLD.name;
  END;
  CREATE TRIGGER upload_pages_store_removed AFTER DELETE ON stores BEGIN
    DELETE FROM upload_pages WHERE store = OLD.name;
  END;`

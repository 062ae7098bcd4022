// Tables of the page: one-time links into it, its sessions, and where it listens.

/** Links and sessions are stored by the hash of their secret. An empty person is the user of the console. */
export const PAGE_TABLES = `CREATE TABLE page_links (
     hash TEXT PRIMARY KEY,
     person TEXT NOT NULL,
     name TEXT NOT NULL,
     expires_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE page_sessions (
     id TEXT PRIMARY KEY,
     hash TEXT NOT NULL UNIQUE,
     person TEXT NOT NULL,
     name TEXT NOT NULL,
     browser TEXT NOT NULL,
     created_ms INTEGER NOT NULL,
     used_ms INTEGER NOT NULL,
     expires_ms INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE page_address (id INTEGER PRIMARY KEY CHECK (id = 1), url TEXT NOT NULL) STRICT;`

// Columns and table of encrypted tokens, as a migration of the bot's database.

/** `token_key` is the id of the key of an encrypted token, and null for one in clear. The table has the id of the key that encrypts now. */
export const CREDENTIAL_TABLES = `
  ALTER TABLE stores ADD COLUMN token_key TEXT;
  CREATE TABLE credential_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key_id TEXT NOT NULL
  ) STRICT;`

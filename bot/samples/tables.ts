// Tables of the samples, as a migration of the bot's database. Their keys are numbers made of a series and a time (keys.ts), so that a row needs no index
// beside the table.

export const SAMPLE_TABLES = `
  CREATE TABLE sample_series (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 0 AND 1048575),
    store_id TEXT NOT NULL UNIQUE
  ) STRICT;
  INSERT INTO sample_series (number, store_id) VALUES (0, '');
  CREATE TABLE sample_minutes (key INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE sample_blocks (key INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;`

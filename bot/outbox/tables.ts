// Tables of the outbox, as a migration of the bot's database.

/**
 * A row is a message of Slack: `view` is what waits to be posted or edited, NULL when all was delivered; `ts` is NULL until the message is posted. An empty
 * `thread_key` or `or_else` means none. `put_ms` is since when something waits. Rows that were delivered are kept for later edits.
 */
export const OUTBOX_TABLES = `
  CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    or_else TEXT NOT NULL,
    thread_key TEXT NOT NULL,
    ts TEXT,
    view TEXT,
    bytes INTEGER NOT NULL,
    put_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL,
    is_plain INTEGER NOT NULL,
    is_told INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX outbox_waiting ON outbox (put_ms, bytes) WHERE view IS NOT NULL;
  CREATE INDEX outbox_delivered ON outbox (changed_ms) WHERE view IS NULL;
  CREATE TABLE outbox_channels (channel TEXT PRIMARY KEY, dropped INTEGER NOT NULL, told_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;`

/** Cards are messages of the outbox: those of earlier versions become messages that were posted. */
export const CARDS_IN_OUTBOX = `
  INSERT INTO outbox (key, channel, or_else, thread_key, ts, view, bytes, put_ms, revision, attempts, not_before_ms, is_plain, is_told, changed_ms)
    SELECT 'card ' || channel || ' ' || ts, channel, '', '', ts, NULL, 0, 0, 0, 0, 0, 0, 0, CAST(unixepoch() AS INTEGER) * 1000 FROM cards;
  CREATE TABLE cards_by_key (key TEXT PRIMARY KEY, channel TEXT NOT NULL, title TEXT NOT NULL, tasks TEXT NOT NULL) STRICT;
  INSERT INTO cards_by_key SELECT 'card ' || channel || ' ' || ts, channel, title, tasks FROM cards;
  DROP TABLE cards;
  ALTER TABLE cards_by_key RENAME TO cards;`

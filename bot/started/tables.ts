// Tables of the tasks that commands are about to start, as a migration of the bot's database.

/**
 * A row is a request that starts a task: written before it is sent, removed in the transaction that queues the card. An empty `task` means that no answer was
 * recorded; `newest` is the newest task of the store before, empty when it is not known.
 */
export const STARTED_TABLES = `
  CREATE TABLE started_tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    command TEXT NOT NULL,
    ask TEXT NOT NULL,
    channel TEXT NOT NULL,
    user TEXT NOT NULL,
    person TEXT NOT NULL,
    url TEXT NOT NULL,
    path TEXT NOT NULL,
    newest TEXT NOT NULL,
    task TEXT NOT NULL DEFAULT '',
    begun_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX started_tasks_ask ON started_tasks (ask);`

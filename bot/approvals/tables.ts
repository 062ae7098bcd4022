// Tables of plans that were shown, and of requests for the approval of a second person.

export const APPROVAL_TABLES = `CREATE TABLE shown_plans (hash TEXT PRIMARY KEY, facts TEXT NOT NULL, shown_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX shown_plans_shown ON shown_plans (shown_ms);
   CREATE TABLE approvals (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     state TEXT NOT NULL,
     title TEXT NOT NULL,
     question TEXT NOT NULL,
     reason TEXT NOT NULL,
     facts TEXT NOT NULL,
     subjects TEXT NOT NULL,
     command TEXT NOT NULL,
     line TEXT NOT NULL,
     plan TEXT NOT NULL,
     role TEXT NOT NULL,
     requester TEXT NOT NULL,
     requester_name TEXT NOT NULL,
     channel TEXT NOT NULL,
     requested_ms INTEGER NOT NULL,
     expires_ms INTEGER NOT NULL,
     decider TEXT NOT NULL DEFAULT '',
     decider_name TEXT NOT NULL DEFAULT '',
     decided_ms INTEGER,
     note TEXT NOT NULL DEFAULT '',
     run TEXT NOT NULL DEFAULT '',
     ended_ms INTEGER,
     result TEXT NOT NULL DEFAULT '',
     next TEXT NOT NULL DEFAULT ''
   ) STRICT;
   CREATE INDEX approvals_state ON approvals (state);`

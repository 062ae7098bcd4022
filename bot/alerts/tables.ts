// Tables of alerts, as a migration of the bot's database. Everything about a store follows its name.

/**
 * `alert_findings` has the machine of each finding that is or was lately bad; `alert_incidents` what people see of it. An incident of a whole zone has an
 * empty store. `alert_posts` and `alert_groups` say what each channel was shown.
 */
export const ALERT_TABLES = `
  CREATE TABLE alert_findings (
    store TEXT NOT NULL COLLATE NOCASE,
    zone TEXT NOT NULL,
    condition TEXT NOT NULL,
    recent INTEGER NOT NULL,
    good INTEGER NOT NULL,
    flaps INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (store, zone, condition)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE alert_incidents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    store TEXT NOT NULL COLLATE NOCASE,
    zone TEXT NOT NULL,
    condition TEXT NOT NULL,
    severity TEXT NOT NULL,
    finding TEXT NOT NULL,
    impact TEXT NOT NULL,
    action TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL,
    flaps INTEGER NOT NULL DEFAULT 0,
    acked_by TEXT,
    acked_ms INTEGER,
    resolved_ms INTEGER,
    is_settled INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE UNIQUE INDEX alert_incidents_open ON alert_incidents (store, condition, CASE store WHEN '' THEN zone ELSE '' END) WHERE resolved_ms IS NULL;
  CREATE INDEX alert_incidents_resolved ON alert_incidents (store, condition, resolved_ms);
  CREATE INDEX alert_incidents_live ON alert_incidents (id) WHERE resolved_ms IS NULL OR is_settled = 0;
  CREATE TABLE alert_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    incident INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    is_silent INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX alert_history_incident ON alert_history (incident, id);
  CREATE TABLE alert_log (one INTEGER PRIMARY KEY CHECK (one = 1), history INTEGER NOT NULL) STRICT;
  CREATE TABLE alert_silences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    store TEXT NOT NULL COLLATE NOCASE,
    zone TEXT NOT NULL,
    condition TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE alert_channels (
    channel TEXT PRIMARY KEY,
    is_threaded INTEGER NOT NULL,
    remind_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE alert_subscriptions (
    channel TEXT NOT NULL,
    store TEXT NOT NULL COLLATE NOCASE,
    zone TEXT NOT NULL,
    severity TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (channel, store, zone)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE alert_groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    zone TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    shown TEXT NOT NULL
  ) STRICT;
  CREATE TABLE alert_posts (
    incident INTEGER NOT NULL,
    channel TEXT NOT NULL,
    group_id INTEGER,
    history INTEGER NOT NULL,
    shown TEXT NOT NULL,
    told_ms INTEGER NOT NULL,
    PRIMARY KEY (incident, channel)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX alert_posts_group ON alert_posts (group_id) WHERE group_id IS NOT NULL;
  CREATE TRIGGER alerts_of_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE OR REPLACE alert_findings SET store = NEW.name WHERE store = OLD.name;
    UPDATE alert_incidents SET store = NEW.name WHERE store = OLD.name;
    UPDATE alert_silences SET store = NEW.name WHERE store = OLD.name;
    UPDATE OR REPLACE alert_subscriptions SET store = NEW.name WHERE store = OLD.name;
  END;
  CREATE TRIGGER alerts_of_removed AFTER DELETE ON stores BEGIN
    DELETE FROM alert_silences WHERE store = OLD.name;
    DELETE FROM alert_subscriptions WHERE store = OLD.name;
  END;
  CREATE TRIGGER alerts_of_incident AFTER DELETE ON alert_incidents BEGIN
    DELETE FROM alert_history WHERE incident = OLD.id;
    DELETE FROM alert_posts WHERE incident = OLD.id;
  END;`

/** The key of the message that shows an incident; an incident that opens again gets another message. */
export const ALERT_CARDS = "ALTER TABLE alert_posts ADD COLUMN card TEXT NOT NULL DEFAULT ''"

// Tables of roles, of the code for the first admin, and of the groups of Slack that grants name.

/** An empty zone, store or channel does not limit a role. A role for a store follows its name, and goes with it. */
export const ROLE_TABLES = `CREATE TABLE role_grants (
     subject TEXT NOT NULL,
     zone TEXT NOT NULL,
     store TEXT NOT NULL COLLATE NOCASE,
     channel TEXT NOT NULL,
     role TEXT NOT NULL,
     granted_by TEXT NOT NULL,
     granted_ms INTEGER NOT NULL,
     PRIMARY KEY (subject, zone, store, channel)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE first_admin_code (id INTEGER PRIMARY KEY CHECK (id = 1), hash TEXT NOT NULL, expires_ms INTEGER NOT NULL, missed INTEGER NOT NULL) STRICT;
   CREATE TABLE slack_groups (id TEXT PRIMARY KEY, members TEXT NOT NULL, fetched_ms INTEGER NOT NULL, error TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TRIGGER stores_renamed_roles AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
     UPDATE OR REPLACE role_grants SET store = NEW.name WHERE store = OLD.name AND store <> '';
   END;
   CREATE TRIGGER stores_removed_roles AFTER DELETE ON stores BEGIN
     DELETE FROM role_grants WHERE store = OLD.name AND store <> '';
   END;`

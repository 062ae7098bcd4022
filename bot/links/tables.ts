// Tables of upload links whose uploads cards follow, as a migration of the bot's database.

/** A row is a card that has not ended. `card` is the link as JSON (FollowedLink), without its secret. `shown` is what the card says. */
export const LINK_CARD_TABLES = `
  CREATE TABLE link_cards (
    key TEXT PRIMARY KEY,
    store TEXT NOT NULL COLLATE NOCASE,
    channel TEXT NOT NULL,
    card TEXT NOT NULL,
    shown TEXT NOT NULL
  ) STRICT;
  CREATE TRIGGER link_cards_store_renamed AFTER UPDATE OF name ON stores WHEN NEW.name <> OLD.name COLLATE BINARY BEGIN
    UPDATE link_cards SET store = NEW.name WHERE store = OLD.name;
  END;`

-- What sign-ins are weighed by. The sign-ins of before are the logins themselves; source
-- is a keyed hash of the sender's address, so that accounts signed in to from one source
-- can be counted without keeping the address. A hold is a pause for one citizen from
-- one source: its key is a keyed hash of both. The program before this one writes rows
-- without a source, and they are not counted.

ALTER TABLE logins ADD COLUMN source BLOB;
CREATE INDEX logins_source ON logins (source, created_at) WHERE source IS NOT NULL;

CREATE TABLE risk_holds (
    key         BLOB    NOT NULL PRIMARY KEY,
    rules       TEXT    NOT NULL, -- JSON array of their ids
    until       INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL  -- of the memory that it was there
) STRICT;
CREATE INDEX risk_holds_expires ON risk_holds (expires_at);

-- What sign-ins are weighed by. The sign-ins of before are the logins themselves; source
-- is a keyed hash of the sender's address, so that accounts signed in to from one source
-- can be counted without keeping the address. A hold is a pause for one citizen from
-- one source: its key is a keyed hash of both. The program before this one writes rows
-- without a source, and they are not counted.

ALTER TABLE logins ADD COLUMN source bytea;
CREATE INDEX logins_source ON logins (source, created_at) WHERE source IS NOT NULL;

CREATE TABLE risk_holds (
    key         bytea  PRIMARY KEY,
    rules       text   NOT NULL, -- JSON array of their ids
    until       bigint NOT NULL,
    expires_at  bigint NOT NULL  -- of the memory that it was there
);
CREATE INDEX risk_holds_expires ON risk_holds (expires_at);

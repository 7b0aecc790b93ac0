-- Reports of a loss. A receipt names nobody to whoever has its number; cooling says
-- until when a citizen whose phone is new goes without scopes of high value. Both may
-- be empty, so that the program before this one goes on writing rows.

ALTER TABLE citizens ADD COLUMN cooling_until INTEGER;

-- alone: binding with it ends the phones that were there before. cooloff is how long
-- the citizen then goes without, in milliseconds.
ALTER TABLE enrolments ADD COLUMN alone   INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE enrolments ADD COLUMN cooloff INTEGER NOT NULL DEFAULT 0;

CREATE TABLE loss_receipts (
    number      BLOB    NOT NULL PRIMARY KEY, -- keyed hash of what the citizen quotes
    citizen_id  BLOB    NOT NULL,
    what        TEXT    NOT NULL,
    signed      TEXT    NOT NULL, -- JWS
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX loss_receipts_citizen ON loss_receipts (citizen_id, at);

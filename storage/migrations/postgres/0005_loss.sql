-- Reports of a loss. A receipt names nobody to whoever has its number; cooling says
-- until when a citizen whose phone is new goes without scopes of high value. Both may
-- be empty, so that the program before this one goes on writing rows.

ALTER TABLE citizens ADD COLUMN cooling_until bigint;

-- alone: binding with it ends the phones that were there before. cooloff is how long
-- the citizen then goes without, in milliseconds.
ALTER TABLE enrolments
    ADD COLUMN alone   boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN cooloff bigint  NOT NULL DEFAULT 0;

CREATE TABLE loss_receipts (
    number      bytea  PRIMARY KEY, -- keyed hash of what the citizen quotes
    citizen_id  bytea  NOT NULL,
    what        text   NOT NULL,
    signed      text   NOT NULL, -- JWS
    at          bigint NOT NULL
);
CREATE INDEX loss_receipts_citizen ON loss_receipts (citizen_id, at);

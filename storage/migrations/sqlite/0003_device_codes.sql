-- The device grant (RFC 8628): devices that wait for a citizen's answer. When it is yes,
-- there is a row of grants with the same code.

CREATE TABLE device_codes (
    code          BLOB    NOT NULL PRIMARY KEY,
    user_code     BLOB    NOT NULL UNIQUE, -- keyed hash: what is hashed is short
    client_id     TEXT    NOT NULL,
    client_epoch  INTEGER NOT NULL, -- of the client, when the device asked
    params        BLOB    NOT NULL, -- sealed
    denied_at     INTEGER,
    polled_at     INTEGER,
    hasty         INTEGER NOT NULL DEFAULT FALSE, -- the last poll came too soon
    hastes        INTEGER NOT NULL DEFAULT 0,     -- how many did
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX device_codes_expires ON device_codes (expires_at);

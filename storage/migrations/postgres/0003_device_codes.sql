-- The device grant (RFC 8628): devices that wait for a citizen's answer. When it is yes,
-- there is a row of grants with the same code.

CREATE TABLE device_codes (
    code          bytea   PRIMARY KEY,
    user_code     bytea   NOT NULL UNIQUE, -- keyed hash: what is hashed is short
    client_id     text    NOT NULL,
    client_epoch  bigint  NOT NULL, -- of the client, when the device asked
    params        bytea   NOT NULL, -- sealed
    denied_at     bigint,
    polled_at     bigint,
    hasty         boolean NOT NULL DEFAULT FALSE, -- the last poll came too soon
    hastes        bigint  NOT NULL DEFAULT 0,     -- how many did
    created_at    bigint  NOT NULL,
    expires_at    bigint  NOT NULL
);
CREATE INDEX device_codes_expires ON device_codes (expires_at);

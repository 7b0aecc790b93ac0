-- The console: staff with passkeys, their sessions, and orders that wait for others.

-- Where a citizen belongs: the first six digits of the ID number, noted at import.
ALTER TABLE citizens ADD COLUMN region TEXT;

-- version rises with each change of roles, unit or state.
ALTER TABLE staff ADD COLUMN unit      TEXT    NOT NULL DEFAULT '';
ALTER TABLE staff ADD COLUMN version   INTEGER NOT NULL DEFAULT 1;
ALTER TABLE staff ADD COLUMN last_seen INTEGER;
-- who asked for their invitation at the console; NULL when the operator invited them
ALTER TABLE staff ADD COLUMN invited_by BLOB;

-- The roles of before are no roles any more. Nobody has ever signed in with one.
UPDATE staff SET state = 'deactivated', invitation = NULL WHERE roles <> '["auditor"]';

CREATE TABLE staff_keys (
    id            BLOB    NOT NULL PRIMARY KEY,
    staff_id      BLOB    NOT NULL,
    credential_id BLOB    NOT NULL UNIQUE,
    credential    TEXT    NOT NULL, -- JSON
    sign_count    INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
CREATE INDEX staff_keys_staff ON staff_keys (staff_id);

-- token is the hash of what the cookie holds. A session is of one version of its staff.
CREATE TABLE staff_sessions (
    id          BLOB    NOT NULL PRIMARY KEY,
    token       BLOB    NOT NULL UNIQUE,
    staff_id    BLOB    NOT NULL,
    key_id      BLOB    NOT NULL,
    version     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    purpose     TEXT    NOT NULL DEFAULT '',
    purpose_at  INTEGER,
    ends_at     INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT;
CREATE INDEX staff_sessions_staff ON staff_sessions (staff_id);

-- An order is sealed: it may name many citizens, with why.
CREATE TABLE staff_requests (
    id          BLOB    NOT NULL PRIMARY KEY,
    orders      BLOB    NOT NULL,
    staff_id    BLOB, -- who asked; NULL for a program
    unit        TEXT    NOT NULL DEFAULT '', -- of who asked, when they did
    client_id   TEXT    NOT NULL DEFAULT '',
    citizen_id  BLOB, -- whom it is about, if it is one
    act         TEXT    NOT NULL,
    subject     BLOB UNIQUE, -- hash of the act and its subject: one at a time waits; NULL when it is over
    state       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT;
CREATE INDEX staff_requests_created ON staff_requests (created_at);
CREATE INDEX staff_requests_staff ON staff_requests (staff_id);
CREATE INDEX staff_requests_client ON staff_requests (client_id) WHERE client_id <> '';
CREATE INDEX staff_requests_citizen ON staff_requests (citizen_id);

CREATE TABLE staff_approvals (
    request_id  BLOB    NOT NULL,
    staff_id    BLOB    NOT NULL,
    version     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (request_id, staff_id)
) STRICT;

-- One for each order of a request, by its place; spent in the transaction of the act.
CREATE TABLE staff_warrants (
    id          BLOB    NOT NULL PRIMARY KEY,
    request_id  BLOB    NOT NULL,
    place       INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    problem     TEXT    NOT NULL DEFAULT '',
    UNIQUE (request_id, place)
) STRICT;

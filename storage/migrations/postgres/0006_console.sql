-- The console: staff with passkeys, their sessions, and orders that wait for others.

-- Where a citizen belongs: the first six digits of the ID number, noted at import.
ALTER TABLE citizens ADD COLUMN region text;

-- version rises with each change of roles, unit or state.
ALTER TABLE staff
    ADD COLUMN unit      text   NOT NULL DEFAULT '',
    ADD COLUMN version   bigint NOT NULL DEFAULT 1,
    ADD COLUMN last_seen bigint,
    ADD COLUMN invited_by bytea; -- who asked for their invitation at the console; NULL when the operator invited them

-- The roles of before are no roles any more. Nobody has ever signed in with one.
UPDATE staff SET state = 'deactivated', invitation = NULL WHERE roles <> '["auditor"]';

CREATE TABLE staff_keys (
    id            bytea  PRIMARY KEY,
    staff_id      bytea  NOT NULL,
    credential_id bytea  NOT NULL UNIQUE,
    credential    text   NOT NULL, -- JSON
    sign_count    bigint NOT NULL,
    state         text   NOT NULL,
    created_at    bigint NOT NULL,
    last_used_at  bigint
);
CREATE INDEX staff_keys_staff ON staff_keys (staff_id);

-- token is the hash of what the cookie holds. A session is of one version of its staff.
CREATE TABLE staff_sessions (
    id          bytea  PRIMARY KEY,
    token       bytea  NOT NULL UNIQUE,
    staff_id    bytea  NOT NULL,
    key_id      bytea  NOT NULL,
    version     bigint NOT NULL,
    started_at  bigint NOT NULL,
    seen_at     bigint NOT NULL,
    purpose     text   NOT NULL DEFAULT '',
    purpose_at  bigint,
    ends_at     bigint NOT NULL,
    ended_at    bigint
);
CREATE INDEX staff_sessions_staff ON staff_sessions (staff_id);

-- An order is sealed: it may name many citizens, with why.
CREATE TABLE staff_requests (
    id          bytea  PRIMARY KEY,
    orders      bytea  NOT NULL,
    staff_id    bytea, -- who asked; NULL for a program
    unit        text   NOT NULL DEFAULT '', -- of who asked, when they did
    client_id   text   NOT NULL DEFAULT '',
    citizen_id  bytea, -- whom it is about, if it is one
    act         text   NOT NULL,
    subject     bytea  UNIQUE, -- hash of the act and its subject: one at a time waits; NULL when it is over
    state       text   NOT NULL,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL,
    ended_at    bigint
);
CREATE INDEX staff_requests_created ON staff_requests (created_at);
CREATE INDEX staff_requests_staff ON staff_requests (staff_id);
CREATE INDEX staff_requests_client ON staff_requests (client_id) WHERE client_id <> '';
CREATE INDEX staff_requests_citizen ON staff_requests (citizen_id);

CREATE TABLE staff_approvals (
    request_id  bytea  NOT NULL,
    staff_id    bytea  NOT NULL,
    version     bigint NOT NULL,
    at          bigint NOT NULL,
    PRIMARY KEY (request_id, staff_id)
);

-- One for each order of a request, by its place; spent in the transaction of the act.
CREATE TABLE staff_warrants (
    id          bytea  PRIMARY KEY,
    request_id  bytea  NOT NULL,
    place       bigint NOT NULL,
    state       text   NOT NULL,
    problem     text   NOT NULL DEFAULT '',
    UNIQUE (request_id, place)
);

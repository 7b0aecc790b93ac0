-- The rest of the protocol: sittings and their ends, registration by clients,
-- token exchange, claims asked for one by one. New columns may be empty, so that
-- the program before this one goes on writing rows; readers fill the gap.

-- A sitting: it stays when a step-up gives the login another id.
ALTER TABLE logins ADD COLUMN session BLOB;
UPDATE logins SET session = id;

ALTER TABLE grants ADD COLUMN session BLOB;
ALTER TABLE grants ADD COLUMN details TEXT; -- JSON array, RFC 9396
ALTER TABLE grants ADD COLUMN claims  TEXT; -- JSON: names asked for, by where they are wanted
ALTER TABLE grants ADD COLUMN act     TEXT; -- JSON object, RFC 8693 §4.1
UPDATE grants SET session = login_id;
CREATE INDEX grants_session ON grants (session, client_id);
CREATE INDEX grants_parent ON grants (parent_id) WHERE parent_id IS NOT NULL;

-- registration is the hash of the registration access token; backchannel says that
-- the metadata has a logout URI, so that ending a login need not read it.
ALTER TABLE clients ADD COLUMN registration BLOB;
ALTER TABLE clients ADD COLUMN dynamic      INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN backchannel  INTEGER NOT NULL DEFAULT FALSE;

ALTER TABLE citizens ADD COLUMN claims BLOB; -- sealed JSON: further standard claims

CREATE TABLE initial_tokens (
    hash        BLOB PRIMARY KEY,
    note        TEXT    NOT NULL,
    profile     TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    uses        INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;

-- Who has yet to hear that a session ended.
CREATE TABLE farewells (
    id          BLOB PRIMARY KEY,
    client_id   TEXT    NOT NULL,
    citizen_id  BLOB    NOT NULL,
    session     BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    UNIQUE (session, client_id)
) STRICT;
CREATE INDEX farewells_due ON farewells (due_at);

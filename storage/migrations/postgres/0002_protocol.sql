-- The rest of the protocol: sittings and their ends, registration by clients,
-- token exchange, claims asked for one by one. New columns may be empty, so that
-- the program before this one goes on writing rows; readers fill the gap.

-- A sitting: it stays when a step-up gives the login another id.
ALTER TABLE logins ADD COLUMN session bytea;
UPDATE logins SET session = id;

ALTER TABLE grants
    ADD COLUMN session bytea,
    ADD COLUMN details text, -- JSON array, RFC 9396
    ADD COLUMN claims  text, -- JSON: names asked for, by where they are wanted
    ADD COLUMN act     text; -- JSON object, RFC 8693 §4.1
UPDATE grants SET session = login_id;
CREATE INDEX grants_session ON grants (session, client_id);
CREATE INDEX grants_parent ON grants (parent_id) WHERE parent_id IS NOT NULL;

-- registration is the hash of the registration access token; backchannel says that
-- the metadata has a logout URI, so that ending a login need not read it.
ALTER TABLE clients
    ADD COLUMN registration bytea,
    ADD COLUMN dynamic      boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN backchannel  boolean NOT NULL DEFAULT FALSE;

ALTER TABLE citizens ADD COLUMN claims bytea; -- sealed JSON: further standard claims

CREATE TABLE initial_tokens (
    hash        bytea PRIMARY KEY,
    note        text   NOT NULL,
    profile     text   NOT NULL,
    scope       text   NOT NULL,
    uses        bigint NOT NULL,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL
);

-- Who has yet to hear that a session ended.
CREATE TABLE farewells (
    id          bytea PRIMARY KEY,
    client_id   text   NOT NULL,
    citizen_id  bytea  NOT NULL,
    session     bytea  NOT NULL,
    at          bigint NOT NULL,
    due_at      bigint NOT NULL,
    tries       bigint NOT NULL DEFAULT 0,
    UNIQUE (session, client_id)
);
CREATE INDEX farewells_due ON farewells (due_at);

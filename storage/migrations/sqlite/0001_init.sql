-- The first schema. Times are Unix milliseconds, ids 16 random bytes, tokens and
-- codes only as hashes, personal data sealed (ver‖key_id‖nonce‖ct‖tag with
-- table‖column‖row as associated data). Hot tables carry citizen_id, so that one
-- day they can be spread by it, and have no foreign keys: the statements that use
-- a row join the rows that decide whether it is alive.

CREATE TABLE data_keys (
    id          INTEGER PRIMARY KEY,
    purpose     TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    wrapped     BLOB    NOT NULL,
    seals       INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER  NOT NULL,
    UNIQUE (purpose, version)
) STRICT;

CREATE TABLE citizens (
    id                 BLOB   NOT NULL PRIMARY KEY,
    state              TEXT    NOT NULL,
    state_at           INTEGER  NOT NULL,
    epoch              INTEGER  NOT NULL DEFAULT 1,
    name               BLOB   NOT NULL,
    id_number          BLOB   NOT NULL,
    phone              BLOB   NOT NULL,
    card_number        BLOB   NOT NULL,
    greeting           BLOB,
    user_handle        BLOB   NOT NULL UNIQUE,
    password           TEXT,
    password_at        INTEGER,
    activation_hash    BLOB,
    activation_expires INTEGER,
    activated_at       INTEGER,
    locale             TEXT    NOT NULL DEFAULT 'zh-CN',
    created_at         INTEGER  NOT NULL,
    updated_at         INTEGER  NOT NULL
) STRICT;

-- Blind indexes of the numbers a citizen may be found by.
CREATE TABLE aliases (
    idx         BLOB NOT NULL PRIMARY KEY,
    kind        TEXT  NOT NULL,
    citizen_id  BLOB NOT NULL
) STRICT;
CREATE INDEX aliases_citizen ON aliases (citizen_id);

CREATE TABLE totps (
    id            BLOB  NOT NULL PRIMARY KEY,
    citizen_id    BLOB  NOT NULL,
    seed          BLOB  NOT NULL,
    algorithm     TEXT   NOT NULL,
    last_step     INTEGER NOT NULL DEFAULT 0,
    confirmed_at  INTEGER,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX totps_citizen ON totps (citizen_id);
CREATE UNIQUE INDEX totps_confirmed ON totps (citizen_id) WHERE confirmed_at IS NOT NULL;

CREATE TABLE recovery_codes (
    citizen_id  BLOB  NOT NULL,
    code_hash   BLOB  NOT NULL,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER,
    PRIMARY KEY (citizen_id, code_hash)
) STRICT;

CREATE TABLE devices (
    id              BLOB  NOT NULL PRIMARY KEY,
    citizen_id      BLOB  NOT NULL,
    kind            TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    state_at        INTEGER NOT NULL,
    state_reason    TEXT   NOT NULL DEFAULT '',
    epoch           INTEGER NOT NULL,
    jwk             TEXT,
    alg             TEXT,
    thumbprint      BLOB UNIQUE,
    key_level       TEXT,
    evidence        BLOB,
    cookie          BLOB UNIQUE,
    cookie_before   BLOB UNIQUE,
    cookie_at       INTEGER,
    expires_at      INTEGER,
    place           TEXT   NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    last_used_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_citizen ON devices (citizen_id);

-- credential is the whole record as authn/passkey keeps it. sign_count stands
-- beside it because a sign-in is won or lost by comparing it.
CREATE TABLE passkeys (
    id             BLOB  NOT NULL PRIMARY KEY,
    citizen_id     BLOB NOT NULL,
    device_id      BLOB,
    name           TEXT NOT NULL,
    state          TEXT NOT NULL,
    credential_id  BLOB NOT NULL UNIQUE,
    credential     TEXT NOT NULL,
    sign_count     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER
) STRICT;
CREATE INDEX passkeys_citizen ON passkeys (citizen_id);
CREATE INDEX passkeys_device ON passkeys (device_id) WHERE device_id IS NOT NULL;

CREATE TABLE flows (
    id          BLOB  NOT NULL PRIMARY KEY,
    browser     BLOB  NOT NULL,
    body        BLOB  NOT NULL, -- sealed: need, back, proofs, state
    citizen_id  BLOB,
    epoch       INTEGER NOT NULL DEFAULT 0,
    login_id    BLOB,
    version     INTEGER NOT NULL DEFAULT 1,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX flows_expires ON flows (expires_at);
CREATE INDEX flows_citizen ON flows (citizen_id) WHERE citizen_id IS NOT NULL;
CREATE INDEX flows_login ON flows (login_id) WHERE login_id IS NOT NULL;

CREATE TABLE logins (
    id          BLOB  NOT NULL PRIMARY KEY,
    citizen_id  BLOB  NOT NULL,
    epoch       INTEGER NOT NULL,
    device_id   BLOB,
    token       BLOB  NOT NULL UNIQUE,
    proofs      TEXT   NOT NULL,
    locale      TEXT   NOT NULL,
    agent       TEXT   NOT NULL,
    place       TEXT   NOT NULL,
    created_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    idle_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    end_reason  TEXT
) STRICT;
CREATE INDEX logins_citizen ON logins (citizen_id, created_at);

CREATE TABLE attempts (
    key            BLOB  NOT NULL PRIMARY KEY,
    count          INTEGER NOT NULL,
    first_at       INTEGER NOT NULL,
    blocked_until  INTEGER NOT NULL DEFAULT 0,
    expires_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_expires ON attempts (expires_at);

CREATE TABLE enrolments (
    id          BLOB  NOT NULL PRIMARY KEY,
    citizen_id  BLOB  NOT NULL,
    login_id    BLOB  NOT NULL,
    code        BLOB  UNIQUE,
    challenge   TEXT,
    finished_at INTEGER,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX enrolments_citizen ON enrolments (citizen_id);

CREATE TABLE approvals (
    id          BLOB   NOT NULL PRIMARY KEY,
    flow_id     BLOB   NOT NULL UNIQUE,
    citizen_id  BLOB   NOT NULL,
    context     TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    choices     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    device_id   BLOB,
    verified    INTEGER NOT NULL DEFAULT FALSE,
    hardware    INTEGER NOT NULL DEFAULT FALSE,
    created_at  INTEGER  NOT NULL,
    expires_at  INTEGER  NOT NULL
) STRICT;
CREATE INDEX approvals_citizen ON approvals (citizen_id);

CREATE TABLE ceremonies (
    id          BLOB  NOT NULL PRIMARY KEY,
    purpose     TEXT   NOT NULL,
    owner       BLOB  NOT NULL,
    citizen_id  BLOB,
    data        BLOB  NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX ceremonies_expires ON ceremonies (expires_at);
CREATE INDEX ceremonies_citizen ON ceremonies (citizen_id) WHERE citizen_id IS NOT NULL;

CREATE TABLE liveness_sessions (
    id                BLOB  NOT NULL PRIMARY KEY,
    provider          TEXT NOT NULL,
    provider_session  TEXT,
    txn_hash          BLOB NOT NULL,
    citizen_id        BLOB NOT NULL,
    device_id         BLOB,
    purpose           TEXT NOT NULL,
    state             TEXT NOT NULL,
    tries             INTEGER NOT NULL DEFAULT 1,
    notice_jti        BLOB,
    notice_digest     BLOB,
    contradicted      INTEGER NOT NULL DEFAULT FALSE,
    reason            TEXT,
    band              TEXT,
    jti               BLOB UNIQUE,
    digest            BLOB,
    begun_at          INTEGER NOT NULL,
    ends_at           INTEGER NOT NULL,
    captured_at       INTEGER,
    settled_at        INTEGER,
    UNIQUE (provider, provider_session)
) STRICT;
CREATE INDEX liveness_citizen ON liveness_sessions (citizen_id, begun_at);
CREATE INDEX liveness_txn ON liveness_sessions (txn_hash);

CREATE TABLE requests (
    handle      BLOB  NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL,
    client_id   TEXT   NOT NULL,
    params      BLOB  NOT NULL, -- sealed: login_hint is personal
    browser     BLOB,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX requests_expires ON requests (expires_at);

CREATE TABLE grants (
    id                BLOB   NOT NULL PRIMARY KEY,
    client_id         TEXT    NOT NULL,
    citizen_id        BLOB   NOT NULL,
    login_id          BLOB   NOT NULL,
    epoch             INTEGER  NOT NULL,
    client_epoch      INTEGER  NOT NULL, -- of the client, when the code was issued
    parent_id         BLOB,
    scope             TEXT    NOT NULL, -- space-separated, RFC 6749 §3.3
    resource          TEXT    NOT NULL, -- JSON array
    redirect_uri      TEXT    NOT NULL,
    nonce             TEXT    NOT NULL,
    auth              TEXT    NOT NULL, -- JSON: acr, amr, auth_time
    offline           INTEGER NOT NULL,
    opaque            INTEGER NOT NULL,
    jkt               TEXT,
    x5t               TEXT,
    code              BLOB   UNIQUE,
    code_expires_at   INTEGER,
    code_used_at      INTEGER,
    code_challenge    TEXT    NOT NULL,
    code_jkt          TEXT,
    refresh           BLOB   UNIQUE,
    refresh_family    BLOB   UNIQUE, -- of all refresh tokens there have been
    refresh_idle_at   INTEGER,
    created_at        INTEGER  NOT NULL,
    expires_at        INTEGER  NOT NULL,
    revoked_at        INTEGER
) STRICT;
CREATE INDEX grants_login ON grants (login_id);
CREATE INDEX grants_citizen ON grants (citizen_id, client_id);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE access_tokens (
    token       BLOB  NOT NULL PRIMARY KEY,
    grant_id    BLOB  NOT NULL,
    citizen_id  BLOB  NOT NULL,
    client_id   TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    resource    TEXT   NOT NULL,
    jkt         TEXT,
    x5t         TEXT,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX access_tokens_expires ON access_tokens (expires_at);

CREATE TABLE consents (
    citizen_id  BLOB  NOT NULL,
    client_id   TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    terms       TEXT    NOT NULL, -- what the scope stood for when it was agreed to
    given_at    INTEGER NOT NULL,
    expires_at  INTEGER,
    PRIMARY KEY (citizen_id, client_id, scope)
) STRICT;

CREATE TABLE clients (
    id          TEXT   NOT NULL PRIMARY KEY,
    state       TEXT   NOT NULL,
    epoch       INTEGER NOT NULL DEFAULT 1, -- raised by each suspension; grants of another are dead
    metadata    TEXT   NOT NULL, -- JSON, as registered
    secrets     TEXT   NOT NULL, -- JSON: keyed hashes
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    kid           TEXT   NOT NULL PRIMARY KEY,
    alg           TEXT   NOT NULL,
    state         TEXT   NOT NULL,
    private       BLOB  NOT NULL, -- sealed PKCS#8
    created_at    INTEGER NOT NULL,
    activated_at  INTEGER,
    retired_at    INTEGER
) STRICT;

-- Values that may be used once: replay keys of assertions, proofs and nonces.
CREATE TABLE replay (
    key         BLOB  NOT NULL PRIMARY KEY,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX replay_expires ON replay (expires_at);

CREATE TABLE staff (
    id          BLOB  NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE,
    roles       TEXT   NOT NULL, -- JSON array
    state       TEXT   NOT NULL,
    invitation  BLOB,
    expires_at  INTEGER,
    created_at  INTEGER NOT NULL
) STRICT;

-- Append-only. hash chains the entries in the order of seq; it is filled in by the
-- one who holds the chain's lock, a moment after the entry was written.
CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    kind        TEXT   NOT NULL,
    actor       TEXT   NOT NULL,
    citizen_id  BLOB,
    login_id    BLOB,
    device_id   BLOB,
    client_id   TEXT,
    reason      TEXT   NOT NULL DEFAULT '',
    detail      TEXT   NOT NULL DEFAULT '{}',
    place       TEXT   NOT NULL DEFAULT '',
    link        INTEGER UNIQUE, -- position in the chain
    hash        BLOB
) STRICT;
CREATE INDEX audit_citizen ON audit (citizen_id, seq) WHERE citizen_id IS NOT NULL;
CREATE INDEX audit_unchained ON audit (seq) WHERE link IS NULL;

CREATE TABLE notices (
    id          BLOB  NOT NULL PRIMARY KEY,
    citizen_id  BLOB  NOT NULL,
    kind        TEXT   NOT NULL,
    detail      TEXT   NOT NULL,
    place       TEXT   NOT NULL,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX notices_citizen ON notices (citizen_id, at);

-- One row per thing that replicas keep in memory; the version rises with each change.
CREATE TABLE versions (
    name     TEXT   NOT NULL PRIMARY KEY,
    version  INTEGER NOT NULL
) STRICT;

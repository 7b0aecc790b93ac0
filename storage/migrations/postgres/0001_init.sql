-- The first schema. Times are Unix milliseconds, ids 16 random bytes, tokens and
-- codes only as hashes, personal data sealed (ver‖key_id‖nonce‖ct‖tag with
-- table‖column‖row as associated data). Hot tables carry citizen_id, so that one
-- day they can be spread by it, and have no foreign keys: the statements that use
-- a row join the rows that decide whether it is alive.

CREATE TABLE data_keys (
    id          integer PRIMARY KEY,
    purpose     text    NOT NULL,
    version     integer NOT NULL,
    state       text    NOT NULL,
    wrapped     bytea   NOT NULL,
    seals       bigint  NOT NULL DEFAULT 0,
    created_at  bigint  NOT NULL,
    UNIQUE (purpose, version)
);

CREATE TABLE citizens (
    id                 bytea   PRIMARY KEY,
    state              text    NOT NULL,
    state_at           bigint  NOT NULL,
    epoch              bigint  NOT NULL DEFAULT 1,
    name               bytea   NOT NULL,
    id_number          bytea   NOT NULL,
    phone              bytea   NOT NULL,
    card_number        bytea   NOT NULL,
    greeting           bytea,
    user_handle        bytea   NOT NULL UNIQUE,
    password           text,
    password_at        bigint,
    activation_hash    bytea,
    activation_expires bigint,
    activated_at       bigint,
    locale             text    NOT NULL DEFAULT 'zh-CN',
    created_at         bigint  NOT NULL,
    updated_at         bigint  NOT NULL
);

-- Blind indexes of the numbers a citizen may be found by.
CREATE TABLE aliases (
    idx         bytea PRIMARY KEY,
    kind        text  NOT NULL,
    citizen_id  bytea NOT NULL
);
CREATE INDEX aliases_citizen ON aliases (citizen_id);

CREATE TABLE totps (
    id            bytea PRIMARY KEY,
    citizen_id    bytea  NOT NULL,
    seed          bytea  NOT NULL,
    algorithm     text   NOT NULL,
    last_step     bigint NOT NULL DEFAULT 0,
    confirmed_at  bigint,
    created_at    bigint NOT NULL
);
CREATE INDEX totps_citizen ON totps (citizen_id);
CREATE UNIQUE INDEX totps_confirmed ON totps (citizen_id) WHERE confirmed_at IS NOT NULL;

CREATE TABLE recovery_codes (
    citizen_id  bytea  NOT NULL,
    code_hash   bytea  NOT NULL,
    created_at  bigint NOT NULL,
    used_at     bigint,
    PRIMARY KEY (citizen_id, code_hash)
);

CREATE TABLE devices (
    id              bytea PRIMARY KEY,
    citizen_id      bytea  NOT NULL,
    kind            text   NOT NULL,
    name            text   NOT NULL,
    state           text   NOT NULL,
    state_at        bigint NOT NULL,
    state_reason    text   NOT NULL DEFAULT '',
    epoch           bigint NOT NULL,
    jwk             text,
    alg             text,
    thumbprint      bytea UNIQUE,
    key_level       text,
    evidence        bytea,
    cookie          bytea UNIQUE,
    cookie_before   bytea UNIQUE,
    cookie_at       bigint,
    expires_at      bigint,
    place           text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL,
    last_used_at    bigint NOT NULL
);
CREATE INDEX devices_citizen ON devices (citizen_id);

-- credential is the whole record as authn/passkey keeps it. sign_count stands
-- beside it because a sign-in is won or lost by comparing it.
CREATE TABLE passkeys (
    id             bytea PRIMARY KEY,
    citizen_id     bytea NOT NULL,
    device_id      bytea,
    name           text NOT NULL,
    state          text NOT NULL,
    credential_id  bytea NOT NULL UNIQUE,
    credential     text NOT NULL,
    sign_count     bigint NOT NULL,
    created_at     bigint NOT NULL,
    last_used_at   bigint
);
CREATE INDEX passkeys_citizen ON passkeys (citizen_id);
CREATE INDEX passkeys_device ON passkeys (device_id) WHERE device_id IS NOT NULL;

CREATE TABLE flows (
    id          bytea PRIMARY KEY,
    browser     bytea  NOT NULL,
    body        bytea  NOT NULL, -- sealed: need, back, proofs, state
    citizen_id  bytea,
    epoch       bigint NOT NULL DEFAULT 0,
    login_id    bytea,
    version     bigint NOT NULL DEFAULT 1,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL
);
CREATE INDEX flows_expires ON flows (expires_at);
CREATE INDEX flows_citizen ON flows (citizen_id) WHERE citizen_id IS NOT NULL;
CREATE INDEX flows_login ON flows (login_id) WHERE login_id IS NOT NULL;

CREATE TABLE logins (
    id          bytea PRIMARY KEY,
    citizen_id  bytea  NOT NULL,
    epoch       bigint NOT NULL,
    device_id   bytea,
    token       bytea  NOT NULL UNIQUE,
    proofs      text   NOT NULL,
    locale      text   NOT NULL,
    agent       text   NOT NULL,
    place       text   NOT NULL,
    created_at  bigint NOT NULL,
    seen_at     bigint NOT NULL,
    idle_at     bigint NOT NULL,
    expires_at  bigint NOT NULL,
    ended_at    bigint,
    end_reason  text
);
CREATE INDEX logins_citizen ON logins (citizen_id, created_at);

CREATE TABLE attempts (
    key            bytea PRIMARY KEY,
    count          bigint NOT NULL,
    first_at       bigint NOT NULL,
    blocked_until  bigint NOT NULL DEFAULT 0,
    expires_at     bigint NOT NULL
);
CREATE INDEX attempts_expires ON attempts (expires_at);

CREATE TABLE enrolments (
    id          bytea PRIMARY KEY,
    citizen_id  bytea  NOT NULL,
    login_id    bytea  NOT NULL,
    code        bytea  UNIQUE,
    challenge   text,
    finished_at bigint,
    expires_at  bigint NOT NULL
);
CREATE INDEX enrolments_citizen ON enrolments (citizen_id);

CREATE TABLE approvals (
    id          bytea   PRIMARY KEY,
    flow_id     bytea   NOT NULL UNIQUE,
    citizen_id  bytea   NOT NULL,
    context     text    NOT NULL,
    number      integer NOT NULL,
    choices     text    NOT NULL,
    state       text    NOT NULL,
    device_id   bytea,
    verified    boolean NOT NULL DEFAULT FALSE,
    hardware    boolean NOT NULL DEFAULT FALSE,
    created_at  bigint  NOT NULL,
    expires_at  bigint  NOT NULL
);
CREATE INDEX approvals_citizen ON approvals (citizen_id);

CREATE TABLE ceremonies (
    id          bytea PRIMARY KEY,
    purpose     text   NOT NULL,
    owner       bytea  NOT NULL,
    citizen_id  bytea,
    data        bytea  NOT NULL,
    expires_at  bigint NOT NULL
);
CREATE INDEX ceremonies_expires ON ceremonies (expires_at);
CREATE INDEX ceremonies_citizen ON ceremonies (citizen_id) WHERE citizen_id IS NOT NULL;

CREATE TABLE liveness_sessions (
    id                bytea PRIMARY KEY,
    provider          text NOT NULL,
    provider_session  text,
    txn_hash          bytea NOT NULL,
    citizen_id        bytea NOT NULL,
    device_id         bytea,
    purpose           text NOT NULL,
    state             text NOT NULL,
    tries             bigint NOT NULL DEFAULT 1,
    notice_jti        bytea,
    notice_digest     bytea,
    contradicted      boolean NOT NULL DEFAULT FALSE,
    reason            text,
    band              text,
    jti               bytea UNIQUE,
    digest            bytea,
    begun_at          bigint NOT NULL,
    ends_at           bigint NOT NULL,
    captured_at       bigint,
    settled_at        bigint,
    UNIQUE (provider, provider_session)
);
CREATE INDEX liveness_citizen ON liveness_sessions (citizen_id, begun_at);
CREATE INDEX liveness_txn ON liveness_sessions (txn_hash);

CREATE TABLE requests (
    handle      bytea PRIMARY KEY,
    kind        text   NOT NULL,
    client_id   text   NOT NULL,
    params      bytea  NOT NULL, -- sealed: login_hint is personal
    browser     bytea,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL
);
CREATE INDEX requests_expires ON requests (expires_at);

CREATE TABLE grants (
    id                bytea   PRIMARY KEY,
    client_id         text    NOT NULL,
    citizen_id        bytea   NOT NULL,
    login_id          bytea   NOT NULL,
    epoch             bigint  NOT NULL,
    client_epoch      bigint  NOT NULL, -- of the client, when the code was issued
    parent_id         bytea,
    scope             text    NOT NULL, -- space-separated, RFC 6749 §3.3
    resource          text    NOT NULL, -- JSON array
    redirect_uri      text    NOT NULL,
    nonce             text    NOT NULL,
    auth              text    NOT NULL, -- JSON: acr, amr, auth_time
    offline           boolean NOT NULL,
    opaque            boolean NOT NULL,
    jkt               text,
    x5t               text,
    code              bytea   UNIQUE,
    code_expires_at   bigint,
    code_used_at      bigint,
    code_challenge    text    NOT NULL,
    code_jkt          text,
    refresh           bytea   UNIQUE,
    refresh_family    bytea   UNIQUE, -- of all refresh tokens there have been
    refresh_idle_at   bigint,
    created_at        bigint  NOT NULL,
    expires_at        bigint  NOT NULL,
    revoked_at        bigint
) WITH (fillfactor = 80);
CREATE INDEX grants_login ON grants (login_id);
CREATE INDEX grants_citizen ON grants (citizen_id, client_id);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE access_tokens (
    token       bytea PRIMARY KEY,
    grant_id    bytea  NOT NULL,
    citizen_id  bytea  NOT NULL,
    client_id   text   NOT NULL,
    scope       text   NOT NULL,
    resource    text   NOT NULL,
    jkt         text,
    x5t         text,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL
);
CREATE INDEX access_tokens_expires ON access_tokens (expires_at);

CREATE TABLE consents (
    citizen_id  bytea  NOT NULL,
    client_id   text   NOT NULL,
    scope       text   NOT NULL,
    terms       text   NOT NULL, -- what the scope stood for when it was agreed to
    given_at    bigint NOT NULL,
    expires_at  bigint,
    PRIMARY KEY (citizen_id, client_id, scope)
);

CREATE TABLE clients (
    id          text   PRIMARY KEY,
    state       text   NOT NULL,
    epoch       bigint NOT NULL DEFAULT 1, -- raised by each suspension; grants of another are dead
    metadata    text   NOT NULL, -- JSON, as registered
    secrets     text   NOT NULL, -- JSON: keyed hashes
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL
);

CREATE TABLE signing_keys (
    kid           text   PRIMARY KEY,
    alg           text   NOT NULL,
    state         text   NOT NULL,
    private       bytea  NOT NULL, -- sealed PKCS#8
    created_at    bigint NOT NULL,
    activated_at  bigint,
    retired_at    bigint
);

-- Values that may be used once: replay keys of assertions, proofs and nonces.
CREATE TABLE replay (
    key         bytea PRIMARY KEY,
    expires_at  bigint NOT NULL
);
CREATE INDEX replay_expires ON replay (expires_at);

CREATE TABLE staff (
    id          bytea PRIMARY KEY,
    name        text   NOT NULL UNIQUE,
    roles       text   NOT NULL, -- JSON array
    state       text   NOT NULL,
    invitation  bytea,
    expires_at  bigint,
    created_at  bigint NOT NULL
);

-- Append-only. hash chains the entries in the order of seq; it is filled in by the
-- one who holds the chain's lock, a moment after the entry was written.
CREATE TABLE audit (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          bigint NOT NULL,
    kind        text   NOT NULL,
    actor       text   NOT NULL,
    citizen_id  bytea,
    login_id    bytea,
    device_id   bytea,
    client_id   text,
    reason      text   NOT NULL DEFAULT '',
    detail      text   NOT NULL DEFAULT '{}',
    place       text   NOT NULL DEFAULT '',
    link        bigint UNIQUE, -- position in the chain
    hash        bytea
);
CREATE INDEX audit_citizen ON audit (citizen_id, seq) WHERE citizen_id IS NOT NULL;
CREATE INDEX audit_unchained ON audit (seq) WHERE link IS NULL;

CREATE TABLE notices (
    id          bytea PRIMARY KEY,
    citizen_id  bytea  NOT NULL,
    kind        text   NOT NULL,
    detail      text   NOT NULL,
    place       text   NOT NULL,
    at          bigint NOT NULL
);
CREATE INDEX notices_citizen ON notices (citizen_id, at);

-- One row per thing that replicas keep in memory; the version rises with each change.
CREATE TABLE versions (
    name     text   PRIMARY KEY,
    version  bigint NOT NULL
);

-- Shared Signals: who wants to hear of citizens, and what waits to be told.

-- due_at is when the next push is tried; whoever carries one moves it. credential is the
-- Authorization header that goes with it, sealed. lost_at is when something was not kept
-- because too much waited.
CREATE TABLE streams (
    id            bytea  PRIMARY KEY,
    client_id     text   NOT NULL UNIQUE,
    method        text   NOT NULL,
    endpoint      text   NOT NULL,
    credential    bytea,
    requested     text   NOT NULL, -- event types, JSON
    delivered     text   NOT NULL,
    description   text   NOT NULL,
    status        text   NOT NULL,
    status_reason text   NOT NULL,
    created_at    bigint NOT NULL,
    due_at        bigint NOT NULL,
    verified_at   bigint,
    delivered_at  bigint,
    failures      bigint NOT NULL DEFAULT 0,
    problem       text   NOT NULL DEFAULT '',
    lost_at       bigint
);

-- The outbox, in order.
CREATE TABLE signals (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          bytea  NOT NULL UNIQUE,
    stream_id   bytea  NOT NULL,
    type        text   NOT NULL,
    citizen_id  bytea, -- NULL: about the stream itself
    session     bytea,
    data        text   NOT NULL,
    at          bigint NOT NULL,
    tries       bigint NOT NULL DEFAULT 0
);
CREATE INDEX signals_stream ON signals (stream_id, seq);

-- Citizens of whom a stream hears nothing, by the hash of the sub its client knows.
CREATE TABLE stream_exceptions (
    stream_id bytea NOT NULL,
    sub       bytea NOT NULL,
    PRIMARY KEY (stream_id, sub)
);

-- Notices go to the operator's gateway as well, if there is one: due_at is when, NULL when
-- that is done.
ALTER TABLE notices
    ADD COLUMN due_at bigint DEFAULT 0,
    ADD COLUMN tries  bigint NOT NULL DEFAULT 0;
CREATE INDEX notices_due ON notices (at) WHERE due_at IS NOT NULL;

-- Of a citizen who withdrew consent a client hears nothing more, whatever else it still
-- hears about grants that have ended.
ALTER TABLE grants ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;

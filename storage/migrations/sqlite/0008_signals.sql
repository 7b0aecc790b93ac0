-- Shared Signals: who wants to hear of citizens, and what waits to be told.

-- due_at is when the next push is tried; whoever carries one moves it. credential is the
-- Authorization header that goes with it, sealed. lost_at is when something was not kept
-- because too much waited.
CREATE TABLE streams (
    id            BLOB    NOT NULL PRIMARY KEY,
    client_id     TEXT    NOT NULL UNIQUE,
    method        TEXT    NOT NULL,
    endpoint      TEXT    NOT NULL,
    credential    BLOB,
    requested     TEXT    NOT NULL, -- event types, JSON
    delivered     TEXT    NOT NULL,
    description   TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    status_reason TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    due_at        INTEGER NOT NULL,
    verified_at   INTEGER,
    delivered_at  INTEGER,
    failures      INTEGER NOT NULL DEFAULT 0,
    problem       TEXT    NOT NULL DEFAULT '',
    lost_at       INTEGER
) STRICT;

-- The outbox, in order.
CREATE TABLE signals (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB    NOT NULL UNIQUE,
    stream_id   BLOB    NOT NULL,
    type        TEXT    NOT NULL,
    citizen_id  BLOB, -- NULL: about the stream itself
    session     BLOB,
    data        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX signals_stream ON signals (stream_id, seq);

-- Citizens of whom a stream hears nothing, by the hash of the sub its client knows.
CREATE TABLE stream_exceptions (
    stream_id BLOB NOT NULL,
    sub       BLOB NOT NULL,
    PRIMARY KEY (stream_id, sub)
) STRICT;

-- Notices go to the operator's gateway as well, if there is one: due_at is when, NULL when
-- that is done.
ALTER TABLE notices ADD COLUMN due_at INTEGER DEFAULT 0;
ALTER TABLE notices ADD COLUMN tries  INTEGER NOT NULL DEFAULT 0;
CREATE INDEX notices_due ON notices (at) WHERE due_at IS NOT NULL;

-- Of a citizen who withdrew consent a client hears nothing more, whatever else it still
-- hears about grants that have ended.
ALTER TABLE grants ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;

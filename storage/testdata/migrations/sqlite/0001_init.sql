-- A little of every type the real schema uses.
CREATE TABLE things (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    bag TEXT,
    weight INTEGER NOT NULL DEFAULT 0,
    ratio REAL,
    live INTEGER NOT NULL DEFAULT TRUE,
    secret BLOB
) STRICT;
CREATE UNIQUE INDEX things_name ON things (name);

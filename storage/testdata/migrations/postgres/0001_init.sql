-- A little of every type the real schema uses.
CREATE TABLE things (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL,
    bag JSONB,
    weight BIGINT NOT NULL DEFAULT 0,
    ratio DOUBLE PRECISION,
    live BOOLEAN NOT NULL DEFAULT TRUE,
    secret BYTEA
);
CREATE UNIQUE INDEX things_name ON things (name);

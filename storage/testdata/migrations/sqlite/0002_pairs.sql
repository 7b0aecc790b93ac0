CREATE TABLE pairs (
    writer INTEGER NOT NULL,
    n INTEGER NOT NULL,
    half TEXT NOT NULL,
    PRIMARY KEY (writer, n, half)
) STRICT;

CREATE TABLE pairs (
    writer INTEGER NOT NULL,
    n SMALLINT NOT NULL,
    half TEXT NOT NULL,
    PRIMARY KEY (writer, n, half)
);

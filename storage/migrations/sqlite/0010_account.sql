-- Relatives: whom a citizen has named to report losses for them. relative_id is NULL when
-- nobody has the number, so that whoever asks cannot tell; number is its blind index, and
-- card what the citizen typed, masked. expires_at is the end of a question that was not
-- answered.
CREATE TABLE relatives (
    id           BLOB    NOT NULL PRIMARY KEY,
    citizen_id   BLOB    NOT NULL,
    relative_id  BLOB,
    number       BLOB    NOT NULL,
    card         TEXT    NOT NULL,
    asked_at     INTEGER NOT NULL,
    agreed_at    INTEGER,
    expires_at   INTEGER,
    UNIQUE (citizen_id, number)
) STRICT;
CREATE INDEX relatives_relative ON relatives (relative_id) WHERE relative_id IS NOT NULL;

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

-- Where a notice goes whose citizen has closed the account, and in which language: a sealed
-- number, for as long as the notice waits. Others go where the citizen is reached by then.
ALTER TABLE notices ADD COLUMN phone  BLOB;
ALTER TABLE notices ADD COLUMN locale TEXT;
CREATE INDEX notices_last ON notices (at) WHERE phone IS NOT NULL;

-- Until when each phone or authenticator is waited for; the citizen waits for the last of
-- those in use. Of what was bound before nobody knows which one it is, so it is each.
ALTER TABLE devices ADD COLUMN cooling_until INTEGER;
UPDATE devices SET cooling_until = (SELECT c.cooling_until FROM citizens c WHERE c.id = devices.citizen_id) WHERE kind <> 'browser';

-- Relatives: whom a citizen has named to report losses for them. relative_id is NULL when
-- nobody has the number, so that whoever asks cannot tell; number is its blind index, and
-- card what the citizen typed, masked. expires_at is the end of a question that was not
-- answered.
CREATE TABLE relatives (
    id           bytea  NOT NULL PRIMARY KEY,
    citizen_id   bytea  NOT NULL,
    relative_id  bytea,
    number       bytea  NOT NULL,
    card         text   NOT NULL,
    asked_at     bigint NOT NULL,
    agreed_at    bigint,
    expires_at   bigint,
    UNIQUE (citizen_id, number)
);
CREATE INDEX relatives_relative ON relatives (relative_id) WHERE relative_id IS NOT NULL;

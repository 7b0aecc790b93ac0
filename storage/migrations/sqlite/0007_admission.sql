-- What clients did, by day, counted in memory and added up here now and then.
CREATE TABLE client_usage (
    client_id  TEXT NOT NULL,
    day        INTEGER NOT NULL, -- since 1970, in Beijing
    codes      INTEGER NOT NULL,
    refreshes  INTEGER NOT NULL,
    refusals   INTEGER NOT NULL,
    overasked  INTEGER NOT NULL,
    PRIMARY KEY (client_id, day)
) STRICT;
CREATE INDEX client_usage_day ON client_usage (day);

-- Who has seen an alarm, and what they made of it.
CREATE TABLE alarms_seen (
    seq       INTEGER NOT NULL PRIMARY KEY, -- of the audit entry
    staff_id  BLOB NOT NULL,
    note      TEXT NOT NULL,
    at        INTEGER NOT NULL
) STRICT;

-- What the auditor searches by. Alarms are few and looked for by themselves.
CREATE INDEX audit_client ON audit (client_id, seq) WHERE client_id IS NOT NULL;
CREATE INDEX audit_alarms ON audit (seq) WHERE substr(kind, 1, 6) = 'alarm.';
CREATE INDEX audit_at ON audit (at);

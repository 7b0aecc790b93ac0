-- What clients did, by day, counted in memory and added up here now and then.
CREATE TABLE client_usage (
    client_id  text NOT NULL,
    day        bigint NOT NULL, -- since 1970, in Beijing
    codes      bigint NOT NULL,
    refreshes  bigint NOT NULL,
    refusals   bigint NOT NULL,
    overasked  bigint NOT NULL,
    PRIMARY KEY (client_id, day)
);
CREATE INDEX client_usage_day ON client_usage (day);

-- Who has seen an alarm, and what they made of it.
CREATE TABLE alarms_seen (
    seq       bigint NOT NULL PRIMARY KEY, -- of the audit entry
    staff_id  bytea NOT NULL,
    note      text NOT NULL,
    at        bigint NOT NULL
);

-- What the auditor searches by. Alarms are few and looked for by themselves.
CREATE INDEX audit_client ON audit (client_id, seq) WHERE client_id IS NOT NULL;
CREATE INDEX audit_alarms ON audit (seq) WHERE substr(kind, 1, 6) = 'alarm.';
CREATE INDEX audit_at ON audit (at);

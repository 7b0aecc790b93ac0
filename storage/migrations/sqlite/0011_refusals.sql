-- The trail holds no entry twice: a copy of one, MAC and all, is refused where it is
-- inserted and not only found by whoever verifies. A database in which there is a copy
-- already is not migrated: `ecardid audit verify` of the program before says where.
CREATE UNIQUE INDEX audit_mac ON audit (mac) WHERE mac IS NOT NULL;

-- Ending a client ends the consents given to it.
CREATE INDEX consents_client ON consents (client_id);

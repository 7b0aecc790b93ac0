-- A keyed hash over each entry, made by the process that writes it. Entries from
-- before have none, and none has to: up to which seq, the row of versions says.

ALTER TABLE audit ADD COLUMN mac BLOB;

INSERT INTO versions (name, version)
SELECT 'audit-before-mac', coalesce(max(seq), 0) FROM audit;

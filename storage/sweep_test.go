package storage

import (
	"testing"
	"time"
)

// A flood that is over goes in one turn: what is left would be counted against those
// who come next.
func TestSweepGoesOnUntilATableIsClean(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		const rows = 2*sweepTable + 5
		_, err := s.db.exec(ctx, `INSERT INTO replay (key, expires_at)
 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT randomblob(16), 1 FROM n`, int64(rows))
		if err != nil {
			_, err = s.db.exec(ctx, `INSERT INTO replay (key, expires_at) SELECT decode(md5(i::text), 'hex'), 1 FROM generate_series(1, $1::bigint) i`, int64(rows))
		}
		if err != nil {
			t.Fatal(err)
		}
		gone, err := s.Sweep(ctx, time.Unix(1000, 0))
		if err != nil || gone["replay"] != rows {
			t.Errorf("%v, %v", gone, err)
		}
	})
}

package storage

import (
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// A receiver that has not listened for ten thousand events is not kept more of them, and
// the act is done all the same.
func TestSignalsAreCapped(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx, now := t.Context(), time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
		event := audit.Event{Kind: audit.ClientApplied, At: now, Actor: audit.ByOperator, Client: "rp"}
		if err := s.ApplyClient(ctx, oauth.Client{ID: "rp", State: oauth.ClientLive}, event); err != nil {
			t.Fatal(err)
		}
		st := oauth.Stream{ID: identity.NewID(), ClientID: "rp", Method: oauth.DeliveryPoll, Status: oauth.StreamEnabled, Created: now}
		if err := s.CreateStream(ctx, st, event); err != nil {
			t.Fatal(err)
		}
		fill := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT randomblob(16), $2, 'x', '{}', $3 FROM n`
		if s.dialect == postgres {
			fill = `SELECT decode(md5(i::text), 'hex'), $2, 'x', '{}', $3 FROM generate_series(1, $1::bigint) i`
		}
		if _, err := s.db.exec(ctx, `INSERT INTO signals (id, stream_id, type, data, at) `+fill, int64(maxSignals-1), bin(st.ID), ms(now)); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			v := oauth.Signal{Type: oauth.SignalVerification, Data: []byte(`{}`), At: now.Add(time.Duration(i) * time.Minute)}
			if err := s.VerifyStream(ctx, "rp", st.ID, v, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		all, err := s.SignalLag(ctx)
		if err != nil || len(all) != 1 || all[0].Pending != maxSignals {
			t.Errorf("%+v, %v", all, err)
		}
		// And whoever watches over streams sees that something is missing.
		if len(all) == 1 && !all[0].Lost.Equal(now.Add(time.Minute)) {
			t.Errorf("lost at %v", all[0].Lost)
		}
	})
}

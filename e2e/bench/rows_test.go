package bench

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ecardid/internal/clock"
	"ecardid/storage"
)

// TestRowsRead: what an operation reads does not grow with what is stored, on a
// database nobody has analysed yet as well. PostgreSQL plans a prepared statement
// once; made while the tables were all but empty, a plan that walks through one of
// them looks as good as one that looks a row up, and then it is kept while they fill.
func TestRowsRead(t *testing.T) {
	h := settle(t, postgres, clock.At(time.Now()))
	h.store.Close()
	// One connection, so that a ping on it makes the server count what it did.
	store, err := openStore(t.Context(), h.dsn, h.clock, storage.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if h.server, err = newServer(t.Context(), store, issuer, h.clock, equal{}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), h.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	read := func() (rows int64) {
		t.Helper()
		time.Sleep(1100 * time.Millisecond) // PostgreSQL counts at most once a second
		if err := store.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if err := conn.QueryRow(t.Context(), `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint
			+ (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	const (
		times = 200 // after five a plan is kept; the rest fills the tables
		most  = 25  // the longest chain of look-ups there is, with what MVCC leaves behind
	)
	w := &inside{ctx: t.Context(), handler: h.server}
	for _, op := range operations() {
		if op.trips == 0 {
			continue
		}
		do, err := op.prepare(h, w, times)
		if err != nil {
			t.Fatal(err)
		}
		before := read()
		for i := range times {
			if err := do(w, i); err != nil {
				t.Fatal(err)
			}
		}
		each := float64(read()-before) / times
		t.Logf("%s: %.1f rows", op.name, each)
		if each > most*float64(op.trips) {
			t.Errorf("%s reads %.0f rows each time", op.name, each)
		}
	}
}

package storage

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func openPG(t *testing.T, o Options) *Store {
	t.Helper()
	return openTest(t, freshDSN(t, postgres), o)
}

// withParam adds a parameter to a postgres DSN.
func withParam(t *testing.T, dsn, name, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestLostRaceIsRunAgain(t *testing.T) {
	s := openPG(t, Options{})
	tests := []struct {
		name, code string
		failures   int
		wantRuns   int
		wantErr    bool
	}{
		{"serialization", pgSerialization, 2, 3, false},
		{"deadlock", pgDeadlock, 1, 2, false},
		{"not-for-ever", pgSerialization, 100, pgMaxAttempts, true},
		{"other-errors-once", "23514", 100, 1, true},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runs := 0
			err := s.db.tx(t.Context(), func(ctx context.Context, d db) error {
				runs++
				if err := insert(ctx, d, i); err != nil {
					return err
				}
				if runs > tt.failures {
					return nil
				}
				_, err := d.exec(ctx, `DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '`+tt.code+`'; END $$`)
				return err
			})
			if runs != tt.wantRuns || (err != nil) != tt.wantErr {
				t.Errorf("%d runs, %v", runs, err)
			}
		})
	}
	if n := countThings(t, s.db); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestRealDeadlockIsSurvived(t *testing.T) {
	s := openPG(t, Options{})
	for n := range 2 {
		if err := insert(t.Context(), s.db, n); err != nil {
			t.Fatal(err)
		}
	}
	var wg, met sync.WaitGroup
	met.Add(2)
	for n := range 2 {
		wg.Go(func() {
			var once sync.Once
			err := s.db.tx(t.Context(), func(ctx context.Context, d db) error {
				const text = `UPDATE things SET weight = weight + 1 WHERE id = $1`
				if _, err := d.exec(ctx, text, id(n)); err != nil {
					return err
				}
				once.Do(func() { met.Done(); met.Wait() })
				_, err := d.exec(ctx, text, id(1-n))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var sum int
	if err := s.db.queryRow(t.Context(), `SELECT sum(weight)::bigint FROM things`).Scan(&sum); sum != 4 || err != nil {
		t.Errorf("%d increments, %v", sum, err)
	}
}

func TestImpatientCallerCostsNoConnection(t *testing.T) {
	s := openPG(t, Options{MaxConns: 1})
	backend := func() (pid int) {
		t.Helper()
		if err := s.db.queryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	before := backend()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_ = s.db.queryRow(ctx, `SELECT 1 FROM pg_sleep(0.2)`).Scan(new(int))
	_ = s.db.tx(ctx, func(ctx context.Context, d db) error { return insert(ctx, d, 1) })
	if after := backend(); after != before {
		t.Errorf("backend %d became %d", before, after)
	}

	// Waiting for the only connection does listen to the caller.
	hold, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.db.tx(t.Context(), func(context.Context, db) error { close(hold); <-release; return nil })
	}()
	<-hold
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := insert(ctx, s.db, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a connection: %v", err)
	}
	close(release)
}

func TestStatementsAreLimitedOnTheServer(t *testing.T) {
	s := openPG(t, Options{StatementTimeout: 50 * time.Millisecond})
	err := s.db.queryRow(t.Context(), `SELECT 1 FROM pg_sleep(5)`).Scan(new(int))
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "57014" {
		t.Errorf("got %v", err)
	}
}

func TestStatementCacheModes(t *testing.T) {
	for _, mode := range []StatementCache{CachePrepared, CacheDescribed, CacheNone} {
		s := openPG(t, Options{StatementCache: mode, StatementTimeout: -1})
		for n := range 3 {
			if err := insert(t.Context(), s.db, n); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
		}
		if n := countThings(t, s.db); n != 3 {
			t.Errorf("%s: %d rows", mode, n)
		}
	}
}

func TestReadOnlyPostgreSQLSaysSo(t *testing.T) {
	dsn := withParam(t, freshDSN(t, postgres), "default_transaction_read_only", "on")
	s := openTest(t, dsn, Options{})
	if err := insert(t.Context(), s.db, 1); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
	err := s.db.tx(t.Context(), func(ctx context.Context, d db) error { return insert(ctx, d, 1) })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("in a transaction: %v", err)
	}
	if err := migrate(t.Context(), dsn, testFiles(postgres)); err != nil {
		t.Errorf("nothing to migrate: %v", err)
	}
	empty := withParam(t, emptyDSN(t, postgres), "default_transaction_read_only", "on")
	if err := migrate(t.Context(), empty, testFiles(postgres)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("migrating: %v", err)
	}
}

func TestListenerComesBack(t *testing.T) {
	s := openPG(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news := make(chan string, 10)
	go func() { _ = s.Listen(ctx, "clients", func(p string) { news <- p }) }()
	next := func() string {
		t.Helper()
		select {
		case p := <-news:
			return p
		case <-time.After(10 * time.Second):
			t.Fatal("heard nothing")
			return ""
		}
	}
	if p := next(); p != "" {
		t.Fatalf("began with %q", p)
	}
	var killed int
	err := s.db.queryRow(ctx, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()) AS k`).Scan(&killed)
	if err != nil || killed != 1 {
		t.Fatalf("killed %d listeners: %v", killed, err)
	}
	if p := next(); p != "" {
		t.Fatalf("after the interruption: %q, want to be told to look at everything", p)
	}
	if err := s.db.notify(ctx, "clients", "one"); err != nil {
		t.Fatal(err)
	}
	if p := next(); p != "one" {
		t.Errorf("heard %q", p)
	}
}

func TestDSNKnowsBetterThanOurDefaults(t *testing.T) {
	cfg, _, err := pgConfig("postgres://h/d?application_name=mine&pool_max_conns=3&default_query_exec_mode=exec", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.MaxConns != 3 || cfg.ConnConfig.RuntimeParams["application_name"] != "mine" ||
		!strings.Contains(cfg.ConnConfig.DefaultQueryExecMode.String(), "exec") {
		t.Errorf("got %d %v %v", cfg.MaxConns, cfg.ConnConfig.RuntimeParams, cfg.ConnConfig.DefaultQueryExecMode)
	}
}

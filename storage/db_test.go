package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestValuesComeBackAsTheyWent(t *testing.T) {
	type state string
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		const text = `INSERT INTO things (id, name, bag, weight, ratio, live, secret) VALUES ($1, $2, $3, $4, $5, $6, $7)`
		name := "老人 🂡 'quoted'\n"
		full := []any{id(1), name, `{"a": [1]}`, int64(1)<<62 + 1, 0.5, false, []byte{}}
		none := []any{id(2), state("named type"), nil, 7, nil, true, nil}
		for _, args := range [][]any{full, none} {
			if _, err := s.db.exec(ctx, text, args...); err != nil {
				t.Fatal(err)
			}
		}
		const sel = `SELECT name, bag, weight, ratio, live, secret FROM things WHERE id = $1`
		var gotName, bag string
		var weight int64
		var ratio float64
		var live bool
		var secret []byte
		if err := s.db.queryRow(ctx, sel, id(1)).Scan(&gotName, &bag, &weight, &ratio, &live, &secret); err != nil {
			t.Fatal(err)
		}
		if gotName != name || bag != `{"a": [1]}` || weight != 1<<62+1 || ratio != 0.5 || live || len(secret) != 0 {
			t.Errorf("got %q %q %d %v %v %v", gotName, bag, weight, ratio, live, secret)
		}
		var null bool
		if err := s.db.queryRow(ctx, `SELECT secret IS NULL FROM things WHERE id = $1`, id(1)).Scan(&null); err != nil || null {
			t.Errorf("empty bytes became NULL: %v %v", null, err)
		}
		var st state
		var noBag *string
		var noRatio sql.Null[float64]
		secret = []byte("left over")
		if err := s.db.queryRow(ctx, sel, id(2)).Scan(&st, &noBag, &weight, &noRatio, &live, &secret); err != nil {
			t.Fatal(err)
		}
		if st != "named type" || noBag != nil || weight != 7 || noRatio.Valid || !live || secret != nil {
			t.Errorf("got %q %v %d %v %v %q", st, noBag, weight, noRatio, live, secret)
		}
	})
}

func TestWritesReportWhatTheyTouched(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for n := range 3 {
			if err := insert(ctx, s.db, n); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.db.exec(ctx, `UPDATE things SET weight = weight + $1`, 5); n != 3 || err != nil {
			t.Errorf("update touched %d, %v", n, err)
		}
		once := func() (bool, error) {
			return changed(ctx, s.db, `UPDATE things SET live = $2 WHERE id = $1 AND live`, id(1), false)
		}
		if ok, err := once(); !ok || err != nil {
			t.Errorf("first: %v %v", ok, err)
		}
		if ok, err := once(); ok || err != nil {
			t.Errorf("second: %v %v", ok, err)
		}
		if _, err := changed(ctx, s.db, `UPDATE things SET weight = 0`); err == nil {
			t.Error("a write for one row that touched three went unnoticed")
		}
		var w int64
		if err := s.db.queryRow(ctx, `UPDATE things SET weight = 9 WHERE id = $1 RETURNING weight`, id(1)).Scan(&w); w != 9 || err != nil {
			t.Errorf("returning: %d %v", w, err)
		}
		if err := s.db.queryRow(ctx, `UPDATE things SET weight = 9 WHERE id = $1 RETURNING weight`, id(9)).Scan(&w); !errors.Is(err, errNoRows) {
			t.Errorf("no such row: %v", err)
		}
		names, err := list(ctx, s.db, scanText, `DELETE FROM things WHERE id <> $1 RETURNING name`, id(1))
		if err != nil || len(names) != 2 {
			t.Errorf("deleted %q, %v", names, err)
		}
		names, err = list(ctx, s.db, scanText, `WITH few AS (SELECT name FROM things) SELECT name FROM few ORDER BY name`)
		if err != nil || len(names) != 1 || names[0] != "thing 1" {
			t.Errorf("left %q, %v", names, err)
		}
	})
}

func scanText(r row) (s string, err error) { return s, r.Scan(&s) }

func TestConflictsHaveAName(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		if err := insert(ctx, s.db, 1); err != nil {
			t.Fatal(err)
		}
		if err := insert(ctx, s.db, 1); !isConflict(err) {
			t.Errorf("same primary key: %v", err)
		}
		if _, err := s.db.exec(ctx, insertThing, id(2), "thing 1"); !isConflict(err) {
			t.Errorf("same unique name: %v", err)
		} else if strings.Contains(err.Error(), "thing 1") {
			t.Errorf("the error repeats the value: %v", err)
		}
		if _, err := s.db.exec(ctx, `INSERT INTO things (id) VALUES ($1)`, id(3)); err == nil || isConflict(err) {
			t.Errorf("a missing name: %v", err)
		}
		if n, err := s.db.exec(ctx, insertThing+` ON CONFLICT DO NOTHING`, id(1), "other"); n != 0 || err != nil {
			t.Errorf("an expected conflict: %d %v", n, err)
		}
	})
}

func TestTextNobodyCanKeepIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		nul := "a\x00b"
		for _, bad := range []any{nul, "\xff", &nul, "\xed\xa0\x80"} {
			if _, err := s.db.exec(ctx, insertThing, id(1), bad); !errors.Is(err, errText) {
				t.Errorf("exec: %v", err)
			}
			if err := s.db.queryRow(ctx, `SELECT 1 FROM things WHERE name = $1`, bad).Scan(new(int)); !errors.Is(err, errText) {
				t.Errorf("queryRow: %v", err)
			}
			if _, err := list(ctx, s.db, scanText, `SELECT name FROM things WHERE name = $1`, bad); !errors.Is(err, errText) {
				t.Errorf("query: %v", err)
			}
		}
	})
}

func TestErrorsKeepValuesToThemselves(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		const private = "11010119900307888X"
		if _, err := s.db.exec(ctx, insertThing, id(1), private); err != nil {
			t.Fatal(err)
		}
		_, encode := s.db.exec(ctx, `UPDATE things SET weight = $1`, private)
		scan := s.db.queryRow(ctx, `SELECT name FROM things`).Scan(new(int64))
		for _, err := range []error{encode, scan} {
			if err == nil || strings.Contains(err.Error(), private) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	refused := errors.New("changed my mind")
	tests := []struct {
		name string
		fn   func(ctx context.Context, d db) error
		want error
		rows int
	}{
		{"kept", func(ctx context.Context, d db) error {
			return errors.Join(insert(ctx, d, 1), insert(ctx, d, 2))
		}, nil, 2},
		{"refused-by-the-caller", func(ctx context.Context, d db) error {
			return errors.Join(insert(ctx, d, 1), refused)
		}, refused, 0},
		{"a-forgiven-failure-still-fails", func(ctx context.Context, d db) error {
			_ = insert(ctx, d, 1)
			_ = insert(ctx, d, 1)
			return nil
		}, errAborted, 0},
		{"nothing-runs-after-a-failure", func(ctx context.Context, d db) error {
			_ = insert(ctx, d, 1)
			_ = insert(ctx, d, 1)
			return insert(ctx, d, 2)
		}, errAborted, 0},
		{"no-rows-is-no-failure", func(ctx context.Context, d db) error {
			if err := d.queryRow(ctx, `SELECT 1 FROM things`).Scan(new(int)); !errors.Is(err, errNoRows) {
				return fmt.Errorf("want no rows, got %w", err)
			}
			return insert(ctx, d, 1)
		}, nil, 1},
		{"sees-its-own-writes", func(ctx context.Context, d db) error {
			err := insert(ctx, d, 1)
			return errors.Join(err, d.queryRow(ctx, `SELECT 1 FROM things`).Scan(new(int)))
		}, nil, 1},
		{"inner-is-part-of-outer", func(ctx context.Context, d db) error {
			err := d.tx(ctx, func(ctx context.Context, d db) error { return insert(ctx, d, 1) })
			return errors.Join(err, insert(ctx, d, 2), refused)
		}, refused, 0},
		{"inner-failure-fails-outer", func(ctx context.Context, d db) error {
			_ = d.tx(ctx, func(ctx context.Context, d db) error { return errors.Join(insert(ctx, d, 1), refused) })
			return nil
		}, refused, 0},
		{"bad-text", func(ctx context.Context, d db) error {
			_, _ = d.exec(ctx, insertThing, id(1), "\xff")
			return nil
		}, errText, 0},
	}
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			s := openTest(t, freshDSN(t, d), Options{})
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					if err := s.db.tx(t.Context(), tt.fn); !errors.Is(err, tt.want) {
						t.Errorf("got %v, want %v", err, tt.want)
					}
					if n := countThings(t, s.db); n != tt.rows {
						t.Errorf("%d rows, want %d", n, tt.rows)
					}
					if _, err := s.db.exec(t.Context(), `DELETE FROM things`); err != nil {
						t.Fatal(err)
					}
				})
			}
		})
	}
}

func TestOuterDatabaseInsideATransactionIsAnErrorNotADeadlock(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		err := s.db.tx(t.Context(), func(ctx context.Context, _ db) error {
			_, list := list(ctx, s.db, scanText, `SELECT name FROM things`)
			for _, err := range []error{
				insert(ctx, s.db, 1), list,
				s.db.queryRow(ctx, `SELECT 1`).Scan(new(int)),
				s.db.tx(ctx, func(context.Context, db) error { return nil }),
			} {
				if !errors.Is(err, errNested) {
					t.Errorf("got %v", err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestTransactionEndsWithItsFunction(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		var kept db
		if err := s.db.tx(t.Context(), func(_ context.Context, d db) error { kept = d; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := insert(t.Context(), kept, 1); err == nil {
			t.Error("wrote after the end")
		}
		if n := countThings(t, s.db); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestCancelledCallersLeaveNoHalves(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.db.tx(ctx, func(ctx context.Context, d db) error {
			err := insert(ctx, d, 1)
			cancel()
			return errors.Join(err, insert(ctx, d, 2))
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("between statements: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		err = s.db.tx(ctx, func(ctx context.Context, d db) error { defer cancel(); return insert(ctx, d, 3) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("before the commit: %v", err)
		}
		if err := insert(ctx, s.db, 4); !errors.Is(err, context.Canceled) {
			t.Errorf("from the start: %v", err)
		}
		if err := s.db.queryRow(ctx, `SELECT 1`).Scan(new(int)); !errors.Is(err, context.Canceled) {
			t.Errorf("a read: %v", err)
		}
		if n := countThings(t, s.db); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestPanicIsTheCallersAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = s.db.tx(t.Context(), func(ctx context.Context, d db) error {
				_ = insert(ctx, d, 1)
				panic("mine")
			})
		}()
		ended := make(chan struct{})
		go func() { // as when a test calls FailNow inside
			defer close(ended)
			_ = s.db.tx(t.Context(), func(ctx context.Context, d db) error {
				_ = insert(ctx, d, 2)
				exitGoroutine()
				return nil
			})
		}()
		<-ended
		if err := insert(t.Context(), s.db, 3); err != nil {
			t.Error(err)
		}
		if n := countThings(t, s.db); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestOneOfManyWins(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for round := range 10 {
			if err := insert(ctx, s.db, round); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wins := make(chan int, 20)
			for n := range 20 {
				wg.Go(func() {
					ok, err := changed(ctx, s.db, `UPDATE things SET live = $2 WHERE id = $1 AND live`, id(round), false)
					if err != nil {
						t.Error(err)
					}
					if ok {
						wins <- n
					}
				})
			}
			wg.Wait()
			if len(wins) != 1 {
				t.Fatalf("round %d: %d winners", round, len(wins))
			}
		}
	})
}

func TestAcknowledgedWritesAreSeenByEveryReader(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for n := range 20 {
					if err := insert(t.Context(), s.db, w*100+n); err != nil {
						t.Error(err)
						return
					}
					var got []byte
					err := s.db.queryRow(t.Context(), `SELECT id FROM things WHERE id = $1`, id(w*100+n)).Scan(&got)
					if err != nil || !bytes.Equal(got, id(w*100+n)) {
						t.Errorf("written and not there: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestNotificationsComeWithTheCommit(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		news, ended := make(chan string, 10), make(chan error, 1)
		go func() { ended <- s.Listen(ctx, "odd \"channel\"", func(p string) { news <- p }) }()
		expect := func(want string) {
			t.Helper()
			select {
			case got := <-news:
				if got != want {
					t.Fatalf("heard %q, want %q", got, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("did not hear %q", want)
			}
		}
		expect("")
		_ = s.db.tx(ctx, func(ctx context.Context, d db) error {
			return errors.Join(d.notify(ctx, "odd \"channel\"", "rolled back"), errors.New("no"))
		})
		if err := s.db.notify(ctx, "other", "elsewhere"); err != nil {
			t.Error(err)
		}
		err := s.db.tx(ctx, func(ctx context.Context, d db) error {
			return errors.Join(d.notify(ctx, "odd \"channel\"", "kept"), insert(ctx, d, 1))
		})
		if err != nil {
			t.Error(err)
		}
		expect("kept")
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestTripsAreCounted(t *testing.T) {
	trips := map[dialect][]int{sqlite: {1, 1, 1, 1}, postgres: {1, 1, 1, 4}}
	onBoth(t, func(t *testing.T, s *Store) {
		steps := []func(ctx context.Context) error{
			func(ctx context.Context) error { return insert(ctx, s.db, 1) },
			func(ctx context.Context) error { return s.db.queryRow(ctx, `SELECT 1`).Scan(new(int)) },
			func(ctx context.Context) error {
				_, err := list(ctx, s.db, scanText, `DELETE FROM things RETURNING name`)
				return err
			},
			func(ctx context.Context) error {
				return s.db.tx(ctx, func(ctx context.Context, d db) error {
					return errors.Join(insert(ctx, d, 2), insert(ctx, d, 3))
				})
			},
		}
		for i, step := range steps {
			ctx, n := WithQueryCount(t.Context())
			if err := step(ctx); err != nil {
				t.Fatal(err)
			}
			if n.Trips() != trips[s.dialect][i] {
				t.Errorf("step %d: %d trips, want %d: %q", i, n.Trips(), trips[s.dialect][i], n.SQL())
			}
		}
	})
}

func TestClosedStoreSaysSo(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s.Close()
		_, list := list(t.Context(), s.db, scanText, `SELECT name FROM things`)
		for _, err := range []error{
			insert(t.Context(), s.db, 1), list, s.Ping(t.Context()),
			s.db.tx(t.Context(), func(context.Context, db) error { return nil }),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, dsn := range []string{
		"", "mysql://x", "sqlite:", "sqlite::memory:", "sqlite:file:x?mode=memory", "sqlite://host/x", "sqlite:x?mode=ro",
		"sqlite:" + dir, "sqlite:" + dir + "/none.db", "postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1",
		"postgres://u:hunter2@127.0.0.1:x/x", "host=x password=hunter2",
	} {
		s, err := Open(t.Context(), dsn, Options{})
		if err == nil {
			s.Close()
			t.Errorf("%q was opened", dsn)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	for _, o := range []Options{{StatementCache: "some"}, {MaxConns: -1}} {
		if _, err := Open(t.Context(), "sqlite:"+dir+"/x.db", o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

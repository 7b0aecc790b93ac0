package storage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// exitGoroutine is what a failing assertion does to the goroutine it is on.
func exitGoroutine() { runtime.Goexit() }

func openLite(t *testing.T) (*Store, *liteDB) {
	t.Helper()
	s := openTest(t, freshDSN(t, sqlite), Options{})
	d := s.backend.(*liteDB)
	d.writer.groupTime = 10 * time.Second // so that who shares a group does not depend on the machine
	return s, d
}

// occupy holds the writer until the returned function is called.
func occupy(t *testing.T, d *liteDB) (release func()) {
	t.Helper()
	in, out, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = d.tx(context.Background(), func(context.Context, db) error {
			close(in)
			<-out
			return nil
		})
	}()
	<-in
	return sync.OnceFunc(func() { close(out); <-done })
}

// waitInLine waits until n callers stand in line.
func waitInLine(t *testing.T, d *liteDB, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); len(d.writer.queue) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d in line, want %d", len(d.writer.queue), n)
		}
	}
}

func TestWaitingCallersShareACommit(t *testing.T) {
	_, d := openLite(t)
	before := d.writer.commits.Load()
	release := occupy(t, d)
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			if err := insert(t.Context(), d, n); err != nil {
				t.Error(err)
			}
		})
	}
	waitInLine(t, d, 50)
	release()
	wg.Wait()
	if n := d.writer.commits.Load() - before; n != 1 {
		t.Errorf("%d commits for 51 callers", n)
	}
	if n := countThings(t, d); n != 50 {
		t.Errorf("%d rows", n)
	}
}

func TestCommitsStayBelowWritesUnderLoad(t *testing.T) {
	_, d := openLite(t)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 25 {
				if err := insert(t.Context(), d, w*1000+n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	commits, members := d.writer.commits.Load(), d.writer.members.Load()
	t.Logf("%d writes in %d commits", members, commits)
	if members != 400 || commits >= members {
		t.Errorf("%d writes in %d commits", members, commits)
	}
}

func TestFailingMemberFailsAlone(t *testing.T) {
	_, d := openLite(t)
	if err := insert(t.Context(), d, 0); err != nil {
		t.Fatal(err)
	}
	release := occupy(t, d)
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			err := d.tx(t.Context(), func(ctx context.Context, d db) error {
				err := insert(ctx, d, 100+n)
				if n%2 == 1 {
					err = errors.Join(err, insert(ctx, d, 0)) // taken
				}
				return err
			})
			if (err != nil) != (n%2 == 1) {
				t.Errorf("caller %d: %v", n, err)
			}
		})
	}
	waitInLine(t, d, 20)
	release()
	wg.Wait()
	if n := countThings(t, d); n != 11 {
		t.Errorf("%d rows, want 11", n)
	}
}

func TestWaitingCallerMayLeave(t *testing.T) {
	_, d := openLite(t)
	release := occupy(t, d)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- insert(ctx, d, 1) }()
	waitInLine(t, d, 1)
	cancel()
	select {
	case err := <-left:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("a caller who left was kept")
	}
	release()
	if err := insert(t.Context(), d, 2); err != nil {
		t.Error(err)
	}
	if n := countThings(t, d); n != 1 {
		t.Errorf("%d rows: the one who left wrote", n)
	}
}

func TestLostTransactionIsLostForAllOfItsGroup(t *testing.T) {
	tests := []struct {
		name, prepare, ruin string
	}{
		// A conflict that rolls back everything, as a full disk does.
		{"in-the-middle", ``, `INSERT OR ROLLBACK INTO things (id, name) VALUES (CAST('` + string(id(0)) + `' AS BLOB), 'thing 0')`},
		// A violation that shows only at the commit.
		{"at-the-commit", `CREATE TABLE late (parent BLOB REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED) STRICT`,
			`INSERT INTO late VALUES (x'00')`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, d := openLite(t)
			if tt.prepare != "" {
				if _, err := d.exec(t.Context(), tt.prepare); err != nil {
					t.Fatal(err)
				}
			}
			if err := insert(t.Context(), d, 0); err != nil {
				t.Fatal(err)
			}
			release := occupy(t, d)
			first, ruin := make(chan error), make(chan error)
			go func() { first <- insert(t.Context(), d, 1) }()
			waitInLine(t, d, 1)
			go func() {
				ruin <- d.tx(t.Context(), func(ctx context.Context, d db) error {
					_, _ = d.exec(ctx, tt.ruin)
					_ = insert(ctx, d, 2) // must not slip out on its own
					return nil
				})
			}()
			waitInLine(t, d, 2)
			release()
			if err := <-ruin; err == nil {
				t.Error("the one who ruined it was told it worked")
			}
			if err := <-first; err == nil {
				t.Error("a write that was rolled back was acknowledged")
			}
			if n := countThings(t, d); n != 1 {
				t.Errorf("%d rows", n)
			}
			if err := insert(t.Context(), d, 3); err != nil {
				t.Errorf("the writer did not recover: %v", err)
			}
		})
	}
}

func TestCallerWhoHoldsTheWriterIsPutOut(t *testing.T) {
	_, d := openLite(t)
	d.writer.memberTime = 50 * time.Millisecond
	stuck := make(chan error)
	out := make(chan struct{})
	go func() {
		stuck <- d.tx(context.Background(), func(ctx context.Context, d db) error {
			err := insert(ctx, d, 1)
			<-out
			return err
		})
	}()
	time.Sleep(10 * time.Millisecond)
	if err := insert(t.Context(), d, 2); err != nil {
		t.Errorf("the next in line: %v", err)
	}
	close(out)
	if err := <-stuck; !errors.Is(err, errTxDone) {
		t.Errorf("the one put out was told %v", err)
	}
	if n := countThings(t, d); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestTransactionIsForOneAtATime(t *testing.T) {
	_, d := openLite(t)
	err := d.tx(t.Context(), func(ctx context.Context, tx db) error {
		if err := insert(ctx, tx, 1); err != nil {
			return err
		}
		return tx.query(ctx, func(row) error { return insert(ctx, tx, 2) }, `SELECT id FROM things`)
	})
	if !errors.Is(err, errTxBusy) {
		t.Errorf("got %v", err)
	}
}

// Another process, the command line beside a running server, holds the lock.
func TestForeignLockIsWaitedFor(t *testing.T) {
	dsn := freshDSN(t, sqlite)
	d := openTest(t, dsn, Options{}).backend.(*liteDB)
	other, err := newLiteMigrator(t.Context(), strings.TrimPrefix(dsn, sqlitePrefix))
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	lock := func() {
		t.Helper()
		if _, err := other.conn.exec(`BEGIN IMMEDIATE`); err != nil {
			t.Fatal(err)
		}
	}
	unlock := func() {
		t.Helper()
		if _, err := other.conn.exec(`COMMIT`); err != nil {
			t.Fatal(err)
		}
	}
	lock()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			if err := insert(t.Context(), d, n); err != nil {
				t.Errorf("caller %d: %v", n, err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := insert(ctx, d, 100); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an impatient caller: %v", err)
	}
	if n := countThings(t, d); n != 0 {
		t.Errorf("reading meanwhile: %d rows", n)
	}
	time.Sleep(2 * liteBusy)
	unlock()
	wg.Wait()
	if n := countThings(t, d); n != 8 {
		t.Errorf("%d rows", n)
	}

	d.writer.lockWait = time.Millisecond
	lock()
	if err := insert(t.Context(), d, 200); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	unlock()
	if err := insert(t.Context(), d, 201); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCloseServesThoseInLine(t *testing.T) {
	s, d := openLite(t)
	release := occupy(t, d)
	var wg sync.WaitGroup
	for n := range 10 {
		wg.Go(func() {
			if err := insert(t.Context(), d, n); err != nil {
				t.Error(err)
			}
		})
	}
	waitInLine(t, d, 10)
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	release()
	wg.Wait()
	<-closed
}

func TestReadOnlySQLiteSaysSo(t *testing.T) {
	_, d := openLite(t)
	if _, err := d.writer.conn.conn.ExecContext(t.Context(), `PRAGMA query_only(ON)`); err != nil {
		t.Fatal(err)
	}
	if err := insert(t.Context(), d, 1); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
}

func TestSQLiteFileIsItsOwnersAlone(t *testing.T) {
	dsn := freshDSN(t, sqlite)
	s := openTest(t, dsn, Options{})
	if err := insert(t.Context(), s.db, 1); err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(dsn, sqlitePrefix)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestSQLiteSettings(t *testing.T) {
	_, d := openLite(t)
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0"}
	for pragma, value := range want {
		var w, r string
		err := d.writer.conn.row(`PRAGMA `+pragma, nil, []any{&w})
		err = errors.Join(err, d.withReader(t.Context(), func(c *liteConn) error { return c.row(`PRAGMA `+pragma, nil, []any{&r}) }))
		if err != nil || w != value || r != value {
			t.Errorf("%s: writer %s, reader %s, want %s, %v", pragma, w, r, value, err)
		}
	}
	err := d.withReader(t.Context(), func(c *liteConn) error { _, err := c.exec(`DELETE FROM things`); return err })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("a reader wrote: %v", err)
	}
}

func TestWhichStatementsOnlyRead(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT 1":      true,
		"\n\t select 1": true,
		"(SELECT 1)":    true,
		"WITH a AS (SELECT updated_at, replaced FROM t) SELECT * FROM a": true,
		"WITH a AS (SELECT 1) DELETE FROM t":                             false,
		"with a as (select 1)\nupdate t set x = 1":                       false,
		"INSERT INTO t SELECT 1":                                         false,
		"PRAGMA user_version":                                            false,
		"":                                                               false,
		"  ":                                                             false,
		"WITH":                                                           true,
	} {
		if got := liteReads(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestStatementCacheIsBounded(t *testing.T) {
	_, d := openLite(t)
	err := d.withReader(t.Context(), func(c *liteConn) error {
		for n := range liteMaxStmts + 50 {
			if err := c.row(fmt.Sprintf(`SELECT %d`, n), nil, []any{new(int)}); err != nil {
				return err
			}
		}
		if len(c.stmts) > liteMaxStmts {
			t.Errorf("%d statements kept", len(c.stmts))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

const writerVariable = "STORAGE_WRITE_UNTIL_KILLED"

// writeUntilKilled writes pairs and says which were acknowledged.
func writeUntilKilled(path string) {
	s, err := open(context.Background(), "sqlite:"+path, Options{}, testFiles(sqlite))
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var out sync.Mutex
	for w := range 16 {
		go func() {
			for n := range 30_000 {
				err := s.db.tx(context.Background(), func(ctx context.Context, d db) error {
					for _, half := range []string{"left", "right"} {
						if _, err := d.exec(ctx, `INSERT INTO pairs (writer, n, half) VALUES ($1, $2, $3)`, w, n, half); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					fmt.Println("error", err)
					return
				}
				out.Lock()
				fmt.Println(w, n)
				out.Unlock()
			}
		}()
	}
	time.Sleep(time.Minute)
}

func TestAcknowledgedWritesSurviveAKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dsn := freshDSN(t, sqlite)
	for round := range 3 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), writerVariable+"="+strings.TrimPrefix(dsn, sqlitePrefix))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acked [][2]int
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var p [2]int
			if _, err := fmt.Sscan(lines.Text(), &p[0], &p[1]); err != nil {
				t.Errorf("the child said %q", lines.Text())
				break
			}
			if acked = append(acked, p); len(acked) == 200*(round+1) {
				_ = cmd.Process.Kill() // what it managed to say before it died counts too
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()

		s := openTest(t, dsn, Options{})
		halves := make(map[[2]int]int)
		err = s.db.query(t.Context(), func(r row) error {
			var p [2]int
			err := r.Scan(&p[0], &p[1])
			halves[p]++
			return err
		}, `SELECT writer, n FROM pairs`)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range acked {
			if halves[p] != 2 {
				t.Errorf("acknowledged %v has %d halves", p, halves[p])
			}
		}
		for p, n := range halves {
			if n != 2 {
				t.Errorf("%v has %d halves", p, n)
			}
		}
		if _, err := s.db.exec(t.Context(), `DELETE FROM pairs`); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

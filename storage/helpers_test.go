package storage

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"ecardid/internal/pgtest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerVariable); path != "" {
		writeUntilKilled(path)
		return
	}
	pgtest.Main(m)
}

// testFiles is the small schema these tests use in place of the real one.
func testFiles(d dialect) fs.FS {
	return os.DirFS(filepath.Join("testdata", "migrations", string(d)))
}

// freshDSN returns the DSN of a database with the test schema.
func freshDSN(t testing.TB, d dialect) string {
	t.Helper()
	if d == postgres {
		return pgtest.Migrated(t, "storage", func(ctx context.Context, dsn string) error {
			return migrate(ctx, dsn, testFiles(postgres))
		})
	}
	dsn := emptyDSN(t, sqlite)
	if err := migrate(t.Context(), dsn, testFiles(sqlite)); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func emptyDSN(t testing.TB, d dialect) string {
	t.Helper()
	if d == postgres {
		return pgtest.DSN(t)
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "it's 100% #1.db")
}

func openTest(t testing.TB, dsn string, o Options) *Store {
	t.Helper()
	d, err := dialectOf(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := open(t.Context(), dsn, o, testFiles(d))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

var dialects = []dialect{sqlite, postgres}

// onBoth runs the same test on both databases: what it says holds for both.
func onBoth(t *testing.T, test func(t *testing.T, s *Store)) {
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) { test(t, openTest(t, freshDSN(t, d), Options{})) })
	}
}

func id(n int) []byte { return fmt.Appendf(nil, "%016d", n) }

const insertThing = `INSERT INTO things (id, name) VALUES ($1, $2)`

func insert(ctx context.Context, d db, n int) error {
	_, err := d.exec(ctx, insertThing, id(n), fmt.Sprint("thing ", n))
	return err
}

func countThings(t testing.TB, d db) (n int) {
	t.Helper()
	if err := d.queryRow(context.Background(), `SELECT count(*) FROM things`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

package storage_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"ecardid/internal/pgtest"
	"ecardid/internal/seal"
	"ecardid/storage"
	"ecardid/storage/storagetest"
)

// prepare brings a database to the schema and gives it data keys.
func prepare(ctx context.Context, dsn string) error {
	if err := storage.Migrate(ctx, dsn); err != nil {
		return err
	}
	s, err := storage.Open(ctx, dsn, storage.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	return unlock(ctx, s)
}

func unlock(ctx context.Context, s *storage.Store) error {
	kek, err := seal.ParseKEK(fmt.Appendf(nil, "%064x", "a key for tests only"), "test")
	if err != nil {
		return err
	}
	return s.Unlock(ctx, kek, time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC))
}

// realDSN returns a fresh database of a kind, ready to be used.
func realDSN(t testing.TB, kind string) string {
	t.Helper()
	if kind == "postgres" {
		return pgtest.Migrated(t, "storage-real", prepare)
	}
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "real.db")
	if err := prepare(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func openReal(t testing.TB, dsn string) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), dsn, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := unlock(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			storagetest.Run(t, func(t testing.TB) *storage.Store { return openReal(t, realDSN(t, kind)) })
		})
	}
}

func TestRaces(t *testing.T) {
	for kind, replicas := range map[string]int{"sqlite": 1, "postgres": 2} {
		t.Run(kind, func(t *testing.T) {
			storagetest.Race(t, func(t testing.TB) []*storage.Store {
				dsn := realDSN(t, kind)
				all := make([]*storage.Store, replicas)
				for i := range all {
					all[i] = openReal(t, dsn)
				}
				return all
			})
		})
	}
}

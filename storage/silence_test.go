package storage_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"ecardid/storage/storagetest"
)

// TestSilence: where the trail cannot be written nothing is done that belongs in it.
// Somebody else's hand keeps the entries out, by a trigger.
func TestSilence(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dsn := realDSN(t, "sqlite")
		s := openReal(t, dsn)
		db, err := sql.Open("sqlite", strings.TrimPrefix(dsn, "sqlite:")+"?_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		exec := func(text string) func() {
			return func() {
				if _, err := db.Exec(text); err != nil {
					t.Fatal(err)
				}
			}
		}
		storagetest.Silence(t, s, exec(`CREATE TRIGGER silence BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END`), exec(`DROP TRIGGER silence`))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := realDSN(t, "postgres")
		s := openReal(t, dsn)
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		exec := func(text string) func() {
			return func() {
				if _, err := conn.Exec(t.Context(), text); err != nil {
					t.Fatal(err)
				}
			}
		}
		exec(`CREATE FUNCTION silence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)()
		storagetest.Silence(t, s, exec(`CREATE TRIGGER silence BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION silence()`), exec(`DROP TRIGGER silence ON audit`))
	})
}

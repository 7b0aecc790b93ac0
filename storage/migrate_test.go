package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"ecardid/identity"
)

func filesOf(t *testing.T, files fs.FS) fstest.MapFS {
	t.Helper()
	m := make(fstest.MapFS)
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		m[name] = &fstest.MapFile{Data: text}
	}
	return m
}

// withFile returns a copy of files with one added, changed or, for "", removed.
func withFile(files fstest.MapFS, name, text string) fstest.MapFS {
	m := maps.Clone(files)
	if delete(m, name); text != "" {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestMigrationFilesAreChecked(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		text  string
		ok    bool
	}{
		{"none", nil, "", true},
		{"two", []string{"0001_init.sql", "0002_more.sql"}, "SELECT 1;", true},
		{"gap", []string{"0001_init.sql", "0003_more.sql"}, "SELECT 1;", false},
		{"from-zero", []string{"0000_init.sql"}, "SELECT 1;", false},
		{"twice", []string{"0001_a.sql", "0001_b.sql"}, "SELECT 1;", false},
		{"bad-name", []string{"1_init.sql"}, "SELECT 1;", false},
		{"capitals", []string{"0001_Init.sql"}, "SELECT 1;", false},
		{"commits", []string{"0001_init.sql"}, "CREATE TABLE a (b INTEGER);\n commit ;\n", false},
		{"begins", []string{"0001_init.sql"}, "BEGIN TRANSACTION;\nSELECT 1;", false},
		{"a-trigger-may-begin", []string{"0001_init.sql"}, "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n SELECT 1;\nEND;", true},
		{"other-files-are-not-ours", []string{"README.md"}, "COMMIT;", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := make(fstest.MapFS)
			for _, f := range tt.files {
				m[f] = &fstest.MapFile{Data: []byte(tt.text)}
			}
			if _, err := readMigrations(m); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestMigrateTwiceIsMigrateOnce(t *testing.T) {
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			dsn := emptyDSN(t, d)
			if _, err := open(t.Context(), dsn, Options{}, testFiles(d)); !errors.Is(err, ErrSchema) {
				t.Errorf("opening an empty database: %v", err)
			}
			var first []string
			for range 2 {
				if err := migrate(t.Context(), dsn, testFiles(d)); err != nil {
					t.Fatal(err)
				}
				s := openTest(t, dsn, Options{})
				got, err := list(t.Context(), s.db, func(r row) (string, error) {
					var v, at int64
					var name string
					err := r.Scan(&v, &name, &at)
					return fmt.Sprint(v, name, at), err
				}, `SELECT version, name, applied_at FROM schema_version ORDER BY version`)
				if err != nil || len(got) != 2 {
					t.Fatalf("%q %v", got, err)
				}
				if first != nil && !slices.Equal(first, got) {
					t.Errorf("the second run changed %q to %q", first, got)
				}
				first = got
				s.Close()
			}
		})
	}
}

func TestManyMayMigrateAtOnce(t *testing.T) {
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			for range 3 {
				dsn := emptyDSN(t, d)
				var wg sync.WaitGroup
				for range 6 {
					wg.Go(func() {
						if err := migrate(t.Context(), dsn, testFiles(d)); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				openTest(t, dsn, Options{}).Close()
			}
		})
	}
}

func TestForeignSchemasAreRefused(t *testing.T) {
	for _, d := range dialects {
		dsn := freshDSN(t, d)
		have := filesOf(t, testFiles(d))
		tests := []struct {
			name        string
			files       fstest.MapFS
			openErr     string
			migrateErr  string
			nothingDone bool
		}{
			{"newer-database", withFile(have, "0002_pairs.sql", ""), "newer program", "newer program", true},
			{"edited-file", withFile(have, "0002_pairs.sql", "SELECT 1;"), "never edited", "never edited", true},
			{"renamed-file", withFile(withFile(have, "0002_pairs.sql", ""), "0002_other.sql",
				string(have["0002_pairs.sql"].Data)), "never edited", "never edited", true},
			{"broken-file", withFile(have, "0003_bad.sql", "CREATE TABLE half (a INTEGER);\nSELECT nonsense FROM nowhere;"),
				"ecardid migrate", "0003_bad", true},
			{"older-database", withFile(have, "0003_good.sql", "CREATE INDEX pairs_n ON pairs (n);"), "ecardid migrate", "", false},
		}
		for _, tt := range tests {
			t.Run(string(d)+"/"+tt.name, func(t *testing.T) {
				if s, err := open(t.Context(), dsn, Options{}, tt.files); err == nil {
					s.Close()
					t.Error("was opened")
				} else if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), tt.openErr) {
					t.Errorf("opening: %v", err)
				}
				err := migrate(t.Context(), dsn, tt.files)
				switch {
				case tt.migrateErr == "" && err != nil:
					t.Errorf("migrating: %v", err)
				case tt.migrateErr != "" && (err == nil || !strings.Contains(err.Error(), tt.migrateErr)):
					t.Errorf("migrating: %v", err)
				}
				if tt.nothingDone {
					openTest(t, dsn, Options{}).Close()
				}
			})
		}
	}
}

// column is what must be the same in both databases.
type column struct {
	family   string
	nullable bool
	key      int64 // place in the primary key, from 1
}

// families maps each dialect's types to what they hold.
var families = map[string]string{
	"bytea": "bytes", "blob": "bytes",
	"text": "text", "jsonb": "text", "json": "text",
	"bigint": "integer", "integer": "integer", "smallint": "integer", "boolean": "integer",
	"double precision": "real", "real": "real",
}

const pgColumns = `
	SELECT c.relname, a.attname, format_type(a.atttypid, NULL), NOT a.attnotnull,
	       coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
	WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace`

// In a STRICT table a primary key is never NULL, whether it says so or not.
const liteColumns = `
	SELECT t.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0, c.pk
	FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c
	WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%'`

func columnsOf(t *testing.T, s *Store) map[string]column {
	t.Helper()
	text := pgColumns
	if s.dialect == sqlite {
		text = liteColumns
	}
	all := make(map[string]column)
	err := s.db.query(t.Context(), func(r row) error {
		var table, name, kind string
		var c column
		if err := r.Scan(&table, &name, &kind, &c.nullable, &c.key); err != nil {
			return err
		}
		c.family = families[strings.ToLower(kind)]
		if c.family == "" {
			t.Errorf("%s: %s.%s has the type %s, which has no counterpart", s.dialect, table, name, kind)
		}
		all[table+"."+name] = c
		return nil
	}, text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBothDialectsEndWithTheSameSchema(t *testing.T) {
	sets := map[string]func(dialect) (fs.FS, error){
		"testdata": func(d dialect) (fs.FS, error) { return testFiles(d), nil },
		"real":     migrationsOf,
	}
	for name, files := range sets {
		t.Run(name, func(t *testing.T) {
			var names [2][]string
			var columns [2]map[string]column
			for i, d := range dialects {
				set, err := files(d)
				if err != nil {
					t.Fatal(err)
				}
				steps, err := readMigrations(set)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range steps {
					names[i] = append(names[i], fmt.Sprintf("%04d_%s", s.version, s.name))
				}
				dsn := emptyDSN(t, d)
				if err := migrate(t.Context(), dsn, set); err != nil {
					t.Fatal(err)
				}
				s, err := open(t.Context(), dsn, Options{}, set)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				if len(steps) > 0 {
					columns[i] = columnsOf(t, s)
				}
				if d == sqlite {
					checkStrict(t, s)
				}
			}
			if !slices.Equal(names[0], names[1]) {
				t.Errorf("%s has %q, %s has %q", dialects[0], names[0], dialects[1], names[1])
			}
			for _, key := range slices.Sorted(maps.Keys(columns[0])) {
				if a, b := columns[0][key], columns[1][key]; a != b {
					t.Errorf("%s: %s has %+v, %s has %+v", key, dialects[0], a, dialects[1], b)
				}
				delete(columns[1], key)
			}
			for key := range columns[1] {
				t.Errorf("%s is only in %s", key, dialects[1])
			}
		})
	}
}

func checkStrict(t *testing.T, s *Store) {
	t.Helper()
	loose, err := list(t.Context(), s.db, scanText,
		`SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' AND strict = 0`)
	if err != nil || len(loose) > 0 {
		t.Errorf("tables that are not STRICT: %q %v", loose, err)
	}
}

// What was there before sittings had names gets them, and what the program before
// still writes while it is being replaced is read as if it had (README.md).
func TestSittingsOfBeforeHaveNames(t *testing.T) {
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) {
			ctx, dsn := t.Context(), emptyDSN(t, d)
			files, err := migrationsOf(d)
			if err != nil {
				t.Fatal(err)
			}
			old := filesOf(t, files)
			for later := range old {
				if later != "0001_init.sql" {
					old = withFile(old, later, "")
				}
			}
			if err := migrate(ctx, dsn, old); err != nil {
				t.Fatal(err)
			}
			before, err := open(ctx, dsn, Options{}, old)
			if err != nil {
				t.Fatal(err)
			}
			defer before.Close()
			write := func(n int) {
				t.Helper()
				for _, text := range []string{
					`INSERT INTO logins (id, citizen_id, epoch, token, proofs, locale, agent, place, created_at, seen_at, idle_at, expires_at) VALUES ($1, $1, 1, $1, '[]', '', '', '', 1, 1, 1, 1)`,
					`INSERT INTO grants (id, client_id, citizen_id, login_id, epoch, client_epoch, scope, resource, redirect_uri, nonce, auth, offline, opaque, code_challenge, code_used_at, created_at, expires_at)
 VALUES ($1, 'c', $1, $1, 1, 1, '', '[]', '', '', '{}', FALSE, FALSE, '', 1, 1, 1)`,
				} {
					if _, err := before.db.exec(ctx, text, id(n)); err != nil {
						t.Fatal(err)
					}
				}
			}
			write(1)
			if err := migrate(ctx, dsn, files); err != nil {
				t.Fatal(err)
			}
			write(2)
			after, err := open(ctx, dsn, Options{}, files)
			if err != nil {
				t.Fatal(err)
			}
			defer after.Close()
			for n := 1; n <= 2; n++ {
				l, err := scanLogin(after.db.queryRow(ctx, `SELECT `+loginColumns+` FROM logins l WHERE l.id = $1`, id(n)))
				if err != nil || !bytes.Equal(l.Session[:], id(n)) {
					t.Errorf("login %d: %v, %v", n, l.Session, err)
				}
				g, err := scanGrant(after.db.queryRow(ctx, `SELECT `+grantColumns+` FROM grants g WHERE g.id = $1`, id(n)))
				if err != nil || !bytes.Equal(g.Session[:], id(n)) {
					t.Errorf("grant %d: %v, %v", n, g.Session, err)
				}
			}
			if all, err := after.SessionClients(ctx, identity.ID(id(1))); err != nil || len(all) != 1 {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
}

// The files beside this test are the ones inside the program.
func TestEmbeddedMigrationsAreTheOnesOnDisk(t *testing.T) {
	for _, d := range dialects {
		set, err := migrationsOf(d)
		if err != nil {
			t.Fatal(err)
		}
		a, b := filesOf(t, set), filesOf(t, os.DirFS("migrations/"+string(d)))
		if !slices.Equal(slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))) {
			t.Errorf("%s: embedded %d files, %d on disk", d, len(a), len(b))
		}
	}
}

func TestMigrateRefuses(t *testing.T) {
	for _, dsn := range []string{"", "mysql://x", "sqlite:", "sqlite:" + t.TempDir() + "/no/such/dir.db", "postgres://127.0.0.1:1/x"} {
		if err := Migrate(context.Background(), dsn); err == nil {
			t.Errorf("%q was migrated", dsn)
		}
	}
}

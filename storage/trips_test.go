package storage_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"ecardid/storage"
	"ecardid/storage/storagetest"
)

func TestHotOperationsAreOneTrip(t *testing.T) {
	s := openReal(t, realDSN(t, "postgres"))
	for _, h := range storagetest.HotPath(t, s) {
		ctx, count := storage.WithQueryCount(t.Context())
		if err := h.Do(ctx); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		if n := count.Trips(); n != 1 {
			t.Errorf("%s: %d trips\n%s", h.Name, n, strings.Join(count.SQL(), "\n"))
		}
	}
}

// crowded are the tables that grow with the people. Nothing a person waits for may
// read one of them from end to end.
var crowded = []string{"citizens", "aliases", "totps", "recovery_codes", "devices", "passkeys", "flows", "logins", "attempts", "enrolments",
	"approvals", "ceremonies", "liveness_sessions", "requests", "grants", "access_tokens", "consents", "replay", "notices", "farewells", "device_codes", "risk_holds"}

// patient are statements that may: an operator suspends a client once in a while,
// and the requests that wait are few.
var patient = []string{`DELETE FROM requests WHERE client_id = $1`}

// TestPlans runs every operation, fills the tables with thousands of strangers,
// and asks the planner how it would run each statement then. The connection is a
// plain one: what the store tells the planner in addition only helps.
func TestPlans(t *testing.T) {
	dsn := realDSN(t, "postgres")
	s := openReal(t, dsn)
	ctx, count := storage.WithQueryCount(t.Context())
	storagetest.Fill(ctx, t, s)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	exec := func(query string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), query, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	for _, table := range crowded {
		exec(strangers(t, conn, table))
		exec("ANALYZE " + table)
	}
	exec("SET plan_cache_mode = force_generic_plan")
	asked := count.SQL()
	slices.Sort(asked)
	seen := 0
	for i, query := range slices.Compact(asked) {
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(query)), " ")
		verb = strings.Fields(verb)[0]
		if !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}, verb) {
			continue
		}
		seen++
		name := fmt.Sprintf("q%d", i)
		exec("PREPARE " + name + " AS " + query)
		var params int
		var plan []byte
		if err := conn.QueryRow(t.Context(), `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = $1`, name).Scan(&params); err != nil {
			t.Fatal(err)
		}
		explain := "EXPLAIN (FORMAT JSON) EXECUTE " + name
		if params > 0 {
			explain += "(" + strings.Repeat("NULL, ", params-1) + "NULL)"
		}
		if err := conn.QueryRow(t.Context(), explain, pgx.QueryExecModeSimpleProtocol).Scan(&plan); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		var nodes any
		if err := json.Unmarshal(plan, &nodes); err != nil {
			t.Fatal(err)
		}
		for _, table := range scanned(nodes) {
			if slices.Contains(crowded, table) && !slices.Contains(patient, query) {
				t.Errorf("reads all of %s:\n%s", table, query)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d statements were looked at", seen)
	}
}

// scanned finds the tables that a plan reads from end to end.
func scanned(node any) (tables []string) {
	switch n := node.(type) {
	case []any:
		for _, one := range n {
			tables = append(tables, scanned(one)...)
		}
	case map[string]any:
		if n["Node Type"] == "Seq Scan" {
			tables = append(tables, n["Relation Name"].(string))
		}
		for _, one := range n {
			tables = append(tables, scanned(one)...)
		}
	}
	return tables
}

// strangers is a statement that copies the rows of a table until there are
// thousands, each with ids of its own.
func strangers(t *testing.T, conn *pgx.Conn, table string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT attname, atttypid = 'bytea'::regtype FROM pg_attribute
 WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, table)
	if err != nil {
		t.Fatal(err)
	}
	var columns, values []string
	var column string
	var id bool
	if _, err := pgx.ForEachRow(rows, []any{&column, &id}, func() error {
		columns = append(columns, column)
		if id {
			column = fmt.Sprintf(`CASE WHEN %s IS NULL THEN NULL ELSE decode(md5(random()::text || n || '%s'), 'hex') END`, column, column)
		}
		if column == "provider_session" {
			column += " || n || md5(random()::text)"
		}
		values = append(values, column)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM (SELECT * FROM %s LIMIT 5) x, generate_series(1, 1500) n`,
		table, strings.Join(columns, ", "), strings.Join(values, ", "), table)
}

func TestNothingIsDoneThatCannotBeWritten(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		dsn := realDSN(t, "postgres")
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("default_transaction_read_only", "on")
		u.RawQuery = q.Encode()
		storagetest.Broken(t, openReal(t, dsn), openReal(t, u.String()), func(bool) {})
	})
	t.Run("sqlite", func(t *testing.T) {
		dsn := realDSN(t, "sqlite")
		db := openSQL(t, dsn)
		tables := tablesOf(t, db)
		exec := func(query string) {
			t.Helper()
			if _, err := db.Exec(query); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		}
		exec(`CREATE TABLE spoiled (n INTEGER)`)
		for _, table := range tables {
			for _, verb := range []string{"INSERT", "UPDATE", "DELETE"} {
				exec(fmt.Sprintf(`CREATE TRIGGER %s_%s BEFORE %s ON %s WHEN EXISTS (SELECT 1 FROM spoiled)
 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`, table, verb, verb, table))
			}
		}
		s := openReal(t, dsn)
		storagetest.Broken(t, s, s, func(on bool) {
			exec(`DELETE FROM spoiled`)
			if on {
				exec(`INSERT INTO spoiled VALUES (1)`)
			}
		})
	})
}

// openSQL opens a database without the store.
func openSQL(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver, name := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, name = "sqlite", path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func tablesOf(t *testing.T, db *sql.DB) (tables []string) {
	t.Helper()
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		rows, err = db.Query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil || len(tables) < 20 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	return tables
}

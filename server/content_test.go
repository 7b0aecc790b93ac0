package server_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"testing"
)

// contentOf is a hash of every row of every table but the trail.
func contentOf(t testing.TB, db *sql.DB) [sha256.Size]byte {
	t.Helper()
	var tables []string
	rows := must[*sql.Rows](t)(db.Query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('audit', 'sqlite_sequence') ORDER BY name`))
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for _, table := range tables {
		rows := must[*sql.Rows](t)(db.Query(`SELECT * FROM ` + table))
		columns := must[[]string](t)(rows.Columns())
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				fmt.Fprintf(h, "%s.%s=%v\n", table, columns[i], *v.(*any))
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

package storage_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver openSQL names

	"ecardid/storage/storagetest"
)

// TestADumpTellsNothing reads every value of every table, and for SQLite the files
// themselves, as somebody would who stole a backup (SECURITY: stored PII is sealed).
func TestADumpTellsNothing(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			dsn := realDSN(t, kind)
			s := openReal(t, dsn)
			secrets := storagetest.Fill(t.Context(), t, s)
			if _, err := s.ChainAudit(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := dump(t, dsn)
			if !bytes.Contains(all, []byte("urn:mfa")) {
				t.Fatal("the dump lacks what must be in it")
			}
			for what, plain := range secrets {
				if len(plain) < 3 {
					t.Errorf("%s: %q is no secret to look for", what, plain)
				}
				for _, form := range []string{plain, strings.Trim(fmt.Sprintf("%+q", plain), `"`), hex.EncodeToString([]byte(plain)),
					strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(plain)), "="), base64.RawURLEncoding.EncodeToString([]byte(plain))} {
					if i := bytes.Index(all, []byte(form)); i >= 0 {
						t.Errorf("%s is in the dump as %q, near %q", what, form, all[max(0, i-80):min(len(all), i+80)])
					}
				}
			}
		})
	}
}

func dump(t *testing.T, dsn string) []byte {
	t.Helper()
	var out bytes.Buffer
	db := openSQL(t, dsn)
	for _, table := range tablesOf(t, db) {
		fmt.Fprintf(&out, "\n-- %s\n", table)
		rows, err := db.Query("SELECT * FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(names))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				if b, ok := (*v.(*any)).([]byte); ok {
					out.Write(b)
				} else {
					fmt.Fprint(&out, *v.(*any))
				}
				out.WriteByte('\t')
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(b)
		}
	}
	return out.Bytes()
}

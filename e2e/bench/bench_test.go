package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ecardid/internal/clock"
	"ecardid/internal/pgtest"
	"ecardid/storage"
)

// measure runs fn as the body of a benchmark and notes the figure.
func measure(b *testing.B, database, name string, fn func(i int) error) {
	b.Helper()
	var before, after runtime.MemStats
	b.ReportAllocs()
	runtime.ReadMemStats(&before)
	spent := own()
	b.ResetTimer()
	for i := range b.N {
		if err := fn(i); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	spent = own() - spent
	runtime.ReadMemStats(&after)
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "flows/s")
	figures.note(figure{database: database, name: name, each: b.Elapsed() / time.Duration(b.N), cpu: spent / time.Duration(b.N),
		allocs: float64(after.Mallocs-before.Mallocs) / n, bytes: float64(after.TotalAlloc-before.TotalAlloc) / n})
}

// BenchmarkLimit is what the others are divided by.
func BenchmarkLimit(b *testing.B) {
	b.Run("es256", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256([]byte("input"))
		measure(b, "", limitES256, func(int) error {
			_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			return err
		})
	})
	b.Run("es256-verify", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256([]byte("input"))
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		measure(b, "", limitVerify, func(int) error {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				return errors.New("a signature does not verify")
			}
			return nil
		})
	})
	b.Run("handler", func(b *testing.B) {
		w := &inside{ctx: b.Context(), handler: http.HandlerFunc(bare)}
		measure(b, "", limitHandler, func(int) error { return get(w, barePath) })
	})
	const create, insert = `CREATE TABLE bare (id bigint PRIMARY KEY, at bigint NOT NULL)`, `INSERT INTO bare (id, at) VALUES ($1, $2)`
	b.Run("insert/"+sqlite, func(b *testing.B) {
		db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "bare.db"))
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1) // the pragma is the connection's
		for _, q := range []string{`PRAGMA journal_mode = WAL`, `PRAGMA synchronous = FULL`, create} {
			if _, err := db.ExecContext(b.Context(), q); err != nil {
				b.Fatal(err)
			}
		}
		prepared, err := db.PrepareContext(b.Context(), insert)
		if err != nil {
			b.Fatal(err)
		}
		defer prepared.Close()
		measure(b, sqlite, limitInsert, func(i int) error {
			_, err := prepared.ExecContext(b.Context(), i, i)
			return err
		})
	})
	b.Run("insert/"+postgres, func(b *testing.B) {
		conn, err := pgx.Connect(b.Context(), pgtest.DSN(b))
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(b.Context())
		if _, err := conn.Exec(b.Context(), create); err != nil {
			b.Fatal(err)
		}
		measure(b, postgres, limitInsert, func(i int) error {
			_, err := conn.Exec(b.Context(), insert, i, i)
			return err
		})
	})
}

// BenchmarkOperation calls the server in this process, one request after the other.
func BenchmarkOperation(b *testing.B) {
	for _, database := range []string{sqlite, postgres} {
		b.Run(database, func(b *testing.B) {
			h := openHouse(b, database, clock.System{}, equal{})
			go h.server.Run(b.Context(), storage.Changed)
			w := &inside{ctx: b.Context(), handler: h.server}
			for _, op := range operations() {
				b.Run(op.name, func(b *testing.B) {
					do, err := op.prepare(h, w, b.N)
					if err != nil {
						b.Fatal(err)
					}
					measure(b, database, op.name, func(i int) error { return do(w, i) })
				})
			}
		})
	}
}

// BenchmarkSignIn is everything of a sign-in but the password's hash, whose cost is
// chosen and not suffered.
func BenchmarkSignIn(b *testing.B) {
	for _, database := range []string{sqlite, postgres} {
		b.Run(database, func(b *testing.B) {
			clk := clock.At(time.Now())
			h := openHouse(b, database, clk, equal{})
			w := &inside{ctx: b.Context(), handler: h.server}
			do, next := signIn(h, clk), 0
			b.Run("sign-in", func(b *testing.B) {
				measure(b, database, nameSignIn, func(int) error {
					next++
					return do(w, next)
				})
			})
		})
	}
}

package bench

import (
	"os"
	"testing"

	"ecardid/internal/pgtest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(serveVariable); dsn != "" {
		os.Exit(serve(dsn, os.Getenv(issuerVariable)))
	}
	pgtest.Main(m)
	figures.print(os.Stdout)
}

package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

const (
	// ServerVariable names the environment variable with the DSN of a server to
	// use in place of a cluster of our own.
	ServerVariable = "ECARDID_TEST_POSTGRES"

	createLimit = 30 * time.Second // copying a template waits for a checkpoint on a slow disk
)

// shared is the cluster of this test process. It is package state because tests
// that do not know each other share it; Main owns its life.
var shared struct {
	mu      sync.Mutex
	owned   bool // Main is running and will stop it
	cluster *Cluster
	err     error
}

// Main runs the tests of a package and stops the cluster they may have started.
// Call it from TestMain.
func Main(m *testing.M) {
	shared.mu.Lock()
	shared.owned = true
	shared.mu.Unlock()
	code := 1
	defer func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.cluster != nil {
			if err := shared.cluster.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "pgtest: stopping PostgreSQL:", err)
				code = 1
			}
			shared.cluster = nil
		}
		if code != 0 {
			os.Exit(code)
		}
	}()
	code = m.Run()
}

// DSN returns the DSN of a fresh, empty database, which is dropped when the test
// ends.
func DSN(t testing.TB) string {
	t.Helper()
	return fresh(t, "", nil)
}

// Migrated returns the DSN of a fresh database that migrate has been run on. For
// each key migrate is run once per test process; after that the result is copied.
func Migrated(t testing.TB, key string, migrate func(ctx context.Context, dsn string) error) string {
	t.Helper()
	return fresh(t, key, migrate)
}

func fresh(t testing.TB, key string, migrate func(context.Context, string) error) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit+createLimit)
	defer cancel()
	c, err := cluster(ctx)
	if err != nil {
		t.Fatalf("no PostgreSQL to test with: %v", err)
	}
	dsn, drop, err := c.Create(ctx, key, migrate)
	if err != nil {
		t.Fatalf("creating a test database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), createLimit)
		defer cancel()
		if err := drop(ctx); err != nil {
			t.Errorf("dropping a test database: %v", err)
		}
	})
	return dsn
}

// cluster returns the shared cluster, starting it the first time. A failed start
// is remembered, so that a hundred tests do not each wait for it.
func cluster(ctx context.Context) (*Cluster, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	switch {
	case !shared.owned:
		return nil, fmt.Errorf("this package needs: func TestMain(m *testing.M) { pgtest.Main(m) }")
	case shared.cluster == nil && shared.err == nil:
		if dsn := os.Getenv(ServerVariable); dsn != "" {
			shared.cluster, shared.err = Use(dsn)
		} else {
			shared.cluster, shared.err = Start(ctx, Options{})
		}
	}
	return shared.cluster, shared.err
}

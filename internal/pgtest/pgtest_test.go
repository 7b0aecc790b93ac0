package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const childVariable = "PGTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	Main(m)
}

// child starts a cluster, says where it is, and waits to be killed.
func child() {
	c, err := Start(context.Background(), Options{Unsafe: true})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println(c.dir)
	time.Sleep(time.Minute)
}

func ask[T any](t *testing.T, dsn, sql string) (answer T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func TestEveryCallGetsItsOwnDatabase(t *testing.T) {
	a, b := DSN(t), DSN(t)
	if a == b {
		t.Fatal("two calls share a database")
	}
	for _, dsn := range []string{a, b} {
		if n := ask[int](t, dsn, `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`); n != 0 {
			t.Errorf("a fresh database has %d relations", n)
		}
	}
}

func TestMigratesOncePerKey(t *testing.T) {
	runs := 0
	migrate := func(ctx context.Context, dsn string) error {
		runs++
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, `CREATE TABLE made (n int); INSERT INTO made VALUES (7)`)
		return err
	}
	for range 3 {
		if n := ask[int](t, Migrated(t, t.Name(), migrate), `SELECT n FROM made`); n != 7 {
			t.Errorf("the copy has %d", n)
		}
	}
	if runs != 1 {
		t.Errorf("migrated %d times", runs)
	}
}

func TestFailedMigrationIsReportedAndTriedAgain(t *testing.T) {
	c, err := cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	for range 2 {
		_, _, err := c.Create(t.Context(), t.Name(), func(context.Context, string) error { return boom })
		if !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
	}
}

func TestServerIsDurableAndUnprivileged(t *testing.T) {
	dsn := DSN(t)
	if os.Getenv(ServerVariable) != "" {
		return // somebody else's server has somebody else's settings
	}
	for setting, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "server_encoding": "UTF8"} {
		if got := ask[string](t, dsn, `SELECT current_setting('`+setting+`')`); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	c, err := cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ask[int](t, c.TCP(dsn), `SELECT 1`) != 1 {
		t.Error("loopback does not answer")
	}
	wrong, err := url.Parse(c.TCP(dsn))
	if err != nil {
		t.Fatal(err)
	}
	wrong.User = url.UserPassword(superuser, "wrong")
	if conn, err := pgx.Connect(t.Context(), wrong.String()); err == nil {
		conn.Close(t.Context())
		t.Error("loopback lets anybody in")
	}
}

func TestUseNeedsAnAddress(t *testing.T) {
	for _, dsn := range []string{"", "host=/tmp", "mysql://x", "postgres://\x7f"} {
		if _, err := Use(dsn); err == nil {
			t.Errorf("%q was accepted", dsn)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	c, err := Start(t.Context(), Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	pid := c.proc.cmd.Process.Pid
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}
	if alive(pid) {
		t.Error("the server still runs")
	}
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestServerDiesWithAKilledTest(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir, _ := bufio.NewReader(out).ReadString('\n')
	dir = strings.TrimSpace(dir)
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	sockets, err := filepath.Glob(filepath.Join(dir, ".s.PGSQL.*[0-9]"))
	if !filepath.IsAbs(dir) || err != nil || len(sockets) > 1 {
		t.Fatalf("the child said %q, sockets %v", dir, sockets)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if len(sockets) == 0 {
		return // it has gone already, and taken its socket along
	}
	// Asked by its socket, because a dead process may linger in the table until
	// whoever inherited it looks.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", sockets[0])
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server outlived its test")
		}
	}
}

func TestSweepTakesOnlyTheDead(t *testing.T) {
	parent := t.TempDir()
	old := time.Now().Add(-time.Hour)
	mk := func(name string) string {
		dir := filepath.Join(parent, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chtimes(dir, old, old)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead := mk(fmt.Sprintf("%s%d-1", dirPrefix, gone.Process.Pid))
	living := mk(fmt.Sprintf("%s%d-1", dirPrefix, os.Getpid()))
	foreign := mk(dirPrefix + "notes")
	sweep(parent)
	if _, err := os.Stat(dead); err == nil {
		t.Error("what a dead test left is still there")
	}
	for _, dir := range []string{living, foreign} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%s was removed", dir)
		}
	}
}

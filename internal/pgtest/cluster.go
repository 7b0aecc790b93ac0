package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startLimit = 60 * time.Second // initdb on a busy machine takes seconds, not a minute
	stopLimit  = 15 * time.Second
	socketMax  = 90 // a socket's path may have 107 bytes; PostgreSQL adds its file name
	dirPrefix  = "ecardid-pg-"
	superuser  = "ecardid"
)

// ErrMissing means that no PostgreSQL server is installed.
var ErrMissing = errors.New("pgtest: PostgreSQL server programs (initdb, postgres) not found; on Debian: apt-get install postgresql")

// Options adjust a cluster.
type Options struct {
	// Unsafe turns fsync off: faster, and wrong for anything that measures or
	// tests durability.
	Unsafe bool

	// Settings are further server settings, such as "max_connections": "50".
	Settings map[string]string
}

// Cluster is a PostgreSQL server and the databases made on it.
type Cluster struct {
	server *url.URL // reaches the maintenance database
	tcp    *url.URL // the same over loopback, nil for a server that is not ours

	mu        sync.Mutex
	templates map[string]string

	dir  string
	proc *process
}

// Use wraps a server that is already running. Stop leaves it alone.
func Use(dsn string) (*Cluster, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("pgtest: %s: want postgres://…", ServerVariable)
	}
	return &Cluster{server: u, templates: make(map[string]string)}, nil
}

// Start makes a cluster in a temporary directory and starts it. It runs as an
// unprivileged user, listens on a socket in that directory and on loopback with
// a password, and dies with this process.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	sweep(os.TempDir())
	dir, err := makeDir(who)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, templates: make(map[string]string)}
	if err := c.start(ctx, bin, who, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// programs finds the directory with the newest server, which distributions keep
// out of the PATH.
func programs() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // "15"; 0 for what is not a number
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	dirs = append(dirs, "/usr/local/pgsql/bin", "/usr/pgsql/bin")
	if found, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, dir := range dirs {
		if isFile(filepath.Join(dir, "initdb")) && isFile(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrMissing
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// account is the user the server runs as; nil means ourselves.
type account struct{ uid, gid uint32 }

// unprivileged says who that is: PostgreSQL refuses to run as root.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("pgtest: user %s: %w", name, err)
		}
		return &account{uint32(uid), uint32(gid)}, nil
	}
	return nil, errors.New("pgtest: PostgreSQL does not run as root, and there is no user postgres or nobody")
}

// makeDir makes the cluster's directory. Its name holds our process id, by which
// sweep knows what a killed test left behind.
func makeDir(who *account) (string, error) {
	parent := os.TempDir()
	if len(parent) > socketMax-len(dirPrefix)-24 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	if who != nil {
		if err := os.Chown(dir, int(who.uid), int(who.gid)); err != nil {
			return "", errors.Join(fmt.Errorf("pgtest: %w", err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// sweep removes directories whose test process is gone. The servers in them died
// with it; only files can be left.
func sweep(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, dir := range left {
		id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		info, err := os.Stat(dir)
		if pid, perr := strconv.Atoi(id); perr == nil && err == nil && !alive(pid) && time.Since(info.ModTime()) > time.Minute {
			_ = os.RemoveAll(dir)
		}
	}
}

func (c *Cluster) start(ctx context.Context, bin string, who *account, o Options) error {
	data := filepath.Join(c.dir, "data")
	password := rand.Text()
	if err := c.initdb(ctx, bin, data, password, who); err != nil {
		return err
	}
	var last error
	for range 5 { // somebody may take the port between our looking and the server's
		port, err := freePort()
		if err != nil {
			return err
		}
		c.server = &url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/postgres",
			RawQuery: url.Values{"host": {c.dir}, "port": {port}, "sslmode": {"disable"}}.Encode()}
		c.tcp = &url.URL{Scheme: "postgres", User: url.UserPassword(superuser, password),
			Host: net.JoinHostPort("127.0.0.1", port), Path: "/postgres", RawQuery: "sslmode=disable"}
		proc, err := c.serve(bin, data, port, who, o)
		if err != nil {
			return err
		}
		c.proc = proc
		if last = c.ready(ctx); last == nil {
			return nil
		}
		proc.stop(stopLimit)
		c.proc = nil
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("pgtest: PostgreSQL did not start: %w\n%s", last, c.log())
}

func (c *Cluster) initdb(ctx context.Context, bin, data, password string, who *account) error {
	secret := filepath.Join(c.dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if who != nil {
		if err := os.Chown(secret, int(who.uid), int(who.gid)); err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+data, "--username="+superuser,
		"--pwfile="+secret, "--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	prepare(cmd, c.dir, who)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return os.Remove(secret)
}

// serve starts the server as a child of ours.
func (c *Cluster) serve(bin, data, port string, who *account, o Options) (*process, error) {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    port,
		"unix_socket_directories": c.dir,
		"max_connections":         "200",
		"shared_buffers":          "64MB",
		"log_min_messages":        "warning",
		"timezone":                "UTC",
	}
	if o.Unsafe {
		settings["fsync"], settings["full_page_writes"], settings["synchronous_commit"] = "off", "off", "off"
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	args := []string{"-D", data}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	logFile, err := os.Create(c.logName())
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	defer logFile.Close()
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	prepare(cmd, c.dir, who)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	return startProcess(cmd)
}

// prepare gives a program a place and an environment it can rely on.
func prepare(cmd *exec.Cmd, dir string, who *account) {
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	restrain(cmd, who)
}

func (c *Cluster) logName() string { return filepath.Join(c.dir, "server.log") }

func (c *Cluster) log() string {
	text, _ := os.ReadFile(c.logName())
	return string(text)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("pgtest: looking for a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// ready waits until the server answers, or has ended.
func (c *Cluster) ready(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, c.server.String())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.proc.ended:
			return fmt.Errorf("the server ended: %w", c.proc.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// Stop ends the server and removes its directory. It may be called again.
func (c *Cluster) Stop() error {
	if c.proc != nil {
		c.proc.stop(stopLimit)
		c.proc = nil
	}
	if c.dir == "" {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// Create makes a database and returns its DSN and a way to drop it. With a
// migrate function, the database is a copy of one that migrate was run on, made
// once for each key.
func (c *Cluster) Create(ctx context.Context, key string, migrate func(ctx context.Context, dsn string) error) (
	dsn string, drop func(context.Context) error, err error) {
	template := "template0"
	if migrate != nil {
		if template, err = c.template(ctx, key, migrate); err != nil {
			return "", nil, err
		}
	}
	name := newName()
	if err := c.admin(ctx, `CREATE DATABASE `+quote(name)+` TEMPLATE `+quote(template)+` ENCODING 'UTF8'`); err != nil {
		return "", nil, err
	}
	return c.at(c.server, name), func(ctx context.Context) error {
		return c.admin(ctx, `DROP DATABASE IF EXISTS `+quote(name)+` WITH (FORCE)`)
	}, nil
}

// template returns the name of the migrated database for key. The lock is held
// while migrating: whoever comes meanwhile wants the same thing.
func (c *Cluster) template(ctx context.Context, key string, migrate func(context.Context, string) error) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name, ok := c.templates[key]; ok {
		return name, nil
	}
	name := newName()
	if err := c.admin(ctx, `CREATE DATABASE `+quote(name)+` TEMPLATE template0 ENCODING 'UTF8'`); err != nil {
		return "", err
	}
	if err := migrate(ctx, c.at(c.server, name)); err != nil {
		return "", errors.Join(fmt.Errorf("pgtest: migrating the template: %w", err),
			c.admin(ctx, `DROP DATABASE `+quote(name)+` WITH (FORCE)`))
	}
	c.templates[key] = name
	return name, nil
}

// TCP returns the same database's DSN over loopback with a password, or "" if the
// server is not ours.
func (c *Cluster) TCP(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || c.tcp == nil {
		return ""
	}
	return c.at(c.tcp, strings.TrimPrefix(u.Path, "/"))
}

func (c *Cluster) at(server *url.URL, database string) string {
	u := *server
	u.Path = "/" + database
	return u.String()
}

// admin runs one statement on the maintenance database.
func (c *Cluster) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, c.server.String())
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

func newName() string { return "t_" + strings.ToLower(rand.Text()) }

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

package provider_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/internal/jose"
	"ecardid/internal/pgtest"
	"ecardid/internal/seal"
	"ecardid/oauth"
	"ecardid/oauth/keyring"
	"ecardid/oauth/registry"
	"ecardid/storage"
)

// A backend is what a house stands on.
type backend struct {
	name     string
	replicas int
	fresh    func(t *testing.T) (dsn string)
}

// current is the backend of the moment. TestMain alone sets it, between two runs of
// all tests.
var current backend

// TestMain runs every test of this package on both databases, and on PostgreSQL over
// two replicas that take turns (SECURITY §18).
func TestMain(m *testing.M) {
	lite := sync.OnceValues(prepareFile)
	current = backend{"SQLite", 1, func(t *testing.T) string { return copyOf(t, lite) }}
	code := m.Run()
	cluster, err := startCluster()
	if err != nil {
		fmt.Fprintln(os.Stderr, "no PostgreSQL to test with:", err)
		os.Exit(1)
	}
	sites := &sites{cluster: cluster}
	current = backend{"PostgreSQL with two replicas", 2, sites.take}
	code = max(code, m.Run())
	if err := errors.Join(sites.clear(), cluster.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, "PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}

// startCluster starts a PostgreSQL that does not wait for its disk: these tests ask
// who wins, not what survives a crash.
func startCluster() (*pgtest.Cluster, error) {
	if dsn := os.Getenv(pgtest.ServerVariable); dsn != "" {
		return pgtest.Use(dsn)
	}
	return pgtest.Start(context.Background(), pgtest.Options{Unsafe: true})
}

// sites are databases that houses stand on one after the other: to level one is much
// cheaper than to make one.
type sites struct {
	cluster *pgtest.Cluster
	mu      sync.Mutex
	free    []string
	all     []site
}

type site struct {
	dsn  string
	drop func(context.Context) error
}

func (s *sites) take(t *testing.T) (dsn string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if n := len(s.free); n > 0 {
		dsn, s.free = s.free[n-1], s.free[:n-1]
		err = statement(t.Context(), dsn, level)
	} else {
		var drop func(context.Context) error
		if dsn, drop, err = s.cluster.Create(t.Context(), "provider", prepareSite); err == nil {
			s.all = append(s.all, site{dsn, drop})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free = append(s.free, dsn)
	})
	return dsn
}

// clear takes them away, from a server that may not be ours. Whoever waits for each
// other in a circle is set free by PostgreSQL after a second, and tries again; that
// nobody notices it is no reason to have it.
func (s *sites) clear() (err error) {
	ctx := context.Background()
	for _, one := range s.all {
		var n int64
		conn, failed := pgx.Connect(ctx, one.dsn)
		if failed == nil {
			failed = conn.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
			failed = errors.Join(failed, conn.Close(ctx))
		}
		if n > 0 {
			failed = errors.Join(failed, fmt.Errorf("%d deadlocks", n))
		}
		err = errors.Join(err, failed, one.drop(ctx))
	}
	return err
}

// prepareSite is prepare, and keeps a copy of every row to level the site with.
func prepareSite(ctx context.Context, dsn string) error {
	if err := prepare(ctx, dsn); err != nil {
		return err
	}
	return statement(ctx, dsn, `DO $$ DECLARE t text; BEGIN
 CREATE SCHEMA origin;
 FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
  EXECUTE format('CREATE TABLE origin.%I AS TABLE public.%I', t, t);
 END LOOP; END $$`)
}

const level = `DO $$ DECLARE t text; BEGIN
 SET LOCAL session_replication_role = replica;
 FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'origin' LOOP
  EXECUTE format('DELETE FROM public.%I', t);
  EXECUTE format('INSERT INTO public.%I OVERRIDING SYSTEM VALUE SELECT * FROM origin.%I', t, t);
 END LOOP; END $$`

func statement(ctx context.Context, dsn, text string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}

// prepareFile makes the SQLite database that the tests have copies of.
func prepareFile() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "ecardid-provider-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "house.db")
	if err := prepare(context.Background(), "sqlite:"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func copyOf(t *testing.T, template func() ([]byte, error)) (dsn string) {
	t.Helper()
	content, err := template()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "house.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// prepare makes a database that a house can move into: schema, data keys, the first
// signing keys, two citizens.
func prepare(ctx context.Context, dsn string) error {
	if err := storage.Migrate(ctx, dsn); err != nil {
		return err
	}
	store, err := open(ctx, dsn)
	if err != nil {
		return err
	}
	defer store.Close()
	// The second algorithm of a set is published before it signs; SM2 has its own set.
	keys := &keyring.Keyring{Store: store, Policy: keyring.DefaultPolicy(), Clock: fixed(noon), Log: slog.New(slog.DiscardHandler)}
	if err := keys.Rotate(ctx); err != nil {
		return err
	}
	return people(ctx, store)
}

type fixed time.Time

func (f fixed) Now() time.Time { return time.Time(f) }

func open(ctx context.Context, dsn string) (*storage.Store, error) {
	store, err := storage.Open(ctx, dsn, storage.Options{})
	if err != nil {
		return nil, err
	}
	kek, err := seal.ParseKEK(fmt.Appendf(nil, "%064x", "a key for tests only"), "test")
	if err == nil {
		err = store.Unlock(ctx, kek, noon)
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

// citizens are the people of every house.
func citizens() []identity.ID {
	return []identity.ID{{'w', 'a', 'n', 'g'}, {'l', 'i'}}
}

// people imports the citizens and brings them in.
func people(ctx context.Context, store *storage.Store) error {
	var rows []storage.NewCitizen
	for i, id := range citizens() {
		number, err1 := idnumber.ParseID([]string{"11010519491231002X", "440524188001010014"}[i], noon)
		phone, err2 := idnumber.ParsePhone(fmt.Sprintf("1380013123%d", i))
		card, err3 := idnumber.ParseCard(fmt.Sprintf("A1234567%d", i))
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		rows = append(rows, storage.NewCitizen{
			ID: id, Name: []string{"王小明", "李小红"}[i], IDNumber: number, Phone: phone, Card: card,
			Code: []byte(fmt.Sprint("code", i)), Expires: noon.Add(time.Hour),
		})
	}
	if err := store.ImportCitizens(ctx, rows, audit.Event{Kind: audit.CitizenImported, At: noon, Actor: audit.ByOperator}); err != nil {
		return err
	}
	for _, row := range rows {
		err := store.Activate(ctx, row.ID, row.Code, "encoded", "greeting", audit.Event{Kind: audit.CitizenActivated, At: noon, Actor: audit.ByCitizen, Citizen: row.ID})
		if err != nil {
			return err
		}
	}
	return nil
}

// turns gives each request to the next replica, so that whatever takes more than one
// request goes over all of them.
type turns struct {
	next  atomic.Uint32
	muxes []*http.ServeMux
}

func (s *turns) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.muxes[int(s.next.Add(1)-1)%len(s.muxes)].ServeHTTP(w, r)
}

func (s *turns) knows(path string) bool {
	_, pattern := s.muxes[0].Handler(mustRequest(http.MethodGet, path, ""))
	return pattern != ""
}

// registries are those of all replicas.
type registries []*registry.Registry

func (all registries) Client(ctx context.Context, id string) (*oauth.Client, error) {
	return all[0].Client(ctx, id)
}

func (all registries) Reload(ctx context.Context) error {
	for _, r := range all {
		if err := r.Reload(ctx); err != nil {
			return err
		}
	}
	return nil
}

// An announced registry is one replica's. When its provider has it read anew, the
// others hear of it, as they would by NOTIFY, but at once.
type announced struct {
	*registry.Registry
	all *registries
}

func (a announced) Reload(ctx context.Context) error { return a.all.Reload(ctx) }

// What one replica's keyring makes, the others hear of in the same way.
type announcedKeys struct {
	*keyring.Keyring
	all *keyrings
}

func (a announcedKeys) Renew(ctx context.Context) error {
	if err := a.Keyring.Renew(ctx); err != nil {
		return err
	}
	return a.all.each(ctx, (*keyring.Keyring).Load)
}

// keyrings are those of all replicas.
type keyrings []*keyring.Keyring

func (all keyrings) Rotate(ctx context.Context) error {
	return all.each(ctx, (*keyring.Keyring).Rotate)
}
func (all keyrings) Renew(ctx context.Context) error { return all.each(ctx, (*keyring.Keyring).Renew) }
func (all keyrings) Ring() *jose.Ring                { return all[0].Ring() }

func (all keyrings) Signer(alg jose.Alg) (jose.Key, error) { return all[0].Signer(alg) }

func (all keyrings) each(ctx context.Context, do func(*keyring.Keyring, context.Context) error) error {
	for _, k := range all {
		if err := do(k, ctx); err != nil {
			return err
		}
	}
	return nil
}

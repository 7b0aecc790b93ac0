//go:build soak

package bench

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ecardid/internal/clock"
	"ecardid/storage"
)

// grantsVariable is how many live grants the tests below make; they take minutes and
// are built for make soak alone.
const grantsVariable = "ECARDID_BENCH_GRANTS"

func wantedGrants(t *testing.T) int {
	t.Helper()
	n, _ := strconv.Atoi(os.Getenv(grantsVariable))
	if n <= 0 {
		t.Fatal(grantsVariable + " says how many: 1000000 in make soak")
	}
	return n
}

// The budgets of DESIGN §6, but for what a sign-in stores: 1.2 KB were promised before
// each of its two entries in the audit trail carried a MAC. It is to grow no further.
const (
	mostUnderLoad = 64.0   // MiB
	mostPerSignIn = 1400.0 // bytes
	mostGrowth    = 8.0    // MiB that a full database may cost more than an empty one: nothing that grows with it
)

// TestMillion: with a million live grants the server holds no more memory and an
// operation reads no more than with hardly any.
func TestMillion(t *testing.T) {
	wanted := wantedGrants(t)
	h := settle(t, postgres, clock.System{})
	conn := connect(t, h.dsn)
	few := soak(t, h, conn, "hardly any grants")
	began := time.Now()
	multiply(t, conn, wanted)
	t.Logf("%d grants made in %v, %d MiB", wanted, time.Since(began).Round(time.Second), size(t, conn)>>20)
	many := soak(t, h, conn, fmt.Sprintf("%d grants", wanted))
	if many.peak > mostUnderLoad {
		t.Errorf("the server held %.1f MiB, the budget is %.0f", many.peak, mostUnderLoad)
	}
	if many.peak > few.peak+mostGrowth {
		t.Errorf("the server held %.1f MiB, and %.1f with hardly any grants", many.peak, few.peak)
	}
	for name, rows := range many.rows {
		// PostgreSQL counts a little late; a scan could not be overlooked.
		if rows > few.rows[name]+50 {
			t.Errorf("%s read %.1f rows, and %.1f with hardly any grants", name, rows, few.rows[name])
		}
	}
}

type soaked struct {
	idle, peak float64
	rows       map[string]float64
}

// soak runs each operation under load on a server of its own.
func soak(t *testing.T, h *house, conn *pgx.Conn, what string) soaked {
	t.Helper()
	p := start(t, h.dsn)
	h.origin = p.issuer
	time.Sleep(idleFor)
	s := soaked{rows: map[string]float64{}}
	s.idle, _ = resident(p.pid)
	ways := make([]way, 64)
	for i := range ways {
		w, err := dial(p.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.conn.Close() })
		ways[i] = w
	}
	for _, op := range operations() {
		if !op.load || op.trips <= 0 {
			continue
		}
		const times = 1000
		do, err := op.prepare(h, ways[0], times)
		if err != nil {
			t.Fatal(err)
		}
		before := rowsRead(t, conn)
		began := time.Now()
		if err := crowdOf(ways, func(i int) bool { return i < times }, do); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		s.rows[op.name] = float64(rowsRead(t, conn)-before) / times
		t.Logf("%s: %s %.0f/s, %.1f rows each", what, op.name, times/took.Seconds(), s.rows[op.name])
	}
	_, s.peak = resident(p.pid)
	t.Logf("%s: %.1f MiB idle, %.1f MiB at the most", what, s.idle, s.peak)
	return s
}

// rowsRead is what PostgreSQL has read so far, once its backends, idle now, have said so.
func rowsRead(t *testing.T, conn *pgx.Conn) (rows int64) {
	t.Helper()
	time.Sleep(1500 * time.Millisecond)
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint
		+ (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// multiply makes copies of the grants that there are, opaque access tokens and all,
// until there are n.
func multiply(t *testing.T, conn *pgx.Conn, n int) {
	t.Helper()
	ctx := t.Context()
	columns := func(table string, others map[string]string) (names, values string) {
		rows, err := conn.Query(ctx, `SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND table_schema = current_schema() ORDER BY ordinal_position`, table)
		if err != nil {
			t.Fatal(err)
		}
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		of := make([]string, len(all))
		for i, c := range all {
			if of[i] = "o." + c; others[c] != "" {
				of[i] = others[c]
			}
		}
		return strings.Join(all, ", "), strings.Join(of, ", ")
	}
	// md5 makes 16 bytes and two of them 32, different for each copy.
	const id = `decode(md5('g' || i), 'hex')`
	secret := func(of string) string { return "decode(md5('" + of + "1' || i) || md5('" + of + "2' || i), 'hex')" }
	names, values := columns("grants", map[string]string{"id": id, "code": secret("c"), "refresh": secret("r"), "refresh_family": secret("f")})
	for done := 0; done < n; done += 50_000 {
		if _, err := conn.Exec(ctx, fmt.Sprintf(`INSERT INTO grants (%s) SELECT %s
			FROM (SELECT *, row_number() OVER () AS k FROM (SELECT * FROM grants WHERE refresh IS NOT NULL AND opaque LIMIT 64) few) o
			JOIN generate_series($1::int, $2::int) i ON i %% 64 + 1 = o.k`, names, values), done, min(done+50_000, n)-1); err != nil {
			t.Fatal(err)
		}
	}
	var live int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM grants WHERE revoked_at IS NULL`).Scan(&live); err != nil || live < n {
		t.Fatalf("%d grants of %d were made: %v", live, n, err)
	}
	names, values = columns("access_tokens", map[string]string{"token": secret("t"), "grant_id": id})
	if _, err := conn.Exec(ctx, fmt.Sprintf(`INSERT INTO access_tokens (%s) SELECT %s FROM (SELECT * FROM access_tokens LIMIT 1) o, generate_series(0, $1::int) i`,
		names, values), n/10); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func size(t *testing.T, conn *pgx.Conn) (bytes int64) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), `SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_stat_user_tables`).Scan(&bytes); err != nil {
		t.Fatal(err)
	}
	return bytes
}

// logTables says what the largest tables hold, indexes included.
func logTables(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT relname, pg_relation_size(relid), pg_indexes_size(relid) FROM pg_stat_user_tables
		WHERE pg_total_relation_size(relid) > 100000 ORDER BY pg_total_relation_size(relid) DESC`)
	if err != nil {
		t.Fatal(err)
	}
	var name string
	var table, indexes int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &table, &indexes}, func() error {
		t.Logf("%s: %d KiB and %d KiB of indexes", name, table>>10, indexes>>10)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestStoredPerSignIn: what a sign-in leaves behind, indexes and the audit trail
// included, when what it needed on its way is swept.
func TestStoredPerSignIn(t *testing.T) {
	wantedGrants(t)
	clk := clock.At(time.Now())
	h := settle(t, postgres, clk)
	h.store.Close()
	u, err := url.Parse(h.dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("synchronous_commit", "off") // it is bytes that are counted, not time
	u.RawQuery = q.Encode()
	if h.store, err = openStore(t.Context(), u.String(), clk, storage.Options{}); err != nil {
		t.Fatal(err)
	}
	defer h.store.Close()
	if h.server, err = newServer(t.Context(), h.store, issuer, clk, equal{}); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, h.dsn)
	vacuumed := func() int64 {
		// Two hours on, counters and flows are over, and logins are not.
		if _, err := h.store.Sweep(t.Context(), clk.Now().Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), `VACUUM FULL`); err != nil {
			t.Fatal(err)
		}
		return size(t, conn)
	}
	do, w, next := signIn(h, clk), &inside{ctx: t.Context(), handler: h.server}, atomic.Int64{}
	run := func(n int) {
		for range n {
			if err := do(w, int(next.Add(1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(100) // so that every table has a page
	before := vacuumed()
	const times = 1000
	run(times)
	each := float64(vacuumed()-before) / times
	logTables(t, conn)
	t.Logf("%.0f bytes stored a sign-in", each)
	if each > mostPerSignIn {
		t.Errorf("a sign-in stores %.0f bytes, the budget is %.0f", each, mostPerSignIn)
	}
}

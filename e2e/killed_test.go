package e2e

import (
	"bufio"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ecardid/e2e/house"
)

// A report of a loss under way, by a program that can be killed.
type underway struct {
	told <-chan struct{} // closed when it was acknowledged
	kill func()          // returns when nothing of the program is left
}

// A moment is when a report is killed.
type moment struct {
	name string
	// wait returns when it has come. took is how long a report takes.
	wait func(k *killing, u underway, took time.Duration)
	// inside: the report has written something and cannot have committed. done: it has.
	inside, done bool
}

// killing is one database, the parties, and a connection of its own to look at what the
// program does.
type killing struct {
	t *testing.T
	e *everything
	*pgx.Conn
}

func (k *killing) exec(text string) {
	k.t.Helper()
	if _, err := k.Exec(k.t.Context(), text); err != nil {
		k.t.Fatal(err)
	}
}

// until waits for a question to the database to be answered with yes, and no pause longer
// than it has to.
func (k *killing) until(what, question string, args ...any) {
	k.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		var yes bool
		if err := k.QueryRow(k.t.Context(), question, args...).Scan(&yes); err != nil {
			k.t.Fatal(err)
		}
		if yes {
			return
		}
	}
	k.t.Fatalf("%s never happened", what)
}

// moments are those of the kills. At random is wherever it happens to be; the others are
// there so that every stretch of a report is hit on each run.
func moments() []moment {
	// A report that waits for a table has done all that comes before.
	stuck := func(table string) moment {
		return moment{name: "before-" + table, inside: true, wait: func(k *killing, _ underway, _ time.Duration) {
			k.until("writing to "+table, `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = '`+table+`'::regclass AND NOT granted)`)
		}}
	}
	random := moment{name: "at-random", wait: func(_ *killing, _ underway, took time.Duration) { time.Sleep(rand.N(took * 5 / 4)) }}
	told := moment{name: "acknowledged", done: true, wait: func(k *killing, u underway, _ time.Duration) {
		select {
		case <-u.told:
		case <-time.After(15 * time.Second):
			k.t.Fatal("a report was never acknowledged")
		}
	}}
	committed := moment{name: "committed", done: true, wait: func(k *killing, _ underway, _ time.Duration) {
		k.until("a receipt", `SELECT EXISTS (SELECT FROM loss_receipts WHERE citizen_id = $1)`, k.e.c.ID[:])
	}}
	return []moment{stuck("loss_receipts"), told, stuck("audit"), random, committed, random}
}

// TestKilled: a report that is killed at some moment has happened or it has not, whether
// it is an operator's command that dies or the server with a citizen's form in its hands.
// There is never a door open and another shut; what was acknowledged has happened; and
// of what was not committed nothing has.
func TestKilled(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{Postgres: true, Replicas: 2})
	with := partiesOf(t, h, "killed", nil)
	program := h.Production(t)
	conn, err := pgx.Connect(t.Context(), h.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	k := &killing{t: t, Conn: conn}
	t.Run("command", func(t *testing.T) {
		k.rounds(t, func() *everything { return settle(t, h, with, 1) }, func() underway { return k.command(program) }, func() {})
	})
	t.Run("server", func(t *testing.T) {
		h.Replicas = append(h.Replicas, program.Replicas[0]) // people knock there as well
		kill := program.Launch(t)
		people := func() *everything {
			// To come in takes codes of several time steps, and the program's time is the
			// world's: what is made here must not be of its future.
			h.Clock.Set(-2 * time.Minute)
			defer h.Clock.Set(0)
			return settle(t, h, with, 1)
		}
		k.rounds(t, people, func() underway { return k.form(program, kill) }, func() { kill = program.Launch(t) })
	})
}

// rounds kills one report after another, and looks at every door after each.
func (k *killing) rounds(t *testing.T, settle func() *everything, begin func() underway, restart func()) {
	t.Helper()
	k.t, k.e = t, nil
	took := 300 * time.Millisecond
	before, inside, after := 0, 0, 0 // where kills fell
	once := []string{"code", "pushed-request"}
	for round, m := range moments() {
		if k.e == nil {
			k.e = settle()
		}
		if m.inside {
			k.exec(`BEGIN`)
			k.exec(`LOCK TABLE ` + strings.TrimPrefix(m.name, "before-") + ` IN SHARE MODE`)
		}
		began := time.Now()
		u := begin()
		m.wait(k, u, took)
		u.kill()
		killed := time.Since(began)
		if m.inside {
			k.exec(`ROLLBACK`)
			inside++
		}
		// What was sent to the database before may still commit.
		time.Sleep(100 * time.Millisecond)
		acknowledged := false
		select {
		case <-u.told:
			acknowledged, took = true, min(took, killed)
		default:
		}
		restart()
		var left string
		for n := range k.e.h.Replicas {
			got := k.e.standing(n, once...)
			if n > 0 && got != left {
				t.Fatalf("killed %s, after %v: one replica leaves %q, another %q", m.name, killed, left, got)
			}
			left = got
		}
		switch {
		case left != "" && left != allOpen(once...):
			t.Fatalf("killed %s, after %v, there is left: %q", m.name, killed, left)
		case left != "" && (acknowledged || m.done):
			t.Fatalf("killed %s, after %v: it was done, and everything is open", m.name, killed)
		case left == "" && m.inside:
			t.Fatalf("killed %s, after %v: it was not committed, and everything is shut", m.name, killed)
		case left == "":
			if got := k.e.standing(round); got != "" {
				t.Errorf("killed %s, after %v: with what is used once: %q", m.name, killed, got)
			}
			after++
			k.e = nil
		case !m.inside:
			before++
		}
	}
	// Chance alone may have come too late each time.
	for try := 0; before == 0; try++ {
		if try == 10 {
			t.Fatal("no kill fell before a report took effect")
		}
		if k.e == nil {
			k.e = settle()
		}
		u := begin()
		time.Sleep(rand.N(took / time.Duration(try+2)))
		u.kill()
		time.Sleep(100 * time.Millisecond)
		restart()
		switch got := k.e.standing(try, once...); got {
		case allOpen(once...):
			before++
		case "":
			k.e = nil
		default:
			t.Fatalf("killed early there is left: %q", got)
		}
	}
	if inside == 0 || after == 0 {
		t.Errorf("%d kills fell inside of a report and %d after it: both have to be", inside, after)
	}
	t.Logf("kills before a report took effect: %d, inside its transaction: %d, after: %d", before, inside, after)
}

// command has an operator report the phone's loss.
func (k *killing) command(p *house.Production) underway {
	k.t.Helper()
	cmd := p.Command(k.t, "citizen", "report-loss", k.e.c.Card, "--reason", "killed")
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	told, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if line, _ := bufio.NewReader(out).ReadString('\n'); strings.Contains(line, "receipt") {
			close(told)
		}
	}()
	return underway{told, func() {
		_ = cmd.Process.Kill() // or it has ended by itself
		<-ended
		_ = cmd.Wait()
	}}
}

// form has the citizen report it to the server that kill kills.
func (k *killing) form(p *house.Production, kill func()) underway {
	k.t.Helper()
	r := k.e.h.Robot(k.t)
	r.At = p.Replicas[0]
	action, form := r.Get("/lost").Form("lost-submit")
	for name, value := range map[string]string{"lost-submit": "1", "what": "phone", "username": k.e.c.Card, "proof": k.e.c.Password} {
		form.Set(name, value)
	}
	t, told, ended := k.t, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		switch a, err := r.TryPost(action, form); {
		case err != nil: // it was killed
		case a.Status == http.StatusSeeOther && strings.HasPrefix(a.Location, "/lost/receipt/"):
			close(told)
		default:
			t.Errorf("a report was answered with %d: %s", a.Status, a.Text("problem"))
		}
	}()
	return underway{told, func() {
		kill()
		<-ended
	}}
}

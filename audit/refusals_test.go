package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
)

// journal keeps what it is given.
type journal struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

func (j *journal) Record(ctx context.Context, e audit.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.events = append(j.events, e)
	}
	return j.err
}

// taken is what was recorded since the last time, as lines.
func (j *journal) taken() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for _, e := range j.events {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s%s %s %s", e.Kind, e.Client, e.Place, e.Reason, e.Detail["more"])))
	}
	j.events = nil
	return strings.Join(lines, "; ")
}

func TestRefusals(t *testing.T) {
	clk := clock.At(time.Unix(1_700_000_000, 0))
	j := &journal{}
	r := &audit.Refusals{Journal: j, Clock: clk, Log: slog.New(slog.DiscardHandler)}
	gone, cancel := context.WithCancel(t.Context())
	cancel() // whoever was refused hung up
	note := func(n int, e audit.Event) string {
		for range n {
			r.Note(gone, e)
		}
		return j.taken()
	}
	scope := audit.Event{Kind: audit.ScopeRefused, Client: "pension", Reason: "a scope"}
	form := audit.Event{Kind: audit.FormRefused, Place: "192.0.2.0/24", Reason: "forged"}

	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("one is one", note(1, scope), "scope.refuse pension a scope")
	want("a few are a row each, and no more", note(10, scope), "scope.refuse pension a scope; scope.refuse pension a scope")
	want("another source is another's", note(1, form), "form.refuse 192.0.2.0/24 forged")
	citizen := form
	citizen.Citizen = identity.ID{1}
	want("so is another citizen", note(1, citizen), "form.refuse 192.0.2.0/24 forged")
	r.Sweep(t.Context(), false)
	want("within the minute nothing is counted out", j.taken(), "")

	clk.Advance(time.Minute)
	want("the next one brings the count along", note(1, scope), "scope.refuse pension repeated 8; scope.refuse pension a scope")
	note(4, scope)
	clk.Advance(time.Minute)
	r.Sweep(t.Context(), false)
	want("a sweep does, when there is no next", j.taken(), "scope.refuse pension repeated 2")
	r.Sweep(t.Context(), true)
	want("once", j.taken(), "")
	note(5, scope)
	done, stop := context.WithCancel(t.Context())
	stop()
	r.Run(done)
	want("the end counts what there is", j.taken(), "scope.refuse pension repeated 2")

	j.err = errors.New("no disk")
	want("what cannot be written stops nobody", note(1, scope), "")
	var nobody *audit.Refusals
	nobody.Note(t.Context(), scope)
}

// However many there are, from however many places, the rows of a minute are bounded,
// and so is what is held in memory (SECURITY DS3).
func TestRefusalsAreBounded(t *testing.T) {
	clk := clock.At(time.Unix(1_700_000_000, 0))
	j := &journal{}
	r := &audit.Refusals{Journal: j, Clock: clk, Log: slog.New(slog.DiscardHandler)}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 5000 {
				r.Note(t.Context(), audit.Event{Kind: audit.FormRefused, Place: fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255), Reason: "forged"})
			}
		})
	}
	all.Wait()
	clk.Advance(time.Minute)
	r.Sweep(t.Context(), true)
	counted, rows := 0, len(j.events)
	for _, e := range j.events {
		if e.Reason == "forged" {
			counted++
			continue
		}
		n := 0
		if _, err := fmt.Sscan(e.Detail["more"], &n); err != nil {
			t.Fatal(err)
		}
		counted += n
	}
	if rows > 4*100+1 || counted != 4*5000 {
		t.Errorf("%d rows speak of %d refusals", rows, counted)
	}
}

// A crowd of strangers takes nobody's name out of the trail: not of another kind, and not
// of the same, where it names one client from everywhere (SECURITY AD3).
func TestRefusalsKeepNames(t *testing.T) {
	clk := clock.At(time.Unix(1_700_000_000, 0))
	j := &journal{}
	r := &audit.Refusals{Journal: j, Clock: clk, Log: slog.New(slog.DiscardHandler)}
	citizen := identity.NewID()
	for i := range 1000 {
		place := fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255)
		r.Note(t.Context(), audit.Event{Kind: audit.FormRefused, Place: place, Reason: "forged"})
		r.Note(t.Context(), audit.Event{Kind: audit.RequestRefused, Client: "pension", Place: place, Reason: "redirect URI"})
	}
	j.taken()
	noted := func(e audit.Event) string {
		e.Place, e.Reason = " 192.0.2.0/24", "x"
		r.Note(t.Context(), e)
		return j.taken()
	}
	for _, c := range []struct {
		e    audit.Event
		want string
	}{
		{audit.Event{Kind: audit.FormRefused}, ""}, // one of the crowd
		{audit.Event{Kind: audit.FormRefused, Citizen: citizen}, "form.refuse  192.0.2.0/24 x"},
		{audit.Event{Kind: audit.RequestRefused, Client: "health"}, "request.refuse health 192.0.2.0/24 x"},
		{audit.Event{Kind: audit.RequestRefused, Client: "pension"}, ""},
		{audit.Event{Kind: audit.ScopeRefused, Client: "pension"}, "scope.refuse pension 192.0.2.0/24 x"},
		{audit.Event{Kind: audit.SignatureRefused}, "device.refuse  192.0.2.0/24 x"},
	} {
		if got := noted(c.e); got != c.want {
			t.Errorf("%+v: %q, want %q", c.e, got, c.want)
		}
	}
	clk.Advance(time.Minute)
	r.Sweep(t.Context(), false)
	// Of the crowds there are counts, and of whom one named its count says.
	counts := strings.Split(j.taken(), "; ")
	slices.Sort(counts)
	if want := []string{"form.refuse  repeated 901", "request.refuse pension repeated 898"}; !slices.Equal(counts, want) {
		t.Errorf("%q, want %q", counts, want)
	}
	if got := noted(audit.Event{Kind: audit.FormRefused}); got != "form.refuse  192.0.2.0/24 x" {
		t.Errorf("when the crowd is gone: %q", got)
	}
}

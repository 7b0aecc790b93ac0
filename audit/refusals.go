package audit

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"ecardid/internal/clock"
)

// The kinds of refusal that have no act to go with. Each is caused by us; what was
// asked for is in the reason, in our own words.
const (
	ProofRefused     Kind = "proof.refuse"    // a DPoP proof that was used before
	RegisterRefused  Kind = "register.refuse" // registering, or a registration, with a wrong token
	AccessRefused    Kind = "access.refuse"   // a client that asks about, ends or exchanges what is not its to
	GrantRefused     Kind = "grant.refuse"    // a grant type the client was not admitted with
	ScopeRefused     Kind = "scope.refuse"    // more than the client was admitted for
	RequestRefused   Kind = "request.refuse"  // an authorization request that is not this client's
	SignatureRefused Kind = "device.refuse"   // a request to the device API that no phone signed now
	FormRefused      Kind = "form.refuse"     // a form from another site, or not one of ours
	StepUpRefused    Kind = "account.refuse"  // a change without fresh factors
)

// Limits of what refusals may write. Strangers cause them: the first few of a source
// are worth a row each, of the rest the number is (SECURITY DS3).
const (
	refusalsEach    = 3               // rows of one kind and source in a period, and one that counts
	refusalSources  = 100             // sources of one kind at a time that name nobody, and as many that do
	refusalNames    = 1000            // clients and citizens of one kind at a time, whatever their source
	refusalPeriod   = time.Minute     // what somebody tries by hand is a row each
	refusalPatience = 2 * time.Second // how long an answer may wait for its row
	refusalSweep    = 5 * time.Second
	refusalRepeated = "repeated" // the reason of a row that counts
)

// A Journal keeps entries that stand alone.
type Journal interface {
	Record(ctx context.Context, e Event) error
}

// Refusals writes down what was refused, and no more rows than a trail can bear: of
// each kind and source a few in a minute, and then one with how many more there
// were. Of more sources than that one row tells for each client or citizen, and of
// those that name neither one for the kind: a crowd of strangers takes its own
// places out of the trail and nobody's name. Counts are this process's and end with a
// crash, at most a minute's. A refusal that cannot be written down is a refusal all
// the same.
//
// It is safe for concurrent use; a nil one writes nothing.
type Refusals struct {
	Journal Journal
	Clock   clock.Clock
	Log     *slog.Logger

	mu   sync.Mutex
	open map[refusalKey]*refusalCount
	held map[refusalShelf]int // how many of open stand on each
}

// A refusalKey is who was refused what.
type refusalKey struct {
	refusalShelf
	who string
}

// A refusalShelf holds so many keys of a kind and no more.
type refusalShelf struct {
	kind  Kind
	about refusalAbout
}

// A refusalAbout is what a count still tells of its source.
type refusalAbout int

const (
	aboutAll   refusalAbout = iota // who and from where
	aboutPlace                     // from where; nobody was named
	aboutName                      // who; there were too many places
	aboutKind                      // nothing; there were too many of either
)

// shelves are where e may be counted, the most telling first.
func shelves(e Event) []refusalKey {
	name := e.Client + "\x00" + e.Citizen.String()
	key := func(about refusalAbout, who string) refusalKey {
		return refusalKey{refusalShelf{e.Kind, about}, who}
	}
	if e.Client == "" && e.Citizen.IsZero() {
		return []refusalKey{key(aboutPlace, e.Place), key(aboutKind, "")}
	}
	return []refusalKey{key(aboutAll, name+"\x00"+e.Place), key(aboutName, name), key(aboutKind, "")}
}

// room is how many keys a shelf holds.
func (s refusalShelf) room() int {
	switch s.about {
	case aboutAll, aboutPlace:
		return refusalSources
	case aboutName:
		return refusalNames
	}
	return 1
}

type refusalCount struct {
	ends  time.Time
	rows  int
	more  int
	first Event // whom the count is about
}

// Note writes e down, if it is one of the first of its kind and source. Time and, when
// it is left out, actor are filled in.
func (r *Refusals) Note(ctx context.Context, e Event) {
	if r == nil {
		return
	}
	e.At = r.Clock.Now()
	if e.Actor == "" {
		e.Actor = BySystem
	}
	for _, due := range r.count(e) {
		r.record(ctx, due)
	}
}

// count decides what is to be written now: e, the count of the minute before, both or
// nothing.
func (r *Refusals) count(e Event) (due []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open, r.held = map[refusalKey]*refusalCount{}, map[refusalShelf]int{}
	}
	all := shelves(e)
	key := all[len(all)-1]
	for _, k := range all {
		if r.open[k] != nil || r.held[k.refusalShelf] < k.room() {
			key = k
			break
		}
	}
	c := r.open[key]
	if c == nil {
		r.held[key.refusalShelf]++
	}
	if c != nil && !e.At.Before(c.ends) {
		due = c.sum(due, e.At)
		c = nil
	}
	if c == nil {
		c = &refusalCount{ends: e.At.Add(refusalPeriod), first: e}
		switch key.about {
		case aboutName:
			c.first.Place = ""
		case aboutKind:
			c.first, c.rows = Event{Kind: e.Kind}, refusalsEach
		}
		r.open[key] = c
	}
	if c.rows < refusalsEach {
		c.rows++
		return append(due, e)
	}
	c.more++
	return due
}

// sum adds the row that counts, if there is something to count.
func (c *refusalCount) sum(due []Event, now time.Time) []Event {
	if c.more == 0 {
		return due
	}
	return append(due, Event{
		Kind: c.first.Kind, At: now, Actor: BySystem, Client: c.first.Client, Citizen: c.first.Citizen, Place: c.first.Place,
		Reason: refusalRepeated, Detail: map[string]string{"more": strconv.Itoa(c.more)},
	})
}

// Sweep writes down the counts of minutes that are over; all of them at the end.
func (r *Refusals) Sweep(ctx context.Context, end bool) {
	now := r.Clock.Now()
	var due []Event
	r.mu.Lock()
	for key, c := range r.open {
		if end || !now.Before(c.ends) {
			due = c.sum(due, now)
			delete(r.open, key)
			r.held[key.refusalShelf]--
		}
	}
	r.mu.Unlock()
	for _, e := range due {
		r.record(ctx, e)
	}
}

// Run sweeps until ctx ends, and then a last time.
func (r *Refusals) Run(ctx context.Context) {
	tick := time.NewTicker(refusalSweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.Sweep(ctx, true)
			return
		case <-tick.C:
			r.Sweep(ctx, false)
		}
	}
}

// record writes one row. Whoever was refused cannot keep it from being written by
// hanging up.
func (r *Refusals) record(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalPatience)
	defer cancel()
	if err := r.Journal.Record(ctx, e); err != nil {
		r.Log.ErrorContext(ctx, "refusal not recorded", "kind", string(e.Kind), "client", e.Client, "cause", err)
	}
}

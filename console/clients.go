package console

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// States of a relying party on its way in. They are oauth's words.
const (
	ClientDraft     = "draft"
	ClientTesting   = "testing"
	ClientAssessed  = "assessed"
	ClientLive      = "live"
	ClientSuspended = "suspended"
	ClientWithdrawn = "withdrawn"
)

// A ClientFile is what staff see of a relying party.
type ClientFile struct {
	ID, Name, State string
	Profile, Method string // its rules, and how it authenticates itself
	Dynamic         bool   // it registered itself, and is not admitted by anybody
	Redirects       []string
	Grants          []string
	Scopes          []string // as registered
	Created         time.Time
	Updated         time.Time
	Record          Record
	// Ends is when the admission runs out; zero: not by itself. Ending says that it will
	// within a month, or has; Lapsed that it has.
	Ends           time.Time
	Ending, Lapsed bool
	// Revision names the client as it is now. An order about it is an order about that.
	Revision string
}

// A Record is what a relying party was assessed as.
type Record struct {
	Assessor  string        `json:"assessor,omitempty"`
	Reference string        `json:"reference,omitempty"`
	Assessed  string        `json:"assessed,omitempty"` // days, as 2006-01-02
	Expires   string        `json:"expires,omitempty"`
	Scopes    []ScopeBasis  `json:"scopes,omitempty"`
	Testers   []identity.ID `json:"testers,omitempty"`
}

// A ScopeBasis is a scope that is allowed, and by which law.
type ScopeBasis struct {
	Scope   string `json:"scope"`
	Chinese string `json:"zh,omitempty"`
	English string `json:"en,omitempty"`
}

// A ClientChange is the value of an order to prepare or admit a relying party.
type ClientChange struct {
	Revision string  `json:"r"`
	State    string  `json:"s"`
	Record   *Record `json:"a,omitempty"` // nil: as it is
}

// Value is the change as Order.Value has it.
func (c ClientChange) Value() string {
	b, err := json.Marshal(c)
	if err != nil { // strings and lists of them
		return ""
	}
	return string(b)
}

// changeOf reads an order's value.
func changeOf(o Order) (ClientChange, error) {
	var c ClientChange
	if err := json.Unmarshal([]byte(o.Value), &c); err != nil {
		return ClientChange{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	// What is approved is what is read: nothing beside what a change says, said once, and in
	// no other way (SECURITY G3, G8).
	if c.Value() != o.Value {
		return ClientChange{}, ErrInvalid
	}
	// To live is the one step that others approve; whatever is prepared is not served.
	if (c.State == ClientLive) != (o.Act == ClientAdmit) || !slices.Contains([]string{ClientDraft, ClientTesting, ClientAssessed, ClientLive}, c.State) {
		return ClientChange{}, ErrInvalid
	}
	return c, nil
}

// A ClientWeight is what hangs on a relying party.
type ClientWeight struct{ Grants, Citizens, Requests int }

// A ClientDay is what a relying party did on one day.
type ClientDay struct {
	Day                                   time.Time
	Codes, Refreshes, Refusals, Overasked int64
}

// Clients reads and changes relying parties. What is not right about a record is
// ErrInvalid, what is not possible, or decided on another revision, identity.ErrConflict.
type Clients interface {
	ListClients(ctx context.Context) ([]ClientFile, error)
	ClientFile(ctx context.Context, id string) (ClientFile, error)
	ClientWeight(ctx context.Context, id string) (ClientWeight, error)
	// ClientDays returns the last n days, the latest at the end, those without use as well.
	ClientDays(ctx context.Context, id string, n int) ([]ClientDay, error)
	// TryClient says whether ChangeClient would be right.
	TryClient(ctx context.Context, id string, c ClientChange) error
	ChangeClient(ctx context.Context, id string, c ClientChange, e audit.Event) error
	SuspendClient(ctx context.Context, id string, e audit.Event) error
	WithdrawClient(ctx context.Context, id string, e audit.Event) error
}

// Admissions performs the acts on relying parties.
type Admissions struct{ Clients Clients }

var _ Performer = (*Admissions)(nil)

// Acts lists what it performs.
func (*Admissions) Acts() []Act {
	return []Act{ClientPrepare, ClientAdmit, ClientSuspend, ClientWithdraw}
}

// Preview implements Performer.
func (a *Admissions) Preview(ctx context.Context, _ Staff, o Order) ([]Line, error) {
	file, err := a.Clients.ClientFile(ctx, o.Client)
	if err != nil {
		return nil, err
	}
	if file.Dynamic && o.Act != ClientSuspend && o.Act != ClientWithdraw {
		return nil, identity.ErrConflict
	}
	lines := []Line{{What: "client", Name: file.Name}}
	switch o.Act {
	case ClientPrepare, ClientAdmit:
		change, err := changeOf(o)
		if err != nil {
			return nil, err
		}
		// A record without scopes would be one without a ceiling.
		if change.Record != nil && len(change.Record.Scopes) == 0 && len(file.Scopes) > 0 {
			return nil, ErrInvalid
		}
		if err := a.Clients.TryClient(ctx, o.Client, change); err != nil {
			return nil, err
		}
		lines = append(lines, Line{What: "client-state", Name: change.State})
		record := file.Record
		if change.Record != nil {
			record = *change.Record
		}
		lines = append(lines, record.lines(change.State)...)
		if change.State == file.State && !file.Lapsed && change.Record != nil && (file.State == ClientLive || slices.Equal(change.Record.Testers, file.Record.Testers)) {
			return lines, nil // nothing ends
		}
	case ClientSuspend:
		becomes := suspends(file.State)
		if becomes == "" {
			return nil, identity.ErrConflict
		}
		lines = append(lines, Line{What: "client-state", Name: becomes})
	case ClientWithdraw:
		if file.State == ClientWithdrawn {
			return nil, identity.ErrConflict
		}
		lines = append(lines, Line{What: "client-state", Name: ClientWithdrawn})
	default:
		return nil, ErrInvalid
	}
	w, err := a.Clients.ClientWeight(ctx, o.Client)
	if err != nil {
		return nil, err
	}
	return append(lines, Line{What: "grants", Count: w.Grants}, Line{What: "citizens", Count: w.Citizens}, Line{What: "requests", Count: w.Requests}), nil
}

// suspends is what a client in a state is after it was suspended: only what is served may
// be, and what never was live is a draft again. Empty: it may not.
func suspends(state string) string {
	switch state {
	case ClientLive:
		return ClientSuspended
	case ClientTesting:
		return ClientDraft
	}
	return ""
}

// lines are what somebody approves: who assessed, until when, and what for.
func (r Record) lines(state string) []Line {
	lines := []Line{
		{What: "assessor", Name: r.Assessor}, {What: "reference", Name: r.Reference}, {What: "assessed", Name: r.Assessed}, {What: "expires", Name: r.Expires},
	}
	for _, s := range r.Scopes {
		// Citizens read one language or the other: whoever approves reads both.
		bare := true
		for _, text := range []string{s.Chinese, s.English} {
			if text != "" {
				lines, bare = append(lines, Line{What: "scope", Name: s.Scope + " · " + text}), false
			}
		}
		if bare {
			lines = append(lines, Line{What: "scope", Name: s.Scope})
		}
	}
	if state == ClientTesting || state == ClientDraft {
		lines = append(lines, Line{What: "testers", Count: len(r.Testers)})
	}
	return lines
}

// Perform implements Performer.
func (a *Admissions) Perform(ctx context.Context, o Order, e audit.Event) (string, error) {
	e.Client = o.Client
	switch o.Act {
	case ClientPrepare, ClientAdmit:
		change, err := changeOf(o)
		if err != nil {
			return "", err
		}
		e.Kind = audit.ClientPrepared
		if o.Act == ClientAdmit {
			e.Kind = audit.ClientAdmitted
		}
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["state"] = change.State
		return "", a.Clients.ChangeClient(ctx, o.Client, change, e)
	case ClientSuspend:
		e.Kind = audit.ClientSuspended
		return "", a.Clients.SuspendClient(ctx, o.Client, e)
	case ClientWithdraw:
		e.Kind = audit.ClientWithdrawn
		return "", a.Clients.WithdrawClient(ctx, o.Client, e)
	}
	return "", ErrInvalid
}

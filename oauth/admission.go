package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecardid/identity"
)

// Limits of an admission.
const (
	maxTesters = 20  // enough to try every path with, too few to go live by
	maxBasis   = 300 // of a legal basis, in characters: a line or two of the consent page

	// admissionNotice is how long before its end an admission is warned of: time for
	// another assessment.
	admissionNotice = 30 * 24 * time.Hour
)

// ErrLapsed is identity.ErrNotFound for a client whose assessment has run out: nobody
// is served for it until it was assessed anew.
var ErrLapsed = fmt.Errorf("the admission has run out: %w", identity.ErrNotFound)

// MayBecome reports whether somebody at the console may take a client from one state to
// another. Only what was live is ever suspended (see Clients.SuspendClient), so that no
// step on the way to live is gone round by it. An operator at the machine may set any but
// withdrawn, which is for good.
func (s ClientState) MayBecome(to ClientState) bool {
	if to == ClientWithdrawn {
		return s != ClientWithdrawn
	}
	switch s {
	case ClientDraft:
		return to == ClientTesting
	case ClientTesting:
		return to == ClientAssessed || to == ClientDraft
	case ClientAssessed:
		return to == ClientLive || to == ClientDraft
	case ClientLive:
		return to == ClientSuspended
	case ClientSuspended:
		return to == ClientLive
	}
	return false
}

// Served reports whether anybody is served for a client in this state.
func (s ClientState) Served() bool { return s == ClientLive || s == ClientTesting }

// An Admission is what a client was assessed as, and by whom.
type Admission struct {
	Assessor  string `json:"assessor,omitempty"`
	Reference string `json:"reference,omitempty"` // of the assessment, in the assessor's books
	Assessed  Day    `json:"assessed,omitzero"`
	// Expires is the last day of it; zero: none. After that day the client is not served.
	Expires Day `json:"expires,omitzero"`
	// Scopes are what it may ask for of what it registered, and by which law. Empty: all
	// it registered; only an operator may leave it so.
	Scopes []Basis `json:"scopes,omitempty"`
	// Testers are the citizens it is served for while it is tested.
	Testers []identity.ID `json:"testers,omitempty"`
}

// A Basis is the legal basis of a scope, by language tag; the citizen reads it.
type Basis struct {
	Scope string            `json:"scope"`
	Basis map[string]string `json:"basis,omitempty"`
}

// A Day is a day in Beijing, kept as its first moment.
type Day struct{ time.Time }

const dayForm = "2006-01-02"

func beijing() *time.Location { return time.FixedZone("CST", 8*60*60) }

// ParseDay reads 2006-01-02; the empty text is the zero Day.
func ParseDay(s string) (Day, error) {
	if s == "" {
		return Day{}, nil
	}
	t, err := time.ParseInLocation(dayForm, s, beijing())
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return Day{}, errors.New("is not a day such as 2027-06-30")
	}
	return Day{t}, nil
}

// String is 2006-01-02, or empty.
func (d Day) String() string {
	if d.IsZero() {
		return ""
	}
	return d.In(beijing()).Format(dayForm)
}

// MarshalText implements encoding.TextMarshaler. Without it the time inside would speak.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Day) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDay(string(b))
	return err
}

// MarshalJSON implements json.Marshaler.
func (d Day) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Day) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("a day is a string")
	}
	return d.UnmarshalText([]byte(s))
}

// Over is the moment the day is over.
func (d Day) Over() time.Time { return d.In(beijing()).AddDate(0, 0, 1) }

// UnmarshalJSON implements json.Unmarshaler. What it does not know it refuses: of a
// restriction that is misspelt nothing would be left (SECURITY G8).
func (a *Admission) UnmarshalJSON(b []byte) error {
	type plain Admission
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var p plain
	if err := dec.Decode(&p); err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	*a = Admission(p)
	return nil
}

// IsZero reports whether nothing was written down: as good as no admission.
func (a *Admission) IsZero() bool {
	return a == nil || a.Assessor == "" && a.Reference == "" && a.Assessed.IsZero() && a.Expires.IsZero() && len(a.Scopes)+len(a.Testers) == 0
}

// Lapsed reports whether its last day is over.
func (a *Admission) Lapsed(now time.Time) bool {
	return a != nil && !a.Expires.IsZero() && !now.Before(a.Expires.Over())
}

// Ending reports whether its end is near: within admissionNotice, or behind us.
func (a *Admission) Ending(now time.Time) bool {
	return a != nil && !a.Expires.IsZero() && !now.Before(a.Expires.Over().Add(-admissionNotice))
}

// Check says what is wrong with an admission of a client with these scopes.
func (a *Admission) Check(registered []string) error {
	if a == nil {
		return nil
	}
	wrong := func(problem string) error { return &MetadataError{"admission", problem} }
	for _, text := range []string{a.Assessor, a.Reference} {
		if text != "" && !readable(text) {
			return wrong("names an assessor or a reference that is too long or has control characters")
		}
	}
	if !a.Expires.IsZero() && a.Expires.Before(a.Assessed.Time) {
		return wrong("ends before it begins")
	}
	if len(a.Testers) > maxTesters {
		return wrong(fmt.Sprintf("names more than %d test citizens", maxTesters))
	}
	for i, id := range a.Testers {
		if id.IsZero() || slices.Contains(a.Testers[:i], id) {
			return wrong("names a test citizen twice, or nobody")
		}
	}
	for i, s := range a.Scopes {
		if !slices.Contains(registered, s.Scope) || slices.ContainsFunc(a.Scopes[:i], func(b Basis) bool { return b.Scope == s.Scope }) {
			return wrong("has a scope twice, or one that is not registered")
		}
		for tag, text := range s.Basis {
			if tag == "" || len(tag) > 35 || text == "" || len([]rune(text)) > maxBasis || unprintable(text) || strings.TrimSpace(text) != text {
				return wrong("has a legal basis without language, or one that is empty, too long or has control characters")
			}
		}
	}
	return nil
}

// Serves reports whether the client is served for a citizen: a client that is tested
// only for those it is tested with.
func (c *Client) Serves(citizen identity.ID) bool {
	switch c.State {
	case ClientLive:
		return true
	case ClientTesting:
		return c.Admission != nil && !citizen.IsZero() && slices.Contains(c.Admission.Testers, citizen)
	}
	return false
}

// Basis is the legal basis of a scope by language tag; nil when none was given.
func (c *Client) Basis(scope string) map[string]string {
	if c.Admission == nil {
		return nil
	}
	for _, s := range c.Admission.Scopes {
		if s.Scope == scope {
			return s.Basis
		}
	}
	return nil
}

// Revision names the client as it is, all but its secrets: whoever approves a change
// approves it of this and of nothing it became meanwhile (SECURITY G3).
func (c *Client) Revision() (string, error) {
	b, err := json.Marshal(struct {
		*Client
		Names map[string]string `json:"names"`
		Epoch int64             `json:"epoch"`
	}{c, c.Names, c.Epoch})
	if err != nil {
		return "", fmt.Errorf("client %s: %w", c.ID, err)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// A Transition is a change of what a client is admitted as.
type Transition struct {
	Revision string // of the client it is meant for
	To       ClientState
	// Admission replaces what is there; nil leaves it.
	Admission *Admission
}

// Apply returns the client as it is to be. What a live client is admitted to changes
// only by a transition to live, which is the one that two approve; what was never
// assessed does not become live. identity.ErrConflict for what is not possible, a
// *MetadataError for what is not right.
func (t Transition) Apply(c Client, now time.Time) (Client, error) {
	revision, err := c.Revision()
	if err != nil {
		return Client{}, err
	}
	stays := t.To == c.State && t.Admission != nil
	if revision != t.Revision || c.Dynamic || !stays && !c.State.MayBecome(t.To) || t.To == ClientSuspended && !stays || t.To == ClientWithdrawn {
		return Client{}, identity.ErrConflict
	}
	c.State = t.To
	if t.Admission != nil {
		if err := t.Admission.Check(strings.Fields(c.Scope)); err != nil {
			return Client{}, err
		}
		if t.Admission.Assessed.After(now) {
			return Client{}, &MetadataError{"admission", "was assessed on a day that is still to come"}
		}
		c.Admission = t.Admission
		if c.Admission.IsZero() {
			c.Admission = nil
		}
	}
	a := c.Admission
	// To an operator no scopes are all that are registered. At the console a ceiling is
	// named, for what is approved is what is read.
	written := t.Admission != nil || c.State != ClientDraft
	if a != nil && written && len(a.Scopes) == 0 && c.Scope != "" {
		return Client{}, &MetadataError{"admission", "names no scope that it may ask for"}
	}
	switch c.State {
	case ClientTesting:
		if a == nil || len(a.Testers) == 0 {
			return Client{}, &MetadataError{"admission", "names nobody to test with"}
		}
	case ClientAssessed, ClientLive:
		if a == nil || a.Assessor == "" || a.Assessed.IsZero() || a.Assessed.After(now) || a.Expires.IsZero() || a.Lapsed(now) {
			return Client{}, &MetadataError{"admission", "has no assessment that is still good"}
		}
	}
	return c, nil
}

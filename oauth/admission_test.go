package oauth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
)

func TestMayBecome(t *testing.T) {
	all := []ClientState{ClientDraft, ClientTesting, ClientAssessed, ClientLive, ClientSuspended, ClientWithdrawn}
	want := map[ClientState][]ClientState{
		ClientDraft:     {ClientTesting, ClientWithdrawn},
		ClientTesting:   {ClientDraft, ClientAssessed, ClientWithdrawn},
		ClientAssessed:  {ClientDraft, ClientLive, ClientWithdrawn},
		ClientLive:      {ClientSuspended, ClientWithdrawn},
		ClientSuspended: {ClientLive, ClientWithdrawn},
		ClientWithdrawn: nil,
		"":              {ClientWithdrawn}, // a state of no name leads nowhere but out
	}
	for from, allowed := range want {
		for _, to := range all {
			if got := from.MayBecome(to); got != slices.Contains(allowed, to) {
				t.Errorf("%q to %q: %v", from, to, got)
			}
		}
	}
	for _, s := range all {
		if s.Served() != (s == ClientLive || s == ClientTesting) {
			t.Errorf("%q served: %v", s, s.Served())
		}
	}
}

func day(t *testing.T, s string) Day {
	t.Helper()
	d, err := ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// An assessment is good through its last day in Beijing, and warned of a month before.
func TestLapsed(t *testing.T) {
	a := &Admission{Expires: day(t, "2026-12-31")}
	for _, c := range []struct {
		at             string
		ending, lapsed bool
	}{
		{"2026-11-30T23:59:59+08:00", false, false},
		{"2026-12-02T00:00:00+08:00", true, false},
		{"2026-12-31T23:59:59+08:00", true, false},
		{"2026-12-31T16:00:00Z", true, true},
		{"2027-03-01T00:00:00Z", true, true},
	} {
		now, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if a.Ending(now) != c.ending || a.Lapsed(now) != c.lapsed {
			t.Errorf("%s: ending %v, lapsed %v", c.at, a.Ending(now), a.Lapsed(now))
		}
	}
	for _, none := range []*Admission{nil, {}} {
		if none.Ending(time.Now()) || none.Lapsed(time.Now()) {
			t.Error("without a last day it ends")
		}
	}
	if !errors.Is(ErrLapsed, identity.ErrNotFound) {
		t.Error("who does not know the word takes it for something else")
	}
}

func TestCeiling(t *testing.T) {
	c := Client{Scope: "openid profile phone"}
	if got := c.Scopes(); len(got) != 3 {
		t.Errorf("without an admission: %v", got)
	}
	c.Admission = &Admission{Scopes: []Basis{{Scope: "openid"}, {Scope: "phone", Basis: map[string]string{"en": "Law"}}}}
	if got := strings.Join(c.Scopes(), " "); got != "openid phone" || c.Allows("profile") || !c.Allows("phone") {
		t.Errorf("admitted with two: %v", got)
	}
	if c.Basis("phone")["en"] != "Law" || c.Basis("profile") != nil || (&Client{}).Basis("phone") != nil {
		t.Error("the basis of a scope")
	}
}

func TestServes(t *testing.T) {
	tester, other := identity.NewID(), identity.NewID()
	named := &Admission{Testers: []identity.ID{tester}}
	for _, c := range []struct {
		state ClientState
		a     *Admission
		who   identity.ID
		want  bool
	}{
		{ClientLive, nil, other, true},
		{ClientLive, named, other, true},
		{ClientTesting, named, tester, true},
		{ClientTesting, named, other, false},
		{ClientTesting, named, identity.ID{}, false},
		{ClientTesting, nil, tester, false},
		{ClientDraft, named, tester, false},
		{ClientAssessed, named, tester, false},
		{ClientSuspended, named, tester, false},
		{ClientWithdrawn, named, tester, false},
	} {
		if got := (&Client{State: c.state, Admission: c.a}).Serves(c.who); got != c.want {
			t.Errorf("%s: %v", c.state, got)
		}
	}
}

// What is said about an admission is right, or the registration is refused.
func TestAdmissionRead(t *testing.T) {
	const head = `{"client_id":"clinic","client_name":"Clinic","redirect_uris":["https://rp.example/cb"],"scope":"openid phone","admission":`
	id := identity.NewID().String()
	for doc, ok := range map[string]bool{
		`{}`: true,
		`{"assessor":"网信办","reference":"2026-17","assessed":"2026-11-01","expires":"2027-10-31","scopes":[{"scope":"phone","basis":{"zh-CN":"法","en":"Law"}}],"testers":["` + id + `"]}`: true,
		`{"expire":"2027-10-31"}`:                           false, // of a restriction that is misspelt nothing would be left
		`{"expires":"2027-10-32"}`:                          false,
		`{"expires":20271031}`:                              false,
		`{"assessed":"2027-10-31","expires":"2026-10-31"}`:  false,
		`{"scopes":[{"scope":"card.basic"}]}`:               false,
		`{"scopes":[{"scope":"phone"},{"scope":"phone"}]}`:  false,
		`{"scopes":[{"scope":"phone","basis":{"":"Law"}}]}`: false,
		`{"scopes":[{"scope":"phone","basis":{"en":"` + strings.Repeat("x", maxBasis+1) + `"}}]}`: false,
		`{"scopes":[{"scope":"phone","basis":{"en":"a\u0000b"}}]}`:                                false,
		`{"testers":["` + id + `","` + id + `"]}`:                                                 false,
		`{"testers":["nobody"]}`:                                                                  false,
		`{"assessor":"\u202egnp"}`:                                                                false,
		`[]`:                                                                                      false,
	} {
		c, err := ValidateClient([]byte(head + doc + "}"))
		if (err == nil) != ok {
			t.Errorf("%s: %v", doc, err)
		}
		if err == nil && c.Admission == nil {
			t.Errorf("%s: read as nothing", doc)
		}
		// A client that registers itself says nothing about it, and cannot read it.
		mine, err := ValidateRegistration([]byte(head+doc+"}"), Terms{Scope: []string{"openid", "phone"}, Admission: Client{State: ClientLive}})
		if err != nil || mine.Admission != nil {
			t.Errorf("%s by the client itself: %v, %+v", doc, err, mine.Admission)
		}
	}
	many := make([]string, maxTesters+1)
	for i := range many {
		many[i] = `"` + identity.NewID().String() + `"`
	}
	if _, err := ValidateClient([]byte(head + `{"testers":[` + strings.Join(many, ",") + `]}}`)); err == nil {
		t.Error("more than there may be")
	}
	c := Client{Admission: &Admission{Assessor: "somebody"}}
	if members, err := c.PublicMetadata(); err != nil || members["admission"] != nil {
		t.Errorf("told to the client: %v", err)
	}
}

func TestTransition(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	good := &Admission{Assessor: "a", Assessed: day(t, "2026-11-01"), Expires: day(t, "2027-11-01"), Testers: []identity.ID{identity.NewID()}, Scopes: []Basis{{Scope: "openid"}}}
	but := func(change func(a *Admission)) *Admission {
		a := *good
		change(&a)
		return &a
	}
	over := but(func(a *Admission) { a.Assessed, a.Expires = day(t, "2025-11-01"), day(t, "2026-11-01") })
	untested := but(func(a *Admission) { a.Testers = nil })
	boundless := but(func(a *Admission) { a.Scopes = nil })
	early := but(func(a *Admission) { a.Assessed = day(t, "2026-11-23") })
	for _, c := range []struct {
		name string
		from ClientState
		has  *Admission
		t    Transition
		want any // a state, identity.ErrConflict, or "metadata"
	}{
		{"tested", ClientDraft, good, Transition{To: ClientTesting}, ClientTesting},
		{"tested-with-nobody", ClientDraft, untested, Transition{To: ClientTesting}, "metadata"},
		{"assessed", ClientTesting, good, Transition{To: ClientAssessed}, ClientAssessed},
		{"assessed-by-nobody", ClientTesting, nil, Transition{To: ClientAssessed}, "metadata"},
		{"admitted", ClientAssessed, good, Transition{To: ClientLive}, ClientLive},
		{"admitted-too-late", ClientAssessed, over, Transition{To: ClientLive}, "metadata"},
		{"admitted-from-draft", ClientDraft, good, Transition{To: ClientLive}, identity.ErrConflict},
		{"again", ClientSuspended, good, Transition{To: ClientLive}, ClientLive},
		// Years of service without a record do not replace an assessment.
		{"again-without-assessment", ClientSuspended, nil, Transition{To: ClientLive}, "metadata"},
		{"renewed", ClientLive, over, Transition{To: ClientLive, Admission: good}, ClientLive},
		{"nothing-new", ClientLive, good, Transition{To: ClientLive}, identity.ErrConflict},
		{"suspended-otherwise", ClientLive, good, Transition{To: ClientSuspended}, identity.ErrConflict}, // SuspendClient
		{"withdrawn-otherwise", ClientLive, good, Transition{To: ClientWithdrawn}, identity.ErrConflict},
		{"back", ClientAssessed, good, Transition{To: ClientDraft}, ClientDraft},
		{"written-down", ClientDraft, nil, Transition{To: ClientDraft, Admission: good}, ClientDraft},
		{"beyond-the-registration", ClientDraft, nil, Transition{To: ClientDraft, Admission: &Admission{Scopes: []Basis{{Scope: "phone"}}}}, "metadata"},
		{"withdrawn", ClientWithdrawn, good, Transition{To: ClientLive}, identity.ErrConflict},
		// A record without scopes would be one without a ceiling.
		{"boundless", ClientDraft, nil, Transition{To: ClientDraft, Admission: boundless}, "metadata"},
		{"boundless-tested", ClientDraft, boundless, Transition{To: ClientTesting}, "metadata"},
		{"boundless-admitted", ClientAssessed, boundless, Transition{To: ClientLive}, "metadata"},
		{"boundless-renewed", ClientLive, good, Transition{To: ClientLive, Admission: boundless}, "metadata"},
		{"boundless-back", ClientAssessed, boundless, Transition{To: ClientDraft}, ClientDraft},
		{"assessed-tomorrow", ClientDraft, nil, Transition{To: ClientDraft, Admission: early}, "metadata"},
		{"admitted-before-it-was-assessed", ClientAssessed, early, Transition{To: ClientLive}, "metadata"},
		{"assessed-today", ClientDraft, nil, Transition{To: ClientDraft, Admission: but(func(a *Admission) { a.Assessed = day(t, "2026-11-22") })}, ClientDraft},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := Client{ID: "clinic", Scope: "openid", State: c.from, Admission: c.has, Epoch: 3}
			var err error
			if c.t.Revision, err = before.Revision(); err != nil {
				t.Fatal(err)
			}
			got, err := c.t.Apply(before, now)
			switch want := c.want.(type) {
			case ClientState:
				if err != nil || got.State != want || got.ID != before.ID {
					t.Errorf("%v, %v", got.State, err)
				}
			case error:
				if !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			default:
				if !errors.As(err, new(*MetadataError)) {
					t.Errorf("%v, want what is wrong with the admission", err)
				}
			}
			// Of a client that has changed meanwhile it is nothing.
			for _, other := range []Client{{ID: "clinic", Scope: "openid phone", State: c.from, Admission: c.has, Epoch: 3}, {ID: "clinic", Scope: "openid", State: c.from, Admission: c.has, Epoch: 4}} {
				if _, err := c.t.Apply(other, now); !errors.Is(err, identity.ErrConflict) {
					t.Errorf("of another revision: %v", err)
				}
			}
		})
	}
	own := Client{ID: "own", Dynamic: true, State: ClientLive}
	revision, err := own.Revision()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Transition{Revision: revision, To: ClientLive, Admission: good}).Apply(own, now); !errors.Is(err, identity.ErrConflict) {
		t.Errorf("one that registered itself: %v", err)
	}
}

func TestDayJSON(t *testing.T) {
	a := Admission{Expires: day(t, "2027-06-30")}
	b, err := json.Marshal(a)
	if err != nil || string(b) != `{"expires":"2027-06-30"}` {
		t.Errorf("%s, %v", b, err)
	}
	var back Admission
	if err := json.Unmarshal(b, &back); err != nil || !back.Expires.Equal(a.Expires.Time) {
		t.Errorf("%v, %v", back, err)
	}
}

// What is read of an admission is written as it was read, and nothing unknown is read.
func FuzzAdmission(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"expires":"2027-06-30","scopes":[{"scope":"openid","basis":{"en":"Law"}}]}`, `{"testers":["AAAAAAAAAAAAAAAAAAAAAA"]}`,
		`{"Expires":"2027-06-30"}`, `{"expires":"2027-6-30"}`, `null`, `{"expires":null}`, `[]`, `{"expires":"9999-12-31"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var a Admission
		if err := json.Unmarshal(doc, &a); err != nil {
			if !a.IsZero() {
				t.Errorf("%q failed and is %+v", doc, a)
			}
			return
		}
		first, err := json.Marshal(a)
		if err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		var b Admission
		if err := json.Unmarshal(first, &b); err != nil {
			t.Fatalf("%q was written as %s: %v", doc, first, err)
		}
		again, err := json.Marshal(b)
		if err != nil || string(again) != string(first) {
			t.Errorf("%s, then %s, %v", first, again, err)
		}
		if !a.Expires.IsZero() && !a.Lapsed(a.Expires.Over()) || a.Lapsed(a.Expires.Time) {
			t.Errorf("the last day of %s", a.Expires)
		}
	})
}

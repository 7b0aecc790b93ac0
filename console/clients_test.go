package console

import (
	"context"
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"ecardid/audit"
	"ecardid/identity"
)

// parties is one relying party.
type parties struct {
	Clients
	file    ClientFile
	tried   error
	changed []ClientChange
	events  []audit.Event
}

func (p *parties) ClientFile(_ context.Context, id string) (ClientFile, error) {
	if id != p.file.ID {
		return ClientFile{}, identity.ErrNotFound
	}
	return p.file, nil
}

func (p *parties) TryClient(context.Context, string, ClientChange) error { return p.tried }

func (p *parties) ClientWeight(context.Context, string) (ClientWeight, error) {
	return ClientWeight{Grants: 3, Citizens: 2, Requests: 1}, nil
}

func (p *parties) ChangeClient(_ context.Context, _ string, c ClientChange, e audit.Event) error {
	p.changed, p.events = append(p.changed, c), append(p.events, e)
	return nil
}

func (p *parties) SuspendClient(_ context.Context, _ string, e audit.Event) error {
	p.events = append(p.events, e)
	return nil
}

func (p *parties) WithdrawClient(_ context.Context, _ string, e audit.Event) error {
	p.events = append(p.events, e)
	return nil
}

func TestAdmissionsPreview(t *testing.T) {
	record := &Record{Assessor: "a", Scopes: []ScopeBasis{{Scope: "openid"}}}
	value := func(state string, r *Record) string {
		return ClientChange{Revision: "r", State: state, Record: r}.Value()
	}
	for _, c := range []struct {
		name    string
		state   string
		dynamic bool
		lapsed  bool
		o       Order
		tried   error
		want    error
		ends    bool // what hangs on it
	}{
		{name: "testing", state: ClientDraft, o: Order{Act: ClientPrepare, Value: value(ClientTesting, nil)}, ends: true},
		{name: "record", state: ClientDraft, o: Order{Act: ClientPrepare, Value: value(ClientDraft, record)}},
		{name: "admit", state: ClientAssessed, o: Order{Act: ClientAdmit, Value: value(ClientLive, nil)}, ends: true},
		{name: "renew", state: ClientLive, o: Order{Act: ClientAdmit, Value: value(ClientLive, record)}},
		// Nobody comes to live by the act that one person does alone.
		{name: "live-alone", state: ClientAssessed, o: Order{Act: ClientPrepare, Value: value(ClientLive, nil)}, want: ErrInvalid},
		{name: "draft-by-admission", state: ClientAssessed, o: Order{Act: ClientAdmit, Value: value(ClientDraft, nil)}, want: ErrInvalid},
		{name: "suspend-by-preparing", state: ClientLive, o: Order{Act: ClientPrepare, Value: value(ClientSuspended, nil)}, want: ErrInvalid},
		{name: "no-value", state: ClientDraft, o: Order{Act: ClientPrepare}, want: ErrInvalid},
		{name: "another-act", state: ClientDraft, o: Order{Act: CardFreeze}, want: ErrInvalid},
		{name: "not-possible", state: ClientDraft, o: Order{Act: ClientPrepare, Value: value(ClientTesting, nil)}, tried: identity.ErrConflict, want: identity.ErrConflict},
		{name: "registered-itself", state: ClientLive, dynamic: true, o: Order{Act: ClientAdmit, Value: value(ClientLive, record)}, want: identity.ErrConflict},
		{name: "suspend-registered-itself", state: ClientLive, dynamic: true, o: Order{Act: ClientSuspend}, ends: true},
		{name: "suspend", state: ClientLive, o: Order{Act: ClientSuspend}, ends: true},
		{name: "renew-too-late", state: ClientLive, lapsed: true, o: Order{Act: ClientAdmit, Value: value(ClientLive, record)}, ends: true},
		// A record without scopes is one without a ceiling, and a change is written in one way.
		{name: "boundless", state: ClientDraft, o: Order{Act: ClientPrepare, Value: value(ClientDraft, &Record{Assessor: "a"})}, want: ErrInvalid},
		{name: "boundless-live", state: ClientLive, o: Order{Act: ClientAdmit, Value: value(ClientLive, &Record{Assessor: "a"})}, want: ErrInvalid},
		{name: "unknown-member", state: ClientDraft, o: Order{Act: ClientPrepare, Value: `{"r":"r","s":"testing","x":1}`}, want: ErrInvalid},
		{name: "state-twice", state: ClientDraft, o: Order{Act: ClientPrepare, Value: `{"r":"r","s":"live","s":"testing"}`}, want: ErrInvalid},
		{name: "other-case", state: ClientDraft, o: Order{Act: ClientPrepare, Value: `{"r":"r","S":"testing"}`}, want: ErrInvalid},
		{name: "suspend-tested", state: ClientTesting, o: Order{Act: ClientSuspend}, ends: true},
		{name: "suspend-draft", state: ClientDraft, o: Order{Act: ClientSuspend}, want: identity.ErrConflict},
		{name: "suspend-assessed", state: ClientAssessed, o: Order{Act: ClientSuspend}, want: identity.ErrConflict},
		{name: "suspend-again", state: ClientSuspended, o: Order{Act: ClientSuspend}, want: identity.ErrConflict},
		{name: "withdraw", state: ClientSuspended, o: Order{Act: ClientWithdraw}, ends: true},
		{name: "withdraw-again", state: ClientWithdrawn, o: Order{Act: ClientWithdraw}, want: identity.ErrConflict},
		{name: "nobody", state: ClientLive, o: Order{Act: ClientSuspend, Client: "nobody"}, want: identity.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &parties{file: ClientFile{ID: "clinic", Name: "Clinic", State: c.state, Dynamic: c.dynamic, Lapsed: c.lapsed, Scopes: []string{"openid", "phone"}}, tried: c.tried}
			if c.o.Client == "" {
				c.o.Client = "clinic"
			}
			lines, err := (&Admissions{p}).Preview(t.Context(), Staff{}, c.o)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			ends := false
			for _, l := range lines {
				ends = ends || l.What == "grants" && l.Count == 3
			}
			if ends != c.ends {
				t.Errorf("%+v", lines)
			}
			if c.want != nil {
				return
			}
			if _, err := (&Admissions{p}).Perform(t.Context(), c.o, audit.Event{At: time.Unix(1, 0)}); err != nil || len(p.events) != 1 || p.events[0].Client != "clinic" || p.events[0].Kind == "" {
				t.Errorf("%v, %+v", err, p.events)
			}
		})
	}
}

// Who approves sees what it is about: the assessment, each scope with its law, until when.
func TestRecordLines(t *testing.T) {
	r := Record{Assessor: "测评中心", Reference: "17", Assessed: "2026-11-01", Expires: "2027-10-31", Scopes: []ScopeBasis{{Scope: "phone", Chinese: "第七十四条", English: "Article 74"}, {Scope: "openid"}, {Scope: "profile", English: "Law"}}, Testers: []identity.ID{identity.NewID()}}
	var said []string
	for _, l := range r.lines(ClientLive) {
		said = append(said, l.What+"="+l.Name)
	}
	if got := strings.Join(said, " "); got != "assessor=测评中心 reference=17 assessed=2026-11-01 expires=2027-10-31 scope=phone · 第七十四条 scope=phone · Article 74 scope=openid scope=profile · Law" {
		t.Error(got)
	}
}

// Whatever is in an entry, a cell is no formula and moves no cursor, and the file is read
// back as it was written.
func FuzzCell(f *testing.F) {
	for _, s := range []string{"", "plain", "=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r\n=1", "a\x1b[31mb", "＝1", "\u202egnp.exe", "|calc", "a\"b,c\n", "\xff=1", "'=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := cell(s)
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%q has control characters", got)
		}
		if trimmed := strings.TrimSpace(got); trimmed != "" && strings.ContainsRune("=+-@|%＝＋－＠", first(trimmed)) {
			t.Errorf("%q is a formula", got)
		}
		var b strings.Builder
		w := csv.NewWriter(&b)
		if err := w.Write([]string{"x", got}); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		back, err := csv.NewReader(strings.NewReader(b.String())).Read()
		if err != nil || len(back) != 2 || back[1] != got {
			t.Errorf("%q came back as %q, %v", got, back, err)
		}
	})
}

// What is no change is none.
func FuzzChange(f *testing.F) {
	f.Add(`{"r":"x","s":"live"}`, true)
	f.Add(`{"r":"x","s":"draft","a":{"scopes":[{"scope":"openid"}]}}`, false)
	f.Add(`[]`, false)
	f.Fuzz(func(t *testing.T, value string, admit bool) {
		o := Order{Act: ClientPrepare, Value: value}
		if admit {
			o.Act = ClientAdmit
		}
		c, err := changeOf(o)
		if err != nil {
			if c.Record != nil || c.State != "" {
				t.Errorf("%q failed and is %+v", value, c)
			}
			return
		}
		if c.Value() != value {
			t.Errorf("%q is %+v", value, c)
		}
		if (c.State == ClientLive) != admit {
			t.Errorf("%q is to be %s by %s", value, c.State, o.Act)
		}
	})
}

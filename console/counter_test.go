package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/identity"
	"ecardid/internal/clock"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// town is one citizen, of whom everything that is done is written down.
type town struct {
	file  File
	hangs Hanging
	did   []string
	last  audit.Event
	fail  error
	heard audit.Actor // who asked the caller
}

func (t *town) FindCitizen(context.Context, authn.Alias) (identity.ID, string, error) {
	return t.file.ID, t.file.Region, nil
}

func (t *town) RegionOf(_ context.Context, c identity.ID) (string, error) {
	if c != t.file.ID {
		return "", identity.ErrNotFound
	}
	return t.file.Region, nil
}

func (t *town) FileOf(context.Context, identity.ID, time.Time) (File, error) { return t.file, nil }

func (t *town) FactsOf(context.Context, identity.ID) (loss.Facts, error) { return loss.Facts{}, nil }

func (t *town) HangingOn(_ context.Context, _, device, session identity.ID, _ time.Time) (Hanging, error) {
	switch {
	case !session.IsZero():
		return Hanging{Sessions: 1, Codes: 1}, nil
	case !device.IsZero():
		return Hanging{Devices: 1, Passkeys: 1, Sessions: 1}, nil
	}
	return t.hangs, nil
}

func (t *town) Moments(context.Context, identity.ID, int64, int) ([]Moment, error) { return nil, nil }

func (t *town) CallerPassed(_ context.Context, _ identity.ID, by audit.Actor, since time.Time) (bool, error) {
	return by == t.heard && noon.Sub(since) == callerGood, nil
}

func (t *town) RevealCitizen(_ context.Context, _ identity.ID, f Field, e audit.Event) (string, error) {
	return "the " + string(f), t.done(e, "reveal %s", f)
}

func (t *town) done(e audit.Event, format string, args ...any) error {
	if t.fail == nil {
		t.did, t.last = append(t.did, fmt.Sprintf(format, args...)), e
	}
	return t.fail
}

func (t *town) Report(_ context.Context, r loss.Report, e audit.Event) (loss.Receipt, error) {
	return loss.Receipt{Number: "7Q2MK9RX41TB"}, t.done(e, "report %s", r.What)
}

func (t *town) SetCardState(_ context.Context, _ identity.ID, to identity.CardState, e audit.Event) error {
	return t.done(e, "card %s", to)
}

func (t *town) EndDevice(_ context.Context, _, _ identity.ID, to identity.DeviceState, enough authn.Enough, e audit.Event) error {
	return t.done(e, "device %s last=%t", to, enough == nil)
}

func (t *town) RestoreDevice(_ context.Context, _, _ identity.ID, alone bool, wait time.Duration, e audit.Event) error {
	if wait != 0 {
		return t.done(e, "restore and wait %v", wait)
	}
	return t.done(e, "restore alone=%t", alone)
}

func (t *town) ConfirmPhone(_ context.Context, _, _ identity.ID, e audit.Event) error {
	return t.done(e, "confirm")
}

func (t *town) EndLogin(_ context.Context, _, _ identity.ID, e audit.Event) error {
	return t.done(e, "end one")
}

func (t *town) EndOtherLogins(_ context.Context, _, keep identity.ID, e audit.Event) error {
	return t.done(e, "end all but %q", text(keep))
}

func (t *town) RemoveTOTP(_ context.Context, _, _ identity.ID, enough authn.Enough, e audit.Event) error {
	return t.done(e, "remove totp bare=%t", enough(authn.Factors{}, 0))
}

func (t *town) RemovePasskey(_ context.Context, _, _, _ identity.ID, enough authn.Enough, e audit.Event) error {
	return t.done(e, "remove passkey bare=%t", enough(authn.Factors{}, 0))
}

func (t *town) ResetFactors(_ context.Context, _ identity.ID, code []byte, _ time.Time, e audit.Event) error {
	return t.done(e, "reset code=%t", code != nil)
}

func text(id identity.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func newTown() (*town, *Counter) {
	t := &town{hangs: Hanging{Devices: 2, Browsers: 1, Passkeys: 2, TOTP: 1, Sessions: 3, Requests: 1, Codes: 1, Grants: 2, Tokens: 1}}
	t.file = File{ID: identity.NewID(), Region: "110105", State: identity.CardNormal, TOTP: true, Cooling: noon.Add(time.Hour),
		Devices: []FiledDevice{
			{ID: identity.ID{1}, Kind: identity.DevicePhone, State: identity.DeviceActive, Bound: noon.Add(-time.Hour)},
			{ID: identity.ID{2}, Kind: identity.DevicePhone, State: identity.DeviceSuspended, Bound: noon.Add(-2 * time.Hour)},
			{ID: identity.ID{3}, Kind: identity.DeviceBrowser, State: identity.DeviceActive},
			{ID: identity.ID{4}, Kind: identity.DevicePhone, State: identity.DeviceLost},
		},
		Passkeys: []FiledPasskey{{ID: identity.ID{5}}}}
	return t, &Counter{Citizens: t, Changes: t, Desk: t, Floor: identity.LevelMFA, Alone: true, Clock: clock.At(noon)}
}

// TestCounter holds each act against what it says would end, and what it does.
func TestCounter(t *testing.T) {
	const all = "sessions=3 requests=1 codes=1 grants=2 tokens=1"
	for name, c := range map[string]struct {
		o       Order
		state   identity.CardState
		preview string
		err     error // of the preview
		did     string
		kind    audit.Kind
	}{
		"the phone":                         {Order{Act: LossReport, Value: LostPhone}, "", "devices=2 passkeys=2 browsers=1 " + all, nil, "report phone", ""},
		"the card":                          {Order{Act: LossReport, Value: LostCard}, "", "card=temp_lost devices=2 passkeys=2 browsers=1 " + all, nil, "report card", ""},
		"a lost card is not lost again":     {Order{Act: LossReport, Value: LostCard}, identity.CardTempLost, "", identity.ErrConflict, "report card", ""},
		"what was lost has to be said":      {Order{Act: LossReport}, "", "", identity.ErrNotFound, "", ""},
		"no device of a list":               {Order{Act: LossReport, Value: "device"}, "", "", identity.ErrNotFound, "", ""},
		"freeze":                            {Order{Act: CardFreeze}, "", "card=frozen browsers=1 " + all, nil, "card frozen", audit.CitizenFrozen},
		"freeze what is frozen":             {Order{Act: CardFreeze}, identity.CardFrozen, "", identity.ErrConflict, "card frozen", audit.CitizenFrozen},
		"unfreeze":                          {Order{Act: CardUnfreeze}, identity.CardFrozen, "card=normal browsers=1 " + all, nil, "card normal", audit.CitizenRestored},
		"unfreeze what is reported lost":    {Order{Act: CardUnfreeze}, identity.CardTempLost, "card=normal browsers=1 " + all, nil, "card normal", audit.CitizenRestored},
		"unfreeze what is lost for good":    {Order{Act: CardUnfreeze}, identity.CardLost, "", identity.ErrConflict, "card normal", audit.CitizenRestored},
		"cancel":                            {Order{Act: CardCancel}, "", "card=cancelled browsers=1 " + all, nil, "card cancelled", audit.CitizenCancelled},
		"cancel twice":                      {Order{Act: CardCancel}, identity.CardCancelled, "", identity.ErrConflict, "card cancelled", audit.CitizenCancelled},
		"end a phone":                       {Order{Act: DeviceEnd, Target: identity.ID{1}, Value: EndLost}, "", "devices=1 passkeys=1 browsers=1 " + all, nil, "device lost last=true", audit.DeviceEnded},
		"end a suspended one":               {Order{Act: DeviceEnd, Target: identity.ID{2}, Value: EndRevoked}, "", "devices=1 passkeys=1 browsers=1 " + all, nil, "device revoked last=true", audit.DeviceEnded},
		"end one that has ended":            {Order{Act: DeviceEnd, Target: identity.ID{4}, Value: EndRevoked}, "", "", identity.ErrConflict, "device revoked last=true", audit.DeviceEnded},
		"somebody else's":                   {Order{Act: DeviceEnd, Target: identity.ID{9}, Value: EndRevoked}, "", "", identity.ErrNotFound, "device revoked last=true", audit.DeviceEnded},
		"an end is lost or revoked":         {Order{Act: DeviceEnd, Target: identity.ID{1}, Value: "active"}, "", "", identity.ErrNotFound, "", ""},
		"suspend":                           {Order{Act: DeviceSuspend, Target: identity.ID{1}}, "", "devices=1 passkeys=1 sessions=1", nil, "device suspended last=true", audit.DeviceSuspended},
		"suspend a browser":                 {Order{Act: DeviceSuspend, Target: identity.ID{3}}, "", "", identity.ErrConflict, "device suspended last=true", audit.DeviceSuspended},
		"restore":                           {Order{Act: DeviceRestore, Target: identity.ID{2}}, "", "devices=1 passkeys=1", nil, "restore alone=true", audit.DeviceRestored},
		"restore what was lost":             {Order{Act: DeviceRestore, Target: identity.ID{4}}, "", "", identity.ErrConflict, "restore alone=true", audit.DeviceRestored},
		"restore for a frozen card":         {Order{Act: DeviceRestore, Target: identity.ID{2}}, identity.CardFrozen, "", identity.ErrConflict, "restore alone=true", audit.DeviceRestored},
		"confirm":                           {Order{Act: DeviceConfirm, Target: identity.ID{1}}, "", "", nil, "confirm", audit.DeviceConfirmed},
		"confirm another than the latest":   {Order{Act: DeviceConfirm, Target: identity.ID{2}}, "", "", identity.ErrConflict, "confirm", audit.DeviceConfirmed},
		"a session":                         {Order{Act: SessionEnd, Target: identity.ID{7}}, "", "sessions=1 codes=1", nil, "end one", audit.LoginEnded},
		"all sessions":                      {Order{Act: SessionEnd}, "", all, nil, `end all but ""`, audit.LoginsEnded},
		"the generator":                     {Order{Act: FactorRemove, Value: FactorTOTP}, "", "totp=1 browsers=1 " + all, nil, "remove totp bare=false", audit.TOTPRemoved},
		"a passkey":                         {Order{Act: FactorRemove, Target: identity.ID{5}, Value: FactorPasskey}, "", "passkeys=1 browsers=1 " + all, nil, "remove passkey bare=false", audit.PasskeyRemoved},
		"somebody else's passkey":           {Order{Act: FactorRemove, Target: identity.ID{6}, Value: FactorPasskey}, "", "", identity.ErrNotFound, "remove passkey bare=false", audit.PasskeyRemoved},
		"a passkey without saying which":    {Order{Act: FactorRemove, Value: FactorPasskey}, "", "", identity.ErrNotFound, "", ""},
		"every factor, and no code is made": {Order{Act: FactorRemove, Value: FactorsAll}, "", "devices=2 passkeys=2 totp=1 browsers=1 " + all, nil, "reset code=false", audit.FactorsReset},
		"a field":                           {Order{Act: CitizenReveal, Value: "phone"}, "", "field=phone", nil, "reveal phone", audit.CitizenRevealed},
		"a field that is none":              {Order{Act: CitizenReveal, Value: "password"}, "", "", identity.ErrNotFound, "", ""},
		"a client has no business here":     {Order{Act: CardFreeze, Client: "x"}, "", "", identity.ErrNotFound, "", ""},
		"another room's act":                {Order{Act: ClientAdmit}, "", "", identity.ErrNotFound, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, counter := newTown()
			if c.state != "" {
				w.file.State = c.state
			}
			c.o.Citizen, c.o.Reason = w.file.ID, "柜台办理"
			lines, err := counter.Preview(t.Context(), Staff{Unit: "11"}, c.o)
			if !errors.Is(err, c.err) {
				t.Errorf("preview: %v, want %v", err, c.err)
			}
			var said []string
			for _, l := range lines {
				if slices.Contains([]string{"device", "passkey", "session"}, l.What) {
					if c.o.Target.IsZero() {
						t.Errorf("nothing was named, and yet %v", l)
					}
					continue
				}
				if l.Name != "" {
					said = append(said, l.What+"="+l.Name)
				} else {
					said = append(said, fmt.Sprintf("%s=%d", l.What, l.Count))
				}
			}
			if got := strings.Join(said, " "); got != c.preview {
				t.Errorf("preview: %q, want %q", got, c.preview)
			}
			if err == nil {
				if _, err := counter.Preview(t.Context(), Staff{Unit: "31"}, c.o); !errors.Is(err, identity.ErrNotFound) {
					t.Errorf("another unit's: %v", err)
				}
			}
			came := audit.Event{At: noon, Detail: map[string]string{"act": string(c.o.Act)}, Standing: audit.Standing{Version: 3}, Warrant: identity.ID{8}}
			kept := maps.Clone(came.Detail)
			_, err = counter.Perform(t.Context(), c.o, came)
			if (err == nil) != (c.did != "") || c.did != "" && !slices.Equal(w.did, []string{c.did}) {
				t.Errorf("did %q, %v; want %q", w.did, err, c.did)
			}
			if c.did == "" {
				return
			}
			e := w.last
			if c.kind != "" && e.Kind != c.kind || e.Citizen != w.file.ID || !e.Notify || e.Reason != c.o.Reason || e.Standing != came.Standing || e.Warrant != came.Warrant || e.Detail["act"] != string(c.o.Act) {
				t.Errorf("the trail says %+v", e)
			}
			if !maps.Equal(kept, came.Detail) {
				t.Error("the caller's event changed")
			}
		})
	}
}

func TestCounterRefusals(t *testing.T) {
	w, counter := newTown()
	o := Order{Act: FactorRemove, Citizen: w.file.ID, Value: FactorTOTP, Reason: "更换手机"}
	for _, c := range []struct{ from, want error }{
		{authn.ErrLastFactor, identity.ErrConflict}, {identity.ErrEnded, identity.ErrConflict}, {identity.ErrSpent, identity.ErrSpent}, {identity.ErrNotFound, identity.ErrNotFound},
	} {
		w.fail = c.from
		if _, err := counter.Perform(t.Context(), o, audit.Event{At: noon}); !errors.Is(err, c.want) {
			t.Errorf("%v became %v", c.from, err)
		}
	}
	// What could not be written down is not shown.
	w.fail = errors.New("read-only")
	if told, err := counter.Perform(t.Context(), Order{Act: CitizenReveal, Citizen: w.file.ID, Value: "name", Reason: "核对姓名"}, audit.Event{At: noon}); told != "" || err == nil {
		t.Errorf("%q, %v", told, err)
	}
	// The table's acts on citizens are all performed here, and no others.
	var acts []Act
	for _, r := range Rules() {
		of, _, _ := strings.Cut(string(r.Act), ".")
		if slices.Contains([]string{"citizen", "loss", "card", "device", "session", "factor", "bulk"}, of) && (!r.Shows || r.Reason) {
			acts = append(acts, r.Act)
		}
	}
	got := counter.Acts()
	slices.Sort(acts)
	slices.Sort(got)
	if !slices.Equal(acts, got) {
		t.Errorf("performs %q, want %q", got, acts)
	}
}

// TestCaller: the trail says whether somebody on the telephone was asked, by this very person.
func TestCaller(t *testing.T) {
	w, counter := newTown()
	w.heard = "staff:a"
	for by, want := range map[audit.Actor]string{"staff:a": "passed", "staff:b": "not asked"} {
		if _, err := counter.Perform(t.Context(), Order{Act: LossReport, Citizen: w.file.ID, Value: LostPhone}, audit.Event{At: noon, Actor: by}); err != nil || w.last.Detail["caller"] != want {
			t.Errorf("%s: %v, %v", by, w.last.Detail, err)
		}
	}
}

// TestLastFactor: nobody is asked to approve what would lock somebody out, or let in whoever
// has the password.
func TestLastFactor(t *testing.T) {
	w, counter := newTown()
	totp := Order{Act: FactorRemove, Citizen: w.file.ID, Value: FactorTOTP}
	for name, c := range map[string]struct {
		devices  []FiledDevice
		passkeys []FiledPasskey
		want     error
	}{
		"nothing else":        {nil, nil, identity.ErrConflict},
		"a browser":           {[]FiledDevice{{ID: identity.ID{1}, Kind: identity.DeviceBrowser, State: identity.DeviceActive}}, nil, identity.ErrConflict},
		"a phone":             {[]FiledDevice{{ID: identity.ID{1}, Kind: identity.DevicePhone, State: identity.DeviceActive}}, nil, nil},
		"a suspended phone":   {[]FiledDevice{{ID: identity.ID{1}, Kind: identity.DevicePhone, State: identity.DeviceSuspended}}, nil, identity.ErrConflict},
		"a passkey":           {nil, []FiledPasskey{{ID: identity.ID{2}}}, nil},
		"on a suspended key":  {[]FiledDevice{{ID: identity.ID{1}, Kind: identity.DeviceAuthenticator, State: identity.DeviceSuspended}}, []FiledPasskey{{ID: identity.ID{2}, Device: identity.ID{1}}}, identity.ErrConflict},
		"on one that is used": {[]FiledDevice{{ID: identity.ID{1}, Kind: identity.DeviceAuthenticator, State: identity.DeviceActive}}, []FiledPasskey{{ID: identity.ID{2}, Device: identity.ID{1}}}, nil},
	} {
		w.file.Devices, w.file.Passkeys = c.devices, c.passkeys
		if _, err := counter.Preview(t.Context(), Staff{}, totp); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.file.Devices, w.file.Passkeys = nil, nil
	if _, err := counter.Preview(t.Context(), Staff{}, Order{Act: FactorRemove, Citizen: w.file.ID, Value: FactorsAll}); err != nil {
		t.Error("all of them:", err)
	}
}

func TestBulkPreview(t *testing.T) {
	w, counter := newTown()
	o := Order{Act: BulkLoss, Value: LostCard, Many: []identity.ID{w.file.ID}, Reason: "批量挂失"}
	lines, err := counter.Preview(t.Context(), Staff{}, o)
	if err != nil || lines[0] != (Line{What: "citizens", Count: 1}) || lines[1] != (Line{What: "devices", Count: 2}) {
		t.Errorf("%v, %v", lines, err)
	}
	for name, bad := range map[string]Order{
		"twice":          {Act: BulkLoss, Value: LostCard, Many: []identity.ID{w.file.ID, w.file.ID}},
		"somebody else":  {Act: BulkLoss, Value: LostCard, Many: []identity.ID{w.file.ID, identity.NewID()}},
		"nobody":         {Act: BulkLoss, Value: LostCard},
		"too many":       {Act: BulkLoss, Value: LostCard, Many: make([]identity.ID, MaxBulk+1)},
		"one beside":     {Act: BulkLoss, Value: LostCard, Citizen: w.file.ID, Many: []identity.ID{w.file.ID}},
		"no such thing":  {Act: BulkLoss, Value: "purse", Many: []identity.ID{w.file.ID}},
		"one that is on": {Act: CardFreeze, Citizen: w.file.ID, Many: []identity.ID{w.file.ID}},
	} {
		if _, err := counter.Preview(t.Context(), Staff{}, bad); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := counter.Preview(t.Context(), Staff{Unit: "31"}, o); !errors.Is(err, identity.ErrNotFound) {
		t.Error("of another unit:", err)
	}
	if _, err := counter.Perform(t.Context(), o, audit.Event{At: noon}); err == nil {
		t.Error("a list was reported as one")
	}
}

func TestReadList(t *testing.T) {
	for typed, want := range map[string]string{
		"A12345678\nb1234-5679\n":              "1:A******78 2:B******79",
		"\ufeffcard_number\r\nA12345678\r\n":   "2:A******78",
		"\"A12345678\"\n\n  C12345678":         "1:A******78 3:C******78",
		"A12345678\n=cmd|' /C calc'!A0\n":      "1:A******78 2:",
		"":                                     "",
		"card_number\n":                        "",
		"A12345678\na1234 5678":                "", // twice
		"A12345678,张三\n":                       "", // two columns
		"\"A12345678":                          "",
		strings.Repeat("A12345678\n", 2):       "",
		strings.Repeat("\x00\x1b[31m\n", 1001): "",
	} {
		list, err := readList(typed)
		var got []string
		for _, l := range list {
			got = append(got, fmt.Sprintf("%d:%s", l.line, l.card.Mask()))
		}
		if s := strings.Join(got, " "); s != want || (err == nil) != (want != "") {
			t.Errorf("%.40q: %q, %v; want %q", typed, s, err, want)
		}
	}
}

func FuzzReadList(f *testing.F) {
	f.Add("card_number\nA12345678\n\"B12345678\"\n")
	f.Fuzz(func(t *testing.T, typed string) {
		list, err := readList(typed)
		if err != nil && list != nil || len(list) > MaxBulk {
			t.Fatalf("%d and %v", len(list), err)
		}
		seen := map[string]bool{}
		for _, l := range list {
			if l.card.IsZero() {
				continue
			}
			if seen[l.card.Reveal()] {
				t.Fatal("one twice")
			}
			seen[l.card.Reveal()] = true
		}
	})
}

// pager makes tokens under a key of its own.
func pager() Pager {
	sum := func(m []byte) []byte { h := sha256.Sum256(append([]byte("key"), m...)); return h[:16] }
	return Pager{
		Tag:   func(m []byte) ([]byte, error) { return sum(m), nil },
		Check: func(tag, m []byte) bool { return slices.Equal(tag, sum(m)) },
	}
}

func TestPager(t *testing.T) {
	p := pager()
	anna, ben := identity.ID{1}, identity.ID{2}
	token, err := p.Token("moments x", anna, 77)
	if err != nil {
		t.Fatal(err)
	}
	if below, err := p.Below("moments x", anna, token); err != nil || below != 77 {
		t.Errorf("%d, %v", below, err)
	}
	if below, err := p.Below("moments x", anna, ""); err != nil || below != 0 {
		t.Errorf("%d, %v", below, err)
	}
	forged, _ := p.Token("moments x", anna, 78)
	for name, c := range map[string]struct {
		list  string
		who   identity.ID
		token string
	}{
		"somebody else's":      {"moments x", ben, token},
		"of another list":      {"moments y", anna, token},
		"another number":       {"moments x", anna, forged[:11] + token[11:]},
		"without a tag":        {"moments x", anna, "AAAAAAAAAE0"},
		"padded":               {"moments x", anna, token + "="},
		"a second spelling":    {"moments x", anna, token + "\n"},
		"too long":             {"moments x", anna, strings.Repeat("A", 400)},
		"a negative beginning": {"moments x", anna, "__________8" + token[11:]},
	} {
		if below, err := p.Below(c.list, c.who, c.token); !errors.Is(err, identity.ErrNotFound) || below != 0 {
			t.Errorf("%s: %d, %v", name, below, err)
		}
	}
}

// FuzzPager: a token that is not ours leads nowhere, and one that is has one spelling.
func FuzzPager(f *testing.F) {
	p := pager()
	anna := identity.ID{1}
	for _, below := range []int64{1, 77, math.MaxInt64} {
		token, err := p.Token("moments x", anna, below)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
	}
	f.Add("AAAAAAAAAE0")
	f.Fuzz(func(t *testing.T, token string) {
		below, err := p.Below("moments x", anna, token)
		if token == "" {
			return
		}
		if err != nil {
			if below != 0 || !errors.Is(err, identity.ErrNotFound) {
				t.Fatalf("%d, %v", below, err)
			}
			return
		}
		if again, err := p.Token("moments x", anna, below); err != nil || again != token || below <= 0 {
			t.Fatalf("%d is %q and %q, %v", below, token, again, err)
		}
	})
}

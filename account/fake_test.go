package account

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/secret"
	"ecardid/templates"
)

// authn.Service is what the interfaces of this room were cut from.
var (
	_ Logins   = (*authn.Service)(nil)
	_ Factors  = (*authn.Service)(nil)
	_ Devices  = (*authn.Service)(nil)
	_ Consents = (*fake)(nil)

	_ Relatives = (*authn.Service)(nil)
)

// fake is all the neighbours at once. It keeps to their contracts: ids are looked up
// with the login's citizen, and what changes a factor looks at how fresh the login is.
type fake struct {
	clock     *clock.Manual
	login     identity.Login // of the browser; zero: not signed in
	raised    []raised
	account   authn.Account
	passkeys  []authn.Passkey
	devices   []authn.Device
	logins    []authn.LoginRow
	proposal  authn.TOTPFactor
	consented map[identity.ID][]templates.Consented
	notices   []authn.Notice
	events    []audit.Event
	trail     []audit.Entry // the newest first
	ties      []authn.Relative
	uses      map[string]time.Time
	done      []string
	err       error // the next change fails with it
	fault     error // everything does
}

type raised struct {
	need identity.Need
	back string
}

func (f *fake) Current(*http.Request) (identity.Login, error) {
	if f.fault != nil {
		return identity.Login{}, f.fault
	}
	if f.login.ID.IsZero() {
		return identity.Login{}, identity.ErrNotFound
	}
	return f.login, nil
}

func (f *fake) Raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string) {
	f.raised = append(f.raised, raised{need, back})
	http.Redirect(w, r, "/login?flow=x", http.StatusSeeOther)
}

func (f *fake) FreshNeed() identity.Need {
	return identity.Need{Level: identity.LevelMFA, Since: f.clock.Now().Add(-5 * time.Minute)}
}

// change is what every method that changes something does first.
func (f *fake) change(l identity.Login, what string) error {
	if !l.Meets(f.FreshNeed(), f.clock.Now()) {
		return authn.ErrNotFresh
	}
	if err := f.err; err != nil {
		f.err = nil
		return err
	}
	f.done = append(f.done, what)
	return nil
}

func (f *fake) SignOut(http.ResponseWriter, *http.Request) error {
	if f.err != nil {
		return f.err
	}
	f.done = append(f.done, "sign-out")
	f.login = identity.Login{}
	return nil
}

func (f *fake) ListLogins(_ context.Context, l identity.Login) ([]authn.LoginRow, error) {
	return slices.DeleteFunc(slices.Clone(f.logins), func(r authn.LoginRow) bool { return r.Citizen != l.Citizen }), nil
}

func (f *fake) LastLogin(_ context.Context, l identity.Login) (authn.LoginRow, error) {
	for _, r := range f.logins {
		if r.Citizen == l.Citizen && r.ID != l.ID {
			return r, nil
		}
	}
	return authn.LoginRow{}, identity.ErrNotFound
}

func (f *fake) EndLogin(_ *http.Request, l identity.Login, id identity.ID) error {
	if !slices.ContainsFunc(f.logins, func(r authn.LoginRow) bool { return r.ID == id && r.Citizen == l.Citizen }) {
		return identity.ErrNotFound
	}
	return f.change(l, "end login")
}

func (f *fake) EndOtherLogins(_ *http.Request, l identity.Login) error {
	return f.change(l, "end other logins")
}

func (f *fake) Account(context.Context, identity.Login) (authn.Account, error) { return f.account, nil }
func (f *fake) Notices(context.Context, identity.Login, int) ([]authn.Notice, error) {
	return f.notices, nil
}

func (f *fake) ChangePassword(_ *http.Request, l identity.Login, current, next string) error {
	return f.change(l, "password "+current+"→"+next)
}

func (f *fake) BeginTOTP(_ *http.Request, l identity.Login, alg totp.Algorithm) (identity.ID, templates.EnrolTOTP, error) {
	if !alg.Valid() {
		return identity.ID{}, templates.EnrolTOTP{}, authn.ErrInvalid
	}
	if err := f.change(l, "begin totp "+string(alg)); err != nil {
		return identity.ID{}, templates.EnrolTOTP{}, err
	}
	f.proposal = authn.TOTPFactor{ID: identity.NewID(), Citizen: l.Citizen}
	return f.proposal.ID, templates.EnrolTOTP{}, nil
}

func (f *fake) ShowTOTP(_ *http.Request, l identity.Login, id identity.ID) (templates.EnrolTOTP, error) {
	if f.proposal.ID != id || f.proposal.Citizen != l.Citizen {
		return templates.EnrolTOTP{}, identity.ErrNotFound
	}
	return templates.EnrolTOTP{URI: "otpauth://totp/x?secret=ABCD", Secret: "ABCD"}, nil
}

func (f *fake) ConfirmTOTP(_ *http.Request, l identity.Login, id identity.ID, code string) error {
	if f.proposal.ID != id || f.proposal.Citizen != l.Citizen {
		return identity.ErrNotFound
	}
	if code != "123456" {
		return authn.ErrWrong
	}
	return f.change(l, "confirm totp")
}

func (f *fake) RemoveTOTP(_ *http.Request, l identity.Login) error {
	return f.change(l, "remove totp")
}

func (f *fake) ListPasskeys(context.Context, identity.Login) ([]authn.Passkey, error) {
	return f.passkeys, nil
}

func (f *fake) BeginPasskey(_ *http.Request, l identity.Login) (json.RawMessage, error) {
	return json.RawMessage(`{"publicKey":{"challenge":"AAAA"}}`), f.change(l, "begin passkey")
}

func (f *fake) FinishPasskey(_ *http.Request, l identity.Login, body []byte) (authn.Passkey, error) {
	return authn.Passkey{}, f.change(l, "finish passkey")
}

func (f *fake) passkey(l identity.Login, id identity.ID) error {
	if !slices.ContainsFunc(f.passkeys, func(k authn.Passkey) bool { return k.ID == id && k.Citizen == l.Citizen }) {
		return identity.ErrNotFound
	}
	return nil
}

func (f *fake) RenamePasskey(_ *http.Request, l identity.Login, id identity.ID, name string) error {
	if strings.TrimSpace(name) == "" {
		return authn.ErrInvalid
	}
	if err := f.passkey(l, id); err != nil {
		return err
	}
	return f.change(l, "rename passkey "+name)
}

func (f *fake) RemovePasskey(_ *http.Request, l identity.Login, id identity.ID) error {
	if err := f.passkey(l, id); err != nil {
		return err
	}
	return f.change(l, "remove passkey")
}

func (f *fake) RenewRecovery(_ *http.Request, l identity.Login) ([]string, error) {
	return []string{"AAAA-BBBB-CCCC-DDDD"}, f.change(l, "renew recovery")
}

func (f *fake) ListDevices(_ context.Context, l identity.Login) ([]authn.Device, error) {
	return slices.DeleteFunc(slices.Clone(f.devices), func(d authn.Device) bool { return d.Citizen != l.Citizen }), nil
}

func (f *fake) device(l identity.Login, id identity.ID) error {
	if !slices.ContainsFunc(f.devices, func(d authn.Device) bool { return d.ID == id && d.Citizen == l.Citizen }) {
		return identity.ErrNotFound
	}
	return nil
}

func (f *fake) RenameDevice(_ *http.Request, l identity.Login, id identity.ID, name string) error {
	if strings.TrimSpace(name) == "" {
		return authn.ErrInvalid
	}
	if err := f.device(l, id); err != nil {
		return err
	}
	return f.change(l, "rename device "+name)
}

func (f *fake) ReportDevice(r *http.Request, l identity.Login, id identity.ID) (loss.Receipt, error) {
	return loss.Receipt{Number: "7Q2MK9RX41TB"}, f.EndDevice(r, l, id, identity.DeviceSuspended)
}

func (f *fake) RestoreDevice(r *http.Request, l identity.Login, id identity.ID) error {
	return f.EndDevice(r, l, id, identity.DeviceActive)
}

func (f *fake) OnePhone() bool { return true }

func (f *fake) EndDevice(_ *http.Request, l identity.Login, id identity.ID, state identity.DeviceState) error {
	if err := f.device(l, id); err != nil {
		return err
	}
	return f.change(l, "end device "+string(state))
}

func (f *fake) OpenPhoneEnrolment(_ *http.Request, l identity.Login) (identity.ID, secret.Value, time.Time, error) {
	return identity.NewID(), secret.Of("the-code"), f.clock.Now().Add(10 * time.Minute), f.change(l, "open enrolment")
}

func (f *fake) ListConsents(_ *http.Request, citizen identity.ID) ([]templates.Consented, error) {
	return f.consented[citizen], nil
}

func (f *fake) WithdrawConsent(_ context.Context, citizen identity.ID, clientID string, _ time.Time, e audit.Event) error {
	if f.err != nil {
		return f.err
	}
	f.events = append(f.events, e)
	f.done = append(f.done, "withdraw "+clientID)
	return nil
}

func (f *fake) Activity(_ context.Context, citizen identity.ID, below int64, n int) ([]audit.Entry, error) {
	var all []audit.Entry
	for _, e := range f.trail {
		if e.Citizen == citizen && (below == 0 || e.Seq < below) && len(all) < n {
			all = append(all, e)
		}
	}
	return all, nil
}

func (f *fake) LastUses(context.Context, identity.ID) (map[string]time.Time, error) {
	return f.uses, nil
}

func (f *fake) TakeOut(_ context.Context, citizen, login identity.ID, e audit.Event) (Copy, error) {
	if err := f.mine(citizen, login, "take "+string(e.Kind)); err != nil {
		return Copy{}, err
	}
	return Copy{Name: "王秀英", IDNumber: "11010519491231002X"}, nil
}

func (f *fake) CloseAccount(_ context.Context, citizen, login identity.ID, e audit.Event) error {
	return f.mine(citizen, login, "close "+e.Detail["account"])
}

// mine is what a change by the store does first.
func (f *fake) mine(citizen, login identity.ID, what string) error {
	if citizen != f.login.Citizen || login != f.login.ID {
		return identity.ErrEnded
	}
	return f.change(f.login, what)
}

func (f *fake) ListRelatives(context.Context, identity.Login) ([]authn.Relative, error) {
	return f.ties, nil
}

func (f *fake) NameRelative(_ *http.Request, l identity.Login, card string) error {
	if card == "" {
		return authn.ErrInvalid
	}
	return f.change(l, "name "+card)
}

func (f *fake) tie(l identity.Login, id identity.ID, what string) error {
	if !slices.ContainsFunc(f.ties, func(t authn.Relative) bool { return t.ID == id }) {
		return identity.ErrNotFound
	}
	return f.change(l, what)
}

func (f *fake) AgreeRelative(_ *http.Request, l identity.Login, id identity.ID) error {
	return f.tie(l, id, "agree")
}

func (f *fake) EndRelative(_ *http.Request, l identity.Login, id identity.ID) error {
	return f.tie(l, id, "end tie")
}

func (f *fake) ReportForRelative(_ *http.Request, l identity.Login, id identity.ID, what loss.What) (loss.Receipt, error) {
	if !what.Valid() {
		return loss.Receipt{}, authn.ErrInvalid
	}
	return loss.Receipt{Number: "7Q2MK9RX41TB"}, f.tie(l, id, "report "+string(what))
}

// realPages are what people see; parsing them is the slow part of a test.
var realPages = sync.OnceValues(func() (*templates.Pages, error) {
	return templates.New(templates.Config{Authority: "人社部", Domain: "login.ecard.test"})
})

// A room is the pages, their neighbours, and what was shown last.
type room struct {
	*fake
	t      testing.TB
	mux    *http.ServeMux
	routes []Route
	shown  authn.Answer
	// Things of the citizen's and of somebody else's.
	mine, theirs struct{ passkey, device, session, client string }
}

func newRoom(t testing.TB) *room {
	t.Helper()
	pages, err := realPages()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	r := &room{t: t, mux: http.NewServeMux(), fake: &fake{clock: clock.At(now)}}
	me, other := identity.NewID(), identity.NewID()
	r.login = identity.Login{
		ID: identity.NewID(), Citizen: me, Device: identity.NewID(), Started: now,
		Proofs: []identity.Proof{{Factor: identity.FactorPassword, At: now}, {Factor: identity.FactorTOTP, At: now}},
	}
	r.account = authn.Account{ID: me, MaskedName: "王*", Greeting: "白日依山尽", Factors: authn.Factors{TOTP: true, Passkeys: 1, Recovery: 7}}
	ids := func() (identity.ID, identity.ID) { return identity.NewID(), identity.NewID() }
	a, b := ids()
	r.passkeys = []authn.Passkey{{ID: a, Citizen: me, Name: "My <key>", Created: now}, {ID: b, Citizen: other}}
	r.mine.passkey, r.theirs.passkey = a.String(), b.String()
	a, b = ids()
	r.fake.devices = []authn.Device{
		{ID: a, Citizen: me, Kind: identity.DevicePhone, Name: "Phone", State: identity.DeviceActive, Created: now.Add(-time.Hour)},
		{ID: b, Citizen: other, Kind: identity.DevicePhone, State: identity.DeviceActive, Created: now.Add(time.Hour)},
		{ID: r.login.Device, Citizen: me, Kind: identity.DeviceBrowser, Name: "This one", State: identity.DeviceActive, Created: now},
		{ID: identity.NewID(), Citizen: me, Kind: identity.DeviceBrowser, Name: "Forgotten", State: identity.DeviceActive, Created: now, Expires: now},
		{ID: identity.NewID(), Citizen: me, Kind: identity.DevicePhone, Name: "Old", State: identity.DeviceLost, Created: now.Add(-40 * 24 * time.Hour)},
		{ID: identity.NewID(), Citizen: me, Kind: identity.DevicePhone, Name: "Lost", State: identity.DeviceLost, Created: now.Add(-time.Hour)},
	}
	r.mine.device, r.theirs.device = a.String(), b.String()
	a, b = ids()
	r.logins = []authn.LoginRow{
		{Login: r.login, Agent: "Firefox · Linux", Place: "192.0.2.0/24"},
		{Login: identity.Login{ID: a, Citizen: me, Started: now.Add(-time.Hour)}, Agent: "Chrome · Android", Place: "198.51.100.0/24"},
		{Login: identity.Login{ID: b, Citizen: other}},
	}
	r.mine.session, r.theirs.session = a.String(), b.String()
	r.mine.client, r.theirs.client = "pension", "bank"
	r.consented = map[identity.ID][]templates.Consented{
		me: {{ID: "pension", Client: "养老金"}}, other: {{ID: "bank", Client: "Bank"}},
	}
	r.notices = []authn.Notice{{Kind: audit.PasswordChanged, At: now.Add(-time.Hour)}, {Kind: audit.PasswordChanged, At: now.Add(-2 * time.Hour)}}

	r.ties = []authn.Relative{
		{ID: identity.NewID(), Citizen: me, Card: "A******78", Ends: now.Add(time.Hour)},
		{ID: identity.NewID(), Citizen: other, Other: me, Named: true, Name: "李**", Ends: now.Add(time.Hour)},
		{ID: identity.NewID(), Citizen: other, Other: me, Named: true, Name: "张**", Agreed: now.Add(-time.Hour)},
	}
	for i := range 70 {
		r.trail = append(r.trail, audit.Entry{Seq: int64(1000 - i), At: now.UnixMilli(), Kind: string(audit.LoginFinished), Actor: "citizen", Citizen: me, Detail: "{}", Place: "192.0.2.0/24"})
	}
	r.trail[1] = audit.Entry{Seq: 999, At: now.UnixMilli(), Kind: string(audit.CitizenRead), Actor: "staff:0123", Citizen: me, Detail: "{}", Reason: "来电 <咨询>"}
	r.trail[2].Reason = "not for people"
	r.trail[3].Citizen, r.trail[3].Place = other, "203.0.113.0/24"
	s, err := New(Parts{
		Records: r.fake, Relatives: r.fake,
		Keyed: func(m []byte) ([]byte, error) {
			h := sha256.Sum256(append([]byte("key"), m...))
			return h[:], nil
		},
		Logins: r.fake, Factors: r.fake, Devices: r.fake, Consents: r.fake, Origin: "https://login.ecard.test",
		Place: func(*http.Request) string { return netip.MustParsePrefix("192.0.2.0/24").String() },
		Render: func(w http.ResponseWriter, _ *http.Request, a authn.Answer) {
			r.shown = a
			var b bytes.Buffer
			if err := pages.Render(&b, templates.View{Locale: templates.En, Path: a.Path}, a.Page); err != nil {
				t.Errorf("rendering: %v", err)
			}
			w.WriteHeader(a.Status)
			_, _ = b.WriteTo(w) // into a recorder
		},
		Say: func(_ *http.Request, m templates.Message) string {
			text, err := pages.Say(templates.En, m)
			if err != nil {
				t.Errorf("saying: %v", err)
			}
			return text
		},
		Clock: r.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.routes = s.Routes()
	for _, route := range r.routes {
		r.mux.Handle(route.Method+" "+route.Pattern, route.Handler)
	}
	return r
}

func (r *room) send(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.shown = authn.Answer{}
	r.mux.ServeHTTP(w, req)
	return w
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

func (r *room) get(path string) *httptest.ResponseRecorder { return r.send(get(path)) }

func (r *room) post(path string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return r.raw(path, formType, form.Encode())
}

func (r *room) raw(path, contentType, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	return r.send(req)
}

// stale makes the login older than what a change wants.
func (r *room) stale() { r.clock.Advance(5*time.Minute + time.Second) }

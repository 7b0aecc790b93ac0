package authn_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/identity"
	"ecardid/liveness"
	"ecardid/templates"
)

// phone binds a phone to p, past the device API, which is another room's.
func (w *world) phone(p *person) identity.ID {
	w.t.Helper()
	b := w.browser("binds")
	b.signIn(p, "device-skip")
	l, err := b.login()
	if err != nil {
		w.t.Fatal(err)
	}
	id, code, _, err := w.svc.OpenPhoneEnrolment(request(b), l)
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.clock.Now()
	if _, err := w.store.ClaimEnrolment(w.t.Context(), code.Hash(), "challenge", now.Add(time.Minute), now); err != nil {
		w.t.Fatal(err)
	}
	d := authn.Device{
		ID: identity.NewID(), Citizen: p.id, Kind: identity.DevicePhone, Name: "phone", JWK: []byte("{}"), Alg: "ES256",
		Thumbprint: []byte(identity.NewID().String()), KeyLevel: identity.KeyTEE, Created: now,
	}
	if err := w.store.BindPhone(w.t.Context(), id, d, now, w.event(audit.DeviceBound, p.id)); err != nil {
		w.t.Fatal(err)
	}
	return d.ID
}

func (w *world) pending(p *person) authn.Approval {
	w.t.Helper()
	as, err := w.store.PendingApprovals(w.t.Context(), p.id, w.clock.Now())
	if err != nil || len(as) != 1 {
		w.t.Fatalf("%d approvals, %v", len(as), err)
	}
	return as[0]
}

func (w *world) answers(p *person, device identity.ID, state authn.ApprovalState) {
	w.t.Helper()
	a := w.pending(p)
	if err := w.store.AnswerApproval(w.t.Context(), a.ID, device, state, true, true, w.clock.Now(), w.event(audit.PhoneApproved, p.id)); err != nil {
		w.t.Fatal(err)
	}
}

func TestPhone(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	device := w.phone(alice)
	b := w.browser("b")
	r := b.raise(identity.Need{Level: identity.LevelBound, Asker: &identity.Asker{Name: map[string]string{"": "Bank"}, Host: "rp.example"}})
	r = b.fill(r, "username", aliceCard, "password", goodWord)
	// Looking at the page asks nobody, however often: a link on another site could.
	for range 3 {
		if p := page[templates.PhoneApprove](t, b.visit(r.Path)); p.Number != "" || p.PollURL != "" {
			t.Errorf("%+v", p)
		}
	}
	if as, err := w.store.PendingApprovals(t.Context(), alice.id, w.clock.Now()); err != nil || len(as) != 0 {
		t.Fatalf("%d approvals, %v", len(as), err)
	}
	r = b.fill(r, "phone-continue", "1")
	p := page[templates.PhoneApprove](t, r)
	a := w.pending(alice)
	if p.Number != strconv.Itoa(a.Number) || len(a.Choices) != 3 || !slices.Contains(a.Choices, a.Number) {
		t.Errorf("%q %+v", p.Number, a)
	}
	if again := b.visit(r.Path); page[templates.PhoneApprove](t, again).Number != p.Number {
		t.Error("looking again asked again")
	}
	if got := b.get(p.PollURL); got.body != "{}\n" {
		t.Errorf("%s", got.body)
	}
	if r = b.fill(r, "phone-continue", "1"); problem(t, r) != templates.ProblemPhoneWaiting {
		t.Errorf("%T", r.Page)
	}
	w.answers(alice, device, authn.ApprovalDenied)
	// Refused: back to asking, and only when the citizen says so.
	r = b.visit(r.Path)
	if p := page[templates.PhoneApprove](t, r); p.Problem.Key != templates.ProblemPhoneRefused || p.Number != "" {
		t.Errorf("%+v", p)
	}
	r = b.fill(r, "phone-continue", "1")
	page[templates.PhoneApprove](t, r)
	w.clock.Advance(3 * time.Minute)
	r = b.visit(r.Path)
	if p := page[templates.PhoneApprove](t, r); p.Problem.Key != templates.ProblemExpired || p.Number != "" {
		t.Errorf("%+v", p)
	}
	r = b.fill(r, "phone-continue", "1")
	w.answers(alice, device, authn.ApprovalApproved)
	if got := b.get(page[templates.PhoneApprove](t, r).PollURL); got.body == "{}\n" {
		t.Error("approved, and the page does not know")
	}
	r = b.fill(r, "phone-continue", "1")
	page[templates.BindDevice](t, r)
	r = b.fill(r, "device-skip", "1")
	if r.to != "/authorize?request_uri=x" {
		t.Fatalf("%d %s", r.status, r.to)
	}
	if l, err := b.login(); err != nil || l.Assurance(identity.Need{}, w.clock.Now()).Level != identity.LevelBound {
		t.Errorf("%+v %v", l, err)
	}
	// The phone is lost: with it goes every session it vouched for.
	l, _ := b.login()
	if err := w.svc.EndDevice(request(b), l, device, identity.DeviceLost); err != nil {
		t.Fatal(err)
	}
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestPrompts: a phone is not pestered without end.
func TestPrompts(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	device := w.phone(alice)
	asked := 0
	for i := range 4 {
		b := w.browser(strconv.Itoa(i))
		r := b.raise(identity.Need{Level: identity.LevelBound})
		r = b.fill(r, "username", aliceCard, "password", goodWord)
		for range 4 {
			p, ok := r.Page.(templates.PhoneApprove)
			if !ok {
				break
			}
			if p.Number != "" {
				asked++
				w.answers(alice, device, authn.ApprovalDenied)
				r = b.visit(r.Path)
			}
			r = b.fill(r, "phone-continue", "1")
		}
	}
	if asked > 6 {
		t.Errorf("asked %d times", asked)
	}
}

// A provider that does as it is told.
type provider struct {
	start   error
	verdict liveness.Verdict
	finish  error
	begun   []liveness.Request
	asked   []liveness.Transaction
}

func (p *provider) Start(_ context.Context, req liveness.Request) (liveness.Started, error) {
	p.begun = append(p.begun, req)
	return liveness.Started{Session: identity.NewID(), CaptureURL: "https://face.example/capture"}, p.start
}

func (p *provider) Finish(_ context.Context, _ identity.ID, current liveness.Transaction) (liveness.Verdict, error) {
	p.asked = append(p.asked, current)
	return p.verdict, p.finish
}

func (p *provider) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNoContent)
}

func TestLiveness(t *testing.T) {
	face := &provider{}
	w := newWorld(t, func(p *authn.Parts) { p.Liveness = face })
	alice := w.alice()
	device := w.phone(alice)
	b := w.browser("b")
	b.signIn(alice, "device-bind")
	need := identity.Need{Level: identity.LevelLive, Txn: "txn-1", Asker: &identity.Asker{ClientID: "rp"}}
	r := b.raise(need)
	r = b.fill(r, "phone-continue", "1")
	w.answers(alice, device, authn.ApprovalApproved)
	r = b.fill(r, "phone-continue", "1")
	page[templates.LivenessStart](t, r)
	if r.Kind != templates.Capture {
		t.Errorf("policy %v", r.Kind)
	}
	// Not without a consent of its own.
	if r = b.fill(r, "liveness-start", "1"); problem(t, r) != templates.ProblemFaceConsent || len(face.begun) != 0 {
		t.Errorf("%T %d", r.Page, len(face.begun))
	}
	// The provider is down: said clearly, costs no try.
	face.start = liveness.ErrUnavailable
	for range 4 {
		if r = b.fill(r, "face-consent", "yes"); problem(t, r) != templates.ProblemLivenessDown {
			t.Fatalf("%T", r.Page)
		}
	}
	face.start = nil
	begin := func() {
		t.Helper()
		got := b.post(r.Path, r.Flow, "face-consent", "yes")
		if got.status != http.StatusSeeOther || got.to != "https://face.example/capture" {
			t.Fatalf("%d %s", got.status, got.to)
		}
	}
	begin()
	last := face.begun[len(face.begun)-1]
	if last.ID != "txn-1" || last.ClientID != "rp" || last.Citizen != alice.id || last.Device != device || last.Purpose != liveness.PurposeStepUp ||
		last.ReturnURI != origin+"/login/liveness/return?flow="+r.Flow {
		t.Errorf("%+v", last)
	}
	// What the browser brings back is no verdict.
	face.verdict = liveness.Verdict{Outcome: liveness.Unavailable}
	back := "/login/liveness/return?flow=" + r.Flow
	r = b.visit(back + "&verdict=pass&session_id=x")
	waiting := page[templates.LivenessWaiting](t, r)
	if got := b.get(waiting.PollURL); got.body != "{}\n" {
		t.Errorf("%s", got.body)
	}
	face.verdict = liveness.Verdict{Outcome: liveness.Failed}
	r = b.fill(r, "liveness-continue", "1")
	if p := page[templates.LivenessResult](t, r); p.Passed || p.Left != 2 || p.AlternativeURL == "" {
		t.Errorf("%+v", p)
	}
	r = b.fill(r, "liveness-retry", "1")
	page[templates.LivenessStart](t, r)
	begin()
	face.verdict, face.finish = liveness.Verdict{Outcome: liveness.Passed}, identity.ErrSpent
	r = b.visit(back)
	page[templates.LivenessResult](t, r) // somebody else's pass is not ours
	r = b.fill(r, "liveness-retry", "1")
	begin()
	face.finish = nil
	r = b.visit(back)
	if r.to != "/authorize?request_uri=x" {
		t.Fatalf("%d %s %T", r.status, r.to, r.Page)
	}
	l, err := b.login()
	if err != nil || !l.Meets(need, w.clock.Now()) {
		t.Errorf("%+v %v", l, err)
	}
	other := need
	other.Txn = "txn-2"
	if l.Meets(other, w.clock.Now()) {
		t.Error("a face for one transaction counts for another")
	}
	w.clock.Advance(identity.LiveFor + time.Second)
	if l.Meets(need, w.clock.Now()) {
		t.Error("a face counts for ever")
	}
}

func TestLivenessTries(t *testing.T) {
	face := &provider{verdict: liveness.Verdict{Outcome: liveness.Failed}}
	w := newWorld(t, func(p *authn.Parts) { p.Liveness = face })
	alice := w.alice()
	k := w.registers(alice, false)
	b := w.browser("b")
	r := b.raise(identity.Need{Level: identity.LevelLive})
	_, s := b.ceremony(r, k)
	r = b.visit(s.Next)
	for range 3 {
		page[templates.LivenessStart](t, r)
		b.post(r.Path, r.Flow, "face-consent", "yes")
		r = b.visit("/login/liveness/return?flow=" + r.Flow)
		if p := page[templates.LivenessResult](t, r); p.Left > 0 {
			r = b.fill(r, "liveness-retry", "1")
		}
	}
	for range 2 {
		b.post(r.Path, r.Flow, "liveness-retry", "1")
		b.post(r.Path, r.Flow, "face-consent", "yes")
	}
	if len(face.begun) != 3 {
		t.Errorf("%d checks were begun", len(face.begun))
	}
	if _, err := b.login(); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
	if face.begun[0].ID != r.Flow {
		t.Errorf("without a transaction of the relying party's it is the flow: %q", face.begun[0].ID)
	}
}

// TestPhoneShowsWhatIsApproved: what the citizen is about to agree to is in the words
// the phone shows, and its signature is over their hash.
func TestPhoneShowsWhatIsApproved(t *testing.T) {
	w := newWorld(t)
	alice := w.alice()
	device := w.phone(alice)
	for name, r := range map[string]struct {
		words          map[string]string
		action, detail string
	}{
		"sign-in":  {nil, "sign-in", ""},
		"payment":  {map[string]string{"zh-CN": "支付 ¥1.00", "en": "Pay CNY 1.00"}, "approve", "支付 ¥1.00"},
		"one-text": {map[string]string{"zh-CN": "支付 ¥2.00"}, "approve", "支付 ¥2.00"},
	} {
		b := w.browser(name)
		asked := b.fill(b.raise(identity.Need{Level: identity.LevelBound, Approve: r.words}), "username", aliceCard, "password", goodWord)
		b.fill(asked, "phone-continue", "1")
		var shown phone.Context
		if err := json.Unmarshal(w.pending(alice).Context, &shown); err != nil {
			t.Fatal(err)
		}
		if shown.Action != r.action || shown.Detail != r.detail {
			t.Errorf("%s: shows %q, %q", name, shown.Action, shown.Detail)
		}
		w.answers(alice, device, authn.ApprovalDenied)
	}
}

package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/oauth"
	"ecardid/storage"
)

// start is when every world begins. Nothing here looks at a real clock.
var start = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)

const (
	loginIdle = time.Hour
	loginLife = 12 * time.Hour
	codeLife  = time.Minute
	tokenLife = 5 * time.Minute
	flowLife  = 10 * time.Minute
	password  = "encoded password"
	greeting  = "春风又绿江南岸"
	fullName  = "欧阳若兰"
	email     = "ruolan@mail.example"
	street    = "东长安街一号"
)

// A world is one citizen who has come in, with nothing else, and one client.
type world struct {
	testing.TB
	ctx     context.Context // what every call runs under
	s       *storage.Store
	now     time.Time
	citizen identity.ID
	client  string
	card    authn.Alias
	id      authn.Alias
	phone   authn.Alias
}

// newWorld brings in a citizen and a client that no other check knows.
func newWorld(t testing.TB, s *storage.Store) *world {
	t.Helper()
	return newWorldUnder(t.Context(), t, s)
}

func newWorldUnder(ctx context.Context, t testing.TB, s *storage.Store) *world {
	t.Helper()
	w := &world{TB: t, ctx: ctx, s: s, now: start, client: "client-" + identity.NewID().String()}
	c := w.arrive()
	w.citizen = c.ID
	w.ok(s.Activate(ctx, c.ID, c.Code, password, greeting, w.event(audit.CitizenActivated)))
	w.ok(s.ApplyClient(ctx, oauth.Client{ID: w.client, Name: "养老金", State: oauth.ClientLive}, w.clientEvent(audit.ClientApplied)))
	return w
}

// Context is what every call of a check runs under.
func (w *world) Context() context.Context { return w.ctx }

// beside is another citizen in the same world: the one who must not be touched.
func (w *world) beside() *world {
	w.Helper()
	other := newWorldUnder(w.ctx, w.TB, w.s)
	other.now = w.now
	return other
}

// on is the same world seen through another store of the same database.
func (w *world) on(s *storage.Store) *world {
	c := *w
	c.s = s
	return &c
}

// arrive imports a citizen who has not come in yet. Of the numbers there are, worlds
// draw often enough to meet one that is somebody's: they draw again.
func (w *world) arrive() storage.NewCitizen {
	w.Helper()
	e := w.event(audit.CitizenImported)
	e.Notify = false
	for {
		c := w.draw()
		err := w.s.ImportCitizens(w.Context(), []storage.NewCitizen{c}, e)
		var taken *storage.ImportError
		if errors.As(err, &taken) {
			continue
		}
		w.ok(err)
		return c
	}
}

// draw makes up a citizen and remembers the numbers.
func (w *world) draw() storage.NewCitizen {
	w.Helper()
	number := fmt.Sprintf("110105%d%02d%02d%03d", 1940+rand.N(60), 1+rand.N(12), 1+rand.N(28), rand.N(1000))
	sum := 0
	for i, weight := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += weight * int(number[i]-'0')
	}
	number += string("10X98765432"[sum%11])
	id, err := idnumber.ParseID(number, start)
	w.ok(err)
	phone, err := idnumber.ParsePhone(fmt.Sprintf("138%08d", rand.N(100_000_000)))
	w.ok(err)
	card, err := idnumber.ParseCard(fmt.Sprintf("%c%08d", 'A'+rand.N(26), rand.N(100_000_000)))
	w.ok(err)
	w.card = authn.Alias{Kind: authn.AliasCard, Value: card.Reveal()}
	w.id = authn.Alias{Kind: authn.AliasID, Value: id.Reveal()}
	w.phone = authn.Alias{Kind: authn.AliasPhone, Value: phone.Reveal()}
	return storage.NewCitizen{ID: identity.NewID(), Name: fullName, IDNumber: id, Phone: phone, Card: card, Code: fresh(), Expires: w.now.Add(time.Hour),
		Claims: map[string]any{"email": email, "email_verified": true, "address": map[string]any{"street_address": street}}}
}

func (w *world) event(kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, At: w.now, Actor: audit.ByCitizen, Citizen: w.citizen, Client: w.client, Notify: true, Place: "192.0.2.0/24"}
}

// from is an event of something done in a login.
func (w *world) from(kind audit.Kind, login identity.ID) audit.Event {
	e := w.event(kind)
	e.Login = login
	return e
}

func (w *world) clientEvent(kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, At: w.now, Actor: audit.ByOperator, Client: w.client}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// is checks what a call answered; where the promise leaves a choice, any of want.
func (w *world) is(what string, got error, want ...error) {
	w.Helper()
	if !slices.ContainsFunc(want, func(e error) bool { return errors.Is(got, e) }) {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}

// fault checks that a call failed, and not with an answer a room would act on.
func (w *world) fault(what string, err error) {
	w.Helper()
	if err == nil {
		w.Errorf("%s: no error", what)
		return
	}
	for _, known := range []error{identity.ErrNotFound, identity.ErrSpent, identity.ErrReplayed, identity.ErrEnded, identity.ErrConflict, identity.ErrConsent, identity.ErrScope} {
		if errors.Is(err, known) {
			w.Errorf("%s: %v, want a fault of ours", what, err)
		}
	}
}

// fresh is the hash of a secret nobody has seen before.
func fresh() []byte {
	id := identity.NewID()
	h := sha256.Sum256(id[:])
	return h[:]
}

// A session is a login and what finds it.
type session struct {
	identity.Login
	token []byte
}

// signIn makes a login from the proofs, on the trusted browser `on` if there is one.
func (w *world) signIn(on identity.ID, proofs ...identity.Proof) session {
	w.Helper()
	s, err := w.finish(w.flow(), w.newLogin(on, proofs...), identity.ID{})
	w.ok(err)
	return s
}

func (w *world) newLogin(on identity.ID, proofs ...identity.Proof) session {
	if len(proofs) == 0 {
		proofs = []identity.Proof{{Factor: identity.FactorPassword, At: w.now}}
	}
	return session{Login: identity.Login{ID: identity.NewID(), Citizen: w.citizen, Device: on, Proofs: proofs,
		Started: w.now, Seen: w.now, Ends: w.now.Add(loginLife), Locale: "zh-CN"}, token: fresh()}
}

func (w *world) finish(f authn.Flow, l session, replaces identity.ID) (session, error) {
	w.Helper()
	return l, w.s.FinishFlow(w.Context(), f, authn.NewLogin{Login: l.Login, Token: l.token, Agent: "Firefox on Linux", Place: "192.0.2.0/24", Idle: loginIdle},
		replaces, w.from(audit.LoginFinished, l.ID))
}

// flow begins a flow and says whose it is.
func (w *world) flow(change ...func(*authn.Flow)) authn.Flow {
	w.Helper()
	f := authn.Flow{ID: identity.NewID(), Browser: fresh(), Back: "/account", Created: w.now, Expires: w.now.Add(flowLife),
		Need: identity.Need{Level: identity.LevelMFA, Hint: w.phone.Value}, State: authn.FlowState{Typed: w.id.Value}}
	for _, c := range change {
		c(&f)
	}
	w.ok(w.s.BeginFlow(w.Context(), f))
	f.Version = 1
	a, err := w.s.Account(w.Context(), w.citizen)
	w.ok(err)
	f.Citizen, f.Epoch = w.citizen, a.Epoch
	w.ok(w.s.MoveFlow(w.Context(), &f, w.now))
	return f
}

func (w *world) epoch() int64 {
	w.Helper()
	a, err := w.s.Account(w.Context(), w.citizen)
	w.ok(err)
	return a.Epoch
}

// live checks whether a login is found.
func (w *world) live(what string, l session, want bool) {
	w.Helper()
	_, err := w.s.Login(w.Context(), l.token, w.now)
	if want {
		w.is(what, err, nil)
	} else {
		w.is(what, err, identity.ErrNotFound)
	}
}

// An issue is a code on its way: how it is issued, and how it is redeemed.
type issue struct {
	oauth.NewCode
	redirect, challenge string
}

const redirect = "https://rp.example/cb"

// code issues a code in the login, changed as asked.
func (w *world) code(l session, change ...func(*oauth.NewCode)) issue {
	w.Helper()
	n := w.newCode(l, change...)
	w.ok(w.s.IssueCode(w.Context(), n.NewCode))
	return n
}

func (w *world) newCode(l session, change ...func(*oauth.NewCode)) issue {
	n := issue{redirect: redirect, challenge: "challenge-" + identity.NewID().String()}
	n.NewCode = oauth.NewCode{
		Grant: oauth.Grant{ID: identity.NewID(), ClientID: w.client, Citizen: w.citizen, Login: l.ID, Scope: []string{"openid", "profile", "phone"},
			Resource: []string{"https://api.example"}, RedirectURI: redirect, Nonce: "n-0S6_WzA2Mj", ACR: "urn:mfa", AMR: []string{"pwd", "otp"},
			AuthTime: w.now, Created: w.now, Expires: w.now.Add(30 * 24 * time.Hour)},
		Code: fresh(), CodeExpires: w.now.Add(codeLife), Challenge: n.challenge, Consent: true, Event: w.event(audit.ConsentGiven),
	}
	for _, c := range change {
		c(&n.NewCode)
	}
	return n
}

func opaque(n *oauth.NewCode)  { n.Grant.Opaque = true }
func offline(n *oauth.NewCode) { n.Grant.Offline = true }

// redemption is the right one for a code.
func (w *world) redemption(n issue) oauth.Redemption {
	refresh := fresh()
	return oauth.Redemption{Code: n.Code, ClientID: n.Grant.ClientID, RedirectURI: n.redirect, Challenge: n.challenge, JKT: n.CodeJKT,
		Refresh: refresh, Family: familyOf(refresh), RefreshIdle: w.now.Add(7 * 24 * time.Hour),
		Access: oauth.NewAccess{Token: fresh(), Expires: w.now.Add(tokenLife)}, Now: w.now}
}

// familyOf is what the tokens of a family have in common; here, their first half.
func familyOf(token []byte) []byte { return token[:min(len(token), 16)] }

// A family is a redeemed grant and its tokens.
type family struct {
	oauth.Grant
	refresh, access []byte
}

func (w *world) family(l session, change ...func(*oauth.NewCode)) family {
	w.Helper()
	r := w.redemption(w.code(l, change...))
	g, err := w.s.Redeem(w.Context(), r)
	w.ok(err)
	return family{g, r.Refresh, r.Access.Token}
}

func (w *world) refreshing(token []byte) oauth.Refreshing {
	return oauth.Refreshing{Token: token, Family: familyOf(token), ClientID: w.client, RefreshIdle: w.now.Add(7 * 24 * time.Hour),
		Access: oauth.NewAccess{Token: fresh(), Expires: w.now.Add(tokenLife)}, Now: w.now}
}

func rotating(r oauth.Refreshing) oauth.Refreshing {
	r.Next = append(slices.Clone(familyOf(r.Token)), fresh()[:16]...)
	return r
}

// accepted checks that all who ask about a family agree: the grant, its opaque
// token, userinfo in both ways, and refresh.
func (w *world) accepted(what string, f family, want bool) {
	w.Helper()
	answer := error(nil)
	if !want {
		answer = identity.ErrNotFound
	}
	ctx := w.Context()
	_, err := w.s.LiveGrant(ctx, f.ID, w.now)
	w.is(what+": grant", err, answer)
	_, _, err = w.s.UserInfo(ctx, nil, f.ID, []string{"name"}, w.now)
	w.is(what+": userinfo by grant", err, answer)
	if f.Opaque {
		_, err = w.s.Token(ctx, f.access, w.now)
		w.is(what+": token", err, answer)
		_, _, err = w.s.UserInfo(ctx, f.access, identity.ID{}, []string{"name"}, w.now)
		w.is(what+": userinfo by token", err, answer)
	}
	_, err = w.s.Refresh(ctx, w.refreshing(f.refresh))
	w.is(what+": refresh", err, answer)
}

// entries counts what the trail says of this world: its citizen or its client.
func (w *world) entries(kind audit.Kind) int {
	w.Helper()
	n := 0
	_, err := w.s.ChainAudit(w.Context()) // what is not in the chain is not exported
	w.ok(err)
	w.ok(w.s.ExportAudit(w.Context(), w.now.Add(-time.Hour), func(line []byte) error {
		if !bytes.Contains(line, []byte(kind)) {
			return nil
		}
		var e struct {
			Kind    audit.Kind
			Citizen identity.ID
			Client  string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Kind == kind && (e.Citizen == w.citizen || e.Client == w.client) {
			n++
		}
		return nil
	}))
	return n
}

// notices counts what the citizen reads about a kind of act.
func (w *world) notices(kind audit.Kind) int {
	w.Helper()
	all, err := w.s.Notices(w.Context(), w.citizen, 1000)
	w.ok(err)
	n := 0
	for _, one := range all {
		if one.Kind == kind {
			n++
		}
	}
	return n
}

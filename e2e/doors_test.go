package e2e

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/authn/phone"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// everything is what somebody with a phone has open at a moment.
type everything struct {
	t *testing.T
	h *house.House
	parties
	c *house.Citizen

	phone   *house.Phone
	key     *house.Passkey
	robot   *house.Robot // signed in with the phone
	trusted *house.Robot // remembered, and signed out
	tokens  house.Tokens
	half    spot

	mu      sync.Mutex
	codes   []*house.Request // asked for and not yet redeemed
	came    []string
	push    []string // pushed requests nobody has used
	derived string   // the newest token that the broker got for the citizen's
}

// parties are who the citizen's tokens come to: the application, the API it calls with
// them, which exchanges them (RFC 8693), and the API those are for.
type parties struct{ p, broker, api *house.Relying }

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

// partiesOf registers them; more is put over the application's metadata.
func partiesOf(t *testing.T, h *house.House, id string, more map[string]any) parties {
	t.Helper()
	const insurance, pension = "urn:ecardid:resource:insurance", "urn:ecardid:resource:pension"
	machine := func(more map[string]any) map[string]any {
		m := map[string]any{"grant_types": []string{}, "redirect_uris": []string{}, "response_modes": []string{}, "scope": "pension.read"}
		maps.Copy(m, more)
		return m
	}
	own := map[string]any{"resources": []string{insurance}}
	maps.Copy(own, more)
	return parties{
		p: h.Relying(t, id, own),
		broker: h.Relying(t, id+"-broker", machine(map[string]any{
			"grant_types": []string{exchangeGrant}, "resources": []string{insurance}, "exchange_resources": []string{pension},
		})),
		api: h.Relying(t, id+"-api", machine(map[string]any{"resources": []string{pension}})),
	}
}

// settle makes all of it, for a citizen of its own.
func settle(t *testing.T, h *house.House, with parties, spare int) *everything {
	t.Helper()
	p := with.p
	e := &everything{t: t, h: h, parties: with, c: h.Citizen(t), key: h.Passkey(t, false)}
	var own *house.Robot
	e.phone, own = phoneOf(t, h, e.c, jose.ES256)
	e.key.Register(own.Get("/account/passkeys"))

	e.trusted = h.Robot(t)
	a := e.trusted.Get("/login").Submit("login-submit", "username", e.c.Card, "password", e.c.Password)
	if a.Has("way-totp") {
		a = a.Click("way-totp")
	}
	a.Submit("code-submit", "code", e.c.Code()).Submit("device-bind")
	e.trusted.Get("/logout").Submit("logout-confirm")

	e.half = e.signing()
	e.robot = h.Robot(t)
	q := p.Ask("openid profile insurance.read pension.read")
	a = e.robot.Get(q.Path()).Submit("login-submit", "username", e.c.Card, "password", e.c.Password)
	a = ringing(a)
	if ans := e.phone.Answer(e.phone.Asked()[0], phone.Approve, numberOn(t, a)); ans.Status != http.StatusOK {
		t.Fatalf("approving: %d", ans.Status)
	}
	a = a.Submit("phone-continue").Submit("device-skip")
	if a.Has("consent-allow") {
		a = a.Submit("consent-allow")
	}
	e.tokens = q.Redeem(q.Came(a.Location).Get("code"))
	if !e.exchange(0) {
		t.Fatal("the token is not exchanged")
	}
	for range spare {
		q := p.Ask("openid profile")
		e.codes = append(e.codes, q)
		e.came = append(e.came, q.Came(e.robot.Get(q.Path()).Location).Get("code"))
		e.push = append(e.push, p.Push(h.Issuer, p.Ask("openid profile")))
	}
	return e
}

// signing is a sign-in in another browser that waits for the second factor.
func (e *everything) signing() spot {
	e.t.Helper()
	r := e.h.Robot(e.t)
	return at(e.t, r, e.c, r.Get("/login").Submit("login-submit", "username", e.c.Card, "password", e.c.Password), nil)
}

func (e *everything) at(r *house.Robot, replica int) *house.Robot {
	c := r.Clone(e.t)
	c.At = e.h.Replicas[replica%len(e.h.Replicas)]
	return c
}

func (e *everything) stranger(replica int) *house.Robot { return e.at(e.h.Robot(e.t), replica) }

// exchange has the broker exchange the citizen's token at a replica.
func (e *everything) exchange(replica int) bool {
	got := e.broker.Token(e.h.Replicas[replica%len(e.h.Replicas)], url.Values{
		"grant_type": {exchangeGrant}, "subject_token": {e.tokens.Access}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	})
	if got.Status != http.StatusOK {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.derived = got.Access
	return true
}

// active reports whether a replica tells somebody that a token lives.
func (e *everything) active(who *house.Relying, token string, replica int) bool {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(who.ID) + ":" + url.QueryEscape(who.Secret)))
	a := e.stranger(replica).Raw(http.MethodPost, "/introspect", "application/x-www-form-urlencoded",
		strings.NewReader(url.Values{"token": {token}}.Encode()), http.Header{"Authorization": {"Basic " + basic}})
	var out struct{ Active bool }
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Status != http.StatusOK {
		e.t.Errorf("introspection answered %d %s", a.Status, a.Body)
	}
	return out.Active
}

// A door is one way in. It reports whether it let somebody through.
type door struct {
	name string
	// open knocks at a replica. Where there is nothing left to knock with, it is shut.
	open func(e *everything, replica int) bool
	// once: each knock uses something up, or shows it around.
	once bool
}

// doors are the nine (issue "The lost phone"), and the two that token exchange opens.
func doors() []door {
	take := func(e *everything, list *[]string) (int, string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(*list) == 0 {
			return -1, ""
		}
		last := (*list)[len(*list)-1]
		*list = (*list)[:len(*list)-1]
		return len(*list), last
	}
	return []door{
		{"refresh", func(e *everything, n int) bool {
			return e.p.Token(e.h.Replicas[n%len(e.h.Replicas)], url.Values{"grant_type": {"refresh_token"}, "refresh_token": {e.tokens.Refresh}}).Status == http.StatusOK
		}, false},
		{"introspection", func(e *everything, n int) bool { return e.active(e.p, e.tokens.Access, n) }, false},
		{"exchange", func(e *everything, n int) bool { return e.exchange(n) }, false},
		{"exchanged-token", func(e *everything, n int) bool {
			e.mu.Lock()
			newest := e.derived
			e.mu.Unlock()
			return e.active(e.api, newest, n)
		}, false},
		{"userinfo", func(e *everything, n int) bool {
			return e.stranger(n).Raw(http.MethodGet, "/userinfo", "", nil, http.Header{"Authorization": {"Bearer " + e.tokens.Access}}).Status == http.StatusOK
		}, false},
		{"prompt-none", func(e *everything, n int) bool {
			return gotCode(e.at(e.robot, n).Get(e.p.Ask("openid profile", "prompt", "none").Path()))
		}, false},
		{"code", func(e *everything, n int) bool {
			i, code := take(e, &e.came)
			return code != "" && e.p.Token(e.h.Replicas[n%len(e.h.Replicas)], url.Values{
				"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {e.p.Redirect}, "code_verifier": {e.codes[i].Verifier},
			}).Status == http.StatusOK
		}, true},
		{"pushed-request", func(e *everything, n int) bool {
			_, handle := take(e, &e.push)
			return handle != "" && gotCode(e.at(e.robot, n).Get("/authorize?"+url.Values{"client_id": {e.p.ID}, "request_uri": {handle}}.Encode()))
		}, true},
		{"half-finished-login", func(e *everything, n int) bool {
			a := e.at(e.half.robot, n).Get(e.half.page.Path)
			return a.Status == http.StatusOK && !a.Has("login-submit") && strings.HasPrefix(a.Path, "/login/")
		}, false},
		{"device-signature", func(e *everything, n int) bool {
			const path = "/device/v1/approvals"
			r := e.stranger(n)
			a := r.Raw(http.MethodGet, "/device/v1/nonce", "", nil, http.Header{phone.HeaderDevice: {e.phone.ID.String()}})
			var nonce struct{ Nonce string }
			if a.Status != http.StatusOK || json.Unmarshal([]byte(a.Body), &nonce) != nil {
				return false
			}
			return r.Raw(http.MethodGet, path, "", nil, e.phone.Sign(http.MethodGet, path, nonce.Nonce, nil)).Status == http.StatusOK
		}, false},
		{"trusted-browser", func(e *everything, n int) bool {
			return strings.Contains(e.at(e.trusted, n).Get("/login").Text("greeting-words"), e.c.Greeting)
		}, false},
		{"passkey", func(e *everything, n int) bool {
			r := e.stranger(n)
			a := r.Get("/login")
			ceremony := a.Ceremony()
			return r.JSON(ceremony.Finish, ceremony.CSRF, e.key.Sign(a.Options())).Next() != ""
		}, true},
	}
}

// standing lists the doors that are open.
func (e *everything) standing(replica int, skip ...string) string {
	var open []string
	for _, d := range doors() {
		if !slices.Contains(skip, d.name) && d.open(e, replica) {
			open = append(open, d.name)
		}
	}
	return strings.Join(open, " ")
}

func allOpen(skip ...string) string {
	var all []string
	for _, d := range doors() {
		if !slices.Contains(skip, d.name) {
			all = append(all, d.name)
		}
	}
	return strings.Join(all, " ")
}

// closings are the ways by which somebody ends it all. What is done to the phone is done
// to the authenticator that the passkey lives on.
func closings() []struct {
	name string
	end  func(e *everything) error
} {
	event := func(e *everything, kind audit.Kind) audit.Event {
		return audit.Event{Kind: kind, At: e.h.Clock.Now(), Actor: audit.ByOperator, Citizen: e.c.ID, Reason: "test"}
	}
	device := func(state identity.DeviceState) func(e *everything) error {
		return func(e *everything) error {
			all, err := e.h.Store.ListDevices(e.t.Context(), e.c.ID)
			if err != nil {
				return err
			}
			for _, d := range all {
				if d.Kind == identity.DeviceBrowser {
					continue
				}
				ev := event(e, audit.DeviceEnded)
				ev.Device = d.ID
				if err := e.h.Store.EndDevice(e.t.Context(), e.c.ID, d.ID, state, nil, ev); err != nil {
					return err
				}
			}
			return nil
		}
	}
	report := func(what loss.What) func(e *everything) error {
		return func(e *everything) error {
			key := identity.NewID()
			return e.h.Store.ReportLoss(e.t.Context(), loss.Report{Citizen: e.c.ID, What: what, Key: key[:]}, event(e, audit.LossReported))
		}
	}
	card := func(to identity.CardState) func(e *everything) error {
		return func(e *everything) error {
			return e.h.Store.SetCardState(e.t.Context(), e.c.ID, to, event(e, audit.CitizenFrozen))
		}
	}
	return []struct {
		name string
		end  func(e *everything) error
	}{
		{"device-lost", device(identity.DeviceLost)}, {"device-revoked", device(identity.DeviceRevoked)},
		{"device-suspended", report(loss.Phone)}, {"card-temp-lost", report(loss.Card)},
		{"card-frozen", card(identity.CardFrozen)}, {"citizen-closed", card(identity.CardCancelled)},
	}
}

// TestNineDoors: whatever ends, and wherever one knocks, on one database or the other
// and at either replica: what is asked after the acknowledgement is refused (DESIGN D3,
// SECURITY DV2, G6). Before each ending everything is open, while it happens sixteen
// knock at once, and after it nothing opens any more.
func TestNineDoors(t *testing.T) {
	t.Parallel()
	for _, o := range []struct {
		name string
		house.Options
	}{{"postgres", house.Options{Postgres: true, Replicas: 2}}, {"sqlite", house.Options{}}} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			h := house.Open(t, o.Options)
			p := partiesOf(t, h, "doors", nil)
			for _, closing := range closings() {
				t.Run(closing.name, func(t *testing.T) {
					e := settle(t, h, p, 12)
					if got := e.standing(1); got != allOpen() {
						t.Fatalf("before there is open: %q", got)
					}
					e.race(closing.end)
					for n := range h.Replicas {
						if got := e.standing(n); got != "" {
							t.Errorf("afterwards there is still open at replica %d: %q", n, got)
						}
					}
				})
			}
		})
	}
}

// knock is one try at a door.
type knock struct {
	door     string
	began    time.Time
	accepted bool
}

// race lets sixteen knock while it ends.
func (e *everything) race(end func(*everything) error) {
	e.t.Helper()
	const many = 16
	all := slices.DeleteFunc(doors(), func(d door) bool { return d.name == "passkey" }) // one key has one counter
	stop := make(chan struct{})
	tries := make([][]knock, many)
	var knocking sync.WaitGroup
	for i := range many {
		knocking.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				d := all[n%len(all)]
				k := knock{door: d.name, began: time.Now()}
				k.accepted = d.open(e, n)
				tries[i] = append(tries[i], k)
			}
		})
	}
	time.Sleep(time.Duration(50+rand.N(50)) * time.Millisecond)
	err := end(e)
	ended := time.Now()
	time.Sleep(150 * time.Millisecond)
	close(stop)
	knocking.Wait()
	if err != nil {
		e.t.Fatalf("ending: %v", err)
	}
	after := 0
	for _, k := range slices.Concat(tries...) {
		if k.began.After(ended) {
			if after++; k.accepted {
				e.t.Errorf("%s let somebody in who came %v after the end", k.door, k.began.Sub(ended))
			}
		}
	}
	if after == 0 {
		e.t.Error("nobody knocked after the end")
	}
}

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

// TestDump lets people do everything there is to do and then reads the database as
// a thief would: no name, number, seed, password, code, cookie or token is in it in
// any spelling, and none is in the log (SECURITY DP1, DP2).
func TestDump(t *testing.T) {
	t.Parallel()
	for _, o := range []struct {
		name string
		house.Options
	}{{"sqlite", house.Options{CoolOff: -1}}, {"postgres", house.Options{Postgres: true, CoolOff: -1}}} {
		t.Run(o.name, func(t *testing.T) {
			h := house.Open(t, o.Options)
			people := liveALittle(t, h)
			dump, log := h.Files(), h.Log()
			if len(dump) < 10_000 || len(log) < 1000 {
				t.Fatalf("there is hardly anything to look at: %d and %d bytes", len(dump), len(log))
			}
			look := map[string]string{}
			for v, what := range h.Secrets() {
				look[v] = what
			}
			if len(look) < 30 {
				t.Fatalf("only %d secrets travelled", len(look))
			}
			for _, c := range people {
				for what, v := range map[string]string{
					"name": c.Name, "ID number": c.IDNumber, "phone": c.Phone, "card number": c.Card, "password": c.Password, "greeting": c.Greeting, "seed": c.SeedText,
				} {
					if v != "" {
						look[v] = what
					}
				}
			}
			for v, what := range look {
				for _, spelling := range spellings(v) {
					if bytes.Contains(dump, spelling) {
						t.Errorf("the database has a %s", what)
						break
					}
				}
				if strings.Contains(log, v) {
					t.Errorf("the log has a %s", what)
				}
			}
			// The search finds what is there: state names and client ids are no secrets.
			if !bytes.Contains(dump, []byte("dumped")) {
				t.Error("the dump does not even have the client's id: this is not the database")
			}
		})
	}
}

// spellings are the ways a value may be written down.
func spellings(v string) [][]byte {
	list := [][]byte{[]byte(v), []byte(hex.EncodeToString([]byte(v))), []byte(base64.StdEncoding.EncodeToString([]byte(v)))}
	raw := v
	if _, rest, ok := strings.Cut(v, "_"); ok && strings.HasPrefix(v, "ec") {
		raw = rest // handles have a tag of their kind in front
	}
	if b, err := base64.RawURLEncoding.DecodeString(raw); err == nil && len(b) >= 16 {
		list = append(list, b, []byte(hex.EncodeToString(b)))
	}
	if plain := strings.ReplaceAll(v, "-", ""); plain != v && len(plain) >= 16 {
		list = append(list, []byte(plain), []byte(hex.EncodeToString([]byte(plain))))
	}
	return list
}

// liveALittle uses every kind of secret there is.
func liveALittle(t *testing.T, h *house.House) []*house.Citizen {
	t.Helper()
	p := h.Relying(t, "dumped")
	one, two, three := h.Citizen(t), h.Citizen(t), h.Newcomer(t)
	// Tokens of both forms, refreshed, and an unredeemed code.
	r := h.Robot(t)
	q := p.Ask("openid profile phone pension.read offline_access", "login_hint", one.Phone)
	a := one.SignIn(r.Get(q.Path())).Submit("consent-allow")
	tok := q.Redeem(q.Came(a.Location).Get("code"))
	p.Token(h.Issuer, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.Refresh}})
	p.Userinfo(tok.Access)
	q = p.Ask("openid")
	q.Came(r.Get(q.Path()).Location)
	// A trusted browser, a passkey, a phone, a recovery code, a wrong password.
	b := h.Robot(t)
	b.Get("/login").Submit("login-submit", "username", one.IDNumber, "password", "this is wrong "+one.Name)
	b.Get("/login").Submit("login-submit", "username", one.IDNumber, "password", one.Password).Submit("code-submit", "code", one.Code()).Submit("device-bind")
	_, form := b.Get("/account/relatives").Form("relative-name")
	form.Set("do", "relative-name")
	form.Set("card", two.Card)
	if a := b.Post("/account/relatives", form); !strings.Contains(a.Path, "relative-asked") {
		t.Errorf("naming a relative ends at %s (%d)", a.Path, a.Status)
	}
	keyed(t, h, two, h.Passkey(t, false))
	phoneOf(t, h, two, jose.SM2)
	walkTo(t, h, p, "enrol")
	// Sign-ins and first contacts that stopped half way.
	walkTo(t, h, p, "code")
	walkTo(t, h, p, "liveness").page.Submit("liveness-start", "face-consent", "yes")
	walkTo(t, h, p, "activate/greeting")
	h.Robot(t).Get("/login").Submit("login-submit", "username", two.Phone, "password", "this is wrong")
	return []*house.Citizen{one, two, three}
}

// TestLinks follows every link of every page somebody meets: each leads somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	p := h.Relying(t, "links")
	dead := map[string]string{}
	seen := map[string]bool{}
	visit := func(r *house.Robot, a *house.Answer) {
		for _, to := range a.Links() {
			u, err := url.Parse(to)
			if err != nil || u.Scheme != "" && !strings.HasPrefix(to, h.Issuer) {
				if u == nil || u.Scheme != "tel" {
					dead[to] = a.Path
				}
				continue
			}
			if strings.HasPrefix(to, "#") || seen[u.Path] {
				continue
			}
			seen[u.Path] = true
			if b := r.Clone(t).Get(to); b.Status >= 400 {
				dead[to] = a.Path
			}
		}
		for _, to := range a.Actions() {
			u, err := url.Parse(to)
			if err != nil || strings.HasPrefix(to, h.Issuer) || seen["form "+u.Path] {
				continue
			}
			seen["form "+u.Path] = true
			if !h.Takes(u.Path) {
				dead["form "+to] = a.Path
			}
		}
	}
	for _, w := range halfWays() {
		s := w.reach(t, h, p)
		visit(s.robot, s.page)
	}
	c, r := h.Citizen(t), h.Robot(t)
	c.SignIn(r.Get("/login"))
	for _, path := range []string{"/account", "/account/security", "/account/devices", "/account/sessions", "/account/consents", "/account/password", "/account/passkeys", "/account/devices/phone", "/lost", "/privacy", "/logout", "/signed-out", "/nowhere"} {
		visit(r, r.Get(path))
	}
	for to, from := range dead {
		t.Errorf("%s leads to %s, which is nowhere", from, to)
	}
	if len(seen) < 25 {
		t.Errorf("only %d links were followed", len(seen))
	}
}

package bench

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ecardid/authn/totp"
	"ecardid/internal/clock"
	"ecardid/internal/secret"
)

// A step does an operation once; i is a number no other call has.
type step func(w way, i int) error

// An operation is one thing somebody does over HTTP, with its budgets.
type operation struct {
	name string
	// trips is the budget of round trips to PostgreSQL (DESIGN §6); -1: none is set.
	trips int
	// cpu is the budget of processor time, server and database together, in
	// milliseconds where one ES256 signature takes 0.05; 0: none is set.
	cpu float64
	// rate is the least share of a bare handler's throughput; 0: none is set.
	rate float64
	// load: it is also measured over loopback.
	load bool
	// prepare makes what n steps need.
	prepare func(h *house, w way, n int) (step, error)
}

// ready is for operations that need no preparation.
func ready(do func(h *house, w way, i int) error) func(*house, way, int) (step, error) {
	return func(h *house, _ way, _ int) (step, error) {
		return func(w way, i int) error { return do(h, w, i) }, nil
	}
}

// holding is for operations on tokens, one of each person.
func holding(scope string, which func(tokens) string, do func(h *house, w way, token string) error) func(*house, way, int) (step, error) {
	return func(h *house, w way, n int) (step, error) {
		all := make([]string, min(n, len(h.people)))
		for i := range all {
			t, err := h.obtain(w, h.people[i], scope)
			if err != nil {
				return nil, err
			}
			if all[i] = which(t); all[i] == "" {
				return nil, fmt.Errorf("no such token for %q", scope)
			}
		}
		return func(w way, i int) error { return do(h, w, all[i%len(all)]) }, nil
	}
}

func access(t tokens) string  { return t.Access }
func refresh(t tokens) string { return t.Refresh }

func (h *house) person(i int) person { return h.people[i%len(h.people)] }

// operations in the order of the table.
func operations() []operation { return append(plainOperations(), keyedOperations()...) }

func plainOperations() []operation {
	return []operation{
		{name: "discovery", trips: 0, cpu: 0.06, load: true, prepare: ready(func(_ *house, w way, _ int) error {
			return get(w, "/.well-known/openid-configuration")
		})},
		{name: "jwks", trips: 0, cpu: 0.06, prepare: ready(func(_ *house, w way, _ int) error { return get(w, "/jwks") })},
		{name: "client-credentials", trips: 0, cpu: 0.25, rate: 0.23, load: true, prepare: ready(func(h *house, w way, _ int) error {
			return h.credentials(w)
		})},
		{name: "introspect-opaque", trips: 1, cpu: 0.30, rate: 0.20, load: true, prepare: holding(scopeOpaque, access, (*house).introspect)},
		{name: "introspect-jwt", trips: 1, cpu: 0.30, prepare: holding(scopeJWT, access, (*house).introspect)},
		{name: "userinfo-opaque", trips: 1, cpu: 0.30, load: true, prepare: holding(scopeOpaque, access, (*house).userinfo)},
		{name: "userinfo-jwt", trips: 1, cpu: 0.30, prepare: holding(scopeJWT, access, (*house).userinfo)},
		{name: "refresh-jwt", trips: 1, cpu: 0.80, rate: 0.08, load: true, prepare: holding(scopeJWT, refresh, (*house).refresh)},
		{name: "refresh-opaque", trips: 1, cpu: 0.80, prepare: holding(scopeOpaque, refresh, (*house).refresh)},
		{name: "authorize", trips: 2, prepare: ready(func(h *house, w way, i int) error {
			_, err := h.authorize(w, h.person(i), scopeJWT)
			return err
		})},
		{name: "code-exchange", trips: 1, prepare: func(h *house, w way, n int) (step, error) {
			codes := make([]string, n)
			for i := range codes {
				var err error
				if codes[i], err = h.authorize(w, h.person(i), scopeJWT); err != nil {
					return nil, err
				}
			}
			return func(w way, i int) error {
				_, err := h.exchange(w, codes[i])
				return err
			}, nil
		}},
		{name: "code-flow", trips: 3, cpu: 2.0, rate: 0.034, load: true, prepare: ready(func(h *house, w way, i int) error {
			code, err := h.authorize(w, h.person(i), scopeJWT)
			if err == nil {
				_, err = h.exchange(w, code)
			}
			return err
		})},
	}
}

// signIn is a new browser that signs in with password and app and is not remembered:
// every page is fetched and every form sent, ten requests. It needs a
// house with a Manual clock, which it moves so that no code is needed twice.
func signIn(h *house, clk *clock.Manual) step {
	return func(w way, i int) error {
		clk.Advance(time.Second)
		p := h.person(i)
		b := &browser{w: w, cookie: "__Host-browser=" + secret.New(32).Reveal(), from: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)}
		code, err := totp.Code(p.seed, totp.RFC6238, clk.Now())
		if err != nil {
			return err
		}
		b.follow("/login")
		b.submit("/login/password", "username", p.card, "password", word)
		b.submit("/login/code", "code", code)
		b.submit("/login/device", "device-skip", "1")
		if b.err == nil && !b.in {
			return fmt.Errorf("signing in ended at %s without a session", b.at)
		}
		return b.err
	}
}

// A browser keeps one cookie and the page it is at.
type browser struct {
	w      way
	cookie string
	from   string
	at     string // path and query
	csrf   string
	in     bool // a session was begun
	err    error
}

// follow fetches path and whatever it redirects to, up to the account's pages, which
// are no longer part of signing in.
func (b *browser) follow(path string) {
	for range 5 {
		if b.err != nil || strings.HasPrefix(path, "/account") {
			return
		}
		b.at = path
		var a answer
		a, b.err = b.w.send(call{method: http.MethodGet, path: path, cookie: b.cookie, from: b.from})
		if b.err != nil {
			return
		}
		if to := a.header.Get("Location"); to != "" {
			path = to
			continue
		}
		_, rest, ok := strings.Cut(string(a.body), `name="csrf" value="`)
		b.csrf, _, _ = strings.Cut(rest, `"`)
		if a.status != http.StatusOK || !ok {
			b.err = fmt.Errorf("%s: status %d and no form", path, a.status)
		}
		return
	}
	b.err = fmt.Errorf("%s: redirects in circles", path)
}

// submit sends the form of the page and follows where it leads.
func (b *browser) submit(action string, fields ...string) {
	if b.err != nil {
		return
	}
	u, err := url.Parse(b.at)
	if err != nil {
		b.err = err
		return
	}
	form := url.Values{"csrf": {b.csrf}, "flow": {u.Query().Get("flow")}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	a, err := b.w.send(call{method: http.MethodPost, path: action, cookie: b.cookie, from: b.from, body: form.Encode()})
	if a, b.err = want(a, err, http.StatusSeeOther, action); b.err != nil {
		return
	}
	for _, c := range a.header.Values("Set-Cookie") {
		b.in = b.in || strings.HasPrefix(c, "__Host-login=")
	}
	b.follow(a.header.Get("Location"))
}

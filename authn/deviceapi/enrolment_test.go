package deviceapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/authn/phone/attest"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
)

func TestEnrolment(t *testing.T) {
	for _, alg := range phone.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			w, citizen := newWorld(t), identity.NewID()
			code, login := w.open(citizen)
			c := w.claim(code)
			if len(c.Challenge) != 43 || c.ExpiresIn != 120 || c.Audience != origin ||
				!slices.Equal(c.Alg, phone.Algorithms()) || !slices.Equal(c.Formats, []string{"none", "test"}) {
				t.Errorf("challenge %+v", c)
			}
			s := w.signer(alg)
			a := w.post(c.path(), string(w.enrol(s, c, "test")))
			var out struct {
				DeviceID identity.ID       `json:"device_id"`
				Level    identity.KeyLevel `json:"level"`
			}
			a.decode(t, &out)
			if a.status != http.StatusCreated || out.Level != identity.KeyTEE || a.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %s", a.status, a.body)
			}
			d := w.mem.devices[out.DeviceID]
			if d.Citizen != citizen || d.Kind != identity.DevicePhone || d.State != identity.DeviceActive ||
				d.Name != "Ying's phone" || d.Alg != string(alg) || d.KeyLevel != identity.KeyTEE || len(d.Evidence) == 0 ||
				!slices.Equal(d.Thumbprint, s.Digest()) {
				t.Errorf("stored %+v", d)
			}
			e := w.mem.events[0]
			if e.Kind != audit.DeviceBound || !e.Notify || e.Citizen != citizen || e.Login != login || e.Device != out.DeviceID ||
				e.At.IsZero() || e.Place == "" || e.Detail["level"] != "tee" || e.Detail["alg"] != string(alg) {
				t.Errorf("entry %+v", e)
			}
			h := handset{s, w, out.DeviceID}
			if a := h.send(http.MethodGet, h.self(), ""); a.status != http.StatusOK || !strings.Contains(a.body, `"level":"tee"`) {
				t.Errorf("its own state: %d %s", a.status, a.body)
			}
		})
	}
}

func TestCode(t *testing.T) {
	w := newWorld(t)
	code, _ := w.open(identity.NewID())
	late, _ := w.open(identity.NewID())
	for _, row := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"unknown", `{"code":"` + secret.New(16).Reveal() + `"}`, 404, "invalid_code"},
		{"empty", `{"code":""}`, 400, "invalid_request"},
		{"absent", `{}`, 400, "invalid_request"},
		{"twice", `{"code":"a","code":"` + code.Reveal() + `"}`, 400, "invalid_request"},
		{"twice-in-another-case", `{"code":"` + code.Reveal() + `","Code":"a"}`, 400, "invalid_request"},
		{"another-case", `{"CODE":"` + code.Reveal() + `"}`, 400, "invalid_request"},
		{"a-member-more", `{"code":"` + code.Reveal() + `","x":1}`, 400, "invalid_request"},
		{"followed", `{"code":"` + code.Reveal() + `"} {}`, 400, "invalid_request"},
		{"number", `{"code":1}`, 400, "invalid_request"},
		{"nul", `{"code":"a\u0000"}`, 400, "invalid_request"},
		{"array", `["` + code.Reveal() + `"]`, 400, "invalid_request"},
		{"nothing", ``, 400, "invalid_request"},
		{"not-utf8", "{\"code\":\"\xff\"}", 400, "invalid_request"},
		{"endless", `{"code":"` + strings.Repeat("a", 70<<10) + `"}`, 413, "invalid_request"},
		// After all of these the owner's code is as good as before.
		{"right", `{"code":"` + code.Reveal() + `"}`, 200, ""},
		{"again", `{"code":"` + code.Reveal() + `"}`, 404, "invalid_code"},
	} {
		if a := w.post("/device/v1/enrolments", row.body); a.status != row.status || a.code() != row.code {
			t.Errorf("%s: %d %s", row.name, a.status, a.body)
		}
	}
	r := request(http.MethodPost, "/device/v1/enrolments", []byte(`{"code":"`+late.Reveal()+`"}`))
	r.Header.Set("Content-Type", "text/plain")
	if a := send(w.server, r); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("as text: %d", a.status)
	}
	w.clock.Advance(11 * time.Minute)
	if a := w.post("/device/v1/enrolments", `{"code":"`+late.Reveal()+`"}`); a.status != 404 {
		t.Errorf("expired: %d %s", a.status, a.body)
	}
}

func TestCodeThrottled(t *testing.T) {
	w := newWorld(t)
	for range defaultCodeRule().Free + 5 {
		code, _ := w.open(identity.NewID())
		w.claim(code) // what is right is refunded
	}
	for i := range defaultCodeRule().Free {
		if a := w.post("/device/v1/enrolments", `{"code":"guess"}`); a.status != http.StatusNotFound {
			t.Fatalf("guess %d: %d", i, a.status)
		}
	}
	code, _ := w.open(identity.NewID())
	a := w.post("/device/v1/enrolments", `{"code":"`+code.Reveal()+`"}`)
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || a.code() != "slow_down" {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, e := range w.mem.enrolments {
		if slices.Equal(e.Code, code.Hash()) && e.claimed {
			t.Error("a throttled guess was judged")
		}
	}
}

func TestBindRefusals(t *testing.T) {
	type scene struct {
		*world
		c    challenge
		s    phone.Signer
		body string
	}
	for _, row := range []struct {
		name   string
		bend   func(*scene)
		least  identity.KeyLevel
		status int
		code   string
		spent  bool // the right answer afterwards comes too late
	}{
		{name: "another-challenge", bend: func(s *scene) {
			c := s.c
			c.Challenge = strings.Repeat("A", 43)
			s.body = string(s.enrol(s.s, c, "none"))
		}, status: 403, code: "invalid_proof", spent: true},
		{name: "another-audience", bend: func(s *scene) {
			c := s.c
			c.Audience = "https://evil.test"
			s.body = string(s.enrol(s.s, c, "none"))
		}, status: 403, code: "invalid_proof", spent: true},
		{name: "another-enrolment", bend: func(s *scene) {
			c := s.c
			c.EnrolmentID = identity.NewID()
			s.body = string(s.enrol(s.s, c, "none"))
		}, status: 403, code: "invalid_proof", spent: true},
		{name: "somebody-elses-key", bend: func(s *scene) {
			s.body = replaceOnce(s.t, s.body, string(s.s.JWK()), string(s.signer(jose.ES256).JWK()))
		}, status: 403, code: "invalid_proof", spent: true},
		{name: "attestation-refused", bend: func(s *scene) {
			s.body = replaceOnce(s.t, string(s.enrol(s.s, s.c, "test")), `"format":"test"`, `"format":"test","chain":["AAAA"]`)
		}, status: 403, code: "invalid_attestation", spent: true},
		{name: "below-the-least-level", bend: func(*scene) {}, least: identity.KeyTEE, status: 403, code: "insufficient_level", spent: true},
		{name: "unknown-format", bend: func(s *scene) {
			s.body = string(s.enrol(s.s, s.c, "apple-appattest"))
		}, status: 400, code: "invalid_request"},
		{name: "private-key", bend: func(s *scene) {
			s.body = replaceOnce(s.t, s.body, `"kty":"EC"`, `"kty":"EC","d":"AAAA"`)
		}, status: 400, code: "invalid_request"},
		{name: "another-alg", bend: func(s *scene) {
			s.body = replaceOnce(s.t, s.body, `"alg":"ES256","public_jwk"`, `"alg":"RS256","public_jwk"`)
		}, status: 400, code: "invalid_request"},
		{name: "unknown-member", bend: func(s *scene) { s.body = `{"x":1,` + s.body[1:] }, status: 400, code: "invalid_request"},
		{name: "member-twice", bend: func(s *scene) { s.body = `{"alg":"ES256",` + s.body[1:] }, status: 400, code: "invalid_request"},
		{name: "unknown-inner-member", bend: func(s *scene) {
			s.body = replaceOnce(s.t, s.body, `"format":"none"`, `"format":"none","level":"tee"`)
		}, status: 400, code: "invalid_request"},
		{name: "no-such-enrolment", bend: func(s *scene) { s.c.EnrolmentID = identity.NewID() }, status: 404, code: "not_found"},
		{name: "too-late", bend: func(s *scene) { s.clock.Advance(120 * time.Second) }, status: 404, code: "not_found", spent: true},
		{name: "signed-out-meanwhile", bend: func(s *scene) {
			s.mem.endedLogin[s.mem.enrolments[s.c.EnrolmentID].Login] = true
		}, status: 404, code: "not_found", spent: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, func(p *Parts) { p.Least = row.least })
			code, _ := w.open(identity.NewID())
			s := &scene{world: w, c: w.claim(code), s: w.signer(jose.ES256)}
			good, path := string(w.enrol(s.s, s.c, "none")), s.c.path()
			s.body = good
			row.bend(s)
			a := w.post(s.c.path(), s.body)
			if a.status != row.status || a.code() != row.code {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if len(w.mem.devices) != 0 {
				t.Fatal("a phone was bound")
			}
			if row.status == 403 && !w.mem.wrote(audit.LoginRefused) {
				t.Error("the refusal is not in the trail")
			}
			a = w.post(path, good)
			if bound := a.status == http.StatusCreated; bound == row.spent {
				t.Errorf("the right answer afterwards: %d %s", a.status, a.body)
			}
		})
	}
}

func TestKeysAreBoundOnce(t *testing.T) {
	w := newWorld(t)
	h := w.bound(identity.NewID(), jose.ES256, "none")
	again := func(citizen identity.ID) answer {
		code, _ := w.open(citizen)
		c := w.claim(code)
		return w.post(c.path(), string(w.enrol(h.Signer, c, "none")))
	}
	if a := again(identity.NewID()); a.status != http.StatusConflict || a.code() != "known_key" {
		t.Errorf("another citizen's key: %d %s", a.status, a.body)
	}
	if a := h.send(http.MethodDelete, h.self(), ""); a.status != http.StatusNoContent {
		t.Fatalf("ending: %d %s", a.status, a.body)
	}
	// SECURITY DV3: a revoked key returns only as a new one.
	if a := again(w.mem.devices[h.id].Citizen); a.status != http.StatusConflict {
		t.Errorf("a revoked key: %d %s", a.status, a.body)
	}
}

func TestOneAnswerWins(t *testing.T) {
	w := newWorld(t)
	code, _ := w.open(identity.NewID())
	c := w.claim(code)
	got := race(20, func(i int) int {
		// Each with its own key, so that only the enrolment stands in their way.
		body := w.enrol(w.signer(jose.ES256), c, "none")
		return send([]http.Handler{w.server, w.other}[i%2], request(http.MethodPost, c.path(), body)).status
	})
	if got[http.StatusCreated] != 1 || got[http.StatusCreated]+got[http.StatusConflict]+got[http.StatusNotFound] != 20 || len(w.mem.devices) != 1 {
		t.Errorf("%v, %d phones", got, len(w.mem.devices))
	}
}

func TestOneClaimWins(t *testing.T) {
	w := newWorld(t, func(p *Parts) { p.CodeRule = authn.Rule{Free: 100} })
	code, _ := w.open(identity.NewID())
	got := race(20, func(i int) int {
		return send([]http.Handler{w.server, w.other}[i%2],
			request(http.MethodPost, "/device/v1/enrolments", []byte(`{"code":"`+code.Reveal()+`"}`))).status
	})
	if got[http.StatusOK] != 1 || got[http.StatusNotFound] != 19 {
		t.Error(got)
	}
}

// race runs n at once and counts what they got.
func race(n int, do func(i int) int) map[int]int {
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		start = make(chan struct{})
		got   = map[int]int{}
	)
	for i := range n {
		wg.Go(func() {
			<-start
			status := do(i)
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	close(start)
	wg.Wait()
	return got
}

func TestFaultsGrantNothing(t *testing.T) {
	w := newWorld(t)
	h := w.bound(identity.NewID(), jose.ES256, "none")
	end := h.sign(http.MethodDelete, h.self(), nil)
	code, _ := w.open(identity.NewID())
	w.mem.broken = errors.New("the database is read-only")
	if a := send(w.server, end); a.status != http.StatusInternalServerError || strings.Contains(a.body, "database") {
		t.Errorf("ending: %d %s", a.status, a.body)
	}
	if a := w.post("/device/v1/enrolments", `{"code":"`+code.Reveal()+`"}`); a.status != http.StatusInternalServerError {
		t.Errorf("claiming: %d %s", a.status, a.body)
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Parts{}); err == nil {
		t.Error("nothing makes an API")
	}
	for _, bend := range []func(*Parts){
		func(p *Parts) { p.Origin = "https://login.ecard.test/" },
		func(p *Parts) { p.Origin = "login.ecard.test" },
		func(p *Parts) { p.Least = "very good" },
		func(p *Parts) { p.Attest = attest.Set{} },
		func(p *Parts) { p.Nonces = phone.Nonces{} },
	} {
		newWorld(t, func(p *Parts) {
			q := *p
			bend(&q)
			if _, err := New(q); err == nil {
				t.Errorf("accepted: %+v", q)
			}
		})
	}
}

package deviceapi

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn/phone"
	"ecardid/identity"
	"ecardid/internal/jose"
)

func TestSignedRequests(t *testing.T) {
	const renamed = `{"name":"Work phone"}`
	for _, alg := range phone.Algorithms() {
		for _, row := range []struct {
			name string
			bend func(t *testing.T, w *world, h handset) *http.Request
			want int
		}{
			{"good", nil, 200},
			{"replayed", func(_ *testing.T, w *world, h handset) *http.Request {
				r := h.sign(http.MethodPatch, h.self(), []byte(renamed))
				send(w.server, r)
				again := request(http.MethodPatch, h.self(), []byte(renamed))
				again.Header = r.Header
				return again
			}, 401},
			{"same-nonce-elsewhere", func(_ *testing.T, w *world, h handset) *http.Request {
				n := h.nonce()
				send(w.other, h.sign(http.MethodGet, "/device/v1/approvals", nil, func(p *phone.Request) { p.Nonce = n }))
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Nonce = n })
			}, 401},
			{"another-body", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Body = []byte(`{"name":"x"}`) })
			}, 401},
			{"another-path", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Path = "/device/v1/approvals" })
			}, 401},
			{"another-query", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self()+"?a=1", []byte(renamed), func(p *phone.Request) { p.Path = h.self() })
			}, 401},
			{"another-method", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Method = http.MethodDelete })
			}, 401},
			{"another-audience", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Audience = "https://evil.test" })
			}, 401},
			{"expired-nonce", func(_ *testing.T, w *world, h handset) *http.Request {
				n := h.nonce()
				w.clock.Advance(time.Minute)
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Nonce = n })
			}, 401},
			{"nonce-of-another-phone", func(_ *testing.T, w *world, h handset) *http.Request {
				other := w.bound(identity.NewID(), jose.ES256, "none")
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Nonce = other.nonce() })
			}, 401},
			{"nonce-made-up", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte(renamed), func(p *phone.Request) { p.Nonce = strings.Repeat("A", 75) })
			}, 401},
			{"old-time", func(t *testing.T, w *world, h handset) *http.Request {
				r := h.sign(http.MethodPatch, h.self(), []byte(renamed))
				r.Header.Set(phone.HeaderTime, strconv.FormatInt(w.clock.Now().Add(-2*time.Minute).Unix(), 10))
				return r
			}, 401},
			{"another-phone's-key", func(_ *testing.T, w *world, h handset) *http.Request {
				thief := handset{w.signer(alg), w, h.id}
				return thief.sign(http.MethodPatch, h.self(), []byte(renamed))
			}, 401},
			{"no-headers", func(_ *testing.T, _ *world, h handset) *http.Request {
				return request(http.MethodPatch, h.self(), []byte(renamed))
			}, 401},
			{"two-signatures", func(_ *testing.T, _ *world, h handset) *http.Request {
				r := h.sign(http.MethodPatch, h.self(), []byte(renamed))
				r.Header.Add(phone.HeaderSignature, r.Header.Get(phone.HeaderSignature))
				return r
			}, 401},
			{"revoked", func(_ *testing.T, w *world, h handset) *http.Request {
				r := h.sign(http.MethodPatch, h.self(), []byte(renamed))
				w.mem.devices[h.id].State = identity.DeviceLost
				return r
			}, 401},
			{"suspended", func(_ *testing.T, w *world, h handset) *http.Request {
				w.mem.devices[h.id].State = identity.DeviceSuspended
				return h.sign(http.MethodPatch, h.self(), []byte(renamed))
			}, 401},
			{"citizen-frozen", func(_ *testing.T, w *world, h handset) *http.Request {
				w.mem.frozen[w.mem.devices[h.id].Citizen] = true
				return h.sign(http.MethodPatch, h.self(), []byte(renamed))
			}, 401},
			{"no-such-phone", func(_ *testing.T, w *world, h handset) *http.Request {
				ghost := handset{h.Signer, w, identity.NewID()}
				return ghost.sign(http.MethodPatch, ghost.self(), []byte(renamed))
			}, 401},
			{"another-phone-of-the-citizen", func(_ *testing.T, w *world, h handset) *http.Request {
				other := w.bound(w.mem.devices[h.id].Citizen, alg, "none")
				return other.sign(http.MethodPatch, h.self(), []byte(renamed))
			}, 404},
			{"no-id", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, "/device/v1/devices/x", []byte(renamed))
			}, 404},
			{"as-a-form", func(_ *testing.T, _ *world, h handset) *http.Request {
				r := h.sign(http.MethodPatch, h.self(), []byte(renamed))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				return r
			}, 415},
			{"unknown-member", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte(`{"name":"x","state":"active"}`))
			}, 400},
			{"nameless", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte("{\"name\":\"\u202e \"}"))
			}, 400},
			{"too-large", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodPatch, h.self(), []byte(`{"name":"`+strings.Repeat("a", 65<<10)+`"}`))
			}, 413},
			{"a-body-with-delete", func(_ *testing.T, _ *world, h handset) *http.Request {
				return h.sign(http.MethodDelete, h.self(), []byte(`{}`))
			}, 400},
		} {
			t.Run(string(alg)+"/"+row.name, func(t *testing.T) {
				w := newWorld(t)
				h := w.bound(identity.NewID(), alg, "none")
				r := h.sign(http.MethodPatch, h.self(), []byte(renamed))
				if row.bend != nil {
					r = row.bend(t, w, h)
					w.mem.devices[h.id].Name = "as it was"
				}
				a := send(w.server, r)
				if a.status != row.want {
					t.Fatalf("%d %s", a.status, a.body)
				}
				if done := w.mem.devices[h.id].Name == "Work phone"; done != (row.want == 200) {
					t.Errorf("renamed: %v", done)
				}
				if row.want == 401 && (strings.TrimSpace(a.body) != refusal || a.header.Get("WWW-Authenticate") == "") {
					t.Errorf("a refusal that tells: %s", a.body)
				}
			})
		}
	}
}

// refusal is the one text of a 401.
const refusal = `{"error":"unauthorized","error_description":"This request is not signed by a phone that may sign it."}`

// TestStrangersSpendNothing: a request that does not verify costs the phone no nonce
// and storage no row (SECURITY DS3).
func TestStrangersSpendNothing(t *testing.T) {
	w := newWorld(t)
	h := w.bound(identity.NewID(), jose.ES256, "none")
	n, before := h.nonce(), len(w.mem.spent)
	thief := handset{w.signer(jose.ES256), w, h.id}
	with := func(p *phone.Request) { p.Nonce = n }
	if a := send(w.server, thief.sign(http.MethodGet, h.self(), nil, with)); a.status != 401 || len(w.mem.spent) != before {
		t.Errorf("%d, %d rows", a.status, len(w.mem.spent)-before)
	}
	if a := send(w.server, h.sign(http.MethodGet, h.self(), nil, with)); a.status != 200 {
		t.Errorf("the owner, with the same nonce: %d", a.status)
	}
}

func TestNonce(t *testing.T) {
	w := newWorld(t)
	for _, ids := range [][]string{nil, {""}, {"x"}, {identity.NewID().String(), identity.NewID().String()}} {
		r := request(http.MethodGet, "/device/v1/nonce", nil)
		r.Header[phone.HeaderDevice] = ids
		if a := send(w.server, r); a.status != http.StatusBadRequest {
			t.Errorf("%v: %d", ids, a.status)
		}
	}
	// Nobody hears from it which phones there are.
	ghost := handset{w.signer(jose.ES256), w, identity.NewID()}
	if n := ghost.nonce(); len(n) != len(w.bound(identity.NewID(), jose.ES256, "none").nonce()) {
		t.Errorf("%q differs", n)
	}
}

func TestPhoneEndsItself(t *testing.T) {
	w := newWorld(t)
	h := w.bound(identity.NewID(), jose.SM2, "none")
	if a := h.send(http.MethodDelete, h.self(), ""); a.status != http.StatusNoContent || a.body != "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if s := w.mem.devices[h.id].State; s != identity.DeviceRevoked {
		t.Errorf("state %s", s)
	}
	e := w.mem.events[len(w.mem.events)-1]
	if e.Kind != audit.DeviceEnded || !e.Notify || e.Device != h.id || e.Reason == "" {
		t.Errorf("entry %+v", e)
	}
	if a := h.send(http.MethodGet, h.self(), ""); a.status != 401 {
		t.Errorf("afterwards: %d", a.status)
	}
}

// TestLastPhoneStays: a phone does not take its owner's last factor away (SECURITY MF3).
func TestLastPhoneStays(t *testing.T) {
	w := newWorld(t)
	citizen := identity.NewID()
	w.mem.phonesOnly[citizen] = true
	first, second := w.bound(citizen, jose.ES256, "none"), w.bound(citizen, jose.ES256, "none")
	if a := first.send(http.MethodDelete, first.self(), ""); a.status != http.StatusNoContent {
		t.Errorf("one of two: %d %s", a.status, a.body)
	}
	before := len(w.mem.events)
	if a := second.send(http.MethodDelete, second.self(), ""); a.status != http.StatusConflict || a.code() != "last_factor" {
		t.Errorf("the last one: %d %s", a.status, a.body)
	}
	if s := w.mem.devices[second.id].State; s != identity.DeviceActive || len(w.mem.events) != before {
		t.Errorf("state %s, %d entries more", s, len(w.mem.events)-before)
	}
	if a := second.send(http.MethodGet, second.self(), ""); a.status != http.StatusOK {
		t.Errorf("afterwards: %d", a.status)
	}
}

func TestOneNonceOneAct(t *testing.T) {
	w := newWorld(t)
	h := w.bound(identity.NewID(), jose.ES256, "none")
	signed := h.sign(http.MethodGet, h.self(), nil)
	got := race(20, func(i int) int {
		r := httptest.NewRequest(http.MethodGet, h.self(), nil)
		r.Header = signed.Header.Clone()
		return send([]http.Handler{w.server, w.other}[i%2], r).status
	})
	if got[http.StatusOK] != 1 || got[http.StatusUnauthorized] != 19 {
		t.Error(got)
	}
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/device/v1/devices/" + identity.NewID().String(), "/device/v1/approvals"} {
		if a := send(w.server, request(http.MethodGet, path, nil)); a.status != http.StatusUnauthorized {
			t.Errorf("%s unsigned: %d", path, a.status)
		}
	}
	if a := send(w.server, request(http.MethodPut, "/device/v1/approvals", nil)); a.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", a.status)
	}
}

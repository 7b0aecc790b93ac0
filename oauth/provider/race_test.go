package provider_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/devicegrant"
)

// crowd is how many send the same at once (SECURITY G1).
const crowd = 20

// rounds is how often each race is run; a release is held to 50.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("ECARDID_E2E_ROUNDS")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ECARDID_E2E_ROUNDS is %q", text)
	}
	return n
}

// rush sends requests, which are as many as there are in the crowd, at once and
// spread over the replicas. Whoever loses is told that it is their fault, and nobody
// anything else.
func (h *house) rush(request func(i int) *http.Request, won func(*httptest.ResponseRecorder) bool) (winners []*httptest.ResponseRecorder) {
	h.t.Helper()
	requests := make([]*http.Request, crowd)
	for i := range requests {
		requests[i] = request(i)
	}
	answers := make([]*httptest.ResponseRecorder, crowd)
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() {
			<-gate
			answers[i] = h.serve(r)
		})
	}
	close(gate)
	all.Wait()
	for _, w := range answers {
		switch {
		case won(w):
			winners = append(winners, w)
		case w.Code < 400 || w.Code >= 500:
			h.t.Errorf("a loser heard %d %q %s", w.Code, w.Header().Get("Location"), w.Body)
		}
	}
	if len(winners) == 0 {
		heard := map[string]int{}
		for _, w := range answers {
			heard[fmt.Sprint(w.Code, " ", w.Body)]++
		}
		h.t.Logf("nobody won; they heard %v", heard)
	}
	return winners
}

func status(code int) func(*httptest.ResponseRecorder) bool {
	return func(w *httptest.ResponseRecorder) bool { return w.Code == code }
}

func posting(path string, form url.Values) *http.Request {
	return mustRequest(http.MethodPost, path, form.Encode())
}

// A contest is what a crowd wants and one gets.
type contest struct {
	request func(i int) *http.Request
	won     func(*httptest.ResponseRecorder) bool
	after   func(winner *httptest.ResponseRecorder) // may be nil
}

// What may happen once happens once, however many replicas are asked at the same
// moment (SECURITY G1, CO3, CA2, SC2, TK5).
func TestOnce(t *testing.T) {
	h := terminals(t)
	h.chain()
	key, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	h.client(`{"client_id":"keyed","client_name":"Keyed","token_endpoint_auth_method":"private_key_jwt","jwks":` + keySet(t, key) + `,
		"redirect_uris":["` + callback + `"],"grant_types":["authorization_code","refresh_token","client_credentials","` + exchangeGrant + `"],
		"first_party":true,"resources":["` + cardResource + `"],"exchange_resources":["` + insuranceResource + `"],"scope":"openid card.basic card.status insurance.read"}`)
	h.client(`{"client_id":"robot",` + machineRest + `}`)
	citizen := h.browser()
	citizen.signIn(0, password(), totp())
	forms := []struct {
		path string
		form url.Values
		won  int
	}{
		{"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"card.status"}}, 200},
		{"/introspect", url.Values{"token": {"x"}}, 200},
		{"/revoke", url.Values{"token": {"x"}}, 200},
		{"/par", ask("client_id", "keyed", "scope", "openid"), 201},
	}
	with := func(form, more url.Values) url.Values {
		all := url.Values{}
		for _, from := range []url.Values{form, more} {
			for name, v := range from {
				all[name] = v
			}
		}
		return all
	}
	assertion := func() url.Values { return signedAssertion(h, key, "keyed", issuer) }
	proved := func(r *http.Request, proof string) *http.Request {
		r.Header.Set("DPoP", proof)
		return r
	}
	contests := map[string]func() contest{
		"assertion at all endpoints": func() contest {
			a := assertion()
			return contest{
				request: func(i int) *http.Request {
					f := forms[i/len(h.stores)%len(forms)]
					return posting(f.path, with(f.form, a))
				},
				won: func(w *httptest.ResponseRecorder) bool { return w.Code < 300 },
			}
		},
		"PAR handle": func() contest {
			at := front("keyed", h.mustPush("", with(ask("client_id", "keyed", "scope", "openid"), assertion())))
			return contest{
				request: func(int) *http.Request {
					r := mustRequest(http.MethodGet, at, "")
					r.AddCookie(&http.Cookie{Name: loginCookie, Value: citizen.cookies[loginCookie]})
					return r
				},
				won: func(w *httptest.ResponseRecorder) bool { return strings.Contains(w.Header().Get("Location"), "code=") },
			}
		},
		"proof at /token": func() contest {
			proof := h.holder().forToken()
			return contest{
				request: func(int) *http.Request {
					return h.tokenRequest("robot", proof, url.Values{"grant_type": {"client_credentials"}})
				},
				won: status(200),
			}
		},
		"proof at /par": func() contest {
			proof := h.holder().proof(http.MethodPost, issuer+"/par")
			return contest{
				request: func(int) *http.Request {
					r := posting("/par", ask())
					r.SetBasicAuth(rp, h.secretOf[rp])
					return proved(r, proof)
				},
				won: status(201),
			}
		},
		"proof at /userinfo": func() contest {
			k := h.holder()
			_, out := h.proven(rp, k.forToken(), redeem(citizen.code(ask("scope", "openid"))))
			access := out["access_token"].(string)
			proof := k.forInfo(access)
			return contest{request: func(int) *http.Request { return infoRequest("DPoP", access, proof) }, won: status(200)}
		},
		"one proof, many assertions": func() contest {
			proof := h.holder().forToken()
			return contest{
				request: func(int) *http.Request { return proved(posting("/token", with(forms[0].form, assertion())), proof) },
				won:     status(200),
			}
		},
		"device code": func() contest {
			m := h.device("monitor", "openid card.basic")
			citizen.ends(citizen.decide(m.user, "consent-allow"), "connected")
			h.clock.Advance(devicegrant.Interval)
			return contest{request: func(int) *http.Request { return h.tokenRequest("monitor", "", polling(m.code)) }, won: status(200)}
		},
		"token exchange": func() contest {
			form := with(exchanging(h.tokens("openid card.basic insurance.read")["access_token"].(string)), assertion())
			return contest{
				request: func(int) *http.Request { return posting("/token", form) },
				won:     status(200),
			}
		},
		"registration": func() contest {
			last := h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1)
			return contest{request: func(int) *http.Request { return jsonRequest(http.MethodPost, "/register", last, newcomer) }, won: status(201)}
		},
		"withdrawal": func() contest {
			c := h.newcomer()
			return contest{
				request: func(int) *http.Request { return jsonRequest(http.MethodDelete, c.path, c.token, "") },
				won:     status(204),
				after: func(*httptest.ResponseRecorder) {
					if w := h.serve(jsonRequest(http.MethodGet, c.path, c.token, "")); w.Code != http.StatusUnauthorized {
						t.Errorf("a client that was withdrawn is shown: %d", w.Code)
					}
				},
			}
		},
	}
	for _, f := range forms {
		contests["assertion at "+f.path] = func() contest {
			form := with(f.form, assertion())
			return contest{request: func(int) *http.Request { return posting(f.path, form) }, won: status(f.won)}
		}
	}
	for name, begin := range contests {
		t.Run(name, func(t *testing.T) {
			for range rounds(t) {
				c := begin()
				winners := h.rush(c.request, c.won)
				if len(winners) != 1 {
					t.Fatalf("%d of %d won", len(winners), crowd)
				}
				if c.after != nil {
					c.after(winners[0])
				}
			}
		})
	}
}

// newcomer registers a client, and takes the time for that.
func (h *house) newcomer() registered {
	h.t.Helper()
	h.clock.Advance(2 * time.Second)
	return h.register(h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1), newcomer)
}

// jsonRequest comes from an address of its own, because those are slowed down that
// come too often.
func jsonRequest(method, target, token, body string) *http.Request {
	r := mustRequest(method, target, body)
	r.RemoteAddr = rand.Text() + ":1"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// An update that comes beside a withdrawal does not bring the client back (G6, CA4).
func TestUpdateBesideWithdrawal(t *testing.T) {
	h := newHouse(t)
	for range rounds(t) {
		c := h.newcomer()
		update := func(i int) string { // another each, for what changes nothing is not written
			return strings.Replace(newcomer, `{"client_name":"Clinic"`, fmt.Sprintf(`{"client_id":%q,"client_name":"Clinic %d"`, c.id, i), 1)
		}
		gone := h.rush(func(i int) *http.Request {
			if i == crowd/2 {
				return jsonRequest(http.MethodDelete, c.path, c.token, "")
			}
			return jsonRequest(http.MethodPut, c.path, c.token, update(i))
		}, func(w *httptest.ResponseRecorder) bool {
			return w.Code == http.StatusOK || w.Code == http.StatusNoContent
		})
		if len(gone) == 0 || gone[0] == nil {
			t.Fatal("nobody did anything")
		}
		if w := h.serve(jsonRequest(http.MethodGet, c.path, c.token, "")); w.Code != http.StatusUnauthorized {
			t.Fatalf("it is back: %d %s", w.Code, w.Body)
		}
		if code, _ := h.call("/token", c.id, url.Values{"grant_type": {"client_credentials"}}); code != http.StatusUnauthorized {
			t.Fatalf("it is back: %d", code)
		}
	}
}

// What is exchanged beside the revocation of its subject does not outlive it (G6, TK5).
func TestExchangeBesideRevocation(t *testing.T) {
	h := newHouse(t)
	h.chain()
	for range rounds(t) {
		out := h.tokens("openid card.basic insurance.read")
		form := exchanging(out["access_token"].(string))
		answers := h.rush(func(i int) *http.Request {
			r := posting("/token", form)
			if i == crowd/2 {
				r = posting("/revoke", url.Values{"token": {out["refresh_token"].(string)}})
				r.SetBasicAuth(rp, h.secretOf[rp])
				return r
			}
			r.SetBasicAuth("card-api", h.secretOf["card-api"])
			return r
		}, status(http.StatusOK))
		for _, w := range answers {
			if w.Body.Len() == 0 {
				continue // the revocation
			}
			if _, seen := h.call("/introspect", "insurance-api", url.Values{"token": {jsonOf(t, w)["access_token"].(string)}}); seen["active"] != false {
				t.Fatal("a child lives on")
			}
		}
	}
}

package provider_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/internal/jose"
	"ecardid/internal/outbound"
	"ecardid/oauth"
	"ecardid/oauth/provider"
)

// This file is about who registers without anybody having looked at them: what they
// may not say, what they may not be told, and where we do not go for them.

// change sends a registration back with some members changed; nil takes one away.
func (r *registered) change(h *house, members map[string]any) *httptest.ResponseRecorder {
	h.t.Helper()
	for _, ours := range []string{"registration_access_token", "registration_client_uri", "client_secret", "client_secret_expires_at", "client_id_issued_at"} {
		delete(r.all, ours)
	}
	for name, value := range members {
		if r.all[name] = value; value == nil {
			delete(r.all, name)
		}
	}
	body, err := json.Marshal(r.all)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.send(http.MethodPut, r.path, r.token, string(body))
}

// siteOf is another's server that may be called.
func siteOf(t *testing.T, serve http.Handler) (*url.URL, func(*provider.Config)) {
	t.Helper()
	s := httptest.NewTLSServer(serve)
	t.Cleanup(s.Close)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	fetch := outbound.New(outbound.Config{Only: []string{"listed.example"}, Allow: []string{at.Host}, Roots: roots})
	t.Cleanup(fetch.Close)
	return at, func(c *provider.Config) { c.Outbound = fetch }
}

// Whom an operator admitted, the page says; who came alone, it does not say that of,
// whatever they are called (SECURITY CN2).
func TestNobodyAdmitsThemselves(t *testing.T) {
	h := newHouse(t)
	h.rp()
	c := h.register(h.ticket(oauth.ProfileOAuth21, "openid card.basic", 1), `{"client_name":"国家医疗保障局","redirect_uris":["`+callback+`"]}`)
	for id, admitted := range map[string]bool{rp: true, c.id: false} {
		b := h.browser()
		b.get("/authorize?" + ask("client_id", id).Encode())
		if asker := h.logins.last(t).need.Asker; asker == nil || asker.Admitted != admitted {
			t.Errorf("%s at the login: %+v", id, asker)
		}
		b.signIn(0, password(), totp())
		w := b.get("/authorize?" + ask("client_id", id).Encode())
		if b.get(w.Header().Get("Location")); h.pages.consent == nil || h.pages.consent.Asker.Admitted != admitted {
			t.Errorf("%s at the consent page: %+v", id, h.pages.consent)
		}
	}
}

// A citizen agreed to what was shown: this name, these subjects, that address. Who makes
// itself into something else begins anew (SECURITY CN1, G6).
func TestConsentIsNotForWhoItBecomes(t *testing.T) {
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	key := keySet(t, k)
	for _, c := range []struct {
		name    string
		members map[string]any
		over    bool
	}{
		{"nothing", nil, false},
		{"where it lives", map[string]any{"client_uri": "https://rp.example/"}, false},
		{"its name", map[string]any{"client_name": "国家医疗保障局"}, true},
		{"its name for some", map[string]any{"client_name#zh-CN": "国家医疗保障局"}, true},
		{"no name for some", map[string]any{"client_name#zh-CN": nil}, true},
		{"one address more", map[string]any{"redirect_uris": []string{callback, "https://rp.example/other"}}, true},
		{"its subjects", map[string]any{"subject_type": "public"}, true},
		{"its keys", map[string]any{"jwks": json.RawMessage(key)}, true},
		{"its method", map[string]any{"token_endpoint_auth_method": "client_secret_post"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			r := h.register(h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 1), newcomer)
			b := h.browser()
			b.signIn(0, password(), totp())
			v := ask("client_id", r.id, "scope", "openid offline_access")
			_, tokens := h.call("/token", r.id, redeem(b.code(v)))
			unspent := b.code(v)
			// Somebody else is looking at the page at this moment.
			late := h.browser()
			late.signIn(1, password(), totp())
			late.get(late.get("/authorize?" + v.Encode()).Header().Get("Location"))
			page := h.pages.consent

			if w := r.change(h, c.members); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if w := h.userinfo(tokens["access_token"].(string)); (w.Code == http.StatusUnauthorized) != c.over {
				t.Errorf("userinfo: %d", w.Code)
			}
			if got := answer(t, b.get("/authorize?"+ask("client_id", r.id, "scope", "openid offline_access", "prompt", "none").Encode())); c.over != (got.Get("error") == "consent_required") || !c.over != got.Has("code") {
				t.Errorf("silently: %v", got)
			}
			w := late.post(page.Path, url.Values{"token": {page.Token}, "consent-allow": {"1"}})
			if went := strings.Contains(w.Header().Get("Location"), "code="); went == c.over {
				t.Errorf("what was agreed to meanwhile: %d to %q", w.Code, w.Header().Get("Location"))
			}
			if c.name == "its method" {
				return // the secret goes another way from now on
			}
			for what, form := range map[string]url.Values{"a code": redeem(unspent), "a refresh": refreshing(tokens["refresh_token"].(string))} {
				if status, out := h.call("/token", r.id, form); (status == http.StatusBadRequest && out["error"] == "invalid_grant") != c.over {
					t.Errorf("%s: %d %v", what, status, out)
				}
			}
		})
	}
}

// A type of details goes with a scope: who was admitted without it cannot give it to
// themselves by another name (SECURITY CA5).
func TestDetailsNeedTheirScope(t *testing.T) {
	h := newHouse(t)
	body := `{"redirect_uris":["` + callback + `"],"authorization_details_types":["insurance_payment"]`
	for _, ceiling := range []string{"openid insurance.read", "openid profile", "openid"} {
		w := h.send(http.MethodPost, "/register", h.ticket(oauth.ProfileOAuth21, ceiling, 1), body+`}`)
		if w.Code != http.StatusBadRequest || jsonOf(t, w)["error"] != "invalid_client_metadata" {
			t.Errorf("%s: %d %s", ceiling, w.Code, w.Body)
		}
	}
	// Under its ceiling, and given up by itself.
	w := h.send(http.MethodPost, "/register", h.ticket(oauth.ProfileOAuth21, "openid insurance.pay", 1), body+`,"scope":"openid"}`)
	if w.Code != http.StatusBadRequest {
		t.Errorf("given up: %d %s", w.Code, w.Body)
	}
	r := h.register(h.ticket(oauth.ProfileOAuth21, "openid insurance.pay", 1), body+`}`)
	if w := r.change(h, map[string]any{"scope": "openid"}); w.Code != http.StatusBadRequest {
		t.Errorf("narrowed to less than its types: %d %s", w.Code, w.Body)
	}
	// Whose registration says it all the same, from before, is refused where it asks.
	h.client(`{"client_id":"pension","client_name":"Clinic","redirect_uris":["` + callback + `"],"authorization_details_types":["insurance_payment"],"scope":"openid card.basic"}`)
	b := h.browser()
	b.sure(h.phone())
	if got := answer(t, b.get("/authorize?"+ask("scope", "openid", "authorization_details", bill).Encode())); got.Get("error") != "invalid_authorization_details" {
		t.Errorf("asked: %v", got)
	}
}

// Nobody is told another's subjects for naming another's address (OpenID Connect Core
// §8.1): not by a second address of its own, not by a logout, not by standing alone.
func TestSubjectsOfStrangers(t *testing.T) {
	var documents atomic.Int32
	at, change := siteOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		documents.Add(1)
		_, _ = w.Write([]byte(`["https://hospital.example/cb","http://127.0.0.1/cb"]`))
	}))
	h := newHouse(t, change)
	hospital := h.client(`{"client_id":"hospital","client_name":"Hospital","redirect_uris":["https://hospital.example/cb"],"scope":"openid"}`)
	theirs := h.subjects.Subject(&hospital, h.citizens[0])
	token := h.ticket(oauth.ProfileOAuth21, "openid", 20)
	for name, members := range map[string]string{
		"a loopback beside it":     `"redirect_uris":["https://hospital.example/cb","http://127.0.0.1/cb"]`,
		"localhost beside it":      `"redirect_uris":["https://hospital.example/cb","http://localhost/cb"]`,
		"another beside it":        `"redirect_uris":["https://hospital.example/cb","https://evil.example/cb"]`,
		"two names of here":        `"redirect_uris":["http://localhost/cb","http://127.0.0.1/cb"]`,
		"told of logouts":          `"redirect_uris":["https://hospital.example/cb"],"backchannel_logout_uri":"https://listed.example/bye"`,
		"seen at logouts":          `"redirect_uris":["https://hospital.example/cb"],"frontchannel_logout_uri":"https://listed.example/bye"`,
		"told, public":             `"redirect_uris":["https://hospital.example/cb"],"subject_type":"public","backchannel_logout_uri":"https://listed.example/bye"`,
		"told on another subhost":  `"redirect_uris":["https://hospital.example/cb"],"backchannel_logout_uri":"https://www.hospital.example/bye"`,
		"told, without an address": `"grant_types":["client_credentials"],"client_name":"x","backchannel_logout_uri":"https://hospital.example/bye"`,
	} {
		if w := h.send(http.MethodPost, "/register", token, `{`+members+`}`); w.Code != http.StatusBadRequest || jsonOf(t, w)["error"] != "invalid_client_metadata" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	h.register(token, `{"redirect_uris":["http://[::1]/cb","http://127.0.0.1/cb"]}`) // one machine
	subject := func(id string) string {
		t.Helper()
		c, err := h.registry.Client(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return h.subjects.Subject(c, h.citizens[0])
	}
	alone := h.register(token, `{"redirect_uris":["https://hospital.example/cb"],"backchannel_logout_uri":"https://hospital.example/bye"}`)
	twin := h.register(token, `{"redirect_uris":["https://hospital.example/cb"]}`)
	if subject(alone.id) == theirs || subject(twin.id) == theirs || subject(alone.id) == subject(twin.id) {
		t.Error("a stranger is told the hospital's subjects")
	}
	// And as it is signed.
	b := h.browser()
	b.signIn(0, password(), totp())
	w := b.get("/authorize?" + ask("client_id", twin.id, "redirect_uri", "https://hospital.example/cb", "scope", "openid").Encode())
	to, err := url.Parse(b.consent(w.Header().Get("Location"), "consent-allow").Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	status, out := h.call("/token", twin.id, redeem(to.Query().Get("code"), "redirect_uri", "https://hospital.example/cb"))
	var claims struct{ Sub string }
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	if h.claims(out["id_token"].(string), &claims); claims.Sub != subject(twin.id) {
		t.Errorf("sub is %s", claims.Sub)
	}
	// Whose document was read belongs to where that is.
	joined := h.register(token, `{"redirect_uris":["https://hospital.example/cb","http://127.0.0.1/cb"],"sector_identifier_uri":"`+at.String()+`/sector"}`)
	c, err := h.registry.Client(t.Context(), joined.id)
	if err != nil || c.Sector() != at.Hostname() || documents.Load() != 1 {
		t.Errorf("%v, sector %q, %d documents", err, c.Sector(), documents.Load())
	}
}

// Changes have a pace of their own, fetch nothing that was fetched, and write nothing
// that is written (SECURITY SR1, DS3).
func TestChangesArePaced(t *testing.T) {
	var documents atomic.Int32
	at, change := siteOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		documents.Add(1)
		_, _ = w.Write([]byte(`["https://rp.example/cb","https://rp.example/other"]`))
	}))
	h := newHouse(t, change)
	token := h.ticket(oauth.ProfileOAuth21, "openid", 2)
	r := h.register(token, `{"client_name":"Clinic","redirect_uris":["https://rp.example/cb"],"sector_identifier_uri":"`+at.String()+`/sector"}`)
	version := func() (int64, time.Time) {
		t.Helper()
		all, v, err := h.store.AllClients(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(c oauth.Client) bool { return c.ID == r.id })
		return v, all[i].Updated
	}
	before, then := version()
	h.clock.Advance(time.Second)
	for range 5 {
		if w := r.change(h, nil); w.Code != http.StatusOK || jsonOf(t, w)["client_name"] != "Clinic" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if after, now := version(); after != before || !now.Equal(then) {
		t.Errorf("what changed nothing was written: version %d after %d, of %v", after, before, now)
	}
	if w := r.change(h, map[string]any{"client_uri": "https://rp.example/"}); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if after, now := version(); after == before || now.Equal(then) {
		t.Error("a change was not written")
	}
	if n := documents.Load(); n != 1 {
		t.Errorf("the document was fetched %d times", n)
	}
	if w := r.change(h, map[string]any{"redirect_uris": []string{"https://rp.example/cb", "https://rp.example/other"}}); w.Code != http.StatusOK || documents.Load() != 2 {
		t.Errorf("another address: %d, %d fetches", w.Code, documents.Load())
	}
	replicas, slow := len(h.stores), 0 // each counts for itself
	for i := range 60 * replicas {
		w := r.change(h, map[string]any{"client_name": fmt.Sprint("Clinic ", i), "redirect_uris": []string{fmt.Sprint("https://rp.example/", i)}})
		if w.Code == http.StatusTooManyRequests {
			if slow++; w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
	if slow < 20*replicas || documents.Load() > int32(50*replicas) {
		t.Errorf("%d of %d were slowed down, %d fetches", slow, 60*replicas, documents.Load())
	}
	for range 2 * replicas {
		if w := h.send(http.MethodDelete, r.path, r.token, ""); w.Code != http.StatusTooManyRequests {
			t.Errorf("withdrawn beyond the pace: %d", w.Code)
		}
	}
	// Reading is free, and another client is not held up.
	if w := h.send(http.MethodGet, r.path, r.token, ""); w.Code != http.StatusOK {
		t.Errorf("read: %d", w.Code)
	}
	other := h.register(token, `{"redirect_uris":["https://rp.example/cb"]}`)
	if w := other.change(h, map[string]any{"client_name": "Other"}); w.Code != http.StatusOK {
		t.Errorf("another: %d", w.Code)
	}
	h.clock.Advance(time.Minute)
	if w := h.send(http.MethodDelete, r.path, r.token, ""); w.Code != http.StatusNoContent {
		t.Errorf("after a rest: %d %s", w.Code, w.Body)
	}
}

// A stranger's registration does not say where we go (SECURITY SR1): to hosts on the
// operator's list, and to those of applications that an operator admitted.
func TestWhereWeGo(t *testing.T) {
	var calls atomic.Int32
	at, change := siteOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = w.Write([]byte(`{"keys":[]}`))
	}))
	h := newHouse(t, change)
	h.client(`{"client_id":"hospital","client_name":"Hospital","redirect_uris":["https://hospital.example:8443/cb"],"policy_uri":"https://www.hospital.example/policy","scope":"openid"}`)
	token := h.ticket(oauth.ProfileOAuth21, "openid", 90)
	try := func(member, uri string) *httptest.ResponseRecorder {
		t.Helper()
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		return h.send(http.MethodPost, "/register", token, `{"redirect_uris":["https://`+u.Hostname()+`/cb"],"`+member+`":"`+uri+`"}`)
	}
	members := []string{"jwks_uri", "backchannel_logout_uri", "sector_identifier_uri"}
	for _, member := range members {
		for _, uri := range []string{
			"https://evil.example/x", "https://listed.example:8443/x", "https://www.listed.example/x", "https://hospital.example/x", "https://hospital.example:9443/x",
			"https://169.254.169.254/latest", "https://127.0.0.1:1/x", "https://localhost:" + at.Port() + "/x", "https://2130706433/",
		} {
			if w := try(member, uri); w.Code != http.StatusBadRequest || jsonOf(t, w)["error"] != "invalid_client_metadata" || !strings.Contains(w.Body.String(), "this server's list") {
				t.Errorf("%s %s: %d %s", member, uri, w.Code, w.Body)
			}
			h.clock.Advance(2 * time.Second) // nobody waits for the pace
		}
		if member == "sector_identifier_uri" {
			continue // it would be fetched
		}
		for _, uri := range []string{"https://listed.example/x", "https://hospital.example:8443/x", "https://www.hospital.example/x", at.String() + "/x"} {
			if w := try(member, uri); w.Code != http.StatusCreated {
				t.Errorf("%s %s: %d %s", member, uri, w.Code, w.Body)
			}
			h.clock.Advance(2 * time.Second)
		}
	}
	// Who registered alone vouches for nobody, be it that it is called itself.
	if w := try("jwks_uri", "https://evil.example/x"); w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if calls.Load() != 0 {
		t.Errorf("%d calls", calls.Load())
	}
	// The host is looked up again when it is called, and not only when it is named.
	w := try("jwks_uri", "https://hospital.example:8443/x")
	if w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if !h.names("hospital.example:8443") {
		t.Error("an admitted client's host is not called")
	}
	event := audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: "hospital"}
	if err := h.store.SuspendClient(t.Context(), "hospital", h.clock.Now(), event); err != nil {
		t.Fatal(err)
	}
	if err := h.registry.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.names("hospital.example:8443") {
		t.Error("a suspended client's host is called")
	}
	if w := try("jwks_uri", "https://hospital.example:8443/x"); w.Code != http.StatusBadRequest {
		t.Errorf("named by a suspended client: %d", w.Code)
	}
	// Without a line out nothing is taken that would need one.
	quiet := newHouse(t)
	w = quiet.send(http.MethodPost, "/register", quiet.ticket(oauth.ProfileOAuth21, "openid", 1), `{"redirect_uris":["https://rp.example/cb"],"jwks_uri":"https://rp.example/jwks"}`)
	if w.Code != http.StatusBadRequest {
		t.Errorf("no line: %d", w.Code)
	}
}

// names asks the first replica.
func (h *house) names(address string) bool { return h.registry[0].Names(h.t.Context(), address) }

// Agreed to beside a makeover, by whichever comes first: nobody has agreed to what it
// has become (SECURITY G1, CN1).
func TestConsentBesideAMakeover(t *testing.T) {
	h := newHouse(t)
	r := h.register(h.ticket(oauth.ProfileOAuth21, "openid", 1), `{"client_name":"Clinic","redirect_uris":["`+callback+`"]}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	cookies := func(r *http.Request) *http.Request {
		for name, value := range b.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		return r
	}
	v := ask("client_id", r.id, "scope", "openid")
	silent := "/authorize?" + ask("client_id", r.id, "scope", "openid", "prompt", "none").Encode()
	for i := range rounds(t) {
		h.clock.Advance(time.Minute)
		b.get(b.get("/authorize?" + v.Encode()).Header().Get("Location"))
		page := h.pages.consent
		if page == nil {
			t.Fatal("nobody asks")
		}
		rename := jsonRequest(http.MethodPut, r.path, r.token, fmt.Sprintf(`{"client_id":%q,"client_name":"Clinic %d","redirect_uris":[%q]}`, r.id, i, callback))
		agree := cookies(mustRequest(http.MethodPost, page.Path, url.Values{"token": {page.Token}, "consent-allow": {"1"}}.Encode()))
		var both sync.WaitGroup
		both.Go(func() {
			if w := h.serve(rename); w.Code != http.StatusOK {
				t.Errorf("renamed: %d %s", w.Code, w.Body)
			}
		})
		var said *httptest.ResponseRecorder
		both.Go(func() { said = h.serve(agree) })
		both.Wait()
		if said.Code >= 500 {
			t.Errorf("agreed: %d", said.Code)
		}
		if got := answer(t, h.serve(cookies(httptest.NewRequest(http.MethodGet, silent, nil)))); got.Get("error") != "consent_required" {
			t.Fatalf("round %d: agreed to what it has become: %v", i, got)
		}
		if to, err := url.Parse(said.Header().Get("Location")); err == nil && to.Query().Has("code") {
			if status, out := h.call("/token", r.id, redeem(to.Query().Get("code"))); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
				t.Fatalf("round %d: a code for what it was: %d %v", i, status, out)
			}
		}
	}
}

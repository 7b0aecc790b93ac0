package provider_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// resigned is a token of ours with other claims or another type, under a key that
// signs for us: what we signed for another purpose is no token (G2, TK4, KY1).
func (h *house) resigned(token, typ string, changes map[string]any) string {
	h.t.Helper()
	var claims map[string]any
	h.claims(token, &claims)
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	key, err := h.keys.Signer(jose.ES256)
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := jose.Sign(key, typ, claims)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func TestOurSignatureIsNotEnough(t *testing.T) {
	h := newHouse(t)
	h.chain()
	access := h.tokens("openid card.basic")["access_token"].(string)
	other := h.tokens("openid card.basic")["access_token"].(string)
	now := h.clock.Now()
	var theirs map[string]any
	h.claims(other, &theirs)
	// The same claims again are the same token.
	if w := h.userinfo(h.resigned(access, "at+jwt", nil)); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, c := range []struct {
		name, typ string
		changes   map[string]any
	}{
		{"typ-jwt", "JWT", nil},
		{"typ-logout", "logout+jwt", nil},
		{"typ-introspection", "token-introspection+jwt", nil},
		{"typ-receipt", "consent-receipt+jwt", nil},
		{"typ-dpop", "dpop+jwt", nil},
		{"typ-none", "", nil},
		{"issuer", "at+jwt", map[string]any{"iss": "https://id.example.evil"}},
		{"issuer-slash", "at+jwt", map[string]any{"iss": issuer + "/"}},
		{"no-issuer", "at+jwt", map[string]any{"iss": nil}},
		{"audience", "at+jwt", map[string]any{"aud": "https://rp.example"}},
		{"audience-is-the-client", "at+jwt", map[string]any{"aud": rp}},
		{"no-audience", "at+jwt", map[string]any{"aud": nil}},
		{"expired", "at+jwt", map[string]any{"exp": now.Add(-time.Minute).Unix()}},
		{"no-expiry", "at+jwt", map[string]any{"exp": nil}},
		{"expiry-text", "at+jwt", map[string]any{"exp": "9999999999"}},
		{"not-yet", "at+jwt", map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}},
		{"grant-of-nobody", "at+jwt", map[string]any{"gid": identity.NewID().String()}},
		{"grant-malformed", "at+jwt", map[string]any{"gid": "x"}},
		{"no-subject", "at+jwt", map[string]any{"sub": nil}},
		{"another-client", "at+jwt", map[string]any{"client_id": "card-api"}},
		{"no-client", "at+jwt", map[string]any{"client_id": nil}},
		{"bound-to-a-key", "at+jwt", map[string]any{"cnf": map[string]any{"jkt": strings.Repeat("A", 43)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := h.resigned(access, c.typ, c.changes)
			if w := h.userinfo(token); w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
				t.Errorf("userinfo: %d %s", w.Code, w.Body)
			}
			if c.name == "bound-to-a-key" {
				return // what a resource server makes of that is its own
			}
			if w := h.raw("/introspect", "card-api", url.Values{"token": {token}}); w.Code != http.StatusOK || w.Body.String() != `{"active":false}` {
				t.Errorf("introspection: %d %s", w.Code, w.Body)
			}
			if status, out := h.call("/token", "card-api", exchanging(token)); status != http.StatusBadRequest || out["access_token"] != nil {
				t.Errorf("exchange: %d %v", status, out)
			}
		})
	}
}

// unsigned is a token with another header: of no algorithm, or signed with what is
// public.
func unsigned(t *testing.T, token, header string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(header)) + "." + parts[1] + "." + map[bool]string{true: "", false: b64(make([]byte, 32))}[strings.Contains(header, "none")]
}

// Nothing that is not signed by us is a hint, a token or anybody (OI2, KY1).
func TestForgedTokens(t *testing.T) {
	h := newHouse(t)
	h.chain()
	h.client(`{"client_id":"other","client_name":"Other","redirect_uris":["` + callback + `"],"first_party":true,"scope":"openid"}`)
	out := h.tokens("openid card.basic")
	id, access := out["id_token"].(string), out["access_token"].(string)
	b := h.browser()
	b.signIn(0, password(), totp())
	_, theirs := h.call("/token", "other", redeem(b.code(ask("client_id", "other", "scope", "openid"))))
	stranger, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	under := func(token, typ string) string {
		var claims json.RawMessage
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		claims = raw
		forged, err := jose.Sign(stranger, typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		return forged
	}
	silent := func(hint string) url.Values {
		return answer(t, b.get("/authorize?"+ask("prompt", "none", "id_token_hint", hint).Encode()))
	}
	if got := silent(id); got.Get("code") == "" {
		t.Fatalf("the real one: %v", got)
	}
	for name, hint := range map[string]string{
		"of-another-client": theirs["id_token"].(string), "access-token": access, "of-a-stranger": under(id, "JWT"),
		"none": unsigned(t, id, `{"alg":"none"}`), "None": unsigned(t, id, `{"alg":"None"}`), "hmac": unsigned(t, id, `{"alg":"HS256"}`), "handle": out["refresh_token"].(string),
		"issuer": h.resigned(id, "JWT", map[string]any{"iss": "https://id.example.evil"}), "audience": h.resigned(id, "JWT", map[string]any{"aud": "other"}), "empty-parts": "..",
	} {
		// Whether the hint names somebody, nobody or the one who is there cannot be told.
		if got := silent(hint); got.Get("error") != "invalid_request" || got.Has("code") {
			t.Errorf("hint %s: %v", name, got)
		}
		if got := answer(t, h.browser().get("/authorize?"+ask("prompt", "none", "id_token_hint", hint).Encode())); got.Get("error") != "invalid_request" {
			t.Errorf("hint %s, nobody there: %v", name, got)
		}
	}
	// Somebody who is there and somebody who never was look the same.
	for _, sub := range []string{"nobody", strings.Repeat("A", 43)} {
		if got := silent(h.resigned(id, "JWT", map[string]any{"sub": sub})); got.Get("error") != "login_required" {
			t.Errorf("hint of %q: %v", sub, got)
		}
	}
	for name, token := range map[string]string{
		"stranger": under(access, "at+jwt"), "none": unsigned(t, access, `{"alg":"none","typ":"at+jwt"}`), "hmac": unsigned(t, access, `{"alg":"HS256","typ":"at+jwt"}`),
		"crit": unsigned(t, access, `{"alg":"ES256","typ":"at+jwt","crit":["x"],"x":1}`), "jwk": unsigned(t, access, `{"alg":"ES256","typ":"at+jwt","jwk":{}}`),
	} {
		if w := h.userinfo(token); w.Code != http.StatusUnauthorized {
			t.Errorf("userinfo, %s: %d", name, w.Code)
		}
		if w := h.raw("/introspect", "card-api", url.Values{"token": {token}}); w.Body.String() != `{"active":false}` {
			t.Errorf("introspection, %s: %s", name, w.Body)
		}
	}
}

// A citizen's token opens no endpoint that is for clients (TK2), and nothing stands in
// a URL (TK4, G8).
func TestUserTokenIsNoCredential(t *testing.T) {
	h := newHouse(t)
	h.chain()
	out := h.tokens("openid card.basic")
	access := out["access_token"].(string)
	for _, path := range []string{"/introspect", "/revoke", "/token", "/par"} {
		form := redeem("x", "token", access)
		for _, scheme := range []string{"Bearer", "DPoP"} {
			r := posting(path, form)
			r.Header.Set("Authorization", scheme+" "+access)
			if w := h.serve(r); w.Code != http.StatusUnauthorized || jsonOf(t, w)["error"] != "invalid_client" {
				t.Errorf("%s at %s: %d %s", scheme, path, w.Code, w.Body)
			}
		}
		for _, query := range []string{"token=" + access, "client_id=card-api&client_secret=" + url.QueryEscape(h.secretOf["card-api"]), "client_assertion=a.b.c", "access_token=" + access} {
			r := posting(path+"?"+query, url.Values{"token": {access}})
			r.SetBasicAuth("card-api", h.secretOf["card-api"])
			if w := h.serve(r); w.Code != http.StatusBadRequest {
				t.Errorf("%s?%s: %d %s", path, query[:8], w.Code, w.Body)
			}
		}
	}
	if w := h.userinfo(access); w.Code != http.StatusOK {
		t.Errorf("the token after all that: %d", w.Code)
	}
}

// A jti is burned by whoever holds the key and by nobody else (CA2).
func TestForgedAssertionBurnsNothing(t *testing.T) {
	h := newHouse(t)
	key, err1 := jose.Generate(jose.ES256, "k1")
	stranger, err2 := jose.Generate(jose.ES256, "k1")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, id := range []string{"keyed", "neighbour"} {
		h.client(`{"client_id":"` + id + `","token_endpoint_auth_method":"private_key_jwt","jwks":` + keySet(t, key) + `,` + machineRest + `}`)
	}
	with := func(k jose.Key, id, jti string, exp time.Duration) *http.Request {
		token, err := jose.Sign(k, "JWT", map[string]any{"iss": id, "sub": id, "aud": issuer, "jti": jti, "exp": h.clock.Now().Add(exp).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		return machine("", url.Values{"client_assertion": {token}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
	}
	h.expect("forged", with(stranger, "keyed", "one", time.Minute), "invalid_client")
	h.expect("too late", with(key, "keyed", "one", -time.Minute), "invalid_client")
	h.expect("too long", with(key, "keyed", "one", time.Hour), "invalid_client")
	h.expect("another client's", with(key, "neighbour", "one", time.Minute), "")
	h.expect("the real one", with(key, "keyed", "one", time.Minute), "")
	h.expect("again", with(key, "keyed", "one", time.Minute), "invalid_client")
	// For as long as it could be accepted, however its end is written the second time.
	h.clock.Advance(50 * time.Second)
	h.expect("again, later", with(key, "keyed", "one", 5*time.Minute), "invalid_client")
}

// A client that is suspended is nobody, at all endpoints, at once where it was told and
// within the cache's five seconds where it was not (CA4, G6).
func TestSuspendedClientIsNobody(t *testing.T) {
	h := newHouse(t)
	h.rp()
	h.client(`{"client_id":"pension-api","client_name":"API","grant_types":[],"resources":["` + cardResource + `"]}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask())
	uri := h.push()
	b.get("/authorize?" + ask("prompt", "login").Encode())
	waiting := h.logins.last(t).back
	out := h.tokens("openid offline_access card.basic")
	access, refresh := out["access_token"].(string), out["refresh_token"].(string)
	e := audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: rp}
	if err := h.store.SuspendClient(t.Context(), rp, h.clock.Now(), e); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(5*time.Second + time.Millisecond)
	for range h.stores {
		for path, form := range map[string]url.Values{"/token": redeem(code), "/par": ask(), "/introspect": {"token": {access}}, "/revoke": {"token": {access}}} {
			if status, out := h.call(path, rp, form); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
				t.Errorf("%s: %d %v", path, status, out)
			}
		}
		for _, target := range []string{"/authorize?" + ask().Encode(), front(rp, uri), waiting} {
			if w := b.get(target); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
				t.Errorf("%s: %d to %q", target[:20], w.Code, w.Header().Get("Location"))
			}
		}
		if w := h.userinfo(access); w.Code != http.StatusUnauthorized {
			t.Errorf("userinfo: %d", w.Code)
		}
		if _, seen := h.call("/introspect", "pension-api", url.Values{"token": {access}}); seen["active"] != false {
			t.Errorf("introspected: %v", seen)
		}
	}
	// Let in again, it has none of what it had.
	h.rp()
	for name, form := range map[string]url.Values{"code": redeem(code), "refresh": refreshing(refresh)} {
		if status, out := h.call("/token", rp, form); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	for _, target := range []string{front(rp, uri), waiting} {
		if w := b.get(target); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", target[:20], w.Code)
		}
	}
	if w := h.userinfo(access); w.Code != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", w.Code)
	}
}

// A lost phone takes along whatever was had with it, and nothing else (TK1, G6, DV2).
func TestLostPhone(t *testing.T) {
	for _, state := range []identity.DeviceState{identity.DeviceSuspended, identity.DeviceLost, identity.DeviceRevoked} {
		t.Run(string(state), func(t *testing.T) {
			h := newHouse(t)
			h.chain()
			phone := h.phone()
			lost, mine := h.browser(), h.browser()
			lost.sure(phone)
			_, out := h.call("/token", rp, redeem(lost.code(ask("scope", "openid offline_access card.basic insurance.pay insurance.read"))))
			_, child := h.call("/token", "card-api", exchanging(out["access_token"].(string), "scope", "insurance.read"))
			pending := lost.code(ask())
			mine.signIn(1, password(), totp())
			_, neighbour := h.call("/token", rp, redeem(mine.code(ask("scope", "openid offline_access card.basic"))))
			e := audit.Event{Kind: audit.DeviceEnded, At: h.clock.Now(), Actor: audit.BySystem, Citizen: h.citizens[0], Device: phone}
			if err := h.store.EndDevice(t.Context(), h.citizens[0], phone, state, nil, e); err != nil {
				t.Fatal(err)
			}
			for range h.stores {
				if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusUnauthorized {
					t.Errorf("userinfo: %d", w.Code)
				}
				for api, token := range map[string]any{"card-api": out["access_token"], "insurance-api": child["access_token"]} {
					if _, seen := h.call("/introspect", api, url.Values{"token": {token.(string)}}); seen["active"] != false {
						t.Errorf("%s sees %v", api, seen)
					}
				}
				for name, form := range map[string]url.Values{"refresh": refreshing(out["refresh_token"].(string)), "code": redeem(pending)} {
					if status, got := h.call("/token", rp, form); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
						t.Errorf("%s: %d %v", name, status, got)
					}
				}
				if got := answer(t, lost.get("/authorize?"+ask("prompt", "none").Encode())); got.Get("error") != "login_required" {
					t.Errorf("silent: %v", got)
				}
				if status, got := h.call("/token", rp, refreshing(neighbour["refresh_token"].(string))); status != http.StatusOK {
					t.Errorf("the neighbour: %d %v", status, got)
				}
			}
		})
	}
}

// A client that has to prove a key gets no bearer token by an exchange either (SC3).
func TestBoundClientExchanges(t *testing.T) {
	h := newHouse(t)
	h.chain()
	h.client(`{"client_id":"card-api","client_name":"API","grant_types":["` + exchangeGrant + `"],"resources":["` + cardResource + `"],"dpop_bound_access_tokens":true,
		"exchange_resources":["` + insuranceResource + `"],"scope":"insurance.read"}`)
	form := exchanging(h.tokens("openid card.basic insurance.read")["access_token"].(string))
	if status, out := h.proven("card-api", "", form); status != http.StatusBadRequest || out["error"] != "invalid_dpop_proof" || out["access_token"] != nil {
		t.Errorf("without a proof: %d %v", status, out)
	}
	k := h.holder()
	if status, out := h.proven("card-api", k.forToken(), form); status != http.StatusOK || out["token_type"] != "DPoP" || cnf(h, out["access_token"], "jkt") != k.jkt() {
		t.Errorf("with one: %d %v", status, out)
	}
}

// Clients' names are ours to give, and nobody's sub (CA5, OI4).
func TestNamesOfClients(t *testing.T) {
	h := newHouse(t)
	ticket := h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 3)
	seen := map[string]bool{}
	for range 3 {
		c := h.register(ticket, newcomer)
		if _, err := identity.ParseID(c.id); err == nil || seen[c.id] {
			t.Errorf("named %q", c.id)
		}
		seen[c.id] = true
	}
	h.rp()
	var id struct{ Sub string }
	h.claims(h.tokens("openid")["id_token"].(string), &id)
	if len(id.Sub) < 43 || seen[id.Sub] {
		t.Errorf("sub is %q", id.Sub)
	}
}

// With the database gone nobody is told that something was done, and nobody is let in
// (G5, TK3).
func TestNothingWithoutTheDatabase(t *testing.T) {
	h := newHouse(t)
	h.chain()
	h.leaver("office", "")
	s := h.session("office")
	out := h.tokens("openid card.basic insurance.read")
	access, refresh := out["access_token"].(string), out["refresh_token"].(string)
	c := h.register(h.ticket(oauth.ProfileOAuth21, "openid profile offline_access", 2), newcomer)
	code := s.b.code(ask())
	basic := func(id, path string, form url.Values) *http.Request {
		r := posting(path, form)
		r.SetBasicAuth(id, h.secretOf[id])
		return r
	}
	browser := func(target string) *http.Request {
		r := mustRequest(http.MethodGet, target, "")
		r.AddCookie(&http.Cookie{Name: loginCookie, Value: s.b.cookies[loginCookie]})
		return r
	}
	h.close()
	for name, r := range map[string]*http.Request{
		"authorize":  browser("/authorize?" + ask("prompt", "none").Encode()),
		"par":        basic(rp, "/par", ask()),
		"code":       basic(rp, "/token", redeem(code)),
		"refresh":    basic(rp, "/token", refreshing(refresh)),
		"exchange":   basic("card-api", "/token", exchanging(access)),
		"revoke":     basic(rp, "/revoke", url.Values{"token": {refresh}}),
		"introspect": basic("card-api", "/introspect", url.Values{"token": {access}}),
		"userinfo":   infoRequest("Bearer", access, ""),
		"logout":     browser("/end-session?" + url.Values{"id_token_hint": {s.id}, "post_logout_redirect_uri": {goodbye}}.Encode()),
		"register":   jsonRequest(http.MethodPost, "/register", strings.Repeat("A", 43), newcomer),
		"withdraw":   jsonRequest(http.MethodDelete, c.path, c.token, ""),
	} {
		w := h.serve(r)
		to := w.Header().Get("Location")
		failed := w.Code >= 500 || w.Code == http.StatusSeeOther && strings.Contains(to, "error=server_error") || strings.HasPrefix(to, "/end-session/")
		if !failed || strings.Contains(w.Body.String(), "true") || strings.Contains(w.Body.String(), "sub") || strings.Contains(to, "code=") || strings.HasPrefix(to, goodbye) {
			t.Errorf("%s: %d to %q: %s", name, w.Code, to, w.Body)
		}
		// A logout is asked about on the way: there it has to say so too.
		if strings.HasPrefix(to, "/end-session/") {
			if w := h.serve(browser(to)); w.Code < 500 && w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || h.pages.done != nil {
				t.Errorf("%s, on: %d to %q", name, w.Code, w.Header().Get("Location"))
			}
		}
	}
}

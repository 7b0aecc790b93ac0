package provider_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/storage"
)

const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessType    = "urn:ietf:params:oauth:token-type:access_token"
)

// chain admits three resource servers that call each other: card → insurance →
// pension.
func (h *house) chain() {
	h.rp()
	for _, c := range [][3]string{
		{"card-api", cardResource, `"` + insuranceResource + `","` + pensionResource + `"`},
		{"insurance-api", insuranceResource, `"` + pensionResource + `","` + insuranceResource + `"`},
	} {
		h.client(`{"client_id":"` + c[0] + `","client_name":"API","grant_types":["` + exchangeGrant + `"],"resources":["` + c[1] + `"],
			"exchange_resources":[` + c[2] + `],"scope":"insurance.read insurance.pay pension.read pension.claim"}`)
	}
	h.client(`{"client_id":"pension-api","client_name":"API","grant_types":[],"resources":["` + pensionResource + `"]}`)
}

func exchanging(token string, changes ...string) url.Values {
	v := url.Values{"grant_type": {exchangeGrant}, "subject_token": {token}, "subject_token_type": {accessType}}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			v.Del(changes[i])
			continue
		}
		v.Set(changes[i], changes[i+1])
	}
	return v
}

// TestDelegation follows a citizen's token from one resource server to the next
// (RFC 8693 §4.1).
func TestDelegation(t *testing.T) {
	h := newHouse(t)
	h.chain()
	subject := h.tokens("openid card.basic insurance.read pension.read")
	status, out := h.call("/token", "card-api", exchanging(subject["access_token"].(string)))
	if status != http.StatusOK || out["issued_token_type"] != accessType || out["token_type"] != "Bearer" || out["scope"] != "insurance.read pension.read" ||
		out["refresh_token"] != nil || out["id_token"] != nil {
		t.Fatalf("%d %v", status, out)
	}
	var at map[string]any
	if header := h.claims(out["access_token"].(string), &at); !header.Is("at+jwt") {
		t.Errorf("typ is %q", header.Type)
	}
	golden(t, "access_token_exchanged", at, "sub", "jti", "gid")
	status, out = h.call("/token", "insurance-api", exchanging(out["access_token"].(string), "resource", pensionResource))
	if status != http.StatusOK || out["scope"] != "pension.read" {
		t.Fatalf("%d %v", status, out)
	}
	var next map[string]any
	h.claims(out["access_token"].(string), &next)
	golden(t, "access_token_exchanged_twice", next, "sub", "jti", "gid")
	_, seen := h.call("/introspect", "pension-api", url.Values{"token": {out["access_token"].(string)}})
	if seen["active"] != true || seen["client_id"] != "insurance-api" || seen["act"] == nil {
		t.Errorf("introspection: %v", seen)
	}
	// Nobody it is not for sees it, and it tells nothing about the citizen.
	if _, seen := h.call("/introspect", "card-api", url.Values{"token": {out["access_token"].(string)}}); seen["active"] != false {
		t.Errorf("introspection by the first: %v", seen)
	}
	if w := h.userinfo(out["access_token"].(string)); w.Code == http.StatusOK {
		t.Error("userinfo takes it")
	}
}

func TestExchangeRefuses(t *testing.T) {
	h := newHouse(t)
	h.chain()
	h.client(`{"client_id":"plain-api","client_name":"API","grant_types":["client_credentials"],"resources":["` + cardResource + `"],"scope":"card.status insurance.read"}`)
	out := h.tokens("openid card.basic insurance.read")
	token := out["access_token"].(string)
	_, machine := h.call("/token", "plain-api", url.Values{"grant_type": {"client_credentials"}, "scope": {"card.status"}})
	_, narrow := h.call("/token", rp, refreshing(out["refresh_token"].(string), "resource", cardResource))
	pension := h.tokens("pension.read insurance.read")["access_token"].(string)
	for _, c := range []struct {
		name, client string
		form         url.Values
		want         string
	}{
		{"not-admitted", "plain-api", exchanging(token), "unauthorized_client"}, // CO5: off by default
		{"relying-party", rp, exchanging(token), "unauthorized_client"},
		{"no-subject", "card-api", exchanging(token, "subject_token", "-"), "invalid_request"},
		{"no-type", "card-api", exchanging(token, "subject_token_type", "-"), "invalid_request"},
		{"id-token-type", "card-api", exchanging(token, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), "invalid_request"},
		{"id-token", "card-api", exchanging(out["id_token"].(string)), "invalid_request"},
		{"id-token-as-jwt", "card-api", exchanging(out["id_token"].(string), "subject_token_type", "urn:ietf:params:oauth:token-type:jwt"), "invalid_request"},
		{"refresh-token", "card-api", exchanging(out["refresh_token"].(string)), "invalid_request"},
		{"junk", "card-api", exchanging("junk"), "invalid_request"},
		{"altered", "card-api", exchanging(token[:len(token)-8] + "AAAAAAAA"), "invalid_request"},
		{"machine", "card-api", exchanging(machine["access_token"].(string)), "invalid_request"},
		{"refresh-wanted", "card-api", exchanging(token, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), "invalid_request"},
		{"actor", "card-api", exchanging(token, "actor_token", token, "actor_token_type", accessType), "invalid_request"},
		{"details", "card-api", exchanging(token, "authorization_details", "[]"), "invalid_authorization_details"},
		// Who was not called with it may not pass it on (TK5).
		{"not-its-audience", "card-api", exchanging(pension), "invalid_request"},
		// Nowhere but where both the citizen and the admission say so.
		{"another-target", "card-api", exchanging(token, "resource", "urn:nobody"), "invalid_target"},
		{"another-audience", "card-api", exchanging(token, "audience", cardResource), "invalid_target"},
		{"citizen-did-not", "card-api", exchanging(token, "audience", pensionResource), "invalid_target"},
		{"one-of-two", "card-api", exchanging(token, "audience", pensionResource, "resource", insuranceResource), "invalid_target"},
		{"subject-is-narrower", "card-api", exchanging(narrow["access_token"].(string)), "invalid_target"},
		{"wider", "card-api", exchanging(token, "scope", "insurance.read pension.read"), "invalid_scope"},
		{"another-resource's", "card-api", exchanging(token, "scope", "card.basic"), "invalid_scope"},
		{"unknown-scope", "card-api", exchanging(token, "scope", "insurance.read nothing"), "invalid_scope"},
		{"openid", "card-api", exchanging(token, "scope", "openid"), "invalid_scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, got := h.call("/token", c.client, c.form); status != 400 || got["error"] != c.want {
				t.Errorf("%d %v, want %s", status, got, c.want)
			}
		})
	}
	if status, got := h.call("/token", "", exchanging(token)); status != 401 {
		t.Errorf("nobody: %d %v", status, got)
	}
	if status, got := h.call("/token", "card-api", exchanging(token, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt")); status != http.StatusOK {
		t.Errorf("after all that: %d %v", status, got)
	}
}

// What is exchanged ends when its subject does, and with all that ends that (G6, TK5).
func TestExchangedTokenDiesWithItsSubject(t *testing.T) {
	event := func(h *house, k audit.Kind) audit.Event {
		return audit.Event{Kind: k, At: h.clock.Now(), Actor: audit.BySystem, Citizen: h.citizens[0], Client: rp}
	}
	for name, end := range map[string]func(h *house, out map[string]any) error{
		"revoked": func(h *house, out map[string]any) error {
			h.call("/revoke", rp, url.Values{"token": {out["refresh_token"].(string)}})
			return nil
		},
		"consent withdrawn": func(h *house, _ map[string]any) error {
			return h.store.WithdrawConsent(t.Context(), h.citizens[0], rp, h.clock.Now(), event(h, audit.ConsentWithdrawn))
		},
		"card frozen": func(h *house, _ map[string]any) error {
			return h.store.SetCardState(t.Context(), h.citizens[0], identity.CardFrozen, event(h, audit.CitizenFrozen))
		},
		"its client suspended": func(h *house, _ map[string]any) error {
			if err := h.store.SuspendClient(t.Context(), rp, h.clock.Now(), event(h, audit.ClientSuspended)); err != nil {
				return err
			}
			return h.registry.Reload(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.chain()
			out := h.tokens("openid card.basic insurance.read")
			exchange := exchanging(out["access_token"].(string))
			_, child := h.call("/token", "card-api", exchange)
			active := func() any {
				_, seen := h.call("/introspect", "insurance-api", url.Values{"token": {child["access_token"].(string)}})
				return seen["active"]
			}
			if active() != true {
				t.Fatal("never alive")
			}
			if err := end(h, out); err != nil {
				t.Fatal(err)
			}
			if active() != false {
				t.Error("it lives on")
			}
			if status, got := h.call("/token", "card-api", exchange); status != 400 || got["error"] != "invalid_request" {
				t.Errorf("a dead subject: %d %v", status, got)
			}
		})
	}
	// Nothing about the child ends the parent.
	h := newHouse(t)
	h.chain()
	out := h.tokens("openid card.basic insurance.read")
	_, child := h.call("/token", "card-api", exchanging(out["access_token"].(string)))
	token := url.Values{"token": {child["access_token"].(string)}}
	for _, who := range []string{rp, "insurance-api"} {
		if _, seen := h.call("/introspect", "insurance-api", token); seen["active"] != true {
			t.Errorf("revoked before %s", who)
		}
		h.call("/revoke", who, token)
	}
	h.call("/revoke", "card-api", token)
	if _, seen := h.call("/introspect", "insurance-api", token); seen["active"] != false {
		t.Error("its client cannot end it")
	}
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusOK {
		t.Errorf("the subject: %d", w.Code)
	}
}

// It does not outlive its subject either.
func TestExchangedTokenEndsWithItsSubject(t *testing.T) {
	h := newHouse(t)
	h.chain()
	token := h.tokens("openid card.basic insurance.read")["access_token"].(string)
	h.clock.Advance(4 * time.Minute)
	status, out := h.call("/token", "card-api", exchanging(token))
	var at jose.Standard
	h.claims(out["access_token"].(string), &at)
	if status != http.StatusOK || out["expires_in"] != 60.0 || !at.Expires.Equal(noon.Add(5*time.Minute)) {
		t.Errorf("%d %v %v", status, out, at.Expires)
	}
	h.clock.Advance(time.Minute)
	if status, out := h.call("/token", "card-api", exchanging(token)); status != 400 || out["error"] != "invalid_request" {
		t.Errorf("%d %v", status, out)
	}
}

// An opaque subject, and an opaque result.
func TestExchangeOfOpaqueTokens(t *testing.T) {
	h := newHouse(t)
	h.chain()
	b := h.browser()
	b.signIn(0, password(), totp(), identity.Proof{Factor: identity.FactorPhone, Device: h.phone()})
	_, out := h.call("/token", rp, redeem(b.code(ask("scope", "openid insurance.pay card.basic"))))
	status, child := h.call("/token", "card-api", exchanging(out["access_token"].(string)))
	if status != http.StatusOK || child["scope"] != "insurance.pay" || strings.Contains(child["access_token"].(string), ".") {
		t.Fatalf("%d %v", status, child)
	}
	_, seen := h.call("/introspect", "insurance-api", url.Values{"token": {child["access_token"].(string)}})
	if act, _ := seen["act"].(map[string]any); seen["active"] != true || seen["scope"] != "insurance.pay" || act["sub"] != "card-api" {
		t.Errorf("%v", seen)
	}
	if status, out := h.call("/token", "card-api", exchanging(out["access_token"].(string), "subject_token_type", "urn:ietf:params:oauth:token-type:jwt")); status != 400 {
		t.Errorf("an opaque token as a JWT: %d %v", status, out)
	}
	h.call("/revoke", rp, url.Values{"token": {out["refresh_token"].(string)}})
	if _, seen := h.call("/introspect", "insurance-api", url.Values{"token": {child["access_token"].(string)}}); seen["active"] != false {
		t.Error("it outlived its subject")
	}
	if status, out := h.call("/token", "card-api", exchanging(out["access_token"].(string))); status != 400 || out["error"] != "invalid_request" {
		t.Errorf("a dead subject: %d %v", status, out)
	}
}

// A bound subject gives bound results only (SC3).
func TestExchangeKeepsTheBinding(t *testing.T) {
	h := newHouse(t)
	h.chain()
	b := h.browser()
	b.signIn(0, password(), totp())
	_, out := h.proven(rp, h.holder().forToken(), redeem(b.code(ask("scope", "openid card.basic insurance.read"))))
	form := exchanging(out["access_token"].(string))
	if status, out := h.proven("card-api", "", form); status != 400 || out["error"] != "invalid_request" {
		t.Errorf("without a proof: %d %v", status, out)
	}
	k := h.holder()
	status, child := h.proven("card-api", k.forToken(), form)
	if status != http.StatusOK || child["token_type"] != "DPoP" || cnf(h, child["access_token"], "jkt") != k.jkt() {
		t.Errorf("%d %v", status, child)
	}
}

// A chain has an end.
func TestExchangeGoesSoFar(t *testing.T) {
	h := newHouse(t)
	h.chain()
	_, out := h.call("/token", "card-api", exchanging(h.tokens("openid card.basic insurance.read")["access_token"].(string)))
	var depths []int
	for range 6 {
		status, next := h.call("/token", "insurance-api", exchanging(out["access_token"].(string)))
		depths = append(depths, status)
		if status != http.StatusOK {
			if next["error"] != "invalid_request" {
				t.Errorf("%v", next)
			}
			break
		}
		out = next
	}
	if len(depths) < 2 || len(depths) > 5 || depths[len(depths)-1] != 400 {
		t.Errorf("statuses %v", depths)
	}
}

// With an assertion and a proof an exchange of a JWT is one statement.
func TestExchangeRoundTrips(t *testing.T) {
	h := newHouse(t)
	h.rp()
	assert := h.asserted("card-api", `"grant_types":["`+exchangeGrant+`"],"resources":["`+cardResource+`"],
		"exchange_resources":["`+insuranceResource+`"],"scope":"insurance.read"`)
	form := assert(exchanging(h.tokens("openid card.basic insurance.read")["access_token"].(string)))
	r := mustRequest(http.MethodPost, "/token", form.Encode())
	r.Header.Set("DPoP", h.holder().forToken())
	ctx, count := storage.WithQueryCount(r.Context())
	w := h.serve(r.WithContext(ctx))
	if w.Code != http.StatusOK || count.Trips() != 1 {
		t.Errorf("%d %s after %v", w.Code, w.Body, count.SQL())
	}
	if w := h.serve(mustRequest(http.MethodPost, "/token", form.Encode())); w.Code != http.StatusUnauthorized {
		t.Errorf("the same assertion: %d %s", w.Code, w.Body)
	}
	if got := aud(h, jsonOf(t, w)["access_token"]); !slices.Equal(got, []string{insuranceResource}) {
		t.Errorf("aud is %v", got)
	}
}

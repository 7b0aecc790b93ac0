package rp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/proof"
	"ecardid/rp"
)

const card = "urn:ecardid:resource:card"

// A hospital has an application and an API, at a server that is whole.
type hospital struct {
	t      *testing.T
	house  *house.House
	secret string // the API's
}

func (h hospital) verifier(audience string) *rp.Verifier {
	h.t.Helper()
	v, err := rp.New(rp.Config{
		Issuer: h.house.Issuer, Audience: audience, Origin: api, ClientID: "hospital-api", ClientSecret: h.secret, Now: h.house.Clock.Now,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// consented goes through the consent page and redeems the code.
func consented(q *house.Request, a *house.Answer) house.Tokens {
	if a.Has("consent-allow") {
		a = a.Submit("consent-allow")
	}
	return q.Redeem(q.Came(a.Location).Get("code"))
}

// The tokens the server makes are the ones this package takes.
func TestHouse(t *testing.T) {
	ours := house.Open(t, house.Options{CoolOff: -1}) // a key is made in it
	h := hospital{t, ours, ours.Register(t, map[string]any{
		"client_id": "hospital-api", "client_name": "API", "grant_types": []string{}, "redirect_uris": []string{}, "resources": []string{audience, card},
	})}
	citizen, robot, app := ours.Citizen(t), ours.Robot(t), ours.Relying(t, "hospital")
	v := h.verifier(audience)
	readBills := rp.Demand{Scope: []string{"insurance.read"}, ACR: rp.MFA}

	q := app.Ask("openid offline_access insurance.read")
	tok := consented(q, citizen.SignIn(robot.Get(q.Path())))
	t.Run("jwt", func(t *testing.T) {
		got, err := v.Check(request("Bearer "+tok.Access), readBills)
		if err != nil || got.ClientID != "hospital" || got.Subject != tok.Claims["sub"] || got.ACR != rp.MFA || got.ID == "" || got.AuthTime.IsZero() {
			t.Fatalf("%+v, %v", got, err)
		}
		live := readBills
		live.Live = true
		if asked, err := v.Check(request("Bearer "+tok.Access), live); err != nil || asked.Subject != got.Subject || asked.ID != got.ID {
			t.Errorf("asked back it is %+v, %v", asked, err)
		}
		expect(t, h.verifier(card), request("Bearer "+tok.Access), rp.Demand{}, "invalid_token", 401)
		expect(t, v, request("Bearer "+tok.ID), rp.Demand{}, "invalid_token", 401)
		expect(t, v, request("Bearer "+tok.Refresh), rp.Demand{}, "invalid_token", 401)
		expect(t, v, request("Bearer "+tok.Access), rp.Demand{ACR: rp.Bound}, "insufficient_user_authentication", 401)
		expect(t, v, request("Bearer "+tok.Access), rp.Demand{Scope: []string{"insurance.pay"}}, "insufficient_scope", 403)
	})

	pay := app.Ask("openid insurance.pay")
	key := ours.Passkey(t, false)
	page := key.SignIn(key.Register(robot.Get(pay.Path()).Submit("step-continue")))
	opaque := consented(pay, page)
	t.Run("opaque", func(t *testing.T) {
		got, err := v.Check(request("Bearer "+opaque.Access), rp.Demand{Scope: []string{"insurance.pay"}, ACR: rp.Bound})
		if err != nil || got.Subject != tok.Claims["sub"] || got.ID != "" {
			t.Fatalf("%+v, %v", got, err)
		}
		expect(t, h.verifier(card), request("Bearer "+opaque.Access), rp.Demand{}, "invalid_token", 401)
		expect(t, v, request("DPoP "+opaque.Access), rp.Demand{}, "invalid_token", 401)
	})

	t.Run("bound", func(t *testing.T) {
		for _, alg := range []jose.Alg{jose.ES256, jose.SM2} {
			h.bound(t, "robot-"+strings.ToLower(string(alg[:3])), alg)
		}
	})

	t.Run("ended", func(t *testing.T) {
		if a := robot.Get("/logout").Submit("logout-confirm"); !strings.HasPrefix(a.Path, "/signed-out") {
			t.Fatalf("signing out leads to %s (%d)", a.Path, a.Status)
		}
		for range 20 {
			expect(t, v, request("Bearer "+opaque.Access), rp.Demand{}, "invalid_token", 401)
			expect(t, v, request("Bearer "+tok.Access), rp.Demand{Live: true}, "invalid_token", 401)
		}
		expect(t, v, request("Bearer "+tok.Access), readBills, "", 200) // and nobody who does not ask can know
	})
}

// bound gets a token bound to a key of alg, signed with alg: for SM2 the national
// algorithm is all there is in it.
func (h hospital) bound(t *testing.T, id string, alg jose.Alg) {
	t.Helper()
	secret := h.house.Register(t, map[string]any{
		"client_id": id, "client_name": id, "grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "scope": "card.status",
		"access_token_signed_response_alg": string(alg), "dpop_bound_access_tokens": true,
	})
	k, v := newKey(t, alg, "proof"), h.verifier(card)
	prove := func(method, uri, token string) string {
		c := map[string]any{"jti": identity.NewID().String(), "htm": method, "htu": uri, "iat": h.house.Clock.Now().Unix()}
		if token != "" {
			c["ath"] = proof.Hash(token)
		}
		return dpop(t, k, c)
	}
	robot := h.house.Robot(t)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"card.status"}}
	credentials := httptest.NewRequest(http.MethodPost, "/", nil)
	credentials.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	var out struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
	}
	var a *house.Answer
	known := house.Soon(func() bool { // the registry has to hear of a new client first
		a = robot.Raw(http.MethodPost, "/token", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), http.Header{
			"Authorization": credentials.Header["Authorization"], "Dpop": {prove("POST", h.house.Issuer+"/token", "")},
		})
		return a.Status == http.StatusOK
	})
	if err := json.Unmarshal([]byte(a.Body), &out); !known || err != nil || out.Type != "DPoP" {
		t.Fatalf("%s: %d %s", id, a.Status, a.Body)
	}
	if parsed, err := jose.Parse(out.Access); err != nil || parsed.Header.Alg != alg {
		t.Fatalf("the token is signed with %s, %v", parsed.Header.Alg, err)
	}
	once := prove("GET", api+"/bills", out.Access)
	got, err := v.Check(request("DPoP "+out.Access, once), rp.Demand{Scope: []string{"card.status"}, Live: true})
	if err != nil || got.Subject != id || got.JKT != k.Thumbprint() || !got.AuthTime.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	expect(t, v, request("DPoP "+out.Access, once), rp.Demand{}, "invalid_dpop_proof", 401)
	expect(t, v, request("Bearer "+out.Access), rp.Demand{}, "invalid_token", 401)
	expect(t, v, request("DPoP "+out.Access, prove("GET", api+"/bills", out.Access)), rp.Demand{ACR: rp.Basic}, "insufficient_user_authentication", 401)
}

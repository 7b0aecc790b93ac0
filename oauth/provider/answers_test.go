package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	josev3 "github.com/go-jose/go-jose/v3"

	"ecardid/internal/jose"
	"ecardid/storage"
)

// ath is what a proof says about the access token beside it (RFC 9449 §4.2).
func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// infoRequest asks for userinfo by scheme, with a proof unless it is empty.
func infoRequest(scheme, token, proof string) *http.Request {
	r := mustRequest(http.MethodGet, "/userinfo", "")
	r.Header.Set("Authorization", scheme+" "+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r
}

func (k *holder) forInfo(token string) string {
	return k.proof("GET", issuer+"/userinfo", "ath", ath(token))
}

// A bound token works with its proof and in no other way, until it is revoked; one
// statement finds out about all of it (SC2, SC3, DESIGN §6).
func TestUserinfoWithProof(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	k, thief := h.holder(), h.holder()
	for form, scope := range map[string]string{"jwt": "openid card.basic", "opaque": "openid profile"} {
		status, out := h.proven(rp, k.forToken(), redeem(b.code(ask("scope", scope))))
		access, _ := out["access_token"].(string)
		if status != http.StatusOK || strings.Contains(access, ".") != (form == "jwt") {
			t.Fatalf("%d %v", status, out)
		}
		proof := k.forInfo(access)
		r := infoRequest("DPoP", access, proof)
		ctx, count := storage.WithQueryCount(r.Context())
		if w := h.serve(r.WithContext(ctx)); w.Code != http.StatusOK || count.Trips() != 1 || w.Header().Get("DPoP-Nonce") == "" {
			t.Errorf("%s: %d %s after %d statements", form, w.Code, w.Body, count.Trips())
		}
		for name, r := range map[string]*http.Request{
			"again":             infoRequest("DPoP", access, proof),
			"as Bearer":         infoRequest("Bearer", access, ""),
			"as Bearer, proved": infoRequest("Bearer", access, k.forInfo(access)),
			"of another":        infoRequest("DPoP", access, thief.forInfo(access)),
			"unproved":          infoRequest("DPoP", access, ""),
			"the token's proof": infoRequest("DPoP", access, k.forToken("ath", ath(access))),
		} {
			w := h.serve(r)
			if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "DPoP ") {
				t.Errorf("%s %s: %d %q", form, name, w.Code, w.Header().Get("WWW-Authenticate"))
			}
		}
		// A thief's attempts hurt nobody; a revocation shows at once.
		if w := h.serve(infoRequest("dpop", access, k.forInfo(access))); w.Code != http.StatusOK {
			t.Errorf("%s: the owner after all that: %d", form, w.Code)
		}
		h.call("/revoke", rp, url.Values{"token": {access}})
		if w := h.serve(infoRequest("DPoP", access, k.forInfo(access))); w.Code != http.StatusUnauthorized {
			t.Errorf("%s lives on: %d", form, w.Code)
		}
	}
}

// Of many requests with one proof one wins (G1, SC2).
func TestOneProofWinsAtUserinfo(t *testing.T) {
	h := newHouse(t)
	h.rp()
	b := h.browser()
	b.signIn(0, password(), totp())
	k := h.holder()
	for _, scope := range []string{"openid card.basic", "openid profile"} {
		_, out := h.proven(rp, k.forToken(), redeem(b.code(ask("scope", scope))))
		access := out["access_token"].(string)
		proof := k.forInfo(access)
		statuses := make(chan int, 20)
		var all sync.WaitGroup
		for range cap(statuses) {
			all.Go(func() { statuses <- h.serve(infoRequest("DPoP", access, proof)).Code })
		}
		all.Wait()
		close(statuses)
		won := 0
		for s := range statuses {
			if s == http.StatusOK {
				won++
			} else if s != http.StatusUnauthorized {
				t.Errorf("a loser got %d", s)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d requests won", scope, won)
		}
	}
}

// Tokens bound to a certificate work over a connection that has it (RFC 8705 §3).
func TestUserinfoWithCertificate(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"certified","client_name":"Certified","tls_client_certificate_bound_access_tokens":true,"redirect_uris":["` + callback + `"],
		"first_party":true,"scope":"openid profile card.basic"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	over := func(r *http.Request, der string) *httptest.ResponseRecorder {
		if der != "" {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(der)}}}
		}
		return h.serve(r)
	}
	for _, scope := range []string{"openid card.basic", "openid profile"} {
		out := jsonOf(t, over(h.tokenRequest("certified", "", redeem(b.code(ask("client_id", "certified", "scope", scope)))), "theirs"))
		access, _ := out["access_token"].(string)
		if out["token_type"] != "Bearer" || access == "" {
			t.Fatalf("%v", out)
		}
		for der, want := range map[string]int{"theirs": 200, "": 401, "another": 401} {
			if w := over(infoRequest("Bearer", access, ""), der); w.Code != want {
				t.Errorf("%s over %q: %d", scope, der, w.Code)
			}
		}
		// A header of somebody who is no proxy of ours is no certificate (SC4).
		r := infoRequest("Bearer", access, "")
		r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString([]byte("theirs"))+":")
		if w := h.serve(r); w.Code != http.StatusUnauthorized {
			t.Errorf("%s by header: %d", scope, w.Code)
		}
	}
}

// decrypting makes a client with a key to encrypt to, and its reader.
func (h *house) decrypting(id, members string) func(token string) string {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := josev3.JSONWebKey{Key: &key.PublicKey, Use: "enc", KeyID: "e1"}.MarshalJSON()
	if err != nil {
		h.t.Fatal(err)
	}
	h.client(`{"client_id":"` + id + `","client_name":"Discreet","jwks":{"keys":[` + string(public) + `]},` + members + `}`)
	return func(token string) string {
		h.t.Helper()
		sealed, err := josev3.ParseEncrypted(token)
		if err != nil {
			h.t.Fatalf("%v in %s", err, token)
		}
		plain, err := sealed.Decrypt(key)
		if err != nil || sealed.Header.ExtraHeaders["cty"] != "JWT" || sealed.Header.KeyID != "e1" {
			h.t.Fatalf("%v %+v", err, sealed.Header)
		}
		return string(plain)
	}
}

// What a client wants encrypted it gets as a JWE around a JWT (OpenID Connect Core
// §10.2), and its hint is the JWT.
func TestEncryptedAnswers(t *testing.T) {
	h := newHouse(t)
	read := h.decrypting("discreet", `"redirect_uris":["`+callback+`"],"first_party":true,"scope":"openid profile",
		"id_token_encrypted_response_alg":"ECDH-ES","userinfo_signed_response_alg":"ES256",
		"userinfo_encrypted_response_alg":"ECDH-ES+A256KW","userinfo_encrypted_response_enc":"A128CBC-HS256"`)
	b := h.browser()
	b.signIn(0, password(), totp())
	status, out := h.call("/token", "discreet", redeem(b.code(ask("client_id", "discreet", "scope", "openid profile", "nonce", "n"))))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	var id, info map[string]any
	inner := read(out["id_token"].(string))
	if header := h.claims(inner, &id); !header.Is("JWT") || id["nonce"] != "n" || id["sid"] == nil {
		t.Errorf("%+v %v", header, id)
	}
	w := h.userinfo(out["access_token"].(string))
	if header := h.claims(read(w.Body.String()), &info); header.Type != "" || info["name"] != "王小明" || info["aud"] != "discreet" || info["sub"] != id["sub"] {
		t.Errorf("%+v %v", header, info)
	}
	hinted := ask("client_id", "discreet", "scope", "openid profile", "prompt", "none", "id_token_hint", inner)
	if got := answer(t, b.get("/authorize?"+hinted.Encode())); got.Get("code") == "" {
		t.Errorf("%v", got)
	}
	hinted.Set("id_token_hint", out["id_token"].(string))
	if got := answer(t, b.get("/authorize?"+hinted.Encode())); got.Get("error") != "invalid_request" {
		t.Errorf("a hint nobody here can read: %v", got)
	}
}

// With no key to encrypt to nothing is spent, and nothing said in clear.
func TestNothingToEncryptTo(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"distant","client_name":"Distant","jwks_uri":"https://rp.example/jwks","redirect_uris":["` + callback + `"],"first_party":true,
		"scope":"openid profile","id_token_encrypted_response_alg":"ECDH-ES"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	code := b.code(ask("client_id", "distant", "scope", "openid profile"))
	if status, out := h.call("/token", "distant", redeem(code)); status != http.StatusServiceUnavailable || out["id_token"] != nil || out["access_token"] != nil {
		t.Errorf("%d %v", status, out)
	}
	// The code was not spent on what could not be made.
	h.client(`{"client_id":"distant","client_name":"Distant","redirect_uris":["` + callback + `"],"first_party":true,"scope":"openid profile",
		"userinfo_encrypted_response_alg":"ECDH-ES","jwks_uri":"https://rp.example/jwks"}`)
	status, out := h.call("/token", "distant", redeem(code))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	if w := h.userinfo(out["access_token"].(string)); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "server_error") || strings.Contains(w.Body.String(), "sub") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// SM2 for whoever wants it, in everything that is signed (DESIGN D4).
func TestNationalAnswers(t *testing.T) {
	h := newHouse(t)
	h.client(`{"client_id":"national","client_name":"National","redirect_uris":["` + callback + `"],"first_party":true,"scope":"openid profile card.basic",
		"id_token_signed_response_alg":"SGD_SM3_SM2","access_token_signed_response_alg":"SGD_SM3_SM2","userinfo_signed_response_alg":"SGD_SM3_SM2"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	status, out := h.call("/token", "national", redeem(b.code(ask("client_id", "national", "scope", "openid profile card.basic"))))
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	access := out["access_token"].(string)
	set, err := jose.ParseSet(h.browser().get("/sm2-jwks").Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"access": access, "id": out["id_token"].(string), "userinfo": h.userinfo(access).Body.String(),
	} {
		token, err := jose.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v in %s", name, err, text)
		}
		verified, err := token.Verify(set, jose.SM2)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var claims map[string]any
		if err := verified.Claims(&claims); err != nil || claims["iss"] != issuer {
			t.Errorf("%s: %v %v", name, claims, err)
		}
		if name == "id" && claims["at_hash"] != jose.HalfHash(jose.SM2, access) {
			t.Error("at_hash is not by SM3")
		}
	}
}

// A floor that was raised asks for another login (RFC 9470 §3).
func TestUserinfoStepUp(t *testing.T) {
	h := newHouse(t)
	h.rp()
	access := h.tokens("openid card.basic")["access_token"].(string)
	h.client(`{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + callback + `"],"min_acr":"urn:ecardid:acr:bound",
		"grant_types":["authorization_code","refresh_token"],"scope":"openid card.basic"}`)
	w := h.userinfo(access)
	if got := w.Header().Get("WWW-Authenticate"); w.Code != http.StatusUnauthorized ||
		!strings.Contains(got, `error="insufficient_user_authentication"`) || !strings.Contains(got, `acr_values="urn:ecardid:acr:bound"`) {
		t.Errorf("%d %q", w.Code, got)
	}
}

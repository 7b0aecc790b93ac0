package userinfo

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/clientkeys"
	"ecardid/oauth/dpop"
	"ecardid/oauth/encrypt"
	"ecardid/oauth/mtls"
)

var b64 = base64.RawURLEncoding.EncodeToString

func challenges(w *httptest.ResponseRecorder) string {
	return strings.Join(w.Header().Values("WWW-Authenticate"), " | ")
}

// Each form of token by each scheme, with and without what it is bound to (SC3).
func TestBindings(t *testing.T) {
	h := newHouse(t)
	o, other := newHolder(t), newHolder(t)
	cert, another := certificate(t), certificate(t)
	x5t := oauth.Binding{X5T: mtls.Thumbprint(cert)}
	both := oauth.Binding{JKT: o.binding().JKT, X5T: x5t.X5T}
	const bearer, proven = "Bearer ", "DPoP "
	for form, token := range map[string]func(oauth.Binding) string{"jwt": h.jwt, "handle": h.handle} {
		free, bound, tied, double := token(oauth.Binding{}), token(o.binding()), token(x5t), token(both)
		good := func(token string) string { return o.proof(t, token) }
		for _, c := range []struct {
			name, authorization string
			proofs              []string
			cert                *x509.Certificate
			status              int
			says                string // in the challenge
		}{
			{"bearer", bearer + free, nil, nil, 200, ""},
			{"bearer-small", "bearer " + free, nil, nil, 200, ""},
			// Whoever always sends a proof is not refused for a token that needs none.
			{"bearer-with-proof", bearer + free, []string{good(free)}, nil, 200, ""},
			{"bearer-with-certificate", bearer + free, nil, cert, 200, ""},
			{"bearer-as-DPoP", proven + free, []string{good(free)}, nil, 401, `error="invalid_token"`},
			{"bearer-as-DPoP-unproven", proven + free, nil, nil, 401, `DPoP realm=`},

			{"DPoP", proven + bound, []string{good(bound)}, nil, 200, ""},
			{"DPoP-small", "dpop " + bound, []string{good(bound)}, nil, 200, ""},
			{"DPoP-capitals", "DPOP " + bound, []string{good(bound)}, nil, 200, ""},
			{"bound-as-Bearer", bearer + bound, nil, nil, 401, `DPoP realm="https://id.example", error="invalid_token"`},
			{"bound-as-Bearer-with-proof", bearer + bound, []string{good(bound)}, nil, 401, `DPoP realm="https://id.example", error="invalid_token"`},
			{"no-proof", proven + bound, nil, nil, 401, `error="invalid_dpop_proof"`},
			{"two-proofs", proven + bound, []string{good(bound), good(bound)}, nil, 401, `error="invalid_dpop_proof"`},
			{"not-a-proof", proven + bound, []string{"x"}, nil, 401, `error="invalid_dpop_proof"`},
			{"the-token-as-proof", proven + bound, []string{bound}, nil, 401, `error="invalid_dpop_proof"`},
			{"no-ath", proven + bound, []string{o.proof(t, bound, "ath", "")}, nil, 401, `error="invalid_dpop_proof"`},
			{"ath-of-another", proven + bound, []string{good(free)}, nil, 401, `error="invalid_dpop_proof"`},
			{"other-method", proven + bound, []string{o.proof(t, bound, "htm", "POST")}, nil, 401, `error="invalid_dpop_proof"`},
			{"other-url", proven + bound, []string{o.proof(t, bound, "htu", issuer+"/token")}, nil, 401, `error="invalid_dpop_proof"`},
			{"url-of-Host", proven + bound, []string{o.proof(t, bound, "htu", "https://evil.example/userinfo")}, nil, 401, `error="invalid_dpop_proof"`},
			{"url-with-query", proven + bound, []string{o.proof(t, bound, "htu", issuer+"/userinfo?a=b#c")}, nil, 200, ""},
			{"an-hour-old", proven + bound, []string{o.proof(t, bound, "iat", noon.Unix()-3600)}, nil, 401, `error="invalid_dpop_proof"`},
			{"an-hour-ahead", proven + bound, []string{o.proof(t, bound, "iat", noon.Unix()+3600)}, nil, 401, `error="invalid_dpop_proof"`},
			{"foreign-nonce", proven + bound, []string{o.proof(t, bound, "nonce", "x")}, nil, 401, `error="use_dpop_nonce"`},
			{"our-nonce", proven + bound, []string{o.proof(t, bound, "nonce", h.Proofs.Nonces.Next(noon))}, nil, 200, ""},
			{"other-key", proven + bound, []string{other.proof(t, bound)}, nil, 401, `error="invalid_`},

			{"certificate", bearer + tied, nil, cert, 200, ""},
			{"certificate-missing", bearer + tied, nil, nil, 401, `Bearer realm="https://id.example", error="invalid_token"`},
			{"certificate-of-another", bearer + tied, nil, another, 401, `error="invalid_token"`},
			{"certificate-as-DPoP", proven + tied, []string{good(tied)}, cert, 401, `error="invalid_token"`},

			{"both", proven + double, []string{good(double)}, cert, 200, ""},
			{"both-without-certificate", proven + double, []string{good(double)}, nil, 401, `error="invalid_token"`},
			{"both-without-proof", bearer + double, nil, cert, 401, `error="invalid_token"`},

			{"nothing", "", nil, nil, 401, `algs="ES256 PS256 EdDSA SGD_SM3_SM2"`},
			{"other-scheme", "Basic " + free, nil, nil, 400, "invalid_request"},
			{"two-blanks", "DPoP  " + bound, []string{good(bound)}, nil, 400, "invalid_request"},
		} {
			t.Run(form+"/"+c.name, func(t *testing.T) {
				w := h.ask(c.authorization, c.cert, c.proofs...)
				if w.Code != c.status || !strings.Contains(challenges(w), c.says) {
					t.Errorf("%d %q %s", w.Code, challenges(w), w.Body)
				}
				if (c.status == 200) != strings.Contains(w.Body.String(), `"sub"`) || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s %v", w.Body, w.Header())
				}
			})
		}
	}
}

// A proof is good once, is used up by the one read there is, and only a token of
// ours makes us remember one.
func TestProofsAreSpent(t *testing.T) {
	h := newHouse(t)
	o := newHolder(t)
	for form, token := range map[string]string{"jwt": h.jwt(o.binding()), "handle": h.handle(o.binding())} {
		h.reads, h.spends, h.seen = nil, 0, map[string]bool{}
		proof := o.proof(t, token)
		if w := h.ask("DPoP "+token, nil, proof); w.Code != 200 || len(h.reads) != 1 || h.spends != 0 || len(h.seen) != 1 {
			t.Errorf("%s: %d after %d reads and %d more", form, w.Code, len(h.reads), h.spends)
		}
		if w := h.ask("DPoP "+token, nil, proof); w.Code != 401 || !strings.Contains(challenges(w), `DPoP realm="https://id.example", error="invalid_dpop_proof"`) {
			t.Errorf("%s again: %d %q", form, w.Code, challenges(w))
		}
		h.seen = map[string]bool{}
		for name, junk := range map[string]string{
			"flipped": token[:len(token)-2] + "AA", "handle": "eca_" + strings.Repeat("A", 54), "jwt": "e30.e30.AA", "word": "x",
		} {
			if w := h.ask("DPoP "+junk, nil, o.proof(t, junk)); w.Code != 401 || len(h.seen) != 0 {
				t.Errorf("%s %s: %d, and %d are remembered", form, name, w.Code, len(h.seen))
			}
		}
	}
	// A store that fails is an error of ours, and the answer says nothing else.
	h.fail = errors.New("disk full")
	token := h.handle(o.binding())
	if w := h.ask("DPoP "+token, nil, o.proof(t, token)); w.Code != 500 || strings.Contains(w.Body.String(), "disk") || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A client that is held to nonces is held to them here (RFC 9449 §9).
func TestRequiredNonce(t *testing.T) {
	h := newHouse(t)
	h.client.RequireNonce = true
	o := newHolder(t)
	for form, token := range map[string]string{"jwt": h.jwt(o.binding()), "handle": h.handle(o.binding())} {
		w := h.ask("DPoP "+token, nil, o.proof(t, token))
		if w.Code != 401 || !strings.Contains(challenges(w), `error="use_dpop_nonce"`) {
			t.Errorf("%s: %d %q", form, w.Code, challenges(w))
		}
		if w := h.ask("DPoP "+token, nil, o.proof(t, token, "nonce", w.Header().Get("DPoP-Nonce"))); w.Code != 200 {
			t.Errorf("%s with the nonce: %d %q", form, w.Code, challenges(w))
		}
	}
}

// Claims come by scope, and one by one as far as the client may have them at all.
func TestClaims(t *testing.T) {
	h := newHouse(t)
	h.grant.Claims.UserInfo = []string{"phone_number", "id_number", "name", "sub"}
	for form, c := range map[string]struct {
		token string
		reads int
	}{
		"jwt":    {h.jwt(oauth.Binding{}), 2},    // the second opens what the scopes alone do not
		"handle": {h.handle(oauth.Binding{}), 1}, // asks for all there are at once
	} {
		h.reads = nil
		w := h.ask("Bearer "+c.token, nil)
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"sub": h.Issuer.Subjects.Subject(h.client, h.grant.Citizen), "name": "the name", "updated_at": "the updated_at",
			"phone_number": "the phone_number",
		}
		if len(out) != len(want) || len(h.reads) != c.reads {
			t.Errorf("%s: %v after %d reads", form, out, len(h.reads))
		}
		for name, value := range want {
			if out[name] != value {
				t.Errorf("%s: %s is %v", form, name, out[name])
			}
		}
	}
	// The ceiling was lowered since.
	h.client.Scope = "openid profile"
	h.reads = nil
	if w := h.ask("Bearer "+h.jwt(oauth.Binding{}), nil); w.Code != 200 || strings.Contains(w.Body.String(), "phone") || len(h.reads) != 1 || slices.Contains(h.reads[0], "phone_number") {
		t.Errorf("%d %s after %v", w.Code, w.Body, h.reads)
	}
}

// Where the floor was raised since, the client is told to come back with more.
func TestStepUp(t *testing.T) {
	h := newHouse(t)
	for form, token := range map[string]string{"jwt": h.jwt(oauth.Binding{}), "handle": h.handle(oauth.Binding{})} {
		h.client.MinACR = "urn:ecardid:acr:mfa"
		if w := h.ask("Bearer "+token, nil); w.Code != 200 {
			t.Errorf("%s: %d", form, w.Code)
		}
		h.client.MinACR = "urn:ecardid:acr:bound"
		w := h.ask("Bearer "+token, nil)
		if w.Code != 401 || !strings.Contains(challenges(w), `error="insufficient_user_authentication"`) ||
			!strings.HasSuffix(challenges(w), `acr_values="urn:ecardid:acr:bound"`) {
			t.Errorf("%s: %d %q", form, w.Code, challenges(w))
		}
	}
}

// The answer as the client has registered for it.
func TestSignedAndEncrypted(t *testing.T) {
	h := newHouse(t)
	h.Issuer.Encrypter = encrypt.Encrypter{Documents: &clientkeys.Source{Clock: h.Clock, Log: h.Respond.Log}}
	o := newHolder(t)
	jwk, err := json.Marshal(o.key.Unnamed())
	if err != nil {
		t.Fatal(err)
	}
	token := h.handle(oauth.Binding{})
	get := func() *httptest.ResponseRecorder { return h.ask("Bearer "+token, nil) }

	h.client.UserInfoSignedAlg = string(jose.ES256)
	w := get()
	parsed, err := jose.Parse(w.Body.String())
	if err != nil || w.Header().Get("Content-Type") != "application/jwt" {
		t.Fatalf("%v %v", err, w.Header())
	}
	verified, err := parsed.Verify(h.Issuer.Keys.Ring(), jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil || claims["iss"] != issuer || claims["aud"] != "pension" || claims["name"] != "the name" || claims["sub"] == nil {
		t.Errorf("%v %v", claims, err)
	}
	if _, err := h.Issuer.ReadHint(w.Body.String(), "pension"); err == nil {
		t.Error("it passes for an ID token") // G2
	}
	if w := h.ask("Bearer "+w.Body.String(), nil); w.Code != 401 {
		t.Errorf("it passes for an access token: %d", w.Code)
	}

	for _, signed := range []string{"", string(jose.ES256)} {
		h.client.UserInfoSignedAlg, h.client.UserInfoEncryptedAlg, h.client.UserInfoEncryptedEnc = signed, "ECDH-ES", "A256GCM"
		h.client.JWKS = []byte(`{"keys":[` + strings.Replace(string(jwk), `"use":"sig","alg":"ES256"`, `"use":"enc"`, 1) + `]}`)
		if w := get(); w.Code != 200 || strings.Count(w.Body.String(), ".") != 4 || w.Header().Get("Content-Type") != "application/jwt" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		// Without a key to encrypt to nothing is said at all.
		h.client.JWKS, h.fail = nil, nil
		r := httptest.NewRequest("GET", "/userinfo", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 500 || !strings.Contains(w.Body.String(), "server_error") || strings.Contains(w.Body.String(), "the name") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// FuzzAuthorization: whatever the headers say, nobody is told anything without a
// token.
func FuzzAuthorization(f *testing.F) {
	h := newHouse(f)
	o := newHolder(f)
	bound := h.jwt(o.binding())
	f.Add("DPoP "+bound, o.proof(f, bound, "ath", dpop.Hash("x")))
	f.Add("Bearer "+bound, "")
	f.Add("DPoP ", "a.b.c")
	f.Fuzz(func(t *testing.T, authorization, proof string) {
		r := httptest.NewRequest("GET", "/userinfo", nil)
		r.Header["Authorization"], r.Header["Dpop"] = []string{authorization}, []string{proof}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 400 && w.Code != 401 || strings.Contains(w.Body.String(), "sub") {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

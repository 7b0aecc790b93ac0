package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"ecardid/internal/jose"
)

// A holder holds a DPoP key.
type holder struct {
	h   *house
	key *ecdsa.PrivateKey
	jwk string
	n   int
}

func (h *house) holder() *holder {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		h.t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	// The order of RFC 7638 §3.2, so that the text is what the thumbprint is of.
	return &holder{h: h, key: key, jwk: fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:33]), b64(point[33:]))}
}

func (k *holder) jkt() string {
	sum := sha256.Sum256([]byte(k.jwk))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proof proves the key for one request (RFC 9449 §4.2); more are further claims,
// name and value.
func (k *holder) proof(method, uri string, more ...string) string {
	k.h.t.Helper()
	k.n++
	claims := map[string]any{"jti": fmt.Sprint("proof-", k.n), "htm": method, "htu": uri, "iat": k.h.clock.Now().Unix()}
	for i := 0; i < len(more); i += 2 {
		claims[more[i]] = more[i+1]
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		k.h.t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+k.jwk+`}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.key, sum[:])
	if err != nil {
		k.h.t.Fatal(err)
	}
	return input + "." + b64(append(padded(r), padded(s)...))
}

func padded(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// forToken is a proof for the token endpoint.
func (k *holder) forToken(more ...string) string { return k.proof("POST", issuer+"/token", more...) }

// tokenRequest is a request of a client with Basic credentials, or of one without
// any, and with a proof unless it is empty.
func (h *house) tokenRequest(client, proof string, form url.Values) *http.Request {
	if h.secretOf[client] == "" {
		form.Set("client_id", client)
	}
	r := mustRequest(http.MethodPost, "/token", form.Encode())
	if h.secretOf[client] != "" {
		r.SetBasicAuth(client, h.secretOf[client])
	}
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r
}

// serve answers one request, of a browser or not.
func (h *house) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w
}

func (h *house) proven(client, proof string, form url.Values) (int, map[string]any) {
	h.t.Helper()
	w := h.serve(h.tokenRequest(client, proof, form))
	if w.Header().Get("DPoP-Nonce") == "" {
		h.t.Errorf("no DPoP-Nonce beside %s", w.Body)
	}
	return w.Code, jsonOf(h.t, w)
}

func refreshing(token string, more ...string) url.Values {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return form
}

func cnf(h *house, token any, member string) any {
	h.t.Helper()
	var claims map[string]any
	h.claims(token.(string), &claims)
	bound, _ := claims["cnf"].(map[string]any)
	return bound[member]
}

// asserted makes a client of private_key_jwt and the maker of its assertions.
func (h *house) asserted(id, members string) func(form url.Values) url.Values {
	h.t.Helper()
	key, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := key.Public().MarshalJSON()
	if err != nil {
		h.t.Fatal(err)
	}
	h.client(`{"client_id":"` + id + `","client_name":"Asserted","token_endpoint_auth_method":"private_key_jwt",
		"token_endpoint_auth_signing_alg":"ES256","jwks":{"keys":[` + string(public) + `]},` + members + `}`)
	n := 0
	return func(form url.Values) url.Values {
		n++
		now := h.clock.Now()
		assertion, err := jose.Sign(key, "JWT", jose.Standard{
			Issuer: id, Subject: id, Audience: jose.To(issuer), ID: fmt.Sprint("assertion-", n),
			IssuedAt: jose.Date(now), Expires: jose.Date(now.Add(time.Minute)),
		})
		if err != nil {
			h.t.Fatal(err)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		return form
	}
}

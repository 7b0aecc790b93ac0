package house

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
)

// A Holder holds a key that tokens are bound to (RFC 9449).
type Holder struct {
	key *ecdsa.PrivateKey
	jwk string
	now func() time.Time
}

// NewHolder makes a key. The house may be nil: then time is the world's.
func NewHolder(t testing.TB, h *House) *Holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// The members in the order of RFC 7638 §3.2, so that the text is what is hashed.
	k := &Holder{key: key, jwk: fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:33]), b64(point[33:])), now: time.Now}
	if h != nil {
		k.now = h.Clock.Now
	}
	return k
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func hash64(s string) string {
	sum := sha256.Sum256([]byte(s))
	return b64(sum[:])
}

// JKT is the key's thumbprint.
func (k *Holder) JKT() string { return hash64(k.jwk) }

// Proof proves the key for one request; access is the token that comes with it, or
// empty.
func (k *Holder) Proof(t testing.TB, method, uri, access string) string {
	t.Helper()
	claims := map[string]any{"jti": identity.NewID().String(), "htm": method, "htu": uri, "iat": k.now().Unix()}
	if access != "" {
		claims["ath"] = hash64(access)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	input := b64([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+k.jwk+`}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// A Bank is an application that says who it is with a key, and binds its tokens to
// another.
type Bank struct {
	t     testing.TB
	house *House

	ID       string
	Redirect string
	Key      jose.Key
	Holder   *Holder
}

// Bank registers one, with a key for alg. More is put over its metadata, which is
// that of profile fapi2.
func (h *House) Bank(t testing.TB, id string, alg jose.Alg, more map[string]any) *Bank {
	t.Helper()
	key, err := jose.Generate(alg, id+"-1")
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	b := &Bank{t: t, house: h, ID: id, Redirect: "https://" + id + ".test/cb", Key: key, Holder: NewHolder(t, h)}
	metadata := map[string]any{
		"client_id": id, "client_name": "Bank " + id, "client_name#zh-CN": "银行" + id, "redirect_uris": []string{b.Redirect},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": public, "grant_types": []string{"authorization_code", "refresh_token"},
		"response_modes": []string{"query", "form_post", "jwt", "query.jwt", "form_post.jwt"}, "scope": AllScopes, "profile": "fapi2",
		"authorization_details_types": []string{"insurance_payment"},
	}
	maps.Copy(metadata, more)
	h.Register(t, metadata)
	return b
}

// Ask begins a request; more are further parameters.
func (b *Bank) Ask(scope string, more ...string) *Request {
	p := &Relying{t: b.t, house: b.house, ID: b.ID, Redirect: b.Redirect}
	return p.Ask(scope, more...)
}

func (b *Bank) sign(typ string, claims map[string]any) string {
	b.t.Helper()
	token, err := jose.Sign(b.Key, typ, claims)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// Assertion says who the bank is, once.
func (b *Bank) Assertion() string {
	b.t.Helper()
	now := b.house.Clock.Now()
	return b.sign("JWT", map[string]any{
		"iss": b.ID, "sub": b.ID, "aud": b.house.Issuer, "jti": identity.NewID().String(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
}

// Object is the request as a request object.
func (b *Bank) Object(q *Request) string {
	b.t.Helper()
	now := b.house.Clock.Now()
	claims := map[string]any{"iss": b.ID, "aud": b.house.Issuer, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name := range q.Values {
		claims[name] = q.Values.Get(name)
	}
	for _, name := range []string{"authorization_details", "claims"} {
		if text := q.Values.Get(name); text != "" {
			claims[name] = json.RawMessage(text)
		}
	}
	return b.sign("oauth-authz-req+jwt", claims)
}

// Post sends a form to a replica, with an assertion unless the form has one and a
// proof by the holder unless that is nil.
func (b *Bank) Post(at, path string, k *Holder, form url.Values) (*Answer, map[string]any) {
	b.t.Helper()
	form = maps.Clone(form)
	if !form.Has("client_assertion") {
		form.Set("client_assertion", b.Assertion())
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	header := http.Header{}
	if k != nil {
		header["DPoP"] = []string{k.Proof(b.t, http.MethodPost, b.house.Issuer+path, "")}
	}
	r := b.house.Robot(b.t)
	r.At = at
	a := r.Raw(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), header)
	var out map[string]any
	if json.Unmarshal([]byte(a.Body), &out) != nil {
		b.t.Fatalf("%s answered %d %q", path, a.Status, a.Body)
	}
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		if value, ok := out[name].(string); ok {
			b.house.secrets.saw(name, value)
		}
	}
	return a, out
}

// Push pushes the request, signed, and returns the path a browser is sent to.
func (b *Bank) Push(at string, q *Request) string {
	b.t.Helper()
	a, out := b.Post(at, "/par", b.Holder, url.Values{"client_id": {b.ID}, "request": {b.Object(q)}})
	handle, _ := out["request_uri"].(string)
	if a.Status != http.StatusCreated || handle == "" {
		b.t.Fatalf("pushing: %d %v", a.Status, out)
	}
	return "/authorize?" + url.Values{"client_id": {b.ID}, "request_uri": {handle}}.Encode()
}

// Redeem redeems a code with the holder's key.
func (b *Bank) Redeem(at string, k *Holder, q *Request, code string) (*Answer, map[string]any) {
	b.t.Helper()
	return b.Post(at, "/token", k, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {q.Values.Get("redirect_uri")}, "code_verifier": {q.Verifier},
	})
}

// Userinfo asks userinfo of a replica with a bound token and a proof.
func (b *Bank) Userinfo(at, scheme, access, proof string) (int, map[string]any) {
	b.t.Helper()
	header := http.Header{"Authorization": {scheme + " " + access}}
	if proof != "" {
		header["DPoP"] = []string{proof}
	}
	r := b.house.Robot(b.t)
	r.At = at
	a := r.Raw(http.MethodGet, "/userinfo", "", nil, header)
	var claims map[string]any
	_ = json.Unmarshal([]byte(a.Body), &claims)
	return a.Status, claims
}

// Opened verifies what the server signed, with the keys it publishes for alg.
func (h *House) Opened(t testing.TB, token, typ string, alg jose.Alg) map[string]any {
	t.Helper()
	path := "/jwks"
	if alg == jose.SM2 {
		path = "/sm2-jwks"
	}
	set, err := jose.ParseSet([]byte(h.Robot(t).Get(path).Body))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := parsed.Verify(set, alg)
	if err != nil || parsed.Header.Type != typ && !parsed.Header.Is(typ) {
		t.Fatalf("signed as %+v: %v", parsed.Header, err)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

package jar

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
	"ecardid/oauth/form"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const issuer = "https://id.example"

var known = form.Known{"client_id", "redirect_uri", "scope", "state", "max_age", "claims", "authorization_details", "resource"}

// fixed are keys that do not change.
type fixed struct{ jose.Set }

func (f fixed) Verify(_ context.Context, _ *oauth.Client, token jose.Token, allowed ...jose.Alg) (jose.Verified, error) {
	return token.Verify(f.Set, allowed...)
}

func newKey(t testing.TB, alg jose.Alg, kid string) jose.Key {
	t.Helper()
	key, err := jose.Generate(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func set(t testing.TB, keys ...jose.Key) jose.Set {
	t.Helper()
	s, err := jose.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// right are the claims of an object that is right, with changes; nil takes one away.
func right(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": "bank", "aud": issuer, "client_id": "bank", "exp": noon.Add(time.Minute).Unix(), "nbf": noon.Unix(),
		"redirect_uri": "https://bank.example/cb", "scope": "openid", "state": "s", "nonsense": 1,
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func TestRead(t *testing.T) {
	mine, other := newKey(t, jose.ES256, "k1"), newKey(t, jose.ES256, "k1")
	edwards, national := newKey(t, jose.EdDSA, "ed"), newKey(t, jose.SM2, "sm2")
	rsa := newKey(t, jose.RS256, "rs")
	keys := fixed{set(t, mine, edwards, national, rsa)}
	fapi := oauth.Client{ID: "bank", Profile: oauth.ProfileFAPI2}
	old := oauth.Client{ID: "bank", Profile: oauth.ProfileOIDC}
	with := func(c oauth.Client, alg jose.Alg) oauth.Client { c.RequestObjectAlg = string(alg); return c }
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	for _, c := range []struct {
		name    string
		client  oauth.Client
		key     jose.Key
		typ     string
		changes map[string]any
		ok      bool
	}{
		{"plain", fapi, mine, "", nil, true},
		{"typ-jwt", fapi, mine, "JWT", nil, true},
		{"typ-jar", fapi, mine, "oauth-authz-req+jwt", nil, true},
		{"typ-jar-long", fapi, mine, "application/oauth-authz-req+jwt", nil, true},
		{"typ-of-a-proof", fapi, mine, "dpop+jwt", nil, false},
		{"typ-of-an-access-token", fapi, mine, "at+jwt", nil, false},
		{"eddsa", fapi, edwards, "", nil, true},
		{"sm2", fapi, national, "", nil, true},
		{"rs256-unregistered", fapi, rsa, "", nil, false},
		{"rs256-fapi", with(fapi, jose.RS256), rsa, "", nil, false},
		{"rs256-oidc", with(old, jose.RS256), rsa, "", nil, true},
		{"rs256-oidc-unregistered", old, rsa, "", nil, false},
		{"another-alg-than-registered", with(fapi, jose.PS256), mine, "", nil, false},
		{"none-registered", with(old, "none"), mine, "", nil, false},
		{"signed-by-somebody-else", fapi, other, "", nil, false},
		{"kid-unknown", fapi, newKey(t, jose.ES256, "k2"), "", nil, false},

		{"no-iss", fapi, mine, "", map[string]any{"iss": nil}, false},
		{"iss-of-another", fapi, mine, "", map[string]any{"iss": "other"}, false},
		{"no-aud", fapi, mine, "", map[string]any{"aud": nil}, false},
		{"aud-other", fapi, mine, "", map[string]any{"aud": "https://other.example"}, false},
		{"aud-slash", fapi, mine, "", map[string]any{"aud": issuer + "/"}, false},
		{"aud-several", fapi, mine, "", map[string]any{"aud": []string{"https://other.example", issuer}}, true},
		{"aud-number", fapi, mine, "", map[string]any{"aud": 1}, false},
		{"no-client-id", fapi, mine, "", map[string]any{"client_id": nil}, false},
		{"client-id-of-another", fapi, mine, "", map[string]any{"client_id": "other"}, false},
		{"client-id-number", fapi, mine, "", map[string]any{"client_id": 1}, false},
		{"sub-is-the-client", fapi, mine, "", map[string]any{"sub": "bank"}, false},

		{"no-exp", fapi, mine, "", map[string]any{"exp": nil}, false},
		{"no-exp-oidc", old, mine, "", map[string]any{"exp": nil}, false},
		{"expired", fapi, mine, "", map[string]any{"exp": at(-time.Minute)}, false},
		{"exp-60m", fapi, mine, "", map[string]any{"exp": at(time.Hour)}, true},
		{"exp-70m", fapi, mine, "", map[string]any{"exp": at(70 * time.Minute)}, false},
		{"exp-text", fapi, mine, "", map[string]any{"exp": "soon"}, false},
		{"no-nbf", fapi, mine, "", map[string]any{"nbf": nil}, false},
		{"no-nbf-oidc", old, mine, "", map[string]any{"nbf": nil}, true},
		{"nbf-8s-ahead", fapi, mine, "", map[string]any{"nbf": at(8 * time.Second)}, true},
		{"nbf-60s-ahead", fapi, mine, "", map[string]any{"nbf": at(time.Minute)}, false},
		{"nbf-60m", fapi, mine, "", map[string]any{"nbf": at(-time.Hour)}, true},
		{"nbf-70m", fapi, mine, "", map[string]any{"nbf": at(-70 * time.Minute)}, false},
		{"iat-ahead", fapi, mine, "", map[string]any{"iat": at(time.Minute)}, false},

		{"request-inside", fapi, mine, "", map[string]any{"request": "x"}, false},
		{"request-uri-inside", fapi, mine, "", map[string]any{"request_uri": "urn:x"}, false},
		{"state-number", fapi, mine, "", map[string]any{"state": 1}, false},
		{"state-object", fapi, mine, "", map[string]any{"state": map[string]any{}}, false},
		{"state-null", fapi, mine, "", map[string]any{"state": json.RawMessage("null")}, false},
		{"state-nul", fapi, mine, "", map[string]any{"state": "a\x00"}, false},
		{"scope-array", fapi, mine, "", map[string]any{"scope": []string{"openid"}}, false},
		{"claims-array", fapi, mine, "", map[string]any{"claims": []string{}}, false},
		{"details-object", fapi, mine, "", map[string]any{"authorization_details": map[string]any{}}, false},
		{"resource-numbers", fapi, mine, "", map[string]any{"resource": []int{1}}, false},
		{"resource-many", fapi, mine, "", map[string]any{"resource": slices.Repeat([]string{"urn:a"}, 21)}, false},
		{"max-age-true", fapi, mine, "", map[string]any{"max_age": true}, false},
		{"max-age-negative", fapi, mine, "", map[string]any{"max_age": -1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			object, err := jose.Sign(c.key, c.typ, right(c.changes))
			if err != nil {
				t.Fatal(err)
			}
			r := &Reader{Issuer: issuer, Keys: keys, Clock: clock.At(noon)}
			got, err := r.Read(t.Context(), &c.client, object, known)
			if (err == nil) != c.ok || err != nil && (got != nil || !errors.Is(err, fosite.ErrInvalidRequestObject)) {
				t.Fatalf("%v, %v", got, err)
			}
			if want := "client_id=bank&redirect_uri=https%3A%2F%2Fbank.example%2Fcb&scope=openid&state=s"; err == nil && got.Encode() != want {
				t.Errorf("read %s", got.Encode())
			}
		})
	}
}

// Structures come through as they are written, numbers as digits.
func TestParameters(t *testing.T) {
	key := newKey(t, jose.ES256, "k1")
	client := &oauth.Client{ID: "bank", Profile: oauth.ProfileFAPI2}
	r := &Reader{Issuer: issuer, Keys: fixed{set(t, key)}, Clock: clock.At(noon)}
	claims := `{"id_token":{"acr":{"essential":true,"values":["a","b"]}},"userinfo":{"name":null}}`
	details := `[{"type":"insurance_payment","amount":{"currency":"CNY","value":"12.50"}}]`
	object, err := jose.Sign(key, "", right(map[string]any{
		"claims": json.RawMessage(claims), "authorization_details": json.RawMessage(details), "max_age": 300,
		"resource": []string{"urn:a", "urn:b"}, "state": "中文 & +%\"", "scope": "",
	}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Read(t.Context(), client, object, known)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"claims": claims, "authorization_details": details, "max_age": "300", "state": "中文 & +%\""} {
		if got.Get(name) != want {
			t.Errorf("%s is %q", name, got.Get(name))
		}
	}
	if !slices.Equal(got["resource"], []string{"urn:a", "urn:b"}) || got.Has("scope") {
		t.Errorf("read %v", got)
	}
}

// What is no JWS with one name once is nothing, whatever its signature is worth.
func TestMalformed(t *testing.T) {
	key := newKey(t, jose.ES256, "k1")
	client := &oauth.Client{ID: "bank", Profile: oauth.ProfileOIDC}
	r := &Reader{Issuer: issuer, Keys: fixed{set(t, key)}, Clock: clock.At(noon)}
	good, err := jose.Sign(key, "", right(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(t.Context(), client, good, known); err != nil {
		t.Fatal(err)
	}
	raw := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(good, ".")
	twice := json.RawMessage(`{"iss":"bank","aud":"` + issuer + `","client_id":"bank","exp":` +
		string(mustJSON(t, noon.Add(time.Minute).Unix())) + `,"state":"a","state":"b"}`)
	for name, object := range map[string]string{
		"empty":     "",
		"text":      "hello",
		"none":      raw([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"none-long": raw([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2],
		"hmac":      raw([]byte(`{"alg":"HS256"}`)) + "." + parts[1] + "." + parts[2],
		"encrypted": "a.b.c.d.e",
		"altered":   parts[0] + "." + raw([]byte(`{"iss":"bank"}`)) + "." + parts[2],
		"twice":     parts[0] + "." + raw(twice) + "." + parts[2],
		"long":      strings.Repeat("a", 17<<10) + ".b.c",
	} {
		if got, err := r.Read(t.Context(), client, object, known); got != nil || !errors.Is(err, fosite.ErrInvalidRequestObject) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What failed to parse returns nothing; what was read is made of known parameters,
// and is what it will be read as again from where it is stored.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{
		`{"client_id":"bank","state":"x"}`, `{"client_id":"bank","claims":{"id_token":null},"max_age":5}`,
		`{"client_id":"bank","resource":["urn:a","urn:b"],"authorization_details":[{"type":"x"}]}`,
		`{"client_id":"bank","request":"x"}`, `{"client_id":"bank","state":"\u0000"}`, `{"client_id":"bank","scope":null}`,
	} {
		f.Add(s)
	}
	client := &oauth.Client{ID: "bank"}
	f.Fuzz(func(t *testing.T, s string) {
		// As a token's payload is read, by jose.
		if _, err := (strictjson.Limits{Bytes: 12 << 10, Depth: 32}).Object([]byte(s)); err != nil {
			return
		}
		var claims map[string]json.RawMessage
		if json.Unmarshal([]byte(s), &claims) != nil {
			return
		}
		v, err := parameters(client, claims, known)
		if err != nil {
			if v != nil || !errors.Is(err, fosite.ErrInvalidRequestObject) {
				t.Fatalf("%q failed with %v and gave %v", s, err, v)
			}
			return
		}
		again, err := form.Parse(v.Encode(), known)
		if err != nil || again.Encode() != v.Encode() || v.Get("client_id") != "bank" {
			t.Fatalf("%q gave %v, which is read as %v: %v", s, v, again, err)
		}
		for name := range v {
			if !slices.Contains(known, name) {
				t.Fatalf("%q gave %s", s, name)
			}
		}
	})
}

// Whatever comes, an error is one that may be sent, and comes alone.
func FuzzRead(f *testing.F) {
	key := newKey(f, jose.ES256, "k1")
	good, err := jose.Sign(key, "", right(nil))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{good, "a.b.c", "", "..", strings.Replace(good, ".", "..", 1)} {
		f.Add(s)
	}
	r := &Reader{Issuer: issuer, Keys: fixed{set(f, key)}, Clock: clock.At(noon)}
	f.Fuzz(func(t *testing.T, object string) {
		var v url.Values
		v, err := r.Read(t.Context(), &oauth.Client{ID: "bank"}, object, known)
		if err != nil && (v != nil || !errors.Is(err, fosite.ErrInvalidRequestObject)) {
			t.Fatalf("%q failed with %v and gave %v", object, err, v)
		}
	})
}

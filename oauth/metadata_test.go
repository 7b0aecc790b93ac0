package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"ecardid/internal/secret"
)

const minimal = `{"client_name":"Clinic","redirect_uris":["https://rp.example/cb"],"scope":"openid"}`

func TestValidateClientDefaults(t *testing.T) {
	c, err := ValidateClient([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.ID, "c-") || len(c.ID) != 34 || c.Profile != ProfileOAuth21 || c.TokenEndpointAuthMethod != AuthBasic ||
		c.IDTokenSignedAlg != "ES256" || c.SubjectType != SubjectPairwise || c.State != ClientLive || c.FirstParty {
		t.Errorf("%+v", c)
	}
	// What was validated once is valid again.
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ValidateClient(encoded)
	if err != nil || again.ID != c.ID {
		t.Errorf("%s: %v", encoded, err)
	}
	named, err := ValidateClient([]byte(`{"client_name":"Clinic","client_name#zh-CN":"诊所","software_id":"x","redirect_uris":["https://rp.example/cb"]}`))
	if err != nil || named.Names["zh-CN"] != "诊所" {
		t.Errorf("%+v %v", named, err)
	}
}

func TestValidateClientRefuses(t *testing.T) {
	with := func(members string) string { return strings.TrimSuffix(minimal, "}") + "," + members + "}" }
	for name, doc := range map[string]string{
		"not-json":                 `x`,
		"array":                    `[]`,
		"trailing":                 minimal + `{}`,
		"member-twice":             with(`"client_name":"Other"`),
		"wrong-type":               with(`"grant_types":"authorization_code"`),
		"null":                     with(`"first_party":null`),
		"first-party-as-text":      with(`"first_party":"true"`),
		"own-secret":               with(`"client_secret":"x"`),
		"client-id-upper":          with(`"client_id":"Clinic"`),
		"client-id-short":          with(`"client_id":"ab"`),
		"client-id-long":           with(`"client_id":"` + strings.Repeat("a", 65) + `"`),
		"no-name":                  `{"redirect_uris":["https://rp.example/cb"]}`,
		"name-bidi":                `{"client_name":"a\u202eb","redirect_uris":["https://rp.example/cb"]}`,
		"name-control":             `{"client_name":"a\nb","redirect_uris":["https://rp.example/cb"]}`,
		"name-long":                `{"client_name":"` + strings.Repeat("a", 101) + `","redirect_uris":["https://rp.example/cb"]}`,
		"local-name-bidi":          with(`"client_name#en":"a\u2066b"`),
		"no-redirect":              `{"client_name":"Clinic"}`,
		"wildcard":                 `{"client_name":"Clinic","redirect_uris":["https://*.example/cb"]}`,
		"custom-scheme":            `{"client_name":"Clinic","redirect_uris":["app.example:/cb"]}`,
		"state-in-redirect":        `{"client_name":"Clinic","redirect_uris":["https://rp.example/cb?state=1"]}`,
		"logout-uri":               with(`"post_logout_redirect_uris":["javascript:alert(1)"]`),
		"client-uri":               with(`"client_uri":"data:x"`),
		"password-grant":           with(`"grant_types":["password"]`),
		"implicit-grant":           with(`"grant_types":["authorization_code","implicit"]`),
		"refresh-alone":            `{"client_name":"Clinic","grant_types":["refresh_token"]}`,
		"public-machine":           with(`"grant_types":["authorization_code","client_credentials"],"token_endpoint_auth_method":"none"`),
		"token-response":           with(`"response_types":["token"]`),
		"fragment-mode":            with(`"response_modes":["fragment"]`),
		"jwt-secret-method":        with(`"token_endpoint_auth_method":"client_secret_jwt"`),
		"scope-malformed":          `{"client_name":"Clinic","redirect_uris":["https://rp.example/cb"],"scope":"a  b"}`,
		"alg-none":                 with(`"id_token_signed_response_alg":"none"`),
		"alg-hmac":                 with(`"access_token_signed_response_alg":"HS256"`),
		"private-key-no-jwks":      with(`"token_endpoint_auth_method":"private_key_jwt"`),
		"jwks-symmetric":           with(`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"oct","k":"AAAA"}]}`),
		"jwks-and-uri":             with(`"jwks":{"keys":[]},"jwks_uri":"https://rp.example/jwks"`),
		"min-acr":                  with(`"min_acr":"gold"`),
		"profile":                  with(`"profile":"lax"`),
		"fapi2-with-secret":        with(`"profile":"fapi2"`),
		"state":                    with(`"state":"dead"`),
		"negative-max-age":         with(`"default_max_age":-1`),
		"endless-max-age":          with(`"default_max_age":2147483648`),
		"wrapping-max-age":         with(`"default_max_age":18446744074`),
		"longest-max-age":          with(`"default_max_age":9223372036854775807`),
		"local-name-of-nowhere":    with(`"client_name#":"x"`),
		"sector-and-loopback":      `{"client_name":"Clinic","redirect_uris":["https://a.example/cb","http://127.0.0.1/cb"]}`,
		"sector-and-localhost":     `{"client_name":"Clinic","redirect_uris":["http://localhost:8080/cb","https://a.example/cb"]}`,
		"loopback-and-localhost":   `{"client_name":"Clinic","redirect_uris":["http://127.0.0.1/cb","http://localhost/cb"]}`,
		"several-sectors":          `{"client_name":"Clinic","redirect_uris":["https://a.example/cb","https://b.example/cb"]}`,
		"resource-server-open":     with(`"resources":["urn:x"],"token_endpoint_auth_method":"none"`),
		"request-object-encrypted": with(`"request_object_encryption_alg":"RSA-OAEP-256"`),
		"jarm-encrypted":           with(`"authorization_encrypted_response_alg":"ECDH-ES"`),
		"unread-uri":               with(`"logo_uri":"javascript:alert(1)"`),
		"unread-uri-blank":         with(`"some_uri":" https://rp.example/"`),
		"unread-uris":              with(`"request_uris":["https://rp.example/r","data:x"]`),
		"unread-uris-fragment":     with(`"request_uris":["https://rp.example/r#top"]`),
		"unread-uri-hash":          with(`"logo_uri":"https://rp.example/l#47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`),
		"unread-uri-local":         with(`"logo_uri#en":"http://rp.example/"`),
		"unread-uri-number":        with(`"logo_uri":1`),
		"pkce-oauth21":             with(`"pkce_optional":true`),
		"pkce-public":              with(`"pkce_optional":true,"profile":"oidc","token_endpoint_auth_method":"none"`),
		"resource-no-uri":          with(`"resources":["card"]`),
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := ValidateClient([]byte(doc)); err == nil || c.ID != "" {
				t.Errorf("%s was taken", doc)
			}
		})
	}
	for _, redirects := range []string{`"https://a.example/cb","https://a.example:8443/cb"`, `"http://127.0.0.1/cb","http://[::1]/cb"`, `"http://localhost/a","http://localhost:1/b"`} {
		if _, err := ValidateClient([]byte(`{"client_name":"Clinic","redirect_uris":[` + redirects + `]}`)); err != nil {
			t.Errorf("%s: %v", redirects, err)
		}
	}
	for _, members := range []string{`"default_max_age":2147483647`, `"dpop_bound_access_tokens":false`, `"logo_uri":"https://rp.example/logo.png"`, `"request_uris":[]`,
		`"request_uris":["https://rp.example/r#47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"]`, `"profile":"oidc","pkce_optional":true`} {
		if _, err := ValidateClient([]byte(with(members))); err != nil {
			t.Errorf("%s: %v", members, err)
		}
	}
	_, err := ValidateClient([]byte(`{"client_name":"Clinic","redirect_uris":["http://rp.example"]}`))
	if wrong := new(MetadataError); !errors.As(err, &wrong) || wrong.OAuthCode() != "invalid_redirect_uri" {
		t.Errorf("%v", err)
	}
}

func FuzzValidateClient(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(`{"client_name":"x","jwks":{"keys":[]},"redirect_uris":["https://x.example/"]}`))
	f.Add([]byte(`{"client_id":"abc","client_name":"x","profile":"oidc","first_party":true,"redirect_uris":["https://x.example/"],"scope":"openid"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ValidateClient(data)
		if err != nil {
			if c.ID != "" {
				t.Fatalf("failed and gave %+v", c)
			}
			return
		}
		for _, uri := range c.RedirectURIs {
			if CheckURI(uri) != nil {
				t.Fatalf("took %q", uri)
			}
		}
		// Whatever a client says of itself, its admission is ours.
		own, err := ValidateRegistration(data, Terms{Scope: []string{"openid"}, Admission: Client{Profile: ProfileOAuth21}})
		if err != nil {
			return
		}
		if own.ID == c.ID && bytes.Contains(data, []byte(own.ID)) || own.Profile != ProfileOAuth21 || own.FirstParty || own.Resources != nil ||
			own.ExchangeResources != nil || own.MinACR != "" || own.PKCEOptional || own.State != ClientLive || own.Scope != "openid" && own.Scope != "" {
			t.Fatalf("admitted as %+v", own)
		}
	})
}

func TestSecrets(t *testing.T) {
	old, err1 := NewKeyed(bytes.Repeat([]byte{1}, 32))
	both, err2 := NewKeyed(bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{1}, 32))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := Client{ID: "clinic"}
	first, hash := NewSecret(old, c.ID)
	second, hash2 := NewSecret(both, c.ID)
	hash.Expires = now.Add(time.Hour)
	c.Secrets = []SecretHash{hash, hash2}
	// Two at a time, each under the key it was made with.
	for _, s := range []secret.Value{first, second} {
		if !c.CheckSecret(both, s, now) {
			t.Error("a right secret was refused")
		}
	}
	if c.CheckSecret(both, first, now.Add(time.Hour)) {
		t.Error("an expired secret was taken")
	}
	other := Client{ID: "other", Secrets: c.Secrets}
	if other.CheckSecret(both, first, now) {
		t.Error("a hash copied to another client works there")
	}
	// A client without any credential has none that matches (notes §3.1, 12).
	for _, hashes := range [][]SecretHash{nil, {{}}, {{Hash: []byte{}}}} {
		bare := Client{ID: "clinic", Secrets: hashes}
		if bare.CheckSecret(both, secret.Of(""), now) || bare.CheckSecret(both, first, now) {
			t.Error("a client without secrets was authenticated")
		}
	}
	if bytes.Contains(hash.Hash, []byte(first.Reveal())) {
		t.Error("the hash shows the secret")
	}
}

func TestKeyed(t *testing.T) {
	if _, err := NewKeyed(); err == nil {
		t.Error("no keys were taken")
	}
	if _, err := NewKeyed(make([]byte, 31)); err == nil {
		t.Error("a short key was taken")
	}
	k, err := NewKeyed(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	sum := k.Sum("l", "ab", "c")
	if !k.Check(sum, "l", "ab", "c") || k.Check(sum, "l", "a", "bc") || k.Check(sum, "m", "ab", "c") || k.Check(sum[:8], "l", "ab", "c") || k.Check(nil, "l") {
		t.Error("pieces, labels or lengths are mixed up")
	}
	if !k.CheckTag(k.Tag("l", "x"), "l", "x") || k.CheckTag(nil, "l", "x") || k.CheckTag(sum, "l", "ab", "c") {
		t.Error("tags are mixed up")
	}
	var none Keyed
	if none.Check(make([]byte, 32), "l") || none.CheckTag(make([]byte, 8), "l") {
		t.Error("no keys accept something")
	}
}

package provider_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ecardid/internal/outbound"
	"ecardid/oauth"
	"ecardid/oauth/mtls"
	"ecardid/oauth/provider"
)

// Whatever endpoint the metadata names answers: to a request with nothing in it, in
// its own words.
func TestAdvertisedEndpointsAnswer(t *testing.T) {
	const base = "https://mtls.example:8443"
	h := newHouse(t, func(c *provider.Config) {
		c.MTLS = mtls.Config{Base: base, Roots: x509.NewCertPool()}
	})
	m := jsonOf(t, h.browser().get("/.well-known/openid-configuration"))
	aliases, _ := m["mtls_endpoint_aliases"].(map[string]any)
	if len(aliases) == 0 {
		t.Error("no aliases")
	}
	methods := map[string]string{
		"authorization_endpoint": http.MethodGet, "end_session_endpoint": http.MethodGet, "userinfo_endpoint": http.MethodGet,
		"jwks_uri": http.MethodGet, "sm2_jwks_uri": http.MethodGet,
	}
	seen := 0
	for name, value := range m {
		uri, _ := value.(string)
		path, ok := strings.CutPrefix(uri, issuer+"/")
		if !ok {
			continue
		}
		seen++
		method := http.MethodPost
		if got, known := methods[name]; known {
			method = got
		}
		w := httptest.NewRecorder()
		h.mux.ServeHTTP(w, httptest.NewRequest(method, "/"+path, nil))
		if w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed || w.Code >= 500 {
			t.Errorf("%s: %s /%s: %d", name, method, path, w.Code)
		}
		if alias, there := aliases[name]; there && alias != base+"/"+path {
			t.Errorf("%s is %s there and %s with a certificate", name, uri, alias)
		}
	}
	for name := range aliases {
		if _, there := m[name]; !there {
			t.Errorf("%s is an alias of nothing", name)
		}
	}
	if seen < 10 {
		t.Errorf("%d endpoints", seen)
	}
	plain := jsonOf(t, h.browser().get("/.well-known/oauth-authorization-server"))
	if plain["issuer"] != m["issuer"] || plain["token_endpoint"] != m["token_endpoint"] || plain["require_pushed_authorization_requests"] != false {
		t.Errorf("the two documents differ: %v", plain)
	}
}

// The metadata says no more than there is.
func TestMetadataOfLess(t *testing.T) {
	methods := func(change func(*provider.Config)) ([]any, map[string]any) {
		m := jsonOf(t, newHouse(t, change).browser().get("/.well-known/openid-configuration"))
		list, _ := m["token_endpoint_auth_methods_supported"].([]any)
		return list, m
	}
	bare, m := methods(func(*provider.Config) {})
	if slices.Contains(bare, any(oauth.AuthTLS)) || slices.Contains(bare, any(oauth.AuthSelfSigned)) || m["mtls_endpoint_aliases"] != nil ||
		m["tls_client_certificate_bound_access_tokens"] != false || m["backchannel_logout_supported"] != false || m["device_authorization_endpoint"] != nil {
		t.Errorf("without anything: %v", m)
	}
	proxied, m := methods(func(c *provider.Config) { c.MTLS = mtls.Config{Sources: mtls.Sources{Header: "Client-Cert"}} })
	if slices.Contains(proxied, any(oauth.AuthTLS)) || !slices.Contains(proxied, any(oauth.AuthSelfSigned)) || m["mtls_endpoint_aliases"] != nil ||
		m["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("behind a proxy, without a CA: %v", m)
	}
	own, _ := methods(func(c *provider.Config) {
		c.MTLS = mtls.Config{Base: "https://mtls.example", Roots: x509.NewCertPool()}
	})
	if !slices.Contains(own, any(oauth.AuthTLS)) || !slices.Contains(own, any(oauth.AuthSelfSigned)) {
		t.Errorf("with a CA: %v", own)
	}
	calls := outbound.New(outbound.Config{})
	defer calls.Close()
	if _, m = methods(func(c *provider.Config) { c.Outbound = calls }); m["backchannel_logout_supported"] != true || m["backchannel_logout_session_supported"] != true {
		t.Errorf("calling out: %v", m)
	}
}

// Every claim that is named is one of the protocol's or of the catalogue's.
func TestAdvertisedClaims(t *testing.T) {
	h := newHouse(t)
	m := jsonOf(t, h.browser().get("/.well-known/openid-configuration"))
	known := []any{
		"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
		"name", "updated_at", "phone_number", "phone_number_verified",
	}
	claims, _ := m["claims_supported"].([]any)
	for i, claim := range claims {
		if !slices.Contains(known, claim) || slices.Contains(claims[:i], claim) {
			t.Errorf("claim %v is unknown or there twice", claim)
		}
	}
	for _, list := range m {
		values, _ := list.([]any)
		if slices.Contains(values, any("none")) && !slices.Contains(values, any("login")) && !slices.Contains(values, any(oauth.AuthBasic)) {
			t.Errorf("none among %v", values)
		}
	}
}

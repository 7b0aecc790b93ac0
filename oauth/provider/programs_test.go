package provider_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/issue"
	"ecardid/oauth/mtls"
	"ecardid/oauth/provider"
)

// TestPrograms: the door of another room's resource opens for a token that is bound to a
// key or a certificate, and to whoever has that; for the scopes it has, and for this
// resource (SECURITY SC3, TK3).
func TestPrograms(t *testing.T) {
	const resource = "urn:ecardid:resource:console"
	cert, certKey := certificate(t, "centre", nil, nil)
	other, _ := certificate(t, "centre", nil, nil)
	var config provider.Config
	h := newHouse(t, func(c *provider.Config) {
		c.MTLS = mtls.Config{Sources: mtls.Sources{}, Roots: x509.NewCertPool()}
		config = *c
	})
	p, err := provider.New(config)
	if err != nil {
		t.Fatal(err)
	}
	door := p.Programs(resource)
	k, err := jose.NewPublic(jose.ES256, "k", &certKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	rest := `"client_name":"Centre","grant_types":["client_credentials"],"scope":"card.status console.read console.loss"`
	h.client(`{"client_id":"centre","token_endpoint_auth_method":"self_signed_tls_client_auth","tls_client_certificate_bound_access_tokens":true,"jwks":` + keySet(t, k) + `,` + rest + `}`)
	h.client(`{"client_id":"careless","token_endpoint_auth_method":"self_signed_tls_client_auth","jwks":` + keySet(t, k) + `,` + rest + `}`)
	h.client(`{"client_id":"keyed",` + rest + `}`)

	holder := h.holder()
	token := func(client, scope string) string {
		t.Helper()
		r := certified(machine(client, url.Values{"scope": {scope}}), cert)
		if client == "keyed" {
			r = h.tokenRequest(client, holder.forToken(), url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
		}
		out, _ := h.expect(client, r, "")["access_token"].(string)
		return out
	}
	bound, unbound, keyed := token("centre", "console.read console.loss"), token("careless", "console.read"), token("keyed", "console.loss")
	ask := func(scheme, token string, on *x509.Certificate, proof ...string) *http.Request {
		r := mustRequest(http.MethodPost, "/console/api/v1/acts", "")
		r.Header["Dpop"] = proof
		r.Header.Set("Authorization", scheme+" "+token)
		if on != nil {
			r = certified(r, on)
		}
		return r
	}
	proof := func(token string) string {
		return holder.proof("POST", issuer+"/console/api/v1/acts", "ath", ath(token))
	}
	enter := func(r *http.Request, scopes ...string) (string, []string, *httptest.ResponseRecorder) {
		w := httptest.NewRecorder()
		client, held, ok := door.Enter(w, r, scopes...)
		if ok != (client != "") || ok && w.Body.Len() > 0 {
			t.Errorf("%q %v: %d %s", client, ok, w.Code, w.Body)
		}
		return client, held, w
	}
	if client, held, w := enter(ask("Bearer", bound, cert), "console.loss", "console.read", "card.status"); client != "centre" || !slices.Equal(held, []string{"console.loss", "console.read"}) {
		t.Errorf("by certificate: %q %q %s", client, held, w.Body)
	}
	if client, held, w := enter(ask("DPoP", keyed, nil, proof(keyed)), "console.loss", "console.read"); client != "keyed" || !slices.Equal(held, []string{"console.loss"}) {
		t.Errorf("by key: %q %q %s", client, held, w.Body)
	}
	again := proof(keyed)
	enter(ask("DPoP", keyed, nil, again), "console.loss")
	for name, c := range map[string]struct {
		r      *http.Request
		status int
	}{
		"bound to nothing":        {ask("Bearer", unbound, cert), http.StatusUnauthorized},
		"without the certificate": {ask("Bearer", bound, nil), http.StatusUnauthorized},
		"with another one":        {ask("Bearer", bound, other), http.StatusUnauthorized},
		"a key's as a bearer's":   {ask("Bearer", keyed, nil), http.StatusUnauthorized},
		"without a proof":         {ask("DPoP", keyed, nil), http.StatusUnauthorized},
		"the proof again":         {ask("DPoP", keyed, nil, again), http.StatusUnauthorized},
		"of another token":        {ask("DPoP", keyed, nil, proof(bound)), http.StatusUnauthorized},
		"for another resource":    {ask("Bearer", token("centre", "card.status"), cert), http.StatusUnauthorized},
		"without the scope":       {ask("DPoP", keyed, nil, proof(keyed)), http.StatusForbidden},
		"no token of ours":        {ask("Bearer", "x.y.z", cert), http.StatusUnauthorized},
		"none":                    {mustRequest(http.MethodPost, "/console/api/v1/acts", ""), http.StatusUnauthorized},
	} {
		scope := "console.loss"
		if name == "without the scope" || name == "bound to nothing" {
			scope = "console.read"
		}
		if client, _, w := enter(c.r, scope); client != "" || w.Code != c.status || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("DPoP-Nonce") == "" {
			t.Errorf("%s: %q %d %s", name, client, w.Code, w.Body)
		}
	}
	// A citizen's token, whatever it says, is none of a program's.
	issues := &issue.Issuer{Name: issuer, Keys: h.keys, Subjects: h.subjects}
	client, err := h.registry.Client(t.Context(), "centre")
	if err != nil {
		t.Fatal(err)
	}
	binding := oauth.Binding{X5T: mtls.Thumbprint(cert)}
	made, err := issues.Access(client, oauth.Grant{ID: identity.NewID(), Citizen: identity.NewID()}, []string{"console.read"}, []string{resource}, binding, h.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if client, _, w := enter(ask("Bearer", made, cert), "console.read"); client != "" || w.Code != http.StatusUnauthorized {
		t.Errorf("a citizen's: %q %d", client, w.Code)
	}
}

package clientauth

import (
	"crypto/x509"
	"encoding/base64"
	"net/netip"
	"testing"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/mtls"
)

func proof(t *testing.T, k jose.Key, more map[string]any) string {
	t.Helper()
	claims := map[string]any{"jti": identity.NewID().String(), "htm": "POST", "htu": issuer + "/token", "iat": noon.Unix()}
	for name, v := range more {
		claims[name] = v
	}
	header := asJSON(t, map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": k.Unnamed()})
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(asJSON(t, claims))
	sig, err := k.SignRaw([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// Who has to be bound is, or has no tokens (SECURITY SC3).
func TestBinding(t *testing.T) {
	d := newDesk(t)
	k := generate(t, jose.ES256, "k")
	cert, _ := certificate(t, nil, nil, "clinic.example")
	x5t, jkt := mtls.Thumbprint(cert), k.Thumbprint()
	for _, c := range []oauth.Client{
		{ID: "free"}, {ID: "dpop", DPoPBound: true}, {ID: "cert", CertBound: true}, {ID: "both", DPoPBound: true, CertBound: true},
		{ID: "fapi", Profile: oauth.ProfileFAPI2}, {ID: "fapi-cert", Profile: oauth.ProfileFAPI2, CertBound: true},
		{ID: "nonce", RequireNonce: true},
	} {
		d.add(c)
	}
	nonce := map[string]any{"nonce": d.DPoP.Nonces.Next(noon)}
	for _, c := range []struct {
		name   string
		client string
		cert   *x509.Certificate
		proofs []string
		want   oauth.Binding
		fails  string
	}{
		{"free-bearer", "free", nil, nil, oauth.Binding{}, ""},
		{"free-proof", "free", nil, []string{proof(t, k, nil)}, oauth.Binding{JKT: jkt}, ""},
		// A certificate that nobody asked for may be a proxy's.
		{"free-certificate", "free", cert, nil, oauth.Binding{}, ""},
		{"free-wrong-proof", "free", nil, []string{"x"}, oauth.Binding{}, dpop.CodeInvalidProof},
		{"free-two-proofs", "free", nil, []string{proof(t, k, nil), proof(t, k, nil)}, oauth.Binding{}, dpop.CodeInvalidProof},
		{"dpop", "dpop", nil, []string{proof(t, k, nil)}, oauth.Binding{JKT: jkt}, ""},
		{"dpop-none", "dpop", nil, nil, oauth.Binding{}, dpop.CodeInvalidProof},
		{"dpop-certificate", "dpop", cert, nil, oauth.Binding{}, dpop.CodeInvalidProof},
		{"cert", "cert", cert, nil, oauth.Binding{X5T: x5t}, ""},
		{"cert-none", "cert", nil, nil, oauth.Binding{}, "invalid_request"},
		{"cert-proof", "cert", nil, []string{proof(t, k, nil)}, oauth.Binding{}, "invalid_request"},
		{"cert-and-proof", "cert", cert, []string{proof(t, k, nil)}, oauth.Binding{X5T: x5t, JKT: jkt}, ""},
		{"both", "both", cert, []string{proof(t, k, nil)}, oauth.Binding{X5T: x5t, JKT: jkt}, ""},
		{"both-half", "both", cert, nil, oauth.Binding{}, dpop.CodeInvalidProof},
		{"fapi", "fapi", nil, []string{proof(t, k, nil)}, oauth.Binding{JKT: jkt}, ""},
		{"fapi-none", "fapi", cert, nil, oauth.Binding{}, dpop.CodeInvalidProof},
		{"fapi-cert", "fapi-cert", cert, nil, oauth.Binding{X5T: x5t}, ""},
		{"fapi-cert-none", "fapi-cert", nil, nil, oauth.Binding{}, "invalid_request"},
		{"nonce", "nonce", nil, []string{proof(t, k, nonce)}, oauth.Binding{JKT: jkt}, ""},
		{"nonce-missing", "nonce", nil, []string{proof(t, k, nil)}, oauth.Binding{}, dpop.CodeUseNonce},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := d.request()
			if c.cert != nil {
				r = d.secured(c.cert)
			}
			r.Header["Dpop"] = c.proofs
			got, err := d.binding(r, c.client)
			if code(err) != c.fails || (err != nil) != (c.fails != "") || got != c.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// Where a proof is welcome and not asked for, nobody is asked for one.
func TestProvenKey(t *testing.T) {
	d := newDesk(t)
	k := generate(t, jose.ES256, "k")
	client := &oauth.Client{ID: "c", DPoPBound: true, CertBound: true, RequireNonce: true, Profile: oauth.ProfileFAPI2}
	r := d.request()
	if jkt, err := d.ProvenKey(t.Context(), r, client, dpop.Expect{}); err != nil || jkt != "" {
		t.Errorf("without a proof: %q, %v", jkt, err)
	}
	r.Header.Set("DPoP", proof(t, k, nil))
	if jkt, err := d.ProvenKey(t.Context(), r, client, dpop.Expect{}); code(err) != dpop.CodeUseNonce || jkt != "" {
		t.Errorf("without the nonce: %q, %v", jkt, err)
	}
	r.Header.Set("DPoP", proof(t, k, map[string]any{"nonce": d.DPoP.Nonces.Next(noon)}))
	if jkt, err := d.ProvenKey(t.Context(), r, client, dpop.Expect{URL: issuer + "/token"}); err != nil || jkt != k.Thumbprint() {
		t.Errorf("%q, %v", jkt, err)
	}
}

func TestBindingByProxy(t *testing.T) {
	d := newDesk(t)
	d.MTLS.Sources = mtls.Sources{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, Header: "Client-Cert"}
	d.add(oauth.Client{ID: "cert", CertBound: true})
	cert, _ := certificate(t, nil, nil, "clinic.example")
	value := ":" + base64.StdEncoding.EncodeToString(cert.Raw) + ":"
	for _, c := range []struct {
		name, remote string
		headers      []string
		want, fails  string
	}{
		{"proxy", "10.0.0.1:1", []string{value}, mtls.Thumbprint(cert), ""},
		{"stranger", "10.0.0.2:1", []string{value}, "", "invalid_request"},
		{"twice", "10.0.0.1:1", []string{value, value}, "", "invalid_request"},
		{"junk", "10.0.0.1:1", []string{"x"}, "", "invalid_request"},
		{"none", "10.0.0.1:1", nil, "", "invalid_request"},
	} {
		r := d.request()
		r.RemoteAddr, r.Header["Client-Cert"] = c.remote, c.headers
		got, err := d.binding(r, "cert")
		if got.X5T != c.want || code(err) != c.fails {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

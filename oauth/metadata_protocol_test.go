package oauth

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ecardid/internal/jose"
)

// keySet is a JWK Set of one key.
func keySet(t testing.TB, alg jose.Alg) string {
	t.Helper()
	key, err := jose.Generate(alg, "k")
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What is registered under RFC 7591 and what is read are the same list, so that a
// member added to the noun cannot be forgotten here.
func TestMemberNames(t *testing.T) {
	var tags []string
	for i := range reflect.TypeFor[Client]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[Client]().Field(i).Tag.Get("json"), ",")
		if name != "-" && name != "" {
			tags = append(tags, name)
		}
	}
	names := memberNames()
	slices.Sort(tags)
	slices.Sort(names)
	if !slices.Equal(tags, names) {
		t.Errorf("members are\n%v, read are\n%v", tags, names)
	}
}

// The protocol's members: each row is refused or taken as its name says.
func TestProtocolMembers(t *testing.T) {
	ec, sm2, ps := keySet(t, jose.ES256), keySet(t, jose.SM2), keySet(t, jose.EdDSA)
	enc := strings.NewReplacer(`"use":"sig"`, `"use":"enc"`, `"alg":"ES256",`, "", `,"alg":"ES256"`, "").Replace(ec)
	const (
		code = `{"client_name":"Clinic","redirect_uris":["https://rp.example/cb"],"scope":"openid",`
		none = `{"client_name":"Clinic","scope":"openid",`
	)
	for _, test := range []struct {
		name, doc string
		member    string // of the problem; "" when it is taken
	}{
		// Client authentication.
		{"private key", code + `"token_endpoint_auth_method":"private_key_jwt","jwks":` + ec + `}`, ""},
		{"private key at a URI", code + `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://rp.example/jwks"}`, ""},
		{"jwks_uri on the machine", code + `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://127.0.0.1/jwks"}`, "jwks_uri"},
		{"no key of that algorithm", code + `"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"PS256","jwks":` + ec + `}`, "jwks"},
		{"assertions with RS256", code + `"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"RS256","jwks":` + ec + `}`, "token_endpoint_auth_signing_alg"},
		{"assertions with a secret's alg", code + `"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"HS256","jwks":` + ec + `}`, "token_endpoint_auth_signing_alg"},
		{"tls, one subject", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=rp,O=Bank,C=CN"}`, ""},
		{"tls, no subject", code + `"token_endpoint_auth_method":"tls_client_auth"}`, "tls_client_auth_subject_dn"},
		{"tls, two subjects", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"rp.example","tls_client_auth_san_ip":"192.0.2.1"}`, "tls_client_auth_subject_dn"},
		{"tls, empty subject", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":""}`, "tls_client_auth_subject_dn"},
		{"tls, no name", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"rp"}`, "tls_client_auth_subject_dn"},
		{"tls, a wildcard", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"*.example"}`, "tls_client_auth_san_dns"},
		{"tls, no address", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_ip":"192.0.2.0/24"}`, "tls_client_auth_san_ip"},
		{"tls, IPv6", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_ip":"2001:db8::1"}`, ""},
		{"tls, no URI", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_uri":"rp"}`, "tls_client_auth_san_uri"},
		{"tls, a URI", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_uri":"urn:bank:1"}`, ""},
		{"tls, no mail", code + `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_email":"Bank <a@rp.example>"}`, "tls_client_auth_san_email"},
		{"subject for a secret", code + `"tls_client_auth_san_dns":"rp.example"}`, "tls_client_auth_san_dns"},
		{"self-signed", code + `"token_endpoint_auth_method":"self_signed_tls_client_auth","jwks":` + ec + `}`, ""},
		{"self-signed without keys", code + `"token_endpoint_auth_method":"self_signed_tls_client_auth"}`, "jwks"},

		// Bindings and requests.
		{"dpop", code + `"dpop_bound_access_tokens":true,"require_dpop_nonce":true}`, ""},
		{"certificates", code + `"tls_client_certificate_bound_access_tokens":true}`, ""},
		{"par", code + `"require_pushed_authorization_requests":true}`, ""},
		{"par without code", none + `"grant_types":["client_credentials"],"require_pushed_authorization_requests":true}`, "require_pushed_authorization_requests"},
		{"signed requests", code + `"require_signed_request_object":true,"jwks":` + sm2 + `}`, ""},
		{"signed requests without keys", code + `"require_signed_request_object":true}`, "jwks"},
		{"request objects", code + `"request_object_signing_alg":"EdDSA","jwks":` + ps + `}`, ""},
		{"unsigned request objects", code + `"profile":"oidc","request_object_signing_alg":"none","jwks":` + ec + `}`, "request_object_signing_alg"},
		{"request objects by secret", code + `"profile":"oidc","request_object_signing_alg":"HS256","jwks":` + ec + `}`, "request_object_signing_alg"},
		{"request objects with RS256", code + `"request_object_signing_alg":"RS256","jwks_uri":"https://rp.example/jwks"}`, "request_object_signing_alg"},
		{"request objects with RS256, oidc", code + `"profile":"oidc","request_object_signing_alg":"RS256","jwks_uri":"https://rp.example/jwks"}`, ""},
		{"details", code + `"authorization_details_types":["insurance_payment"]}`, ""},
		{"details twice", code + `"authorization_details_types":["a","a"]}`, "authorization_details_types"},
		{"details without code", none + `"grant_types":["client_credentials"],"authorization_details_types":["a"]}`, "authorization_details_types"},

		// Answers.
		{"jarm", code + `"response_modes":["jwt","query.jwt","form_post.jwt"],"authorization_signed_response_alg":"PS256"}`, ""},
		{"jarm by fragment", code + `"response_modes":["fragment.jwt"]}`, "response_modes"},
		{"jarm alg without a mode", code + `"response_modes":["query"],"authorization_signed_response_alg":"PS256"}`, "authorization_signed_response_alg"},
		{"jarm unsigned", code + `"response_modes":["jwt"],"authorization_signed_response_alg":"none"}`, "authorization_signed_response_alg"},
		{"userinfo signed", code + `"userinfo_signed_response_alg":"SGD_SM3_SM2"}`, ""},
		{"userinfo unsigned", code + `"userinfo_signed_response_alg":"none"}`, "userinfo_signed_response_alg"},
		{"introspection signed", code + `"introspection_signed_response_alg":"ES256"}`, ""},
		{"introspection by secret", code + `"introspection_signed_response_alg":"HS256"}`, "introspection_signed_response_alg"},
		{"encrypted", code + `"id_token_encrypted_response_alg":"ECDH-ES","jwks":` + enc + `}`, ""},
		{"encrypted, at a URI", code + `"userinfo_encrypted_response_alg":"RSA-OAEP-256","userinfo_encrypted_response_enc":"A128GCM","jwks_uri":"https://rp.example/jwks"}`, ""},
		{"encrypted to nobody", code + `"id_token_encrypted_response_alg":"RSA-OAEP-256"}`, "jwks"},
		{"encrypted to a key that signs", code + `"id_token_encrypted_response_alg":"ECDH-ES","jwks":` + strings.Replace(enc, `"use":"enc"`, `"use":"sig"`, 1) + `}`, "jwks"},
		{"encrypted to another kind", code + `"id_token_encrypted_response_alg":"RSA-OAEP-256","jwks":` + enc + `}`, "jwks"},
		{"encrypted with padding", code + `"id_token_encrypted_response_alg":"RSA1_5","jwks_uri":"https://rp.example/jwks"}`, "id_token_encrypted_response_alg"},
		{"encrypted by secret", code + `"id_token_encrypted_response_alg":"dir","jwks_uri":"https://rp.example/jwks"}`, "id_token_encrypted_response_alg"},
		{"enc alone", code + `"id_token_encrypted_response_enc":"A256GCM"}`, "id_token_encrypted_response_enc"},
		{"enc unknown", code + `"id_token_encrypted_response_alg":"ECDH-ES","id_token_encrypted_response_enc":"A256CBC","jwks_uri":"https://rp.example/jwks"}`, "id_token_encrypted_response_enc"},

		// Addresses.
		{"logout", code + `"backchannel_logout_uri":"https://rp.example/bye","backchannel_logout_session_required":true,"frontchannel_logout_uri":"https://rp.example/front","frontchannel_logout_session_required":true}`, ""},
		{"logout in the clear", code + `"backchannel_logout_uri":"http://127.0.0.1/bye"}`, "backchannel_logout_uri"},
		{"logout with a fragment", code + `"backchannel_logout_uri":"https://rp.example/bye#x"}`, "backchannel_logout_uri"},
		{"front channel elsewhere", code + `"frontchannel_logout_uri":"https://other.example/front"}`, "frontchannel_logout_uri"},
		{"front channel at another port", code + `"frontchannel_logout_uri":"https://rp.example:8443/front"}`, "frontchannel_logout_uri"},
		{"front channel with our parameter", code + `"frontchannel_logout_uri":"https://rp.example/front?sid=1"}`, "frontchannel_logout_uri"},
		{"initiate login", code + `"initiate_login_uri":"https://rp.example/begin"}`, ""},
		{"initiate login in the clear", code + `"initiate_login_uri":"http://rp.example/begin"}`, "initiate_login_uri"},
		{"initiate login on the machine", code + `"initiate_login_uri":"http://localhost/begin"}`, "initiate_login_uri"},
		{"sector", code + `"sector_identifier_uri":"https://rp.example/sector"}`, ""},
		{"contacts", code + `"contacts":["it@rp.example"]}`, ""},
		{"contacts that write backwards", code + `"contacts":["a\u202eb"]}`, "contacts"},

		// Grants.
		{"exchange", code + `"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:token-exchange"],"exchange_resources":["urn:x"]}`, ""},
		{"exchange for nothing", code + `"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:token-exchange"]}`, "exchange_resources"},
		{"exchange not asked for", code + `"exchange_resources":["urn:x"]}`, "exchange_resources"},
		{"exchange in public", none + `"token_endpoint_auth_method":"none","grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"],"exchange_resources":["urn:x"]}`, "grant_types"},
		{"device", none + `"token_endpoint_auth_method":"none","grant_types":["urn:ietf:params:oauth:grant-type:device_code","refresh_token"]}`, ""},
		{"device with a redirect", code + `"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}`, "redirect_uris"},

		// FAPI 2.0.
		{"fapi2", code + `"profile":"fapi2","token_endpoint_auth_method":"private_key_jwt","jwks":` + ec + `}`, ""},
		{"fapi2 by certificate", code + `"profile":"fapi2","token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"rp.example"}`, ""},
		{"fapi2 by secret", code + `"profile":"fapi2","token_endpoint_auth_method":"client_secret_basic"}`, "token_endpoint_auth_method"},
		{"fapi2 in public", code + `"profile":"fapi2","token_endpoint_auth_method":"none"}`, "token_endpoint_auth_method"},
		{"fapi2 with RS256", code + `"profile":"fapi2","token_endpoint_auth_method":"private_key_jwt","id_token_signed_response_alg":"RS256","jwks":` + ec + `}`, "id_token_signed_response_alg"},
		{"fapi2 without PKCE", code + `"profile":"fapi2","token_endpoint_auth_method":"private_key_jwt","pkce_optional":true,"jwks":` + ec + `}`, "pkce_optional"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := ValidateClient([]byte(test.doc))
			var wrong *MetadataError
			switch {
			case test.member == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case test.member == "":
				encoded, err := json.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				again, err := ValidateClient(encoded)
				if err != nil || !reflect.DeepEqual(again, c) {
					t.Errorf("registered again it is another one, or refused: %v\n%+v\n%+v", err, c, again)
				}
			case !errors.As(err, &wrong) || wrong.Member != test.member || c.ID != "":
				t.Errorf("got %v, want a problem of %s", err, test.member)
			}
		})
	}
}

// What is left out gets what the profile says.
func TestProtocolDefaults(t *testing.T) {
	read := func(members string) Client {
		t.Helper()
		c, err := ValidateClient([]byte(`{"client_name":"Clinic","redirect_uris":["https://rp.example/cb"],` + members + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := read(`"profile":"oidc"`); c.IDTokenSignedAlg != "RS256" || !slices.Equal(c.ResponseModes, []string{"query", "form_post"}) || c.AccessTokenSignedAlg != "ES256" {
		t.Errorf("oidc: %+v", c)
	}
	if c := read(`"authorization_signed_response_alg":"ES256"`); !slices.Equal(c.ResponseModes, []string{"query", "jwt", "query.jwt", "form_post.jwt"}) {
		t.Errorf("JARM: %v", c.ResponseModes)
	}
	c := read(`"profile":"fapi2","token_endpoint_auth_method":"private_key_jwt","jwks":` + keySet(t, jose.EdDSA))
	if !c.DPoPBound || c.CertBound || !c.RequirePAR || c.IDTokenSignedAlg != "ES256" || c.TokenEndpointAuthAlg != "EdDSA" {
		t.Errorf("fapi2: %+v", c)
	}
	c = read(`"profile":"fapi2","token_endpoint_auth_method":"private_key_jwt","tls_client_certificate_bound_access_tokens":true,"jwks":` + keySet(t, jose.ES256))
	if c.DPoPBound || !c.CertBound {
		t.Errorf("fapi2 bound to a certificate: %+v", c)
	}
	if c := read(`"id_token_encrypted_response_alg":"RSA-OAEP-256","jwks_uri":"https://rp.example/jwks"`); c.IDTokenEncryptedEnc != "A256GCM" {
		t.Errorf("encryption: %+v", c)
	}
}

type everything struct{}

func (everything) Unknown(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "openid" })
}

// What the server has not, nobody is admitted with.
func TestOffer(t *testing.T) {
	all := Offer{
		Scopes: everything{}, Algs: []jose.Alg{jose.ES256, jose.RS256}, Certificates: true, ClientCA: true, Device: true,
		Details: map[string]string{"insurance_payment": "openid"},
	}
	for name, test := range map[string]struct {
		doc    string
		less   func(*Offer)
		member string
	}{
		"scope":        {`"scope":"openid other"`, func(*Offer) {}, "scope"},
		"algorithm":    {`"userinfo_signed_response_alg":"PS256"`, func(*Offer) {}, "id_token_signed_response_alg"},
		"bound":        {`"tls_client_certificate_bound_access_tokens":true`, func(o *Offer) { o.Certificates = false }, "token_endpoint_auth_method"},
		"authenticate": {`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"a.example"`, func(o *Offer) { o.Certificates = false }, "token_endpoint_auth_method"},
		"no client CA": {`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"a.example"`, func(o *Offer) { o.ClientCA = false }, "token_endpoint_auth_method"},
		"device":       {`"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:device_code"]`, func(o *Offer) { o.Device = false }, "grant_types"},
		"details":      {`"scope":"openid","authorization_details_types":["insurance_payment"]`, func(o *Offer) { o.Details = nil }, "authorization_details_types"},
		"scope of details": {`"scope":"openid","authorization_details_types":["insurance_payment"]`,
			func(o *Offer) { o.Details = map[string]string{"insurance_payment": "insurance.pay"} }, "authorization_details_types"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := ValidateClient([]byte(`{"client_name":"Clinic","redirect_uris":["https://rp.example/cb"],` + test.doc + `}`))
			if err != nil {
				t.Fatal(err)
			}
			less := all
			test.less(&less)
			var wrong *MetadataError
			if err := less.Check(&c); !errors.As(err, &wrong) || wrong.Member != test.member {
				t.Errorf("got %v, want a problem of %s", err, test.member)
			}
			if err := all.Check(&c); name != "scope" && name != "algorithm" && err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"ecardid/cmd/ecardid/internal/config"
	"ecardid/cmd/ecardid/internal/pension"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/storage"
)

// The two clients of the relying party that is running.
const (
	pensionID = "pension-office"
	counterID = "pension-counter"
)

// demoClient is an application as demo.json names it: what somebody needs who
// plays its part. For private_key_jwt that is the private half of its keys.
type demoClient struct {
	ID           string              `json:"client_id"`
	Secret       string              `json:"client_secret,omitempty"`
	JWKS         *demoKeys           `json:"jwks,omitempty"`
	Auth         string              `json:"token_endpoint_auth_method"`
	GrantTypes   []string            `json:"grant_types"`
	RedirectURIs []string            `json:"redirect_uris"`
	Profile      oauth.Profile       `json:"profile"`
	Scope        string              `json:"scope"`
	Resources    []string            `json:"resources,omitempty"`
	Name         string              `json:"client_name"`
	Note         string              `json:"note"`
	register     map[string]any      // further metadata
	set          func(*oauth.Client) // what no registration could say; nil: nothing
}

// demoKeys is a JWK Set with private halves. It exists in the demo only: ours never
// leave package jose.
type demoKeys struct {
	Keys []demoKey `json:"keys"`
}

type demoKey struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	D   string `json:"d,omitempty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
}

func madeUpClients(at addresses) []demoClient {
	code := []string{oauth.GrantCode, oauth.GrantRefresh}
	office := at.relyingParty()
	return []demoClient{
		{
			ID: pensionID, Auth: oauth.AuthBasic, GrantTypes: code, Profile: oauth.ProfileOAuth21,
			RedirectURIs: []string{office + pension.CallbackPath}, Scope: pension.Scope() + " offline_access",
			Name: "养老金经办服务（演示）", Note: "the relying party that is running; client_secret_basic, PKCE",
			register: map[string]any{
				"client_name#en": "Pension Office (DEMO)", "client_uri": office, "post_logout_redirect_uris": []string{office + pension.SignedOutPath},
			},
			// Registrations have https here. This office is in our own process.
			set: func(c *oauth.Client) {
				c.BackChannelLogoutURI, c.BackChannelLogoutSession = office+pension.BackChannelPath, true
				c.FrontChannelLogoutURI, c.FrontChannelLogoutSession = office+pension.FrontChannelPath, true
			},
		}, {
			ID: counterID, Auth: oauth.AuthPrivateKey, GrantTypes: []string{oauth.GrantCode}, Profile: oauth.ProfileFAPI2,
			RedirectURIs: []string{office + pension.PayCallbackPath}, Scope: "openid insurance.pay",
			Name: "养老金经办服务支付窗口（演示）", Note: "the running relying party's payments: PAR, signed requests, DPoP, authorization_details",
			register: map[string]any{
				"client_name#en": "Pension Office, payments (DEMO)", "client_uri": office, "request_object_signing_alg": string(jose.ES256),
				"require_signed_request_object": true, "authorization_details_types": []string{"insurance_payment"},
			},
		}, {
			ID: "hospital-portal", Auth: oauth.AuthPost, GrantTypes: code, Profile: oauth.ProfileOIDC,
			RedirectURIs: []string{office + "/hospital/callback"}, Scope: "openid profile phone insurance.read insurance.pay offline_access",
			Name: "示例医院（演示）", Note: "plain OpenID Connect, client_secret_post; nobody answers at its address",
			register: map[string]any{"client_name#en": "Example Hospital (DEMO)", "id_token_signed_response_alg": string(jose.ES256)},
		}, {
			// localhost is another host than 127.0.0.1: the consent page has to say so.
			ID: "corner-pharmacy", Auth: oauth.AuthBasic, GrantTypes: code, Profile: oauth.ProfileOAuth21,
			RedirectURIs: []string{"http://localhost:" + port(at.office) + "/pharmacy/callback"}, Scope: "openid profile phone card.basic insurance.read",
			Name: "街角药房（第三方演示）", Note: "a third party on another host, for consent; nobody answers at its address",
			register: map[string]any{"client_name#en": "Corner Pharmacy (third party, DEMO)"},
		}, {
			ID: "card-app", Auth: oauth.AuthNone, GrantTypes: code, Profile: oauth.ProfileOAuth21,
			RedirectURIs: []string{"http://127.0.0.1/callback"}, Scope: "openid profile card.basic insurance.read pension.read offline_access",
			Name: "电子社保卡应用（演示）", Note: "a public client on the phone: PKCE, any port of its loopback address",
			register: map[string]any{"client_name#en": "Card App (DEMO)", "application_type": "native"},
		}, {
			ID: "keyed-clinic", Auth: oauth.AuthPrivateKey, GrantTypes: code, Profile: oauth.ProfileOAuth21,
			RedirectURIs: []string{office + "/clinic/callback"}, Scope: "openid profile insurance.read insurance.pay",
			Name: "密钥门诊（演示）", Note: "private_key_jwt with the key in jwks; nobody answers at its address",
			register: map[string]any{"client_name#en": "Keyed Clinic (DEMO)"},
		}, {
			ID: "bank-robot", Auth: oauth.AuthPrivateKey, GrantTypes: code, Profile: oauth.ProfileFAPI2,
			RedirectURIs: []string{office + "/bank/callback"}, Scope: "openid profile insurance.read insurance.pay offline_access",
			Name: "示例银行（演示）", Note: "fapi2 for robots: PAR, private_key_jwt, DPoP, and JARM or signed requests if they like; nobody answers at its address",
			register: map[string]any{
				"client_name#en": "Example Bank (DEMO)", "authorization_details_types": []string{"insurance_payment"},
				"response_modes": []string{oauth.ModeQuery, oauth.ModeJWT, oauth.ModeQueryJWT, oauth.ModeFormPostJWT},
			},
		}, {
			ID: "guomi-bureau", Auth: oauth.AuthBasic, GrantTypes: code, Profile: oauth.ProfileOAuth21,
			RedirectURIs: []string{office + "/bureau/callback"}, Scope: "openid profile insurance.read offline_access",
			Name: "国密应用（演示）", Note: "its ID tokens and access tokens are signed with SM2: keys at sm2_jwks_uri; nobody answers at its address",
			register: map[string]any{
				"client_name#en": "National Algorithms Bureau (DEMO)", "id_token_signed_response_alg": string(jose.SM2),
				"access_token_signed_response_alg": string(jose.SM2),
			},
		}, {
			ID: "counter-terminal", Auth: oauth.AuthNone, GrantTypes: []string{oauth.GrantDevice, oauth.GrantRefresh}, Profile: oauth.ProfileOAuth21,
			RedirectURIs: []string{}, Scope: "openid profile insurance.read offline_access",
			Name: "窗口终端（演示）", Note: "a machine without a browser: the device grant (RFC 8628), as a public client",
			register: map[string]any{"client_name#en": "Counter Terminal (DEMO)"},
		}, {
			ID: "pension-api", Auth: oauth.AuthBasic, GrantTypes: []string{}, Profile: oauth.ProfileOAuth21, RedirectURIs: []string{},
			Resources: []string{"urn:ecardid:resource:pension", "urn:ecardid:resource:insurance", "urn:ecardid:resource:card"},
			Name:      "业务接口（演示）", Note: "a resource server: it may introspect tokens for its resources",
		}, {
			ID: "status-robot", Auth: oauth.AuthBasic, GrantTypes: []string{oauth.GrantClientCredentials}, Profile: oauth.ProfileOAuth21, RedirectURIs: []string{},
			Scope: "card.status", Name: "卡状态核验（演示）", Note: "a machine: client_credentials, no citizen",
		},
	}
}

// ensureClients registers the applications for today's ports. Secrets that still
// work are kept.
func (e *env) ensureClients(ctx context.Context, s *storage.Store, c *config.Config, before demoFile, at addresses) ([]demoClient, error) {
	hash, err := clientSecrets(s.Keys())
	if err != nil {
		return nil, err
	}
	registered, _, err := s.AllClients(ctx)
	if err != nil {
		return nil, err
	}
	all := madeUpClients(at)
	for i := range all {
		one := &all[i]
		known := before.client(one.ID)
		doc, err := one.registration(known)
		if err != nil {
			return nil, err
		}
		works := false
		for _, r := range registered {
			works = works || r.ID == one.ID && r.CheckSecret(hash, secretOf(known), e.clock.Now())
		}
		_, shown, err := e.applyClient(ctx, s, offer(c), doc, !works, one.amend)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.ID, err)
		}
		one.Secret = shown.Reveal()
		if works {
			one.Secret = known.Secret
		}
	}
	return all, nil
}

func (d demoFile) client(id string) demoClient {
	for _, c := range d.Clients {
		if c.ID == id {
			return c
		}
	}
	return demoClient{}
}

// amend sets what no registration could say.
func (c *demoClient) amend(client *oauth.Client) {
	if c.set != nil {
		c.set(client)
	}
}

// registration is the client's metadata as `client apply` takes it; it makes or
// keeps the client's keys.
func (c *demoClient) registration(known demoClient) ([]byte, error) {
	doc := map[string]any{
		"client_id": c.ID, "client_name": c.Name, "token_endpoint_auth_method": c.Auth, "grant_types": c.GrantTypes,
		"redirect_uris": c.RedirectURIs, "scope": c.Scope, "profile": c.Profile,
	}
	if len(c.Resources) > 0 {
		doc["resources"] = c.Resources
	}
	for k, v := range c.register {
		doc[k] = v
	}
	if c.Auth == oauth.AuthPrivateKey {
		if c.JWKS = known.JWKS; c.JWKS == nil || len(c.JWKS.Keys) == 0 || c.JWKS.Keys[0].D == "" {
			key, err := newDemoKey(c.ID + "-1")
			if err != nil {
				return nil, err
			}
			c.JWKS = &demoKeys{[]demoKey{key}}
		}
		public := demoKeys{}
		for _, k := range c.JWKS.Keys {
			k.D = ""
			public.Keys = append(public.Keys, k)
		}
		doc["jwks"] = public
	}
	return json.Marshal(doc)
}

func secretOf(c demoClient) secret.Value { return secret.Of(c.Secret) }

// newDemoKey makes an ES256 key and writes both halves as RFC 7518 §6.2 says.
func newDemoKey(kid string) (demoKey, error) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return demoKey{}, err
	}
	point, err := priv.PublicKey.Bytes()
	if err != nil {
		return demoKey{}, err
	}
	d, err := priv.Bytes()
	if err != nil {
		return demoKey{}, err
	}
	const size = 32
	if len(point) != 1+2*size || len(d) != size {
		return demoKey{}, errors.New("a P-256 key of another size")
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return demoKey{Kty: "EC", Crv: "P-256", X: b64(point[1 : 1+size]), Y: b64(point[1+size:]), D: b64(d), Kid: kid, Alg: "ES256", Use: "sig"}, nil
}

// private is the key itself.
func (k demoKey) private() (*ecdsa.PrivateKey, error) {
	d, err := base64.RawURLEncoding.DecodeString(k.D)
	if err != nil {
		return nil, err
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
}

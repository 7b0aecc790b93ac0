package pension

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ecardid/internal/secret"
)

// This file is the wire format of what golang.org/x/oauth2 does not speak: client
// assertions (RFC 7523), request objects (RFC 9101), pushed requests (RFC 9126) and
// DPoP (RFC 9449). It is written with the standard library alone, to be read beside
// those documents. Whoever builds a relying party takes a library instead.

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a JWT with ES256 (RFC 7515 §3.1, RFC 7518 §3.4).
func sign(key *ecdsa.PrivateKey, header, claims map[string]any) (string, error) {
	header["alg"] = "ES256"
	h, err1 := json.Marshal(header)
	c, err2 := json.Marshal(claims)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	input := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	const size = 32 // of a number of P-256
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return input + "." + b64(signature), nil
}

// jwk is the public half of a P-256 key; its text, members in this order, is what the
// thumbprint is made of (RFC 7638 §3.2).
func jwk(key *ecdsa.PublicKey) (json.RawMessage, error) {
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	if key.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	const size = 32
	return fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:1+size]), b64(point[1+size:])), nil
}

// A speaker is one client that signs who it is and binds its tokens to a key.
type speaker struct {
	issuer, client string
	kid            string
	key            *ecdsa.PrivateKey // says who we are
	bound          *ecdsa.PrivateKey // what tokens are bound to
	http           *http.Client
	now            func() time.Time
}

func unguessable() string { return secret.New(16).Reveal() }

// assertion says who we are, once (RFC 7523 §3; FAPI 2.0 §5.3.2.1: aud is the issuer).
func (s speaker) assertion() (string, error) {
	now := s.now()
	return sign(s.key, map[string]any{"typ": "JWT", "kid": s.kid}, map[string]any{
		"iss": s.client, "sub": s.client, "aud": s.issuer, "jti": unguessable(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
}

// object is a request that nobody on the way can change (RFC 9101 §4).
func (s speaker) object(request map[string]any) (string, error) {
	now := s.now()
	claims := map[string]any{"iss": s.client, "aud": s.issuer, "client_id": s.client, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name, value := range request {
		claims[name] = value
	}
	return sign(s.key, map[string]any{"typ": "oauth-authz-req+jwt", "kid": s.kid}, claims)
}

// proof shows that we hold the key, for one request (RFC 9449 §4.2).
func (s speaker) proof(method, to, nonce, access string) (string, error) {
	public, err := jwk(&s.bound.PublicKey)
	if err != nil {
		return "", err
	}
	claims := map[string]any{"jti": unguessable(), "htm": method, "htu": to, "iat": s.now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		claims["ath"] = b64(sum[:])
	}
	return sign(s.bound, map[string]any{"typ": "dpop+jwt", "jwk": public}, claims)
}

// jkt is the thumbprint of the key that tokens are bound to.
func (s speaker) jkt() (string, error) {
	public, err := jwk(&s.bound.PublicKey)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(public)
	return b64(sum[:]), nil
}

// post sends a form with assertion and proof, and once more when the server wants a
// nonce of its own in the proof (RFC 9449 §8). What it answers is written into out.
func (s speaker) post(ctx context.Context, to string, form url.Values, out any) error {
	nonce := ""
	for {
		assertion, err := s.assertion()
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		status, fresh, body, err := s.send(req, nonce, "")
		if err != nil {
			return err
		}
		if status == http.StatusOK || status == http.StatusCreated {
			return json.Unmarshal(body, out)
		}
		var refused struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(body, &refused) // the status says enough
		if refused.Error != "use_dpop_nonce" || fresh == "" || nonce != "" {
			return fmt.Errorf("answered %d %.64q", status, refused.Error)
		}
		nonce = fresh
	}
}

// get asks a resource with a bound token (RFC 9449 §7).
func (s speaker) get(ctx context.Context, from, access string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "DPoP "+access)
	status, _, body, err := s.send(req, "", access)
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return fmt.Errorf("answered %d", status)
	}
	return json.Unmarshal(body, out)
}

func (s speaker) send(req *http.Request, nonce, access string) (status int, fresh string, body []byte, err error) {
	proof, err := s.proof(req.Method, req.URL.String(), nonce, access)
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("DPoP", proof)
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, resp.Header.Get("DPoP-Nonce"), body, err
}

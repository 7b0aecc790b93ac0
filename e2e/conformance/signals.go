package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// receiverCallback is where the receiving application's citizens come back to. Nobody is
// there: the code is read from the address.
const receiverCallback = "https://localhost:9446/callback"

// happen returns what the plan's citizen does and suffers while a module waits to be told
// of it: they sign in to the application, and then an operator takes what they reported
// lost out of use and resets their factors, at the command line. Nil for plans of which
// nobody is told anything.
func (o *op) happen(p plan) func(context.Context) error {
	if p.Told == nil {
		return nil
	}
	return func(ctx context.Context) error {
		if err := o.visit(ctx, *p.Told, p.Key+"-client"); err != nil {
			return fmt.Errorf("signing in to the receiver: %w", err)
		}
		for _, args := range [][]string{
			{"citizen", "report-loss", p.Told.card, "--what", "phone", "--reason", "conformance"},
			{"citizen", "reset-factors", p.Told.card, "--reason", "conformance"},
		} {
			if _, err := o.do(ctx, nil, args...); err != nil {
				return err
			}
		}
		return nil
	}
}

// visit signs a citizen in to an application, down to its tokens.
func (o *op) visit(ctx context.Context, c citizen, client string) error {
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge := sha256.Sum256([]byte(verifier))
	v := newVisitor(o.http)
	var code string
	v.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), receiverCallback) {
			code = r.URL.Query().Get("code")
			return http.ErrUseLastResponse
		}
		return nil
	}
	v.get(ctx, "/authorize?"+url.Values{
		"client_id": {client}, "redirect_uri": {receiverCallback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"state"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	v.submit(ctx, "login-submit", "username", c.id, "password", c.password)
	if code == "" && v.has("device-skip") {
		v.submit(ctx, "device-skip")
	}
	if code == "" {
		v.submit(ctx, "consent-allow")
	}
	if v.err != nil || code == "" {
		return errors.Join(v.err, errors.New("no code came of it"))
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {receiverCallback}, "code_verifier": {verifier}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(o.secrets[client]))
	resp, err := o.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the code was not redeemed: %s", resp.Status)
	}
	return nil
}

package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

var errBlind = errors.New("rp: this token has to be asked back, and there are no credentials to ask with")

// introspect asks the server (RFC 7662). It is told of tokens meant for this resource
// and of no others.
func (v *Verifier) introspect(ctx context.Context, raw string) (Token, error) {
	if v.cfg.ClientID == "" {
		return Token{}, errBlind
	}
	meta, err := v.keys.describe(ctx)
	switch {
	case err != nil:
		return Token{}, err
	case meta.Introspection == "":
		return Token{}, errors.New("rp: the issuer has no introspection endpoint")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, meta.Introspection, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, fmt.Errorf("rp: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.SetBasicAuth(url.QueryEscape(v.cfg.ClientID), url.QueryEscape(v.cfg.ClientSecret)) // RFC 6749 §2.3.1
	body, err := do(v.cfg.HTTP, r)
	if err != nil {
		return Token{}, err
	}
	var c claims
	if err := json.Unmarshal(body, &c); err != nil {
		return Token{}, fmt.Errorf("rp: introspection: %w", err)
	}
	if !c.Active || c.Issuer != v.cfg.Issuer || !c.Audience.Contains(v.cfg.Audience) || !v.cfg.Now().Before(c.Expires.Time) {
		return Token{}, invalid(errors.New("not active"))
	}
	return c.token(), nil
}

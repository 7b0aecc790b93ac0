package config

import (
	"errors"
	"net/url"
	"strings"

	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/liveness"
)

// livenessCallback is where the provider posts its notices: a path of authn's.
const livenessCallback = "/liveness/callback"

// checkLiveness lets package liveness say what is wrong with the block.
func (c *Config) checkLiveness(k *checker, need Need) {
	l := &c.Liveness
	if l.Name == "" && l.URL == "" && l.Keys == "" && l.SigningKey.IsZero() {
		if need >= NeedServer {
			k.bad("liveness", "missing: which provider checks for a living person (name, url, keys, signing_key)")
		}
		return
	}
	if u, err := url.Parse(l.URL); err == nil {
		if l.Issuer == "" {
			l.Issuer = l.URL
		}
		if len(l.CaptureHosts) == 0 && u.Host != "" {
			l.CaptureHosts = []string{u.Host}
		}
		c.Made.LivenessHost = u.Hostname()
	}
	if l.Title == "" {
		l.Title = l.Name
	}
	if l.Keys == "" {
		k.bad("liveness.keys", "missing: the file with the provider's public keys")
	} else if text, err := readFile(l.Keys, maxSecret); err != nil {
		k.bad("liveness.keys", "%v", err)
	} else if c.Made.LivenessKeys, err = jose.ParseSet(text); err != nil {
		k.bad("liveness.keys", "%v", err)
	}
	switch text, err := l.SigningKey.Read(); {
	case l.SigningKey.IsZero():
		k.bad("liveness.signing_key", "missing: {file: PATH} or {env: NAME} of our own key for requests")
	case l.SigningKey.inline != "":
		k.bad("liveness.signing_key", "name a file or an environment variable; a key does not belong in this file")
	case err != nil:
		k.bad("liveness.signing_key", "%v", err)
	default:
		if c.Made.LivenessKey, err = signingKey(text); err != nil {
			k.bad("liveness.signing_key", "%v", err)
		}
	}
	if u, err := url.Parse(c.Issuer); l.Development && (err != nil || !loopbackName(u.Hostname())) {
		k.bad("liveness.development", "only with an issuer on this very machine: a stand-in believes everybody")
	}
	// The reference key comes out of the data keys and is not there yet.
	err := c.LivenessConfig(secret.Of(strings.Repeat("x", 64))).Check()
	for _, one := range split(err) {
		text := strings.TrimPrefix(one.Error(), "liveness: ")
		if strings.HasPrefix(text, "signing_key") || strings.HasPrefix(text, "provider_keys") || strings.HasPrefix(text, "callback_url") {
			continue // said already, in the words of this file
		}
		text = strings.Replace(text, "base_url:", "url:", 1)
		k.bad("liveness", "%s", text)
	}
}

// split undoes errors.Join.
func split(err error) []error {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		return joined.Unwrap()
	}
	return []error{err}
}

// LivenessConfig is what package liveness is told. ref is the key that references
// and nonces are derived from: the same on every replica.
func (c *Config) LivenessConfig(ref secret.Value) liveness.Config {
	l := c.Liveness
	cfg := liveness.Config{
		Name: l.Name, BaseURL: l.URL, Issuer: l.Issuer, Audience: c.Issuer,
		CallbackURL: c.Issuer + livenessCallback, CaptureHosts: l.CaptureHosts,
		SigningKey: c.Made.LivenessKey, ProviderKeys: c.Made.LivenessKeys, RefKey: ref,
		Policy: liveness.Policy{
			Mode: liveness.Mode(l.Mode), Reference: liveness.Reference(l.Reference),
			MinScore: l.MinScore, MinMatch: l.MinMatch, MinPAD: l.MinPAD, Tolerated: l.Tolerated,
		},
		Lifetime: l.Lifetime, Limits: liveness.DefaultLimits(), Development: l.Development,
	}
	for _, p := range l.WithoutDevice {
		cfg.WithoutDevice = append(cfg.WithoutDevice, liveness.Purpose(p))
	}
	return cfg
}

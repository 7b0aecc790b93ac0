package config

import (
	"net/url"

	"ecardid/internal/jose"
)

// Notices says whom citizens' notices are brought to besides their own pages: the
// operator's gateway for text messages and e-mail (authn/notify). Without a URL to nobody.
type Notices struct {
	// URL gets a POST for each notice, application/jwt. It is called by the rules of
	// outbound.
	URL string `yaml:"url"`
	// Algorithm signs them, with our published keys: ES256, PS256, RS256 or SGD_SM3_SM2.
	Algorithm string `yaml:"algorithm"`
}

func (c *Config) checkNotices(k *checker) {
	switch jose.Alg(c.Notices.Algorithm) {
	case jose.ES256, jose.PS256, jose.RS256, jose.SM2:
	default:
		k.bad("notices.algorithm", "want ES256, PS256, RS256 or %s", string(jose.SM2))
	}
	if c.Notices.URL == "" {
		return
	}
	if u, err := url.Parse(c.Notices.URL); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		k.bad("notices.url", "want an https URL without user and fragment")
	}
}

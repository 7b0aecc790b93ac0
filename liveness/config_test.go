package liveness

import (
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
)

func newKey(t testing.TB, alg jose.Alg, kid string) jose.Key {
	t.Helper()
	k, err := jose.Generate(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSet(t testing.TB, keys ...jose.Key) jose.Set {
	t.Helper()
	s, err := jose.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func goodConfig(t testing.TB) Config {
	return Config{
		Name:         "vendor",
		BaseURL:      "https://adapter.example.cn",
		Issuer:       "https://adapter.example.cn",
		Audience:     "https://id.example.cn",
		CallbackURL:  "https://id.example.cn/liveness/callback",
		CaptureHosts: []string{"face.example.cn"},
		SigningKey:   newKey(t, jose.ES256, "ours"),
		ProviderKeys: newSet(t, newKey(t, jose.SM2, "theirs")),
		RefKey:       secret.Of(strings.Repeat("k", 32)),
		Policy:       Policy{Mode: ModeLiveness, Reference: ReferenceNone, MinScore: 80, MinPAD: 2},
		Lifetime:     2 * time.Minute,
		Limits:       DefaultLimits(),
	}
}

func TestConfig(t *testing.T) {
	if err := goodConfig(t).Check(); err != nil {
		t.Fatalf("a whole configuration is refused: %v", err)
	}
	rsa := newKey(t, jose.EdDSA, "ours")
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no-name", func(c *Config) { c.Name = "" }, "name"},
		{"name-with-nul", func(c *Config) { c.Name = "a\x00b" }, "name"},
		{"no-base", func(c *Config) { c.BaseURL = "" }, "base_url"},
		{"http-base", func(c *Config) { c.BaseURL = "http://adapter.example.cn" }, "base_url"},
		{"http-loopback-in-production", func(c *Config) { c.BaseURL = "http://127.0.0.1:9" }, "base_url"},
		{"https-loopback-in-production", func(c *Config) { c.BaseURL = "https://127.0.0.1:9" }, "base_url"},
		{"metadata-address", func(c *Config) { c.BaseURL = "https://169.254.169.254" }, "base_url"},
		{"metadata-address-in-development", func(c *Config) { c.BaseURL, c.Development = "https://169.254.169.254", true }, "base_url"},
		{"http-elsewhere-in-development", func(c *Config) { c.BaseURL, c.Development = "http://adapter.example.cn", true }, "base_url"},
		{"base-with-slash", func(c *Config) { c.BaseURL += "/" }, "base_url"},
		{"base-with-password", func(c *Config) { c.BaseURL = "https://a:b@adapter.example.cn" }, "base_url"},
		{"http-callback", func(c *Config) { c.CallbackURL = "http://id.example.cn/cb" }, "callback_url"},
		{"no-issuer", func(c *Config) { c.Issuer = "" }, "issuer"},
		{"no-audience", func(c *Config) { c.Audience = "" }, "audience"},
		{"one-name-for-both", func(c *Config) { c.Audience = c.Issuer }, "same"},
		{"no-hosts", func(c *Config) { c.CaptureHosts = nil }, "capture_hosts"},
		{"host-with-path", func(c *Config) { c.CaptureHosts = []string{"a.cn/x"} }, "capture_hosts"},
		{"host-with-wildcard", func(c *Config) { c.CaptureHosts = []string{"*.a.cn"} }, "capture_hosts"},
		{"empty-host", func(c *Config) { c.CaptureHosts = []string{""} }, "capture_hosts"},
		{"no-key", func(c *Config) { c.SigningKey = jose.Key{} }, "signing_key"},
		{"public-key-only", func(c *Config) { c.SigningKey = c.SigningKey.Public() }, "signing_key"},
		{"other-algorithm", func(c *Config) { c.SigningKey = rsa }, "signing_key"},
		{"nothing-pinned", func(c *Config) { c.ProviderKeys = jose.Set{} }, "provider_keys"},
		{"other-algorithm-pinned", func(c *Config) { c.ProviderKeys = newSet(t, rsa) }, "provider_keys"},
		{"short-ref-key", func(c *Config) { c.RefKey = secret.Of("short") }, "ref_key"},
		{"no-score", func(c *Config) { c.Policy.MinScore = 0 }, "min_score"},
		{"score-of-101", func(c *Config) { c.Policy.MinScore = 101 }, "min_score"},
		{"no-mode", func(c *Config) { c.Policy.Mode = "" }, "mode"},
		{"match-with-nobody", func(c *Config) { c.Policy.Mode, c.Policy.MinMatch = ModeMatch, 80 }, "reference"},
		{"match-without-score", func(c *Config) { c.Policy.Mode, c.Policy.Reference = ModeMatch, ReferenceHandle }, "min_match"},
		{"purpose-unknown", func(c *Config) { c.WithoutDevice = []Purpose{"fun"} }, "without_device"},
		{"lives-too-long", func(c *Config) { c.Lifetime = 181 * time.Second }, "lifetime"},
		{"lives-not", func(c *Config) { c.Lifetime = 0 }, "lifetime"},
		{"no-limits", func(c *Config) { c.Limits = Limits{} }, "limits"},
		{"more-in-one-session-than-at-all", func(c *Config) { c.Limits.PerSession = 6 }, "per_session"},
		{"more-than-three-a-transaction", func(c *Config) { c.Limits.PerTransaction = 4 }, "per_transaction"},
		{"more-than-five-tries", func(c *Config) { c.Limits.Tries = 6 }, "limits: tries"},
		{"more-than-ten-a-day", func(c *Config) { c.Limits.PerDay = 11 }, "per_day"},
		{"tries-forgotten-too-soon", func(c *Config) { c.Limits.TriesWithin = time.Second }, "tries_within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := goodConfig(t)
			c.change(&cfg)
			err := cfg.Check()
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Check = %v, want it to name %q", err, c.says)
			}
			if _, err := NewProvider(cfg, clock.System{}); err == nil {
				t.Error("a provider was made of it")
			}
		})
	}
	err := Config{}.Check()
	for _, word := range []string{"name", "base_url", "issuer", "audience", "callback_url", "capture_hosts", "signing_key",
		"provider_keys", "ref_key", "min_score", "mode", "lifetime", "per_transaction"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the empty configuration's error does not name %s", word)
		}
	}
}

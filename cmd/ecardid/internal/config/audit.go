package config

import (
	"net/url"
	"time"
)

// Audit is about the audit trail.
type Audit struct {
	Checkpoint Checkpoint `yaml:"checkpoint"`
}

// Checkpoint says where signed statements of how far the trail goes are brought. What
// is kept there shows when somebody cuts the trail or writes it anew, so it should be
// out of reach of whoever can reach the database. With neither file nor url there are
// none but those of `ecardid audit checkpoint`.
type Checkpoint struct {
	Every time.Duration `yaml:"every"`
	// File gets a line each time.
	File string `yaml:"file"`
	// URL gets a POST each time, application/jose. It is called by the rules of
	// outbound.
	URL string `yaml:"url"`
}

const (
	minCheckpoint = time.Minute
	maxCheckpoint = 7 * 24 * time.Hour
)

func (c *Config) checkAudit(k *checker) {
	p := c.Audit.Checkpoint
	if p.Every < minCheckpoint || p.Every > maxCheckpoint {
		k.bad("audit.checkpoint.every", "not within %v and %v", minCheckpoint, maxCheckpoint)
	}
	if p.URL == "" {
		return
	}
	if u, err := url.Parse(p.URL); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		k.bad("audit.checkpoint.url", "want an https URL without user and fragment")
	}
}

package config

import (
	"bytes"
	"slices"

	"ecardid/authn/risk"
)

// Risk says how sign-ins are weighed (docs/risk.md).
type Risk struct {
	// Rules is a file of rules to use in place of those inside the binary. Its own tests
	// have to pass.
	Rules string `yaml:"rules"`
	// Places is a CSV file: which network is where.
	Places string `yaml:"places"`
	// Mode overrides that of the rules: enforce or dry-run.
	Mode string `yaml:"mode"`
}

const maxPlaces = 16 << 20

func (c *Config) checkRisk(k *checker) {
	p, err := risk.Default()
	if c.Risk.Rules != "" {
		p, err = readRules(c.Risk.Rules)
	}
	for _, one := range split(err) {
		k.bad("risk.rules", "%v", one)
	}
	var places *risk.Places
	if c.Risk.Places != "" {
		text, err := readFile(c.Risk.Places, maxPlaces)
		if err == nil {
			places, err = risk.ReadPlaces(bytes.NewReader(text))
		}
		if err != nil {
			k.bad("risk.places", "%v", err)
		}
	}
	switch c.Risk.Mode {
	case "", risk.ModeEnforce, risk.ModeDryRun:
	default:
		k.bad("risk.mode", "%s or %s, or nothing for what the rules say, not %q", risk.ModeEnforce, risk.ModeDryRun, c.Risk.Mode)
	}
	if p == nil {
		return
	}
	if c.Risk.Mode != "" {
		p.DryRun = c.Risk.Mode == risk.ModeDryRun
	}
	p.Places = places
	known := places.Names()
	for _, r := range p.Rules {
		for _, name := range r.When.Places {
			if !slices.Contains(known, name) {
				k.bad("risk.rules", "rule %s: no network of risk.places is in %q", r.ID, name)
			}
		}
	}
	c.Made.Risk = p
}

func readRules(path string) (*risk.Policy, error) {
	text, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	return risk.Load(text)
}

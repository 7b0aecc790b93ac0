package main

import (
	"slices"
	"testing"

	"ecardid/cmd/ecardid/internal/config"
)

// Whoever is named in the configuration may be called, at the port that was named.
func TestCallable(t *testing.T) {
	c := config.Defaults()
	c.Outbound.Only = []string{"hospital.example"}
	if got := callable(&c); !slices.Equal(got, []string{"hospital.example"}) {
		t.Errorf("without checkpoints: %v", got)
	}
	c.Audit.Checkpoint.URL = "https://notary.example:8443/checkpoints"
	if got := callable(&c); !slices.Equal(got, []string{"hospital.example", "notary.example:8443"}) || len(c.Outbound.Only) != 1 {
		t.Errorf("with checkpoints: %v", got)
	}
}

package main

import (
	"slices"
	"testing"

	"ecardid/cmd/ecardid/internal/config"
)

// Whoever is named in the configuration for our own sake may be called at the port that
// was named, by us and by nobody else.
func TestCallable(t *testing.T) {
	c := config.Defaults()
	c.Outbound.Only = []string{"hospital.example"}
	if got := callable(&c); len(got) != 0 {
		t.Errorf("without any: %v", got)
	}
	c.Audit.Checkpoint.URL, c.Notices.URL = "https://notary.example:8443/checkpoints", "https://sms.example/notices"
	got := callable(&c)
	if !slices.Equal(got, hostList{"notary.example:8443", "sms.example:443"}) {
		t.Errorf("with both: %v", got)
	}
	for address, want := range map[string]bool{"notary.example:8443": true, "sms.example:443": true, "notary.example:443": false, "hospital.example:443": false, "": false} {
		if got.Names(t.Context(), address) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
}

package storagetest

import (
	"testing"

	"ecardid/storage"
)

// A check is one promise with its name.
type check struct {
	name string
	run  func(w *world)
}

// Run holds the store that open returns to its promises. The store has the schema
// and its data keys are unlocked.
func Run(t *testing.T, open func(t testing.TB) *storage.Store) {
	s := open(t)
	for _, subject := range []struct {
		name   string
		checks []check
	}{
		{"accounts", accountChecks()}, {"flows", flowChecks()}, {"logins", loginChecks()}, {"attempts", attemptChecks()},
		{"factors", factorChecks()}, {"passkeys", passkeyChecks()}, {"devices", deviceChecks()}, {"phones", phoneChecks()}, {"grants", grantChecks()},
		{"refreshes", refreshChecks()}, {"tokens", tokenChecks()}, {"consents", consentChecks()}, {"registry", registryChecks()},
		{"once", onceChecks()}, {"exchange", exchangeChecks()}, {"farewells", farewellChecks()}, {"registrations", registrationChecks()}, {"admission", admissionChecks()}, {"watch", watchChecks()},
		{"device-codes", deviceCodeChecks()}, {"loss", lossChecks()}, {"own", ownChecks()}, {"relatives", relativeChecks()}, {"citizens", citizenChecks()}, {"risk", riskChecks()}, {"signals", signalChecks()}, {"telling", tellingChecks()}, {"notices", noticeChecks()}, {"liveness", livenessChecks()}, {"journal", journalChecks()}, {"staff", staffChecks()}, {"overtaken", overtakenChecks()},
	} {
		t.Run(subject.name, func(t *testing.T) {
			for _, c := range subject.checks {
				t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, s)) })
			}
		})
	}
}

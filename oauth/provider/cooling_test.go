package provider_test

import (
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
)

// For a day after a phone was bound a payment waits, however it is asked for: by its
// scope, or by authorization_details alone (DESIGN D8).
func TestPaymentsWaitForANewPhone(t *testing.T) {
	for _, scope := range []string{"openid insurance.pay", "openid"} {
		t.Run(scope, func(t *testing.T) {
			h := newHouse(t)
			h.clinic("")
			b := h.browser()
			login := b.sure(h.phone())
			ctx, now := t.Context(), h.clock.Now()
			e := authn.PhoneEnrolment{ID: identity.NewID(), Citizen: h.citizens[0], Login: login.ID, Code: []byte("enrolment code"), Expires: now.Add(time.Minute), CoolOff: 24 * time.Hour}
			if err := h.store.OpenEnrolment(ctx, e); err != nil {
				t.Fatal(err)
			}
			if _, err := h.store.ClaimEnrolment(ctx, e.Code, "challenge", now.Add(time.Minute), now); err != nil {
				t.Fatal(err)
			}
			d := authn.Device{
				ID: identity.NewID(), Citizen: e.Citizen, Kind: identity.DevicePhone, Name: "new", JWK: []byte("{}"), Alg: "ES256",
				Thumbprint: []byte("thumb"), KeyLevel: identity.KeyTEE, Created: now,
			}
			event := audit.Event{Kind: audit.DeviceBound, At: now, Actor: audit.ByCitizen, Citizen: e.Citizen}
			if err := h.store.BindPhone(ctx, e.ID, d, now, event); err != nil {
				t.Fatal(err)
			}
			pay := func() string {
				b.sure(d.ID)
				b.get("/authorize?" + ask("scope", scope, "authorization_details", bill).Encode())
				h.clock.Advance(time.Second)
				b.sure(d.ID)
				return b.get(h.logins.last(t).back).Header().Get("Location")
			}
			if to := pay(); !strings.Contains(to, "error=access_denied") {
				t.Errorf("on the first day sent to %s", to)
			}
			h.clock.Advance(24 * time.Hour)
			if to := pay(); !strings.HasPrefix(to, "/consent?") {
				t.Errorf("on the second day sent to %s", to)
			}
		})
	}
}

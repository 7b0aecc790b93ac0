package oauth

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

func TestSignalsOf(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	type told struct{ kind, data string }
	change := func(by, what, how string) told {
		return told{SignalCredentialChange, `{"change_type":"` + how + `","credential_type":"` + what + `","event_timestamp":1795348800,"initiating_entity":"` + by + `"}`}
	}
	compliance := func(by, from, to string) told {
		return told{SignalDeviceCompliance, `{"current_status":"` + to + `","event_timestamp":1795348800,"initiating_entity":"` + by + `","previous_status":"` + from + `"}`}
	}
	disabled, enabled := told{SignalAccountDisabled, `{}`}, told{SignalAccountEnabled, `{}`}
	const ok, bad = "compliant", "not-compliant"
	for _, c := range []struct {
		kind   audit.Kind
		actor  audit.Actor
		device identity.DeviceKind
		state  identity.DeviceState
		lost   string
		want   []told
	}{
		{audit.PasswordChanged, audit.ByCitizen, "", "", "", []told{change("user", "password", "update")}},
		{audit.FactorsReset, audit.ByOperator, "", "", "", []told{change("admin", "password", "revoke"), change("admin", "app", "revoke"), change("admin", "fido2-platform", "revoke")}},
		{audit.TOTPBound, audit.ByCitizen, "", "", "", []told{change("user", "app", "create")}},
		{audit.TOTPRemoved, "staff:x", "", "", "", []told{change("admin", "app", "delete")}},
		{audit.PasskeyBound, audit.ByCitizen, identity.DeviceAuthenticator, identity.DeviceActive, "", []told{change("user", "fido2-platform", "create")}},
		{audit.PasskeyRemoved, audit.ByCitizen, "", "", "", []told{change("user", "fido2-platform", "delete")}},
		{audit.DeviceBound, audit.ByCitizen, identity.DevicePhone, identity.DeviceActive, "", []told{change("user", "app", "create")}},
		{audit.DeviceBound, audit.ByCitizen, identity.DeviceBrowser, identity.DeviceActive, "", nil},
		{audit.DeviceEnded, audit.ByCitizen, identity.DeviceBrowser, identity.DeviceRevoked, "", nil},
		{audit.DeviceEnded, audit.ByCitizen, "", "", "", nil},
		{audit.DeviceEnded, audit.BySystem, identity.DevicePhone, identity.DeviceSuspended, "", []told{compliance("system", ok, bad)}},
		{audit.DeviceEnded, audit.ByCitizen, identity.DevicePhone, identity.DeviceLost, "", []told{compliance("user", ok, bad), change("user", "app", "revoke")}},
		{audit.DeviceEnded, audit.ByCitizen, identity.DeviceAuthenticator, identity.DeviceRevoked, "", []told{compliance("user", ok, bad), change("user", "fido2-platform", "revoke")}},
		{audit.DeviceRestored, audit.ByOperator, identity.DevicePhone, identity.DeviceActive, "", []told{compliance("admin", bad, ok)}},
		{audit.LossReported, audit.ByCitizen, "", "", "phone", []told{compliance("user", ok, bad)}},
		{audit.LossReported, audit.ByOperator, "", "", "card", []told{compliance("admin", ok, bad), disabled}},
		{audit.LossUndone, audit.ByCitizen, "", "", "", []told{enabled}},
		{audit.CitizenFrozen, audit.ByOperator, "", "", "", []told{disabled}},
		{audit.CitizenCancelled, "staff:x", "", "", "", []told{disabled}},
		{audit.CitizenRestored, audit.ByOperator, "", "", "", []told{enabled}},
		{audit.LoginRefused, audit.ByCitizen, "", "", "", nil},
		{audit.ConsentGiven, audit.ByCitizen, "", "", "", nil},
	} {
		e := audit.Event{Kind: c.kind, At: at, Actor: c.actor, Detail: map[string]string{"lost": c.lost}}
		var got []told
		for _, s := range SignalsOf(e, c.device, c.state) {
			var data map[string]any
			if err := json.Unmarshal(s.Data, &data); err != nil || !s.At.Equal(at) {
				t.Fatalf("%+v, %v", s, err)
			}
			sorted, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, told{s.Type, string(sorted)})
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s of %s %s: %v, want %v", c.kind, c.device, c.state, got, c.want)
		}
		if len(got) > 0 && !Signals(c.kind) {
			t.Errorf("%s is not among those that are told", c.kind)
		}
		for _, one := range got {
			if !slices.Contains(SignalTypes(), one.kind) {
				t.Errorf("%s is sent and not said to be", one.kind)
			}
		}
	}
}

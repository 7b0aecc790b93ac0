package oauth

import (
	"encoding/json"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// Event types (Continuous Access Evaluation Profile 1.0 §3, RISC 1.0 §2). What is on this
// list is sent; nothing else is said to be.
const (
	SignalSessionRevoked   = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	SignalCredentialChange = "https://schemas.openid.net/secevent/caep/event-type/credential-change"
	SignalDeviceCompliance = "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change"
	SignalAccountDisabled  = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
	SignalAccountEnabled   = "https://schemas.openid.net/secevent/risc/event-type/account-enabled"

	// SignalVerification is about a stream and not chosen by anybody (Shared Signals §8.1.4.1).
	SignalVerification = "https://schemas.openid.net/secevent/ssf/event-type/verification"
)

// SignalTypes lists what a stream may be asked to deliver.
func SignalTypes() []string {
	return []string{SignalSessionRevoked, SignalCredentialChange, SignalDeviceCompliance, SignalAccountDisabled, SignalAccountEnabled}
}

// The vocabulary of the profile (CAEP §3.3.1, §3.5.1).
const (
	credentialPassword = "password"
	credentialApp      = "app"
	credentialPasskey  = "fido2-platform" // whether a key sits in a token of its own we do not keep

	changeCreate = "create"
	changeRevoke = "revoke"
	changeUpdate = "update"
	changeDelete = "delete"

	compliant    = "compliant"
	notCompliant = "not-compliant"
)

// signalData are the members that events of ours have, each of them optional here.
type signalData struct {
	Timestamp  int64  `json:"event_timestamp,omitempty"`
	Initiating string `json:"initiating_entity,omitempty"`
	Credential string `json:"credential_type,omitempty"`
	Change     string `json:"change_type,omitempty"`
	Current    string `json:"current_status,omitempty"`
	Previous   string `json:"previous_status,omitempty"`
}

// SessionRevoked is what is told when sessions end.
func SessionRevoked(at time.Time) Signal { return signal(SignalSessionRevoked, at, signalData{}) }

// Signals reports whether an act of this kind may be one that receivers are told of.
func Signals(kind audit.Kind) bool {
	switch kind {
	case audit.PasswordChanged, audit.FactorsReset, audit.TOTPBound, audit.TOTPRemoved, audit.PasskeyBound, audit.PasskeyRemoved,
		audit.DeviceBound, audit.DeviceEnded, audit.DeviceSuspended, audit.DeviceRestored, audit.LossReported, audit.LossUndone,
		audit.CitizenFrozen, audit.CitizenCancelled, audit.CitizenRestored:
		return true
	}
	return false
}

// SignalsOf says what receivers are told of an act, besides the sessions that end with
// it. kind is that of the act's device, and state what the device has become; both are
// empty when the act has none. Of trusted browsers nobody is told: they prove nothing by
// themselves.
func SignalsOf(e audit.Event, kind identity.DeviceKind, state identity.DeviceState) []Signal {
	by := initiator(e.Actor)
	credential := func(what, change string) Signal {
		return signal(SignalCredentialChange, e.At, signalData{Initiating: by, Credential: what, Change: change})
	}
	device := func(from, to string) Signal {
		return signal(SignalDeviceCompliance, e.At, signalData{Initiating: by, Previous: from, Current: to})
	}
	switch e.Kind {
	case audit.PasswordChanged:
		return []Signal{credential(credentialPassword, changeUpdate)}
	case audit.FactorsReset:
		return []Signal{credential(credentialPassword, changeRevoke), credential(credentialApp, changeRevoke), credential(credentialPasskey, changeRevoke)}
	case audit.TOTPBound:
		return []Signal{credential(credentialApp, changeCreate)}
	case audit.TOTPRemoved:
		return []Signal{credential(credentialApp, changeDelete)}
	case audit.PasskeyBound:
		return []Signal{credential(credentialPasskey, changeCreate)}
	case audit.PasskeyRemoved:
		return []Signal{credential(credentialPasskey, changeDelete)}
	case audit.DeviceBound:
		if kind == identity.DevicePhone {
			return []Signal{credential(credentialApp, changeCreate)}
		}
	case audit.DeviceEnded, audit.DeviceSuspended:
		if kind == identity.DeviceBrowser || kind == "" {
			return nil
		}
		told := []Signal{device(compliant, notCompliant)}
		if state != identity.DeviceSuspended {
			told = append(told, credential(credentialOn(kind), changeRevoke))
		}
		return told
	case audit.DeviceRestored:
		return []Signal{device(notCompliant, compliant)}
	case audit.LossReported:
		told := []Signal{device(compliant, notCompliant)}
		if e.Detail["lost"] == "card" {
			told = append(told, signal(SignalAccountDisabled, e.At, signalData{}))
		}
		return told
	case audit.CitizenFrozen, audit.CitizenCancelled:
		return []Signal{signal(SignalAccountDisabled, e.At, signalData{})}
	case audit.CitizenRestored, audit.LossUndone:
		return []Signal{signal(SignalAccountEnabled, e.At, signalData{})}
	}
	return nil
}

func credentialOn(kind identity.DeviceKind) string {
	if kind == identity.DevicePhone {
		return credentialApp
	}
	return credentialPasskey
}

// initiator is who caused it, as CAEP §2 names them.
func initiator(a audit.Actor) string {
	switch a {
	case audit.ByCitizen:
		return "user"
	case audit.BySystem:
		return "system"
	}
	return "admin"
}

// signal makes one. RISC has no members for time and cause, and needs none: the token has
// iat.
func signal(kind string, at time.Time, d signalData) Signal {
	if kind != SignalAccountDisabled && kind != SignalAccountEnabled {
		d.Timestamp = at.Unix()
	}
	data, err := json.Marshal(d)
	if err != nil {
		data = []byte("{}") // strings and a number always encode
	}
	return Signal{Type: kind, Data: data, At: at}
}

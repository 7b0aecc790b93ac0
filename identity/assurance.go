package identity

import (
	"slices"
	"time"
)

// A Level is a rung of the assurance ladder (DESIGN D6). Higher is surer.
type Level int

// The ladder. Each rung includes the ones below.
const (
	LevelNone  Level = iota
	LevelBasic       // one factor
	LevelMFA         // two factors of different kinds
	LevelBound       // MFA with a phishing-resistant key on a registered device
	LevelLive        // Bound, and a liveness verdict for this very transaction
)

var acrNames = [...]string{
	LevelBasic: "urn:ecardid:acr:basic",
	LevelMFA:   "urn:ecardid:acr:mfa",
	LevelBound: "urn:ecardid:acr:bound",
	LevelLive:  "urn:ecardid:acr:live",
}

// ACRs lists the values of acr we know, lowest first (OpenID Connect Discovery
// §3, acr_values_supported).
func ACRs() []string { return slices.Clone(acrNames[LevelBasic:]) }

// ACR returns the name of the level as tokens carry it; LevelNone has none.
func (l Level) ACR() string {
	if l < LevelBasic || l > LevelLive {
		return ""
	}
	return acrNames[l]
}

// ParseACR reads a name back. Names we do not know are not ok.
func ParseACR(s string) (Level, bool) {
	if s == "" {
		return LevelNone, false
	}
	i := slices.Index(acrNames[:], s)
	return Level(max(i, 0)), i >= 0
}

// A Factor is one way of proving who one is.
type Factor string

// The factors. There is no SMS among them: a code that a SIM swap can read
// proves nothing that counts (DESIGN §1).
const (
	FactorPassword Factor = "password"
	FactorPasskey  Factor = "passkey"
	FactorTOTP     Factor = "totp"
	FactorPhone    Factor = "phone"
	FactorRecovery Factor = "recovery" // opens the door to re-binding, raises no level and caps it (SECURITY MF4)
	FactorFace     Factor = "face"
)

// A Proof is one factor shown at one time. Proofs are facts and never change.
type Proof struct {
	Factor Factor    `json:"factor"`
	At     time.Time `json:"at"`
	// Device is the registered device whose key proved it; zero for none.
	Device ID `json:"device,omitzero"`
	// Hardware: the key cannot leave its device, by attestation or because the
	// authenticator says it is not backup-eligible (amr hwk rather than swk).
	Hardware bool `json:"hardware,omitempty"`
	// Verified: the authenticator checked PIN or biometrics (UV).
	Verified bool `json:"verified,omitempty"`
	// Synced: the key is copied between devices, so it lives on none of them.
	Synced bool `json:"synced,omitempty"`
	// Txn is the transaction a liveness verdict was given for. It counts there
	// and nowhere else.
	Txn string `json:"txn,omitempty"`
}

// LiveFor is how long a liveness verdict counts (DESIGN D6, SECURITY LV1).
const LiveFor = 5 * time.Minute

// An Assurance says how sure we are, in the words tokens use.
type Assurance struct {
	Level Level
	AMR   []string  // RFC 8176 names, in the order of first proof
	At    time.Time // auth_time: the latest password or passkey among the proofs that count
}

// Assess weighs proofs. Those before since do not count, nor does a liveness
// verdict given for another transaction than txn or older than LiveFor.
//
// A recovery code among the proofs caps the level at LevelMFA, and does so however
// old it is: what came after stands on it, and a since between the two must not make
// that forgotten. A complete new sign-in has none (SECURITY MF4).
func Assess(proofs []Proof, since time.Time, txn string, now time.Time) Assurance {
	var a Assurance
	var password, otp, key, boundKey, face, recovered bool
	say := func(names ...string) {
		for _, n := range names {
			if !slices.Contains(a.AMR, n) {
				a.AMR = append(a.AMR, n)
			}
		}
	}
	keyName := func(p Proof) string {
		if p.Hardware {
			return "hwk"
		}
		return "swk"
	}
	for _, p := range proofs {
		recovered = recovered || p.Factor == FactorRecovery
		if p.At.Before(since) || p.At.After(now) {
			continue
		}
		switch p.Factor {
		case FactorPassword:
			password = true
			say("pwd")
			a.At = later(a.At, p.At)
		case FactorTOTP:
			otp = true
			say("otp")
		case FactorPasskey:
			// Without user verification a stolen key would be enough; we never
			// ask for such a ceremony and do not count its result.
			if !p.Verified {
				continue
			}
			key = true
			boundKey = boundKey || !p.Synced && !p.Device.IsZero()
			say(keyName(p), "user")
			a.At = later(a.At, p.At)
		case FactorPhone:
			// The phone's word that it checked its owner is worth what its
			// attestation is worth: it counts as possession, beside a password.
			if p.Device.IsZero() {
				continue
			}
			otp = true
			boundKey = true
			say(keyName(p))
			if p.Verified {
				say("user")
			}
		case FactorFace:
			face = face || txn != "" && p.Txn == txn && now.Sub(p.At) <= LiveFor
		}
	}
	switch {
	case key || password && otp:
		a.Level = LevelMFA
		if boundKey && !recovered {
			a.Level = LevelBound
		}
	case password:
		a.Level = LevelBasic
	}
	if face && a.Level == LevelBound {
		a.Level = LevelLive
		say("face")
	}
	if a.Level >= LevelMFA {
		say("mfa")
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

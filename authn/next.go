package authn

import (
	"slices"
	"time"

	"ecardid/authn/risk"
	"ecardid/identity"
)

// A StepKind names a step of a flow.
type StepKind string

// The steps.
const (
	// First contact.
	StepActivate StepKind = "activate" // card number and activation code
	StepPassword StepKind = "password" // choose the first password
	StepGreeting StepKind = "greeting" // choose the greeting

	StepIdentify   StepKind = "identify"   // user name and password, or passkey
	StepFactor     StepKind = "factor"     // one of Step.Factors
	StepEnrol      StepKind = "enrol"      // bind one of Step.Factors, new
	StepKey        StepKind = "key"        // the need wants a key on a device and there is none: offer to make one
	StepLiveness   StepKind = "liveness"   //
	StepCodes      StepKind = "codes"      // keep the recovery codes
	StepDevice     StepKind = "device"     // remember this browser?
	StepDone       StepKind = "done"       //
	StepHeld       StepKind = "held"       // the rules about sign-ins want a pause
	StepRefused    StepKind = "refused"    // they refuse
	StepImpossible StepKind = "impossible" // nothing the citizen has will do
)

// A Step is what a flow owes next.
type Step struct {
	Kind StepKind
	// Factors are the ways to take it, best first.
	Factors []identity.Factor
	// Stale, at StepKey: what was proved is too old to make a key with; they prove
	// it again first (SECURITY MF3).
	Stale bool
	// Tired, at StepImpossible: there would be a way, but not after this many tries.
	Tired bool
}

// Offers reports whether f is one of the step's ways.
func (s Step) Offers(f identity.Factor) bool { return slices.Contains(s.Factors, f) }

// Means is what a citizen could still show.
type Means struct {
	Factors
	// DeviceKeys counts the passkeys that live on one registered device. It is
	// looked up where the need asks for such a key.
	DeviceKeys int
	// Liveness: a provider is configured.
	Liveness bool
}

// Next says what f still owes before who asked may be answered. It is the only
// place where that is decided; it reads nothing and changes nothing.
func Next(f Flow, m Means, now time.Time) Step {
	if f.State.Activation != nil && f.Citizen.IsZero() {
		return f.State.Activation.next()
	}
	if w := f.State.Weighing; w != nil && w.Citizen == f.Citizen {
		switch {
		case w.Verdict == risk.Refuse:
			return Step{Kind: StepRefused}
		case w.Verdict == risk.Pause && w.Until.After(now):
			return Step{Kind: StepHeld}
		}
	}
	need, since := f.owes()
	level := func(more ...identity.Proof) identity.Level {
		proofs := append(slices.Clone(f.Proofs), more...)
		return identity.Assess(proofs, since, f.Need.Txn, now).Level
	}
	have := level()
	if f.Citizen.IsZero() || have < identity.LevelBasic {
		return Step{Kind: StepIdentify, Factors: []identity.Factor{identity.FactorPassword, identity.FactorPasskey}}
	}

	// The face comes last and only on top of everything else (DESIGN D6).
	owed := min(need, identity.LevelBound)
	if have < owed {
		return m.more(f, have, owed, level, now)
	}
	if need > identity.LevelBound && have < need {
		if !m.Liveness {
			return Step{Kind: StepImpossible}
		}
		return Step{Kind: StepLiveness, Factors: []identity.Factor{identity.FactorFace}}
	}
	switch {
	case len(f.State.Kept) > 0:
		return Step{Kind: StepCodes}
	case f.Login.IsZero() && f.State.Here != f.Citizen && f.State.Browser.IsZero() && !f.State.DeviceAsked:
		return Step{Kind: StepDevice}
	}
	return Step{Kind: StepDone}
}

// more says how to get from have to owed.
func (m Means) more(f Flow, have, owed identity.Level, level func(...identity.Proof) identity.Level, now time.Time) Step {
	// A recovery code raises nothing. It opens the door to a new factor, and that
	// is the only thing behind it (SECURITY MF4).
	if !f.State.RecoveryAt.IsZero() && have < identity.LevelMFA {
		if f.doubt() > have {
			return Step{Kind: StepImpossible}
		}
		return Step{Kind: StepEnrol, Factors: []identity.Factor{identity.FactorTOTP, identity.FactorPasskey}}
	}
	tired := false
	reaching := func(want identity.Level) []identity.Factor {
		var ways []identity.Factor
		for _, w := range m.ways() {
			switch {
			case level(w.proof(now)) < want:
				continue // never offer what does not get there (SECURITY MF4)
			case w.factor == identity.FactorTOTP && f.State.Codes >= maxCodes,
				w.factor == identity.FactorPhone && f.State.Approvals >= maxApprovals && f.State.Approval.IsZero():
				tired = true
				continue
			}
			if !slices.Contains(ways, w.factor) {
				ways = append(ways, w.factor)
			}
		}
		if want == identity.LevelMFA && owed == identity.LevelMFA && m.Recovery > 0 && f.doubt() == identity.LevelNone {
			if f.State.Recoveries < maxRecovery {
				ways = append(ways, identity.FactorRecovery)
			} else {
				tired = true
			}
		}
		return ways
	}
	if ways := reaching(owed); len(ways) > 0 {
		return Step{Kind: StepFactor, Factors: ways}
	}
	// After a recovery code no key leads further: the citizen signs in anew with
	// what they have bound (SECURITY MF4). Nor where doubts ask for a key, whatever else
	// does: whoever is doubted would be the one to make it.
	if f.Need.Level >= identity.LevelBound && f.doubt() < identity.LevelBound && !tired && !recovered(f.Proofs) {
		// Nobody has to go home for want of a key: two factors are enough to make one.
		if have >= identity.LevelMFA {
			_, since := f.owes()
			fresh := identity.Assess(f.Proofs, later(since, now.Add(-freshFor)), "", now).Level
			return Step{Kind: StepKey, Factors: []identity.Factor{identity.FactorPasskey}, Stale: fresh < identity.LevelMFA}
		}
		if ways := reaching(identity.LevelMFA); len(ways) > 0 {
			return Step{Kind: StepFactor, Factors: ways}
		}
	}
	return Step{Kind: StepImpossible, Tired: tired}
}

// recovered reports whether a recovery code is among the proofs.
func recovered(proofs []identity.Proof) bool {
	return slices.ContainsFunc(proofs, func(p identity.Proof) bool { return p.Factor == identity.FactorRecovery })
}

// A way is a proof the citizen could give.
type way struct {
	factor identity.Factor
	device bool // its key lives on a registered device
}

// ways lists them in the order they are offered: what is at hand for most first.
func (m Means) ways() []way {
	var ws []way
	if m.TOTP {
		ws = append(ws, way{factor: identity.FactorTOTP})
	}
	if m.DeviceKeys > 0 {
		ws = append(ws, way{factor: identity.FactorPasskey, device: true})
	}
	if m.Passkeys > 0 {
		ws = append(ws, way{factor: identity.FactorPasskey})
	}
	if m.Phones > 0 {
		ws = append(ws, way{factor: identity.FactorPhone, device: true})
	}
	return ws
}

// proof is what the way would give, for weighing it.
func (w way) proof(now time.Time) identity.Proof {
	p := identity.Proof{Factor: w.factor, At: now, Verified: true}
	if w.device {
		p.Device, p.Hardware = identity.ID{1}, true
	} else {
		p.Synced = true
	}
	return p
}

func (a *Activation) next() Step {
	switch {
	case a.Citizen.IsZero():
		return Step{Kind: StepActivate}
	case a.Encoded == "":
		return Step{Kind: StepPassword}
	case a.Greeting == "":
		return Step{Kind: StepGreeting}
	}
	return Step{Kind: StepEnrol, Factors: []identity.Factor{identity.FactorTOTP, identity.FactorPasskey}}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

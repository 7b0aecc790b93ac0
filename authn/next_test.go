package authn

import (
	"fmt"
	"testing"
	"time"

	"ecardid/identity"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	proof := func(f identity.Factor) identity.Proof {
		return identity.Proof{Factor: f, At: ago(time.Minute), Verified: true}
	}
	pwd, otp := proof(identity.FactorPassword), proof(identity.FactorTOTP)
	synced, key, phone := proof(identity.FactorPasskey), proof(identity.FactorPasskey), proof(identity.FactorPhone)
	synced.Synced = true
	key.Device, key.Hardware, phone.Device = identity.ID{9}, true, identity.ID{8}
	face := identity.Proof{Factor: identity.FactorFace, At: ago(time.Minute), Txn: "t"}
	old := func(p identity.Proof) identity.Proof { p.At = ago(time.Hour); return p }
	used := proof(identity.FactorRecovery)
	all := Means{Factors: Factors{TOTP: true, Passkeys: 2, Phones: 1, Recovery: 3}, DeviceKeys: 1, Liveness: true}
	asked := FlowState{DeviceAsked: true}
	type proofs []identity.Proof

	for _, c := range []struct {
		name   string
		need   identity.Level
		proofs proofs
		means  Means
		state  FlowState
		since  time.Time
		login  bool
		want   string
	}{
		{"nobody-yet", identity.LevelMFA, nil, Means{}, FlowState{}, noTime, false, "identify [password passkey]"},
		{"password-then-anything", identity.LevelMFA, proofs{pwd}, all, FlowState{}, noTime, false, "factor [totp passkey phone recovery]"},
		// A code from an app reaches mfa and no further: it is not offered for more.
		{"password-then-a-key", identity.LevelBound, proofs{pwd}, all, FlowState{}, noTime, false, "factor [passkey phone]"},
		{"never-recovery-for-more-than-mfa", identity.LevelLive, proofs{pwd}, all, FlowState{}, noTime, false, "factor [passkey phone]"},
		{"a-synced-key-is-no-device", identity.LevelBound, proofs{synced}, all, FlowState{}, noTime, false, "factor [passkey phone]"},
		{"one-factor-will-do", identity.LevelBasic, proofs{pwd}, Means{}, asked, noTime, false, "done []"},
		{"nothing-but-a-password", identity.LevelMFA, proofs{pwd}, Means{}, FlowState{}, noTime, false, "impossible []"},
		{"only-recovery-left", identity.LevelMFA, proofs{pwd}, Means{Factors: Factors{Recovery: 1}}, FlowState{}, noTime, false, "factor [recovery]"},
		{"after-recovery", identity.LevelMFA, proofs{pwd, used}, all, FlowState{RecoveryAt: ago(time.Minute)}, noTime, false, "enrol [totp passkey]"},
		{"recovery-is-no-level", identity.LevelMFA, proofs{pwd, used}, Means{}, FlowState{}, noTime, false, "impossible []"},
		{"recovery-alone-is-nobody", identity.LevelBasic, proofs{used}, all, FlowState{}, noTime, false, "identify [password passkey]"},
		// No key is offered on the strength of a recovery code, had or made.
		{"recovered-and-wants-a-key", identity.LevelBound, proofs{pwd, used, otp}, Means{Factors: Factors{TOTP: true}}, FlowState{}, noTime, false, "impossible []"},
		{"recovered-and-has-a-key", identity.LevelBound, proofs{pwd, used, otp}, all, FlowState{}, noTime, true, "impossible []"},
		{"recovered-half-way-and-wants-a-key", identity.LevelBound, proofs{pwd, used}, Means{Factors: Factors{TOTP: true}}, FlowState{}, noTime, true, "impossible []"},
		{"recovered-and-shows-a-key", identity.LevelBound, proofs{pwd, used, key}, all, asked, noTime, false, "impossible []"},
		{"recovered-and-shows-a-face", identity.LevelLive, proofs{pwd, used, key, face}, all, asked, noTime, false, "impossible []"},
		{"recovered-is-mfa", identity.LevelMFA, proofs{pwd, used, key}, all, asked, noTime, false, "done []"},
		{"tired-of-codes", identity.LevelMFA, proofs{pwd}, Means{Factors: Factors{TOTP: true}}, FlowState{Codes: maxCodes}, noTime, false, "impossible [] tired"},
		{"tired-of-codes-but-a-key", identity.LevelMFA, proofs{pwd}, all, FlowState{Codes: maxCodes}, noTime, false, "factor [passkey phone recovery]"},
		{"tired-of-prompts", identity.LevelMFA, proofs{pwd}, Means{Factors: Factors{Phones: 1}}, FlowState{Approvals: maxApprovals}, noTime, false, "impossible [] tired"},
		{"the-last-prompt-is-still-out", identity.LevelMFA, proofs{pwd}, Means{Factors: Factors{Phones: 1}},
			FlowState{Approvals: maxApprovals, Approval: identity.ID{1}}, noTime, false, "factor [phone]"},
		{"no-key-yet-two-factors-first", identity.LevelBound, proofs{pwd}, Means{Factors: Factors{TOTP: true}}, FlowState{}, noTime, false, "factor [totp]"},
		{"no-key-yet", identity.LevelBound, proofs{pwd, otp}, Means{Factors: Factors{TOTP: true}}, FlowState{}, noTime, false, "key [passkey]"},
		{"no-key-yet-and-proved-long-ago", identity.LevelBound, proofs{old(pwd), old(otp)}, Means{Factors: Factors{TOTP: true}}, FlowState{}, noTime, true, "key [passkey] stale"},
		{"face-comes-last", identity.LevelLive, proofs{key}, all, FlowState{}, noTime, false, "liveness [face]"},
		{"face-before-the-key-counts-later", identity.LevelLive, proofs{pwd, face}, all, FlowState{}, noTime, false, "factor [passkey phone]"},
		{"face-and-nobody-to-ask", identity.LevelLive, proofs{key}, Means{Factors: all.Factors, DeviceKeys: 1}, FlowState{}, noTime, false, "impossible []"},
		{"live", identity.LevelLive, proofs{key, face}, all, asked, noTime, false, "done []"},
		{"somebody-else's-face", identity.LevelLive, proofs{key, {Factor: identity.FactorFace, At: ago(time.Minute), Txn: "u"}}, all, asked, noTime, false, "liveness [face]"},
		{"face-too-old", identity.LevelLive, proofs{key, {Factor: identity.FactorFace, At: ago(identity.LiveFor + time.Second), Txn: "t"}}, all, asked, noTime, false, "liveness [face]"},
		{"phone-is-bound", identity.LevelBound, proofs{pwd, phone}, all, asked, noTime, false, "done []"},
		{"this-browser", identity.LevelMFA, proofs{pwd, otp}, all, FlowState{}, noTime, false, "device []"},
		{"known-browser", identity.LevelMFA, proofs{pwd, otp}, all, FlowState{Browser: identity.ID{3}}, noTime, false, "done []"},
		{"a-step-up-does-not-ask-again", identity.LevelMFA, proofs{pwd, otp}, all, FlowState{}, noTime, true, "done []"},
		{"codes-to-keep", identity.LevelMFA, proofs{pwd, otp}, all, FlowState{Kept: []string{"a"}}, noTime, false, "codes []"},
		{"proved-before-it-was-asked", identity.LevelMFA, proofs{old(pwd), old(otp)}, all, asked, ago(time.Minute), false, "identify [password passkey]"},
		{"half-of-it-is-fresh", identity.LevelMFA, proofs{pwd, old(otp)}, all, asked, ago(time.Minute), false, "factor [totp passkey phone recovery]"},
		{"from-the-future", identity.LevelMFA, proofs{{Factor: identity.FactorPassword, At: now.Add(time.Second)}}, all, asked, noTime, false, "identify [password passkey]"},
		{"no-need-still-needs-somebody", identity.LevelNone, nil, all, asked, noTime, false, "identify [password passkey]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Flow{Need: identity.Need{Level: c.need, Txn: "t", Since: c.since}, Proofs: c.proofs, State: c.state}
			if len(c.proofs) > 0 {
				f.Citizen = identity.ID{1}
			}
			if c.login {
				f.Login = identity.ID{2}
			}
			s := Next(f, c.means, now)
			got := fmt.Sprintf("%s %v", s.Kind, s.Factors)
			if s.Stale {
				got += " stale"
			}
			if s.Tired {
				got += " tired"
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNextAtFirstContact(t *testing.T) {
	a := Activation{}
	at := func() StepKind { return Next(Flow{State: FlowState{Activation: &a}}, Means{}, time.Time{}).Kind }
	want := []StepKind{StepActivate, StepPassword, StepGreeting, StepEnrol}
	for i, change := range []func(){func() {}, func() { a.Citizen = identity.ID{1} }, func() { a.Encoded = "x" }, func() { a.Greeting = "x" }} {
		change()
		if got := at(); got != want[i] {
			t.Errorf("%d: %s, want %s", i, got, want[i])
		}
	}
	// Done out of order, the earlier step is still owed.
	b := Activation{Greeting: "x", Encoded: "y"}
	if got := Next(Flow{State: FlowState{Activation: &b}}, Means{}, time.Time{}).Kind; got != StepActivate {
		t.Error(got)
	}
}

// TestNextOffersOnlyWhatHelps goes through every combination of means and proofs:
// a factor on offer reaches the need, or, where a key is missing, the two factors a
// key can be made with (SECURITY MF4).
func TestNextOffersOnlyWhatHelps(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for bits := range 1 << 5 {
		m := Means{Factors: Factors{TOTP: bits&1 != 0, Passkeys: bits >> 1 & 3, Phones: bits >> 3 & 1, Recovery: bits >> 4}, DeviceKeys: bits >> 2 & 1}
		m.DeviceKeys = min(m.DeviceKeys, m.Passkeys)
		for _, first := range []identity.Proof{
			{Factor: identity.FactorPassword, At: now},
			{Factor: identity.FactorPasskey, At: now, Verified: true, Synced: true},
		} {
			for need := identity.LevelBasic; need <= identity.LevelLive; need++ {
				f := Flow{Citizen: identity.ID{1}, Proofs: []identity.Proof{first}, Need: identity.Need{Level: need, Txn: "t"}}
				s := Next(f, m, now)
				if s.Kind != StepFactor {
					continue
				}
				for _, offered := range s.Factors {
					best := identity.LevelNone
					for _, w := range m.ways() {
						if w.factor == offered {
							best = max(best, identity.Assess([]identity.Proof{first, w.proof(now)}, time.Time{}, "t", now).Level)
						}
					}
					switch {
					case best >= min(need, identity.LevelBound):
					case offered == identity.FactorRecovery && need == identity.LevelMFA:
					case need >= identity.LevelBound && best == identity.LevelMFA && m.DeviceKeys+m.Phones == 0:
					default:
						t.Errorf("%+v need %d: %s is offered and reaches %d", m, need, offered, best)
					}
				}
			}
		}
	}
}

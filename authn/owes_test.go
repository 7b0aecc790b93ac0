package authn

import (
	"fmt"
	"testing"
	"time"

	"ecardid/authn/risk"
	"ecardid/identity"
)

// TestNextWeighed: what the rules about sign-ins said changes what a flow owes.
func TestNextWeighed(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	me := identity.ID{1}
	at := func(f identity.Factor, ago time.Duration) identity.Proof {
		return identity.Proof{Factor: f, At: now.Add(-ago), Verified: true}
	}
	pwd, otp := at(identity.FactorPassword, time.Minute), at(identity.FactorTOTP, time.Minute)
	key := at(identity.FactorPasskey, 0)
	key.Device = identity.ID{9}
	all := Means{Factors: Factors{TOTP: true, Passkeys: 1, Phones: 1}, DeviceKeys: 1}
	poor := Means{Factors: Factors{TOTP: true}}
	for _, c := range []struct {
		name   string
		need   identity.Level
		proofs []identity.Proof
		means  Means
		w      Weighing
		want   string
	}{
		{"allowed", identity.LevelMFA, []identity.Proof{pwd, otp}, all, Weighing{Citizen: me}, "device []"},
		{"held", identity.LevelMFA, []identity.Proof{pwd, otp}, all, Weighing{Citizen: me, Verdict: risk.Pause, Until: now.Add(1)}, "held []"},
		{"held-long-enough", identity.LevelMFA, []identity.Proof{pwd, otp}, all, Weighing{Citizen: me, Verdict: risk.Pause, Until: now}, "device []"},
		{"refused", identity.LevelMFA, []identity.Proof{pwd, otp}, all, Weighing{Citizen: me, Verdict: risk.Refuse}, "refused []"},
		{"refused-whatever-comes-next", identity.LevelMFA, []identity.Proof{pwd, otp, key}, all, Weighing{Citizen: me, Verdict: risk.Refuse}, "refused []"},
		{"more", identity.LevelMFA, []identity.Proof{pwd, otp}, all, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelBound}, "factor [passkey phone]"},
		{"more-and-given", identity.LevelMFA, []identity.Proof{pwd, otp, key}, all, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelBound}, "device []"},
		// Who is doubted is not asked to make a key, though they need one anyway.
		{"more-than-they-have", identity.LevelMFA, []identity.Proof{pwd, otp}, poor, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelBound}, "impossible []"},
		{"no-more-than-was-asked-for", identity.LevelBound, []identity.Proof{pwd, otp}, poor, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelBound}, "impossible []"},
		{"half-way-to-a-key", identity.LevelBound, []identity.Proof{pwd}, poor, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelBound}, "impossible []"},
		{"doubted-and-no-longer", identity.LevelBound, []identity.Proof{pwd, otp}, poor, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelMFA}, "key [passkey]"},
		{"doubted-until-two-factors", identity.LevelBound, []identity.Proof{pwd}, poor, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelMFA}, "factor [totp]"},
		{"no-code-on-paper-for-doubts", identity.LevelBasic, []identity.Proof{pwd}, Means{Factors: Factors{TOTP: true, Recovery: 9}}, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelMFA}, "factor [totp]"},
		{"never-less", identity.LevelBound, []identity.Proof{pwd, otp}, all, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelMFA}, "factor [passkey phone]"},
		{"fresher", identity.LevelMFA, []identity.Proof{pwd, otp}, all, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelMFA, Since: now}, "identify [password passkey]"},
		{"the-rest-fresher", identity.LevelMFA, []identity.Proof{at(identity.FactorPassword, 0), otp}, poor, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelMFA, Since: now}, "factor [totp]"},
		{"at-the-floor", identity.LevelBasic, []identity.Proof{pwd}, poor, Weighing{Citizen: me, Verdict: risk.StepUp, Level: identity.LevelMFA}, "factor [totp]"},
		{"somebody-else", identity.LevelMFA, []identity.Proof{pwd, otp}, all, Weighing{Citizen: identity.ID{2}, Verdict: risk.Refuse}, "device []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Flow{Citizen: me, Need: identity.Need{Level: c.need}, Proofs: c.proofs, State: FlowState{Weighing: &c.w}}
			s := Next(f, c.means, now)
			if f.State.RecoveryAt = now; c.w.Verdict == risk.StepUp && Next(f, c.means, now).Kind == StepEnrol {
				t.Error("who is doubted enrols a factor")
			}
			if got := fmt.Sprintf("%s %v", s.Kind, s.Factors); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

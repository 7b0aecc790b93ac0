package authn

import (
	"errors"

	"ecardid/audit"
	"ecardid/authn/recovery"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// codeCounter names the attempt counter of what a citizen types codes of: a trusted
// browser has its own, so that whoever knows the password elsewhere cannot shut
// the owner out. Neither a report of a loss nor anything else that ends sessions
// begins a count anew.
func (v *visit) codeCounter(parts ...string) []string {
	parts = append(parts, v.flow.Citizen.String())
	if b := v.flow.State.Browser; !b.IsZero() {
		parts = append(parts, b.String())
	}
	return parts
}

// generatorCounter begins the name of the counter of one generator: another seed has
// other codes, and so another count.
func generatorCounter(generator identity.ID) []string {
	return []string{string(identity.FactorTOTP), generator.String()}
}

// totpStep checks six digits. The time step is spent before the flow moves: if
// the move is lost the citizen types the next code; the other order would let
// one code answer twice (SECURITY G1, MF2).
func (s *Service) totpStep(v *visit) error {
	ctx := v.r.Context()
	code := v.form.get("code")
	if !sixDigits(code) {
		v.flow.State.problem(templates.ProblemCodeFormat)
		return v.again("code")
	}
	f, err := s.Store.TOTP(ctx, v.flow.Citizen)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return wrap(err, "reading a one-time-password factor")
	}
	g, err := s.guess(v.r, s.Config.Rules.Code, v.codeCounter(generatorCounter(f.ID)...)...)
	if err != nil {
		return err
	}
	ok := false
	if g.Allowed && !f.ID.IsZero() {
		if ok, err = s.spendTOTP(v, f, code); err != nil {
			return err
		}
	}
	if !ok {
		return s.wrongCode(v, g, identity.FactorTOTP, &v.flow.State.Codes, templates.ProblemCode, "code")
	}
	if err := v.insist(func() {
		v.prove(identity.Proof{Factor: identity.FactorTOTP, At: v.now})
		v.flow.State.believe(g)
	}); err != nil {
		return err
	}
	if err := g.believed(ctx); err != nil {
		return err
	}
	s.Observer.Observe("totp", "right")
	to, err := v.advance()
	if err != nil {
		return err
	}
	return v.redirect(to)
}

// spendTOTP reports whether code is right now and was not used before, anywhere.
func (s *Service) spendTOTP(v *visit, f TOTPFactor, code string) (bool, error) {
	seed, err := totp.SeedOf(f.Seed)
	if err != nil {
		return false, wrap(err, "opening a seed")
	}
	step, ok := totp.Match(seed, f.Algorithm, code, v.now, f.LastStep)
	if !ok {
		return false, nil
	}
	err = s.Store.SpendStep(v.r.Context(), v.flow.Citizen, f.ID, step)
	if errors.Is(err, identity.ErrSpent) || errors.Is(err, identity.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, wrap(err, "spending a time step")
	}
	return true, nil
}

// wrongCode counts a wrong or throttled code in the flow and shows the step again.
func (s *Service) wrongCode(v *visit, g *guess, factor identity.Factor, count *int, problem templates.Key, step string) error {
	*count++
	reason := "code"
	v.flow.State.problem(problem)
	if !g.Allowed {
		reason = "throttled"
		v.flow.State.problem(templates.ProblemThrottled, s.waitMinutes())
	}
	if err := s.refused(v.r, g, v.flow.Citizen, factor, reason); err != nil {
		return err
	}
	return v.again(step)
}

// recoveryStep takes one of the codes kept on paper. It raises no level: what
// follows is to bind a new factor (SECURITY MF4, PW6).
func (s *Service) recoveryStep(v *visit) error {
	ctx := v.r.Context()
	g, err := s.guess(v.r, s.Config.Rules.Paper, v.codeCounter(string(identity.FactorRecovery))...)
	if err != nil {
		return err
	}
	ok := false
	if g.Allowed {
		if ok, err = s.spendRecovery(v, v.form.get("code")); err != nil {
			return err
		}
	}
	if !ok {
		return s.wrongCode(v, g, identity.FactorRecovery, &v.flow.State.Recoveries, templates.ProblemRecoveryCode, "recovery")
	}
	seed, err := totp.NewSeed(s.Rand)
	if err != nil {
		return err
	}
	err = v.insist(func() {
		v.prove(identity.Proof{Factor: identity.FactorRecovery, At: v.now})
		v.flow.State.RecoveryAt, v.flow.State.Recovered = v.now, true
		v.flow.State.Seed = seed.Reveal()
	})
	if err != nil {
		return err
	}
	if err := g.right(ctx); err != nil {
		return err
	}
	s.Observer.Observe("recovery", "right")
	to, err := v.advance()
	if err != nil {
		return err
	}
	return v.redirect(to)
}

func (s *Service) spendRecovery(v *visit, typed string) (bool, error) {
	if len(typed) > maxCode {
		return false, nil
	}
	hash, err := recovery.Stored(s.Codes, recovery.Recovery, v.flow.Citizen[:], typed)
	if errors.Is(err, recovery.ErrCode) {
		return false, nil
	}
	if err != nil {
		return false, wrap(err, "hashing a recovery code")
	}
	e := s.event(v.r, audit.RecoveryUsed, v.flow.Citizen)
	e.Notify = true
	err = s.Store.SpendRecovery(v.r.Context(), v.flow.Citizen, hash, e)
	if errors.Is(err, identity.ErrNotFound) || errors.Is(err, identity.ErrSpent) {
		return false, nil
	}
	return err == nil, wrapIf(err, "spending a recovery code")
}

func sixDigits(s string) bool {
	if len(s) != 6 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

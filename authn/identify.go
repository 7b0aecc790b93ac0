package authn

import (
	"context"
	"errors"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn/password"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/templates"
)

// aliasOf reads what somebody typed as user name: their ID number, phone or card
// number. The three have different lengths, so that no text is two of them.
func aliasOf(typed string, now time.Time) (Alias, bool) {
	if id, err := idnumber.ParseID(typed, now); err == nil {
		return Alias{AliasID, id.Reveal()}, true
	}
	if phone, err := idnumber.ParsePhone(typed); err == nil {
		return Alias{AliasPhone, phone.Reveal()}, true
	}
	if card, err := idnumber.ParseCard(typed); err == nil {
		return Alias{AliasCard, card.Reveal()}, true
	}
	return Alias{}, false
}

// somebody looks for the citizen behind what was typed. For nobody it returns the
// zero Account, and in both cases the words that name the attempt counter.
func (s *Service) somebody(ctx context.Context, typed string, now time.Time) (Account, []string, error) {
	a, ok := aliasOf(typed, now)
	if !ok {
		return Account{}, []string{"nobody", strings.ToLower(strings.TrimSpace(typed))}, nil
	}
	acc, err := s.Store.AccountByAlias(ctx, a)
	if errors.Is(err, identity.ErrNotFound) {
		return Account{}, []string{"nobody", string(a.Kind), a.Value}, nil
	}
	if err != nil {
		return Account{}, nil, wrap(err, "finding an account")
	}
	return acc, []string{"citizen", acc.ID.String()}, nil
}

// passwordStep is the first step for most. Whatever is wrong, a number nobody has,
// a frozen card, a wrong password, the answer takes the same time and says the
// same (SECURITY PW1); while attempts are throttled, right and wrong are alike too
// (PW3).
func (s *Service) passwordStep(v *visit) error {
	ctx := v.r.Context()
	typed, word := v.form.get("username"), v.form.get("password")
	if len(typed) > maxTyped {
		typed = ""
	}
	if err := v.readTrust(); err != nil {
		return err
	}
	acc, who, err := s.somebody(ctx, typed, v.now)
	if err != nil {
		return err
	}
	rule := s.Config.Rules.Account
	if !acc.ID.IsZero() && v.trust.of(acc.ID) {
		rule, who = s.Config.Rules.Browser, append(who, v.trust.device.ID.String())
	}
	g, err := s.guess(v.r, rule, append([]string{"password"}, who...)...)
	if err != nil {
		return err
	}
	ok, rehash, err := s.judge(ctx, g, acc, word, v.mine(acc.ID))
	if errors.Is(err, password.ErrBusy) {
		return errors.Join(err, g.unjudged(ctx))
	}
	if err != nil {
		return err
	}
	if !ok {
		reason := "credentials"
		v.flow.State.Typed = typed
		v.flow.State.problem(templates.ProblemCredentials)
		if !g.Allowed {
			// The page says what it always says: an account that is throttled must
			// not look different from one that nobody has (SECURITY PW1).
			reason = "throttled"
		}
		if err := s.refused(v.r, g, acc.ID, identity.FactorPassword, reason); err != nil {
			return err
		}
		return v.again("")
	}
	if err := s.record(ctx, s.event(v.r, audit.LoginStarted, acc.ID)); err != nil {
		return err
	}
	v.identified(acc, identity.Proof{Factor: identity.FactorPassword, At: v.now})
	v.flow.State.believe(g)
	if err := v.move(); err != nil {
		return err
	}
	if err := g.believed(ctx); err != nil {
		return err
	}
	if rehash {
		s.rehash(ctx, acc, word)
	}
	s.Observer.Observe("password", "right")
	to, err := v.advance()
	if err != nil {
		return err
	}
	return v.redirect(to)
}

// judge says whether the password is right for somebody who may sign in, and
// works as hard when there is nobody to compare with. Only a source that has used
// up its own guesses is spared the work: that says nothing about an account, and
// the work is what it is after (SECURITY DS2).
func (s *Service) judge(ctx context.Context, g *guess, acc Account, word string, mine bool) (ok, rehash bool, err error) {
	if !g.Source {
		return false, false, nil
	}
	if acc.Password != "" && acc.State.MaySignIn() && g.Allowed && mine && !acc.ID.IsZero() {
		ok, rehash, err = s.Hasher.Verify(ctx, acc.Password, word)
	} else {
		err = s.Hasher.VerifyNothing(ctx, word)
	}
	switch {
	case errors.Is(err, password.ErrTooLong):
		return false, false, nil // nobody has such a password
	case errors.Is(err, password.ErrMalformed):
		s.Log.ErrorContext(ctx, "a stored password cannot be used", "citizen", acc.ID.String(), "cause", err)
		return false, false, nil
	case err != nil:
		return false, false, wrap(err, "checking a password")
	}
	return ok, rehash, nil
}

// rehash stores the same password under today's parameters. It can wait for the
// next sign-in, so it fails quietly.
func (s *Service) rehash(ctx context.Context, acc Account, word string) {
	encoded, err := s.Hasher.Hash(ctx, word)
	if err == nil {
		err = s.Store.Rehash(ctx, acc.ID, acc.Password, encoded)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "rehashing a password", "cause", err)
	}
}

// waitMinutes is what throttled people are told: the longest it may take, the same
// for everybody.
func (s *Service) waitMinutes() int {
	return int((s.Config.Rules.Account.Cap + time.Minute - 1) / time.Minute)
}

func (v *visit) showLogin(step templates.Step) (templates.Page, error) {
	account := v.flow.State.Typed
	if account == "" && v.flow.State.Problem == "" && len(v.flow.Need.Hint) <= maxTyped {
		account = v.flow.Need.Hint
	}
	if err := v.readTrust(); err != nil {
		return nil, err
	}
	if d := v.trust.device; v.mine(d.Citizen) && !d.ID.IsZero() {
		acc, err := v.Store.Account(v.r.Context(), d.Citizen)
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			return nil, wrap(err, "reading an account")
		}
		step.Greeting = templates.Text(acc.Greeting)
	}
	return templates.Login{
		Step:    step,
		Account: templates.Text(account),
		Passkey: v.ceremonyURLs("passkey"),
	}, nil
}

// ceremonyURLs are where the script fetches options and brings the answer.
func (v *visit) ceremonyURLs(step string) templates.Ceremony {
	return templates.Ceremony{OptionsURL: v.path(step + "/options"), FinishURL: v.path(step + "/finish")}
}

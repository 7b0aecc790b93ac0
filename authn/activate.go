package authn

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ecardid/audit"
	"ecardid/authn/password"
	"ecardid/authn/recovery"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/templates"
)

var noTime time.Time

// activate is GET /login/activate: first contact begins (issue 2, item 4).
func (s *Service) activate(w http.ResponseWriter, r *http.Request) error {
	id, err := flowParam(r)
	if err != nil {
		return err
	}
	if !id.IsZero() {
		return s.show(w, r)
	}
	if id, err = s.begin(r, identity.Need{Level: s.Config.Floor}, s.Config.Home, &Activation{}); err != nil {
		return err
	}
	see(w, r, flowPath("activate", id))
	return nil
}

// activateStep takes card number and activation code. A number nobody has, a code
// that is wrong, used or too old: one answer, one time (SECURITY PW1). Nothing is
// spent here; whoever gives up later comes back with the same code.
func (s *Service) activateStep(v *visit) error {
	ctx := v.r.Context()
	typed, code := v.form.get("card"), v.form.get("code")
	if len(typed) > maxTyped || len(code) > maxCode {
		typed, code = "", ""
	}
	alias, acc, err := s.cardHolder(ctx, typed)
	if err != nil {
		return err
	}
	g, err := s.guess(v.r, s.Config.Rules.Activation, "activation", string(alias.Kind), alias.Value)
	if err != nil {
		return err
	}
	// The work of a password for every guess, whatever the card: beside it the few
	// reads by which an existing card differs from none are not to be told apart. A
	// source that has used up its guesses is spared it, as in judge.
	if g.Source {
		switch err := s.Hasher.VerifyNothing(ctx, code); {
		case errors.Is(err, password.ErrBusy):
			return errors.Join(err, g.unjudged(ctx))
		case err != nil:
			return wrap(err, "working on an activation code")
		}
	}
	hash, err := recovery.Stored(s.Codes, recovery.Activation, acc.ID[:], code)
	if err != nil && !errors.Is(err, recovery.ErrCode) {
		return wrap(err, "hashing an activation code")
	}
	citizen := identity.ID{}
	if g.Allowed {
		citizen, err = s.Store.CheckActivation(ctx, alias, hash, v.now)
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			return wrap(err, "checking an activation code")
		}
	}
	a := v.flow.State.Activation
	a.Card = typed
	if citizen.IsZero() || citizen != acc.ID || !v.mine(citizen) {
		v.flow.State.problem(templates.ProblemActivation)
		reason := "activation"
		if !g.Allowed {
			reason = "throttled"
			v.flow.State.problem(templates.ProblemThrottled, s.waitMinutes())
		}
		if err := s.refused(v.r, g, acc.ID, "activation", reason); err != nil {
			return err
		}
		return v.again("")
	}
	a.Citizen, a.Code = citizen, hash
	v.flow.State.problem("")
	if err := v.move(); err != nil {
		return err
	}
	if err := g.right(ctx); err != nil {
		return err
	}
	s.Observer.Observe("activate", "right")
	return v.redirect(v.path(""))
}

// cardHolder looks for the citizen of a card. For no card of ours it returns a name
// for the counter and an account nobody has, so that the same work is done.
func (s *Service) cardHolder(ctx context.Context, typed string) (Alias, Account, error) {
	card, err := idnumber.ParseCard(typed)
	if err != nil {
		return Alias{"nobody", strings.ToUpper(strings.TrimSpace(typed))}, Account{ID: identity.IDFrom(s.Rand)}, nil
	}
	alias := Alias{AliasCard, card.Reveal()}
	acc, err := s.Store.AccountByAlias(ctx, alias)
	if errors.Is(err, identity.ErrNotFound) {
		return alias, Account{}, nil
	}
	return alias, acc, wrapIf(err, "finding an account")
}

// choosePassword takes the first password.
func (s *Service) choosePassword(v *visit) error {
	a := v.flow.State.Activation
	word := v.form.get("password")
	// The account gets its second factor before anything counts.
	about := password.Context{MFA: true, Numbers: []string{a.Card}}
	if key, n, bad := complaint(s.Policy.Check(word, about)); bad {
		v.flow.State.problem(key, n)
		return v.again("activate/password")
	}
	encoded, err := s.Hasher.Hash(v.r.Context(), word)
	if err != nil {
		return wrap(err, "hashing a password")
	}
	a.Encoded, a.Chosen = encoded, v.now
	v.flow.State.problem("")
	return v.again("")
}

// complaint puts what a policy said into a sentence.
func complaint(problems []password.Problem) (key templates.Key, number int, bad bool) {
	if len(problems) == 0 {
		return "", 0, false
	}
	switch problems[0] {
	case password.TooShort:
		return templates.ProblemPasswordShort, password.MinWithMFA, true
	case password.TooShortAlone:
		return templates.ProblemPasswordShort, password.MinAlone, true
	case password.TooLong:
		return templates.ProblemPasswordLong, 0, true
	}
	return templates.ProblemPasswordWeak, 0, true
}

// chooseGreeting takes the words by which the citizen will know our pages.
func (s *Service) chooseGreeting(v *visit) error {
	greeting, ok := cleanGreeting(v.form.get("greeting"))
	if !ok {
		v.flow.State.problem(templates.ProblemGreeting)
		return v.again("activate/greeting")
	}
	v.flow.State.Activation.Greeting = greeting
	v.flow.State.problem("")
	if err := v.newSeed(); err != nil {
		return err
	}
	return v.again("")
}

// cleanGreeting refuses what is empty, too long, or looks like a number somebody
// should keep to themselves: it is shown before they have signed in.
func cleanGreeting(text string) (string, bool) {
	greeting := templates.Clean(text, maxGreeting+1)
	digits := 0
	for _, r := range greeting {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	const most = 4
	return greeting, greeting != "" && utf8.RuneCountInString(greeting) <= maxGreeting && digits < most
}

// activated makes the first contact real: the code is spent, password and greeting
// stored, and the flow is the citizen's from here on. In a flow that is no first
// contact it does nothing. One of several flows with the same code gets through.
func (v *visit) activated() error {
	a := v.flow.State.Activation
	if a == nil || !v.flow.Citizen.IsZero() {
		return nil
	}
	// Of two answers in this flow one comes further than this line.
	if err := v.move(); err != nil {
		return err
	}
	ctx := v.r.Context()
	e := v.event(v.r, audit.CitizenActivated, a.Citizen)
	e.Notify = true
	if err := v.Store.Activate(ctx, a.Citizen, a.Code, a.Encoded, a.Greeting, e); err != nil && !errors.Is(err, identity.ErrSpent) {
		return wrap(err, "activating")
	}
	acc, err := v.Store.Account(ctx, a.Citizen)
	if err != nil {
		return wrap(err, "reading an account")
	}
	// Spent by this very flow if the password is the one it holds, salt and all: then
	// an earlier answer failed behind this point, and the citizen goes on here.
	if !acc.State.MaySignIn() || acc.Password != a.Encoded {
		return v.drop(errExpired)
	}
	v.acc = acc
	v.flow.Citizen, v.flow.Epoch = acc.ID, acc.Epoch
	v.flow.Proofs = []identity.Proof{{Factor: identity.FactorPassword, At: a.Chosen}}
	v.flow.State.Activation = nil
	return v.keepCodes(ctx)
}

package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/authn/password"
	"ecardid/authn/recovery"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// This file is /lost: a loss is reported without the phone and without a login, with a
// number of the citizen's and any one factor, in one form (DESIGN D9). It keeps nothing
// between two pages, so there is nothing half-finished to steal.
//
// Whatever does not fit, a number nobody has, a wrong answer, a throttled one, a card
// that was reported before, the page says the same after the same work (SECURITY PW1,
// PW3). Strangers cannot shut anybody out here: it takes a factor, guesses are counted,
// and so are reports that succeeded.

const (
	lostPath    = "/lost"
	undoPath    = "/lost/undo"
	receiptPath = "/lost/receipt/"

	seedSize = 20 // bytes, of a generator that nobody has
)

// LossRoutes lists the addresses of /lost. Anybody may come.
func (s *Service) LossRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Pattern: lostPath, Handler: s.page(s.showLost)},
		{Method: http.MethodPost, Pattern: lostPath, Takes: formType, Handler: s.page(s.reportLoss)},
		{Method: http.MethodPost, Pattern: lostPath + "/passkey/options", Takes: jsonType, Handler: s.lossScript(s.lossOptions)},
		{Method: http.MethodPost, Pattern: lostPath + "/passkey/finish", Takes: jsonType, Handler: s.lossScript(s.lossFinish)},
		{Method: http.MethodGet, Pattern: receiptPath + "{number}", Handler: s.page(s.showReceipt)},
		{Method: http.MethodGet, Pattern: undoPath, Handler: s.page(s.showUndo)},
		{Method: http.MethodPost, Pattern: undoPath, Takes: formType, Handler: s.page(s.undoLoss)},
	}
}

func (s *Service) showLost(w http.ResponseWriter, r *http.Request) error {
	s.lostPage(w, r, http.StatusOK, "", templates.Message{})
	return nil
}

func (s *Service) lostPage(w http.ResponseWriter, r *http.Request, status int, typed string, problem templates.Message) {
	finish := func(w loss.What) templates.Ceremony {
		return templates.Ceremony{OptionsURL: lostPath + "/passkey/options", FinishURL: lostPath + "/passkey/finish?what=" + string(w)}
	}
	s.Render(w, r, Answer{Status: status, Kind: templates.Plain, Path: lostPath, Page: templates.Lost{
		Problem: problem, Account: templates.Text(typed), PhonePasskey: finish(loss.Phone), CardPasskey: finish(loss.Card), UndoURL: undoPath,
	}})
}

// reportLoss is the form.
func (s *Service) reportLoss(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	what := loss.What(f.get("what"))
	if what != loss.Phone && what != loss.Card {
		return fmt.Errorf("%w: neither the phone nor the card", errBadRequest)
	}
	typed := f.get("username")
	if len(typed) > maxTyped {
		typed = ""
	}
	receipt, ok, err := s.lossByProof(w, r, typed, f.get("proof"), what)
	if err != nil {
		return err
	}
	if !ok {
		s.lostPage(w, r, http.StatusForbidden, typed, templates.Say(templates.ProblemLost))
		return nil
	}
	see(w, r, receiptPath+receipt.Number.String())
	return nil
}

// lossByProof hears a report with whatever one proof was typed: six digits are the app's,
// and the rest is a password, or a recovery code if it reads like one. A word is hashed
// once, for everybody. The counters are:
//
//   - of the password, that of signing in: there is one budget for it;
//   - of six digits and of recovery codes one each, so that strangers neither use up the
//     owner's tries at the second factor nor, by guessing at the password, those on paper.
//
// A browser the owner trusts has its own of each (SECURITY PW3).
func (s *Service) lossByProof(w http.ResponseWriter, r *http.Request, typed, proof string, what loss.What) (loss.Receipt, bool, error) {
	ctx, now := r.Context(), s.Clock.Now()
	v := &visit{Service: s, w: w, r: r, now: now}
	if err := v.readTrust(); err != nil {
		return loss.Receipt{}, false, err
	}
	acc, who, err := s.somebody(ctx, typed, now)
	if err != nil {
		return loss.Receipt{}, false, err
	}
	trusted := !acc.ID.IsZero() && v.trust.of(acc.ID)
	if trusted {
		who = append(who, v.trust.device.ID.String())
	}
	p := lossProof{s: s, r: r, acc: acc, who: who, trusted: trusted, report: loss.Report{Citizen: acc.ID, What: what}}
	if sixDigits(proof) {
		err = p.code(proof, now)
	} else {
		err = p.word(proof)
	}
	if err != nil {
		return loss.Receipt{}, false, err
	}
	receipt, ok, err := s.fileLoss(r, p.report, p.factor, who, p.right && !acc.ID.IsZero() && acc.State.MaySignIn())
	if err != nil {
		return loss.Receipt{}, false, err
	}
	if !ok {
		reason := "loss not reported"
		if !p.g.Allowed {
			reason = "throttled"
		}
		return loss.Receipt{}, false, s.refused(r, p.g, acc.ID, p.factor, reason)
	}
	s.Observer.Observe("loss", string(what))
	if err := p.forgive(context.WithoutCancel(ctx)); err != nil { // it is reported all the same, and they are to have the number
		s.Log.ErrorContext(ctx, "right attempts not given back", "cause", err)
	}
	return receipt, true, nil
}

// A lossProof is one proof at /lost being judged.
type lossProof struct {
	s       *Service
	r       *http.Request
	acc     Account
	who     []string // of the counters
	trusted bool
	report  loss.Report

	g      *guess
	paper  []byte // the counter of recovery codes, when the word reads like one
	factor identity.Factor
	right  bool // and it may count
}

// code judges six digits.
func (p *lossProof) code(proof string, now time.Time) (err error) {
	p.factor = identity.FactorTOTP
	if p.g, err = p.s.guess(p.r, p.s.Config.Rules.Desk, append([]string{"lost-code"}, p.who...)...); err != nil {
		return err
	}
	if p.g.Source {
		err = p.s.hashNothing(p.r.Context(), proof)
	}
	right := false
	if err == nil {
		p.report.TOTP, p.report.Step, right, err = p.s.matchTOTP(p.r.Context(), p.acc.ID, proof, now)
	}
	p.right = right && p.g.Allowed
	return p.busy(err)
}

// word judges what is not six digits.
func (p *lossProof) word(proof string) (err error) {
	ctx, rule := p.r.Context(), p.s.Config.Rules.Account
	if p.trusted {
		rule = p.s.Config.Rules.Browser
	}
	p.factor = identity.FactorPassword
	if p.g, err = p.s.guess(p.r, rule, append([]string{"password"}, p.who...)...); err != nil {
		return err
	}
	if p.right, _, err = p.s.judge(ctx, p.g, p.acc, proof, true); err != nil {
		return p.busy(err)
	}
	if _, err := recovery.Normalise(proof); err != nil {
		return nil
	}
	counter := append([]string{"lost-paper"}, p.who...)
	if p.paper, err = p.s.key(counter...); err != nil {
		return err
	}
	ok, err := p.s.allowed(ctx, Try{Rule: p.s.Config.Rules.Paper}, counter...)
	if err != nil {
		return err
	}
	hash, right, err := p.s.onPaper(ctx, p.acc.ID, proof)
	if err == nil && right && ok && p.g.Source && !p.right {
		p.right, p.factor, p.report.Recovery = true, identity.FactorRecovery, hash
	}
	return err
}

// busy gives a guess back that nobody had time to judge.
func (p *lossProof) busy(err error) error {
	if errors.Is(err, password.ErrBusy) {
		return errors.Join(err, p.g.unjudged(p.r.Context()))
	}
	return err
}

// forgive begins the count anew of the secret that was right, and of no other: a code on
// paper says nothing about whoever guesses at the password. Wrong passwords are weighed
// when somebody signs in with the right one, and are not forgotten for a report.
func (p *lossProof) forgive(ctx context.Context) error {
	switch p.factor {
	case identity.FactorRecovery:
		return p.g.settle(ctx, p.paper)
	case identity.FactorPassword:
		return p.g.believed(ctx)
	}
	return p.g.right(ctx)
}

// onPaper looks whether proof is a recovery code of the citizen's that was not used; it
// is spent with what it proves.
func (s *Service) onPaper(ctx context.Context, citizen identity.ID, proof string) ([]byte, bool, error) {
	hash, err := recovery.Stored(s.Codes, recovery.Recovery, citizen[:], proof)
	if err != nil {
		return nil, false, wrap(err, "hashing a recovery code")
	}
	ok, err := s.Store.HasRecovery(ctx, citizen, hash)
	return hash, ok, wrapIf(err, "looking for a recovery code")
}

// hashNothing works as hard as for a password.
func (s *Service) hashNothing(ctx context.Context, word string) error {
	err := s.Hasher.VerifyNothing(ctx, word)
	if errors.Is(err, password.ErrTooLong) {
		return nil
	}
	return wrapIf(err, "checking a password")
}

// matchTOTP looks whether a code is right now; it is spent with what it proves. For
// somebody without a generator it compares with one that nobody has.
func (s *Service) matchTOTP(ctx context.Context, citizen identity.ID, code string, now time.Time) (id identity.ID, step int64, ok bool, err error) {
	f, err := s.Store.TOTP(ctx, citizen)
	none := errors.Is(err, identity.ErrNotFound)
	if err != nil && !none {
		return identity.ID{}, 0, false, wrap(err, "reading a one-time-password factor")
	}
	if none {
		f = TOTPFactor{Seed: make([]byte, seedSize), Algorithm: totp.RFC6238}
	}
	seed, err := totp.SeedOf(f.Seed)
	if err != nil {
		return identity.ID{}, 0, false, wrap(err, "opening a seed")
	}
	step, ok = totp.Match(seed, f.Algorithm, code, now, f.LastStep)
	return f.ID, step, ok && !none, nil
}

// fileLoss has the desk do it, unless the citizen's card was reported too often today with
// this factor: somebody who has one secret of theirs must not be able to shut them out each
// time they come back, nor to use up what the owner has by the others (SECURITY PW3). A
// report that comes to nothing is given back. What did not prove anything is counted as
// well, where it matters to nobody: the clock must not tell that a proof was right
// (SECURITY PW1).
func (s *Service) fileLoss(r *http.Request, report loss.Report, by identity.Factor, who []string, proved bool) (loss.Receipt, bool, error) {
	counter := append([]string{"lost-nothing"}, who...)
	if proved {
		counter = []string{"lost-done", report.Citizen.String(), string(report.What), string(by)}
	}
	if ok, err := s.allowed(r.Context(), Try{Rule: s.Config.Rules.Loss}, counter...); err != nil || !ok || !proved {
		return loss.Receipt{}, false, err
	}
	receipt, err := s.desk.Report(r.Context(), report, s.event(r, audit.LossReported, report.Citizen))
	for _, no := range []error{identity.ErrEnded, identity.ErrSpent, identity.ErrNotFound} {
		if errors.Is(err, no) {
			return loss.Receipt{}, false, s.refund(r.Context(), counter...)
		}
	}
	return receipt, err == nil, err
}

// showReceipt shows what a number stands for, to whoever has it: it names nobody.
func (s *Service) showReceipt(w http.ResponseWriter, r *http.Request) error {
	n, err := loss.ParseNumber(r.PathValue("number"))
	if err != nil {
		return errNoReceipt
	}
	if ok, err := s.allowed(r.Context(), Try{Rule: s.Config.Rules.Opening}, "receipt", SourceKey(s.Source(r))); err != nil {
		return err
	} else if !ok {
		return errFull
	}
	receipt, err := s.desk.Receipt(r.Context(), n)
	if errors.Is(err, identity.ErrNotFound) {
		return errNoReceipt
	}
	if err != nil {
		return err
	}
	path := receiptPath + url.PathEscape(receipt.Number.String())
	s.Render(w, r, Answer{Status: http.StatusOK, Kind: templates.Plain, Path: path, Page: templates.LossReceipt{
		Number: receipt.Number.String(), Lost: templates.LossKind(receipt.What), At: receipt.At, Signed: receipt.Signed, UndoURL: undoPath,
	}})
	return nil
}

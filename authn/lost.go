package authn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/authn/passkey"
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
	receipt, ok, err := s.lossByProof(r, typed, f.get("proof"), what)
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
// and the rest is a password or a recovery code. A word is hashed once, for everybody.
func (s *Service) lossByProof(r *http.Request, typed, proof string, what loss.What) (loss.Receipt, bool, error) {
	ctx, now := r.Context(), s.Clock.Now()
	acc, who, err := s.somebody(ctx, typed, now)
	if err != nil {
		return loss.Receipt{}, false, err
	}
	factor, counter, rule := identity.FactorPassword, "password", s.Config.Rules.Account // one budget with signing in
	if sixDigits(proof) {
		// One of its own: strangers must not use up the owner's tries at the second factor.
		// Six digits can be guessed in the end, so there is a last try (SECURITY §0).
		factor, counter, rule = identity.FactorTOTP, "lost-code", s.Config.Rules.Code
	}
	g, err := s.guess(r, rule, append([]string{counter}, who...)...)
	if err != nil {
		return loss.Receipt{}, false, err
	}
	report := loss.Report{Citizen: acc.ID, What: what}
	var right bool
	if factor == identity.FactorTOTP {
		if g.Source {
			err = s.hashNothing(ctx, proof)
		}
		if err == nil {
			report.TOTP, report.Step, right, err = s.matchTOTP(ctx, acc.ID, proof, now)
		}
	} else if right, _, err = s.judge(ctx, g, acc, proof, true); err == nil && !right {
		if right, err = s.onPaper(ctx, &report, proof); right {
			factor = identity.FactorRecovery
		}
	}
	if errors.Is(err, password.ErrBusy) {
		return loss.Receipt{}, false, errors.Join(err, g.unjudged(ctx))
	}
	if err != nil {
		return loss.Receipt{}, false, err
	}
	receipt, ok, err := s.fileLoss(r, report, right && g.Allowed && !acc.ID.IsZero() && acc.State.MaySignIn())
	if err != nil {
		return loss.Receipt{}, false, err
	}
	if !ok {
		reason := "loss not reported"
		if !g.Allowed {
			reason = "throttled"
		}
		return loss.Receipt{}, false, s.refused(r, g, acc.ID, factor, reason)
	}
	s.Observer.Observe("loss", string(what))
	if err := g.right(context.WithoutCancel(ctx)); err != nil { // it is reported all the same, and they are to have the number
		s.Log.ErrorContext(ctx, "right attempts not given back", "cause", err)
	}
	return receipt, true, nil
}

// onPaper looks whether proof is a recovery code of the citizen's that was not used; it
// is spent with what it proves.
func (s *Service) onPaper(ctx context.Context, report *loss.Report, proof string) (bool, error) {
	if len(proof) > maxCode {
		return false, nil
	}
	hash, err := recovery.Stored(s.Codes, recovery.Recovery, report.Citizen[:], proof)
	if errors.Is(err, recovery.ErrCode) {
		return false, nil
	}
	if err != nil {
		return false, wrap(err, "hashing a recovery code")
	}
	ok, err := s.Store.HasRecovery(ctx, report.Citizen, hash)
	if ok {
		report.Recovery = hash
	}
	return ok, wrapIf(err, "looking for a recovery code")
}

// hashNothing works as hard as for a password.
func (s *Service) hashNothing(ctx context.Context, word string) error {
	err := s.Hasher.VerifyNothing(ctx, word)
	if errors.Is(err, password.ErrTooLong) {
		return nil
	}
	return wrapIf(err, "checking a password")
}

// matchTOTP looks whether a code is right now; it is spent with what it proves.
func (s *Service) matchTOTP(ctx context.Context, citizen identity.ID, code string, now time.Time) (id identity.ID, step int64, ok bool, err error) {
	f, err := s.Store.TOTP(ctx, citizen)
	if errors.Is(err, identity.ErrNotFound) {
		return identity.ID{}, 0, false, nil
	}
	if err != nil {
		return identity.ID{}, 0, false, wrap(err, "reading a one-time-password factor")
	}
	seed, err := totp.SeedOf(f.Seed)
	if err != nil {
		return identity.ID{}, 0, false, wrap(err, "opening a seed")
	}
	step, ok = totp.Match(seed, f.Algorithm, code, now, f.LastStep)
	return f.ID, step, ok, nil
}

// fileLoss has the desk do it, unless the citizen's card was reported too often today:
// somebody who has one secret of theirs must not be able to shut them out each time
// they come back.
func (s *Service) fileLoss(r *http.Request, report loss.Report, proved bool) (loss.Receipt, bool, error) {
	if !proved {
		return loss.Receipt{}, false, nil
	}
	if ok, err := s.allowed(r.Context(), Try{Rule: s.Config.Rules.Loss}, "lost-done", report.Citizen.String(), string(report.What)); err != nil || !ok {
		return loss.Receipt{}, false, err
	}
	receipt, err := s.desk.Report(r.Context(), report, s.event(r, audit.LossReported, report.Citizen))
	for _, no := range []error{identity.ErrEnded, identity.ErrSpent, identity.ErrNotFound} {
		if errors.Is(err, no) {
			return loss.Receipt{}, false, nil
		}
	}
	return receipt, err == nil, err
}

// lossScript answers the script of /lost.
func (s *Service) lossScript(do func(r *http.Request, body []byte) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.scriptAnswer(w, r, do)
	})
}

// lossOwner is what a ceremony of /lost is bound to: the browser.
func (s *Service) lossOwner(r *http.Request) ([]byte, error) {
	b := s.Browser(r)
	if len(b) == 0 {
		return nil, errExpired
	}
	h := sha256.Sum256(append([]byte("lost\x00"), b...))
	return h[:], nil
}

func (s *Service) lossOptions(r *http.Request, body []byte) (any, error) {
	if err := json.Unmarshal(body, &struct{}{}); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	owner, err := s.lossOwner(r)
	if err != nil {
		return nil, err
	}
	if ok, err := s.allowed(r.Context(), Try{Rule: s.Config.Rules.Opening}, "ceremony", sourceKey(s.Source(r))); err != nil {
		return nil, err
	} else if !ok {
		return nil, errTooMany
	}
	options, c, err := s.Passkeys.BeginSignIn()
	if err != nil {
		return nil, wrap(err, "beginning a passkey ceremony")
	}
	return options, s.putCeremony(r.Context(), c, owner, identity.ID{})
}

// lossFinish hears a report proved by a passkey. It may be any of the citizen's; the
// device it lives on is in their hand and stays.
func (s *Service) lossFinish(r *http.Request, body []byte) (any, error) {
	ctx := r.Context()
	what := loss.What(r.URL.Query().Get("what"))
	if len(r.URL.Query()["what"]) != 1 || what != loss.Phone && what != loss.Card {
		return nil, fmt.Errorf("%w: neither the phone nor the card", errBadRequest)
	}
	owner, err := s.lossOwner(r)
	if err != nil {
		return nil, err
	}
	refuse := func(citizen identity.ID, reason string) error {
		return errors.Join(errPasskey, s.refused(r, nil, citizen, identity.FactorPasskey, reason))
	}
	c, err := s.takeCeremony(ctx, body, passkey.SignIn, owner)
	if errors.Is(err, identity.ErrNotFound) {
		return nil, refuse(identity.ID{}, "no such challenge")
	}
	if err != nil {
		return nil, err
	}
	var key Passkey
	var acc Account
	res, err := s.Passkeys.FinishLogin(ctx, c, bytes.NewReader(body), func(ctx context.Context, id []byte) (passkey.Credential, error) {
		var err error
		key, acc, err = s.Store.PasskeyByCredential(ctx, id)
		return key.Credential, err
	})
	switch {
	case errors.Is(err, passkey.ErrMalformed):
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	case isRefusal(err):
		return nil, refuse(acc.ID, "assertion")
	case err != nil:
		return nil, wrap(err, "finishing a passkey ceremony")
	}
	if !res.UserVerified || res.Verdict != passkey.Accept || !acc.State.MaySignIn() || key.Citizen != acc.ID {
		return nil, refuse(acc.ID, "not for this report")
	}
	key.Credential = res.Credential
	err = s.Store.UsePasskey(ctx, key, s.Clock.Now())
	if errors.Is(err, identity.ErrSpent) || errors.Is(err, identity.ErrNotFound) {
		return nil, refuse(acc.ID, "counter")
	}
	if err != nil {
		return nil, wrap(err, "recording a passkey's use")
	}
	receipt, ok, err := s.fileLoss(r, loss.Report{Citizen: acc.ID, What: what, Spare: key.Device, SparePasskey: key.ID}, true)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, refuse(acc.ID, "loss not reported")
	}
	s.Observer.Observe("loss", string(what))
	return jsonAnswer{Next: receiptPath + receipt.Number.String()}, nil
}

// showReceipt shows what a number stands for, to whoever has it: it names nobody.
func (s *Service) showReceipt(w http.ResponseWriter, r *http.Request) error {
	n, err := loss.ParseNumber(r.PathValue("number"))
	if err != nil {
		return errNoReceipt
	}
	if ok, err := s.allowed(r.Context(), Try{Rule: s.Config.Rules.Opening}, "receipt", sourceKey(s.Source(r))); err != nil {
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

func (s *Service) showUndo(w http.ResponseWriter, r *http.Request) error {
	s.undoPage(w, r, http.StatusOK, templates.LossUndo{})
	return nil
}

func (s *Service) undoPage(w http.ResponseWriter, r *http.Request, status int, p templates.LossUndo) {
	p.DevicesURL = s.Config.Home + "/devices"
	s.Render(w, r, Answer{Status: status, Kind: templates.Plain, Path: undoPath, Page: p})
}

// undoLoss brings a card back that was reported lost: with the password and the app,
// both now. Passkeys and phones prove nothing here, since all of them were reported.
// What lives on a device stays suspended until it is restored from the account page;
// synced passkeys have ended.
func (s *Service) undoLoss(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	typed := f.get("username")
	if len(typed) > maxTyped {
		typed = ""
	}
	ok, err := s.undo(r, typed, f.get("password"), f.get("code"))
	if err != nil {
		return err
	}
	p := templates.LossUndo{Account: templates.Text(typed), Problem: templates.Say(templates.ProblemUndo)}
	if ok {
		p = templates.LossUndo{Done: true}
		s.undoPage(w, r, http.StatusOK, p)
		return nil
	}
	s.undoPage(w, r, http.StatusForbidden, p)
	return nil
}

func (s *Service) undo(r *http.Request, typed, word, code string) (bool, error) {
	ctx, now := r.Context(), s.Clock.Now()
	acc, who, err := s.somebody(ctx, typed, now)
	if err != nil {
		return false, err
	}
	// The password's counter is that of signing in: there is one budget for it.
	g, err := s.guess(r, s.Config.Rules.Account, append([]string{"password"}, who...)...)
	if err != nil {
		return false, err
	}
	able := g.Allowed && acc.State == identity.CardTempLost && acc.Password != ""
	right := false
	switch {
	case !g.Source:
	case able:
		right, _, err = s.Hasher.Verify(ctx, acc.Password, word)
		if errors.Is(err, password.ErrTooLong) || errors.Is(err, password.ErrMalformed) {
			right, err = false, nil
		}
	default:
		err = s.hashNothing(ctx, word)
	}
	if errors.Is(err, password.ErrBusy) {
		return false, errors.Join(err, g.unjudged(ctx))
	}
	if err != nil {
		return false, wrap(err, "checking a password")
	}
	if !right {
		return false, s.refused(r, g, acc.ID, identity.FactorPassword, "loss not undone")
	}
	if err := g.right(ctx); err != nil {
		return false, err
	}
	// Whoever guesses at the code has shown the password.
	g, err = s.guess(r, s.Config.Rules.Code, "undo-code", acc.ID.String())
	if err != nil {
		return false, err
	}
	id, step, ok, err := s.matchTOTP(ctx, acc.ID, code, now)
	if err != nil {
		return false, err
	}
	if ok && g.Allowed && sixDigits(code) {
		e := s.event(r, audit.LossUndone, acc.ID)
		e.Notify = true
		err = s.Store.RestoreCard(ctx, acc.ID, acc.Epoch, id, step, e)
		switch {
		case err == nil:
			s.Observer.Observe("loss", "undone")
			if err := g.right(context.WithoutCancel(ctx)); err != nil {
				s.Log.ErrorContext(ctx, "right attempts not given back", "cause", err)
			}
			return true, nil
		case !errors.Is(err, identity.ErrSpent) && !errors.Is(err, identity.ErrConflict):
			return false, wrap(err, "restoring a card")
		}
	}
	return false, s.refused(r, g, acc.ID, identity.FactorTOTP, "loss not undone")
}

// ReportDevice reports one device of the citizen's as lost, from another: it is suspended
// with everything that hung on it, every other session ends, and this one lives on if it
// does not stand on the device. It takes no fresh factor: better shut out than broken in.
func (s *Service) ReportDevice(r *http.Request, l identity.Login, id identity.ID) (loss.Receipt, error) {
	e := s.change(r, audit.LossReported, l)
	receipt, err := s.desk.Report(r.Context(), loss.Report{Citizen: l.Citizen, What: loss.Device, Device: id, Keep: l.ID}, e)
	return receipt, wrapIf(err, "reporting a device")
}

// RestoreDevice brings a suspended device back, by a login of two fresh factors
// (ErrNotFresh): those of the device itself cannot be among them, since a suspended
// device proves nothing and its logins have ended. ErrConflict when another phone has
// taken its place.
func (s *Service) RestoreDevice(r *http.Request, l identity.Login, id identity.ID) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	e := s.change(r, audit.DeviceRestored, l)
	e.Device = id
	return wrapIf(s.Store.RestoreDevice(r.Context(), l.Citizen, id, !s.Config.ManyPhones, e), "restoring a device")
}

// OnePhone reports whether a new phone takes the place of the one before.
func (s *Service) OnePhone() bool { return !s.Config.ManyPhones }

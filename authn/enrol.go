package authn

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/authn/recovery"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// newSeed gives the flow a seed to enrol. It is in no table before the citizen
// has shown that their app has it (SECURITY MF2).
func (v *visit) newSeed() error {
	seed, err := totp.NewSeed(v.Rand)
	v.flow.State.Seed = seed.Reveal()
	return err
}

// enrolTOTP confirms the first code of a new generator. The flow gives its seed away
// before anything is stored with it: of answers sent side by side one has it, and
// the others are told that they came second (SECURITY G1).
func (s *Service) enrolTOTP(v *visit) error {
	kept := v.flow.State.Seed
	if len(kept) == 0 {
		return errMoved
	}
	seed, err := totp.SeedOf(kept)
	if err != nil {
		return wrap(err, "opening the flow's seed")
	}
	code := v.form.get("code")
	if !sixDigits(code) {
		v.flow.State.problem(templates.ProblemCodeFormat)
		return v.again("enrol/totp")
	}
	step, ok := totp.Match(seed, totp.RFC6238, code, v.now, 0)
	if !ok {
		v.flow.State.problem(templates.ProblemCode)
		return v.again("enrol/totp")
	}
	v.flow.State.Seed = nil
	if err := v.move(); err != nil {
		return err
	}
	if err := v.enrol(seed, step); err != nil {
		// Nothing is lost: the app that was set up stays good for another try.
		v.flow.State.Seed = kept
		if again := v.move(); again != nil && !errors.Is(again, errMoved) {
			return errors.Join(err, again)
		}
		return err
	}
	v.prove(identity.Proof{Factor: identity.FactorTOTP, At: v.now})
	v.enrolled()
	return v.onward()
}

// enrol spends the activation code, if the flow came by one, and binds the generator.
func (v *visit) enrol(seed totp.Seed, step int64) error {
	if err := v.activated(); err != nil {
		return err
	}
	e := v.event(v.r, audit.TOTPBound, v.flow.Citizen)
	e.Notify = true
	return v.bindTOTP(seed, totp.RFC6238, step, e)
}

// bindTOTP stores a generator whose first code was right, with that code's step
// spent.
func (v *visit) bindTOTP(seed totp.Seed, alg totp.Algorithm, step int64, e audit.Event) error {
	ctx, citizen := v.r.Context(), v.flow.Citizen
	f := TOTPFactor{ID: identity.IDFrom(v.Rand), Citizen: citizen, Seed: seed.Reveal(), Algorithm: alg, Created: v.now}
	if err := v.Store.ProposeTOTP(ctx, f); err != nil {
		return wrap(err, "proposing a one-time-password factor")
	}
	before := v.flow.Epoch
	err := v.Store.ConfirmTOTP(ctx, citizen, f.ID, step, v.flow.Login, &v.flow, e)
	if errors.Is(err, identity.ErrSpent) || errors.Is(err, identity.ErrNotFound) {
		return errMoved // another answer proposed at the same time
	}
	v.uprooted(before)
	return wrapIf(err, "confirming a one-time-password factor")
}

// uprooted forgets what the flow knew of the epoch before, when that is over: no
// browser is trusted in the new one, and no phone is asked any more.
func (v *visit) uprooted(before int64) {
	if v.flow.Epoch == before {
		return
	}
	st := &v.flow.State
	if !st.Browser.IsZero() {
		st.Browser, st.DeviceAsked = identity.ID{}, false
	}
	st.Approval = identity.ID{}
}

// enrolled clears what led here.
func (v *visit) enrolled() {
	st := &v.flow.State
	st.RecoveryAt, st.Seed = noTime, nil
	st.Codes = 0
}

// registerOptions begins a passkey's registration inside a flow: first contact,
// after a recovery code, or where the need asks for a key nobody has yet.
func (s *Service) registerOptions(v *visit, _ []byte) (any, error) {
	if v.step.Stale {
		return jsonAnswer{Next: v.path("")}, nil
	}
	ctx := v.r.Context()
	if err := v.mayOpen(); err != nil {
		return nil, err
	}
	var err error
	acc := v.acc
	if a := v.flow.State.Activation; a != nil && acc.ID.IsZero() {
		if acc, err = s.Store.Account(ctx, a.Citizen); err != nil {
			return nil, wrap(err, "reading an account")
		}
	}
	options, c, err := s.beginPasskey(ctx, acc)
	if err != nil {
		return nil, err
	}
	return options, s.putCeremony(ctx, c, flowOwner(v.flow.ID), acc.ID)
}

// registerFinish judges a registration. The new key is no proof yet: it signs in
// at the next step.
func (s *Service) registerFinish(v *visit, body []byte) (any, error) {
	if v.step.Stale {
		return jsonAnswer{Next: v.path("")}, nil
	}
	ctx := v.r.Context()
	cred, err := s.finishPasskey(ctx, body, flowOwner(v.flow.ID))
	if err != nil {
		return nil, err
	}
	cooloff := max(s.Config.CoolOff, 0)
	if v.flow.State.Activation != nil && v.flow.Citizen.IsZero() {
		// First contact: whoever has the code from the counter is the one there is, and
		// no owner of before would see a notice.
		cooloff = 0
	}
	if err := v.activated(); err != nil {
		return nil, err
	}
	if v.acc, err = s.Store.Account(ctx, v.flow.Citizen); err != nil {
		return nil, wrap(err, "reading an account")
	}
	if !bytes.Equal(cred.UserHandle, v.acc.UserHandle) {
		return nil, errPasskeyMake
	}
	before := v.flow.Epoch
	if _, err := s.addPasskey(v.r, v.flow.Citizen, identity.ID{}, &v.flow, cred, cooloff); err != nil {
		return nil, err
	}
	v.uprooted(before)
	v.enrolled()
	v.flow.State.problem("")
	if v.step.Kind == StepKey && cred.BackupEligible() {
		v.flow.State.problem(templates.ErrorLevelNext) // a synced key lives on no device
	}
	if err := v.move(); err != nil {
		return nil, err
	}
	to, err := v.advance()
	return jsonAnswer{Next: to}, err
}

// finishPasskey takes the ceremony an answer belongs to and judges the answer.
func (s *Service) finishPasskey(ctx context.Context, body []byte, owner []byte) (passkey.Credential, error) {
	c, err := s.takeCeremony(ctx, body, passkey.Registration, owner)
	if errors.Is(err, identity.ErrNotFound) {
		return passkey.Credential{}, errPasskeyMake
	}
	if err != nil {
		return passkey.Credential{}, err
	}
	cred, err := s.Passkeys.FinishRegistration(ctx, c, bytes.NewReader(body))
	switch {
	case errors.Is(err, passkey.ErrMalformed):
		return passkey.Credential{}, fmt.Errorf("%w: %w", errBadRequest, err)
	case isRefusal(err):
		s.Log.InfoContext(ctx, "passkey not made", "cause", err)
		s.Observer.Observe("passkey", "not-made")
		return passkey.Credential{}, errPasskeyMake
	}
	return cred, wrapIf(err, "finishing a passkey registration")
}

// offerKey is "continue" where a key on a device is wanted and there is none. What
// was proved too long ago is proved again first.
func (s *Service) offerKey(v *visit) error {
	if !v.step.Stale {
		return v.redirect(v.path("enrol/passkey"))
	}
	v.flow.Proofs, v.flow.Citizen, v.flow.Epoch = nil, identity.ID{}, 0
	v.flow.State.problem("")
	return v.again("")
}

// keepCodes gives the citizen recovery codes, if they have none.
func (v *visit) keepCodes(ctx context.Context) error {
	e := v.event(v.r, audit.RecoveryRenewed, v.flow.Citizen)
	codes, err := v.newCodes(ctx, v.flow.Citizen, e)
	v.flow.State.Kept = codes
	return err
}

// newCodes makes a set of recovery codes and stores their keyed hashes.
func (s *Service) newCodes(ctx context.Context, citizen identity.ID, e audit.Event) ([]string, error) {
	set, err := recovery.NewSet(s.Rand)
	if err != nil {
		return nil, err
	}
	shown, hashes := make([]string, len(set)), make([][]byte, len(set))
	for i, c := range set {
		shown[i] = c.Reveal()
		if hashes[i], err = recovery.Stored(s.Codes, recovery.Recovery, citizen[:], shown[i]); err != nil {
			return nil, wrap(err, "hashing a recovery code")
		}
	}
	if err := s.Store.ReplaceRecovery(ctx, citizen, hashes, e); err != nil {
		return nil, wrap(err, "storing recovery codes")
	}
	return shown, nil
}

// codesKept: they are on paper now, and nowhere else.
func (s *Service) codesKept(v *visit) error {
	v.flow.State.Kept = nil
	return v.onward()
}

func (v *visit) showEnrolTOTP(step templates.Step) (templates.Page, error) {
	if len(v.flow.State.Seed) == 0 {
		return nil, errMoved // an answer is on its way
	}
	seed, err := totp.SeedOf(v.flow.State.Seed)
	if err != nil {
		return nil, wrap(err, "opening the flow's seed")
	}
	p, err := v.totpPage(seed, totp.RFC6238, v.label())
	p.Step, p.BackURL = step, v.path("enrol")
	return p, err
}

// totpPage shows a seed, this once.
func (s *Service) totpPage(seed totp.Seed, alg totp.Algorithm, label string) (templates.EnrolTOTP, error) {
	uri, err := seed.URI(alg, s.Config.Name, label)
	return templates.EnrolTOTP{URI: uri, Secret: seed.Text()}, err
}

// label is what an authenticator app lists the account under: no name in full and
// no number, the screen is seen by others.
func (v *visit) label() string {
	if v.acc.MaskedName != "" {
		return v.acc.MaskedName
	}
	if a := v.flow.State.Activation; a != nil {
		if card, ok := aliasOf(a.Card, v.now); ok && card.Kind == AliasCard {
			return card.Value[:1] + "****" + card.Value[len(card.Value)-2:]
		}
	}
	return "—"
}

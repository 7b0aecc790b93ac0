package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"ecardid/identity"
)

// BeginSignIn asks for any passkey of ours, naming nobody (SECURITY WA4). The
// same options serve the button and the browser's autofill (conditional UI).
func (r *Relying) BeginSignIn() (options json.RawMessage, c Ceremony, err error) {
	assertion, session, err := r.plain.BeginDiscoverableLogin()
	if err != nil {
		return nil, Ceremony{}, fmt.Errorf("beginning a passkey sign-in: %w", err)
	}
	return r.ceremony(SignIn, "", assertion, session)
}

// BeginSecondFactor asks the citizen who is already identified for one of their
// passkeys. A citizen without a live one is an error: whoever offers the factor
// knows whether there is one.
func (r *Relying) BeginSecondFactor(user User) (options json.RawMessage, c Ceremony, err error) {
	live := slices.DeleteFunc(slices.Clone(user.Credentials), func(c Credential) bool {
		return c.Disabled || c.RPID != r.cfg.RPID || !bytes.Equal(c.UserHandle, user.Handle)
	})
	if len(live) == 0 || len(user.Handle) == 0 {
		return nil, Ceremony{}, errors.New("beginning a passkey second factor: the citizen has no live passkey")
	}
	assertion, session, err := r.plain.BeginLogin(account{user: user, creds: toLibrary(live)})
	if err != nil {
		return nil, Ceremony{}, fmt.Errorf("beginning a passkey second factor: %w", err)
	}
	return r.ceremony(SecondFactor, "", assertion, session)
}

// A Lookup finds a live credential by its id, over all citizens. It says
// identity.ErrNotFound for one that is not there, disabled, on a dead device or of
// somebody who may not sign in; it reads storage now, so that what was deleted
// while the ceremony ran is gone (SECURITY WA3).
type Lookup func(ctx context.Context, credentialID []byte) (Credential, error)

// A Result is an answer that verified.
type Result struct {
	// Credential is to be written back, whatever else happens.
	Credential Credential
	// UserVerified: PIN or biometrics were checked in this very ceremony.
	UserVerified bool
	// Synced: the key lives on several devices, so it binds to none of them.
	Synced bool
	// CloneWarning: in this very ceremony the counter went back.
	CloneWarning bool
	// Verdict is what follows from that; StepUp must be heeded.
	Verdict Verdict
}

// FinishLogin judges the browser's answer to a ceremony the caller has just taken
// out of storage. On ErrCloned the Result holds the credential, disabled, to be
// stored; with any other error it is empty.
func (r *Relying) FinishLogin(ctx context.Context, c Ceremony, body io.Reader, lookup Lookup) (_ Result, err error) {
	if err := c.check(r.cfg.Clock.Now(), SignIn, SecondFactor); err != nil {
		return Result{}, err
	}
	parsed, err := parseAssertion(body)
	if err != nil {
		return Result{}, err
	}
	// §7.2 step 5: only what was allowed. The library would also want the whole
	// list to be alive still; one passkey deleted meanwhile must not end the rest.
	session := c.Session
	if c.Purpose == SecondFactor {
		if !slices.ContainsFunc(session.AllowedCredentialIDs, func(id []byte) bool { return bytes.Equal(id, parsed.RawID) }) {
			return Result{}, refuse(ErrUnknown, "a credential that was not asked for")
		}
		session.AllowedCredentialIDs = [][]byte{parsed.RawID}
	}
	stored, err := lookup(ctx, parsed.RawID)
	if errors.Is(err, identity.ErrNotFound) {
		return Result{}, &Error{ErrUnknown, err}
	}
	if err != nil {
		return Result{}, fmt.Errorf("looking for a passkey: %w", err)
	}
	if !bytes.Equal(stored.ID, parsed.RawID) {
		return Result{}, errors.New("passkey: storage returned another credential")
	}
	if err := stored.sound(r.cfg.RPID); err != nil {
		return Result{}, err
	}
	// §7.2 step 6: the citizen of the ceremony, and of the answer, owns it.
	if c.Purpose == SecondFactor && !bytes.Equal(stored.UserHandle, session.UserID) {
		return Result{}, refuse(ErrRefused, "the credential is another citizen's")
	}
	w, err := r.validate(session, c.Purpose, stored, parsed)
	if err != nil {
		return Result{}, err
	}
	return judge(stored, w, parsed)
}

func (r *Relying) validate(session webauthn.SessionData, purpose Purpose, stored Credential, parsed *protocol.ParsedCredentialAssertionData) (w *webauthn.Credential, err error) {
	lib, err := r.under(stored.Policy)
	if err != nil {
		return nil, err
	}
	defer guard(&err)
	owner := account{user: User{Handle: stored.UserHandle}, creds: []webauthn.Credential{stored.toLibrary()}}
	if purpose == SignIn {
		w, err = lib.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User, error) { return owner, nil }, session, parsed)
	} else {
		w, err = lib.ValidateLogin(owner, session, parsed)
	}
	if err != nil {
		return nil, &Error{ErrRefused, err}
	}
	return w, nil
}

// judge makes the result of a verified answer.
func judge(stored Credential, w *webauthn.Credential, parsed *protocol.ParsedCredentialAssertionData) (Result, error) {
	warned := w.Authenticator.CloneWarning
	next := stored
	next.SignCount = w.Authenticator.SignCount
	next.Flags = uint8(w.Flags.ProtocolValue())
	next.CloneWarning = stored.CloneWarning || warned
	res := Result{
		Credential:   next,
		UserVerified: parsed.Response.AuthenticatorData.Flags.HasUserVerified(),
		Synced:       stored.BackupEligible(),
		CloneWarning: warned,
		Verdict:      JudgeCounter(stored, warned),
	}
	if res.Verdict == Refuse {
		res.Credential.Disabled = true
		return res, refuse(ErrCloned, "stored counter %d, answered %d", stored.SignCount, parsed.Response.AuthenticatorData.Counter)
	}
	return res, nil
}

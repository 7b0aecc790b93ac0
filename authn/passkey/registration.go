package passkey

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/go-webauthn/webauthn/webauthn"
)

// BeginRegistration asks for a new passkey for user under policy p. The options
// are what navigator.credentials.create takes, below "publicKey"; all of
// user.Credentials are excluded. The ceremony is for the caller to keep.
func (r *Relying) BeginRegistration(user User, p Policy) (options json.RawMessage, c Ceremony, err error) {
	lib, err := r.under(p)
	if err != nil {
		return nil, Ceremony{}, err
	}
	creation, session, err := lib.BeginRegistration(account{user: user},
		webauthn.WithCredentialParameters(offered()),
		webauthn.WithExclusions(toLibrary(user.Credentials).CredentialDescriptors()),
		webauthn.WithConveyancePreference(p.conveyance()),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
	)
	if err != nil {
		return nil, Ceremony{}, fmt.Errorf("beginning a passkey registration: %w", err)
	}
	return r.ceremony(Registration, p, creation, session)
}

// FinishRegistration judges the browser's answer to a ceremony the caller has
// just taken out of storage. The credential it returns is the ceremony's user's
// (Credential.UserHandle) and has been held to the ceremony's policy; storing it
// fails if anybody has a credential of the same id.
func (r *Relying) FinishRegistration(ctx context.Context, c Ceremony, body io.Reader) (_ Credential, err error) {
	now := r.cfg.Clock.Now()
	if err := c.check(now, Registration); err != nil {
		return Credential{}, err
	}
	lib, err := r.under(c.Policy)
	if err != nil {
		return Credential{}, err
	}
	parsed, err := parseRegistration(body)
	if err != nil {
		return Credential{}, err
	}
	defer guard(&err)
	w, err := lib.CreateCredential(account{user: User{Handle: c.Session.UserID}}, c.Session, parsed)
	if err != nil {
		return Credential{}, &Error{ErrRefused, err}
	}
	alg, err := checkKey(w.PublicKey)
	if err != nil {
		return Credential{}, &Error{ErrPolicy, err}
	}
	cred := fromLibrary(w, r.cfg.RPID, c.Session.UserID, alg)
	cred.Policy = c.Policy
	if err := r.accept(ctx, c.Policy, cred, now); err != nil {
		return Credential{}, &Error{ErrPolicy, err}
	}
	return cred, nil
}

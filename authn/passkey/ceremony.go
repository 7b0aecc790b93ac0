package passkey

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// A Purpose says what a ceremony's answer is good for, and nothing else is
// (SECURITY G2).
type Purpose string

// The purposes.
const (
	Registration Purpose = "passkey.register"
	SignIn       Purpose = "passkey.sign-in"       // by anybody, with a discoverable passkey
	SecondFactor Purpose = "passkey.second-factor" // by the citizen already identified
)

// A Ceremony is what the server remembers between question and answer. It is
// plain JSON, kept on the server under the flow or login it was begun in, never
// in the browser; and taken out, once, by the first answer (SECURITY WA1).
type Ceremony struct {
	Purpose Purpose              `json:"purpose"`
	Policy  Policy               `json:"policy,omitempty"` // registration only
	Session webauthn.SessionData `json:"session"`          // verbatim, as the library wants it
	Expires time.Time            `json:"expires"`
}

// UserHandle names the citizen the ceremony is for; empty at sign-in, where
// anybody may answer.
func (c Ceremony) UserHandle() []byte { return c.Session.UserID }

// check says whether an answer may be looked at.
func (c Ceremony) check(now time.Time, purposes ...Purpose) error {
	ok := false
	for _, p := range purposes {
		ok = ok || c.Purpose == p
	}
	named := len(c.Session.UserID) > 0
	switch {
	case !ok, named != (c.Purpose != SignIn):
		return refuse(ErrRefused, "a ceremony for %q was answered as %v", c.Purpose, purposes)
	case c.Expires.IsZero() || !now.Before(c.Expires):
		return refuse(ErrExpired, "the ceremony ended at %v", c.Expires)
	case c.Session.UserVerification != protocol.VerificationRequired:
		return refuse(ErrRefused, "a ceremony without user verification")
	}
	return nil
}

// A User is a citizen as WebAuthn knows them.
type User struct {
	// Handle is 64 random bytes, never a number of theirs (Level 3 §14.6.1).
	Handle []byte
	// Name and DisplayName are shown in the browser's account chooser, and
	// stored by whoever makes the authenticator: masked, please.
	Name        string
	DisplayName string
	// Credentials are all of the citizen's, so that none is made twice on one
	// authenticator, or the live ones, when they are asked to use one.
	Credentials []Credential
}

// offered are the algorithms we ask for, best loved first. No SM2: the COSE
// number once proposed for it means ML-DSA-44 today.
func offered() []protocol.CredentialParameter {
	algs := []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256}
	params := make([]protocol.CredentialParameter, len(algs))
	for i, a := range algs {
		params[i] = protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a}
	}
	return params
}

// ceremony packs what a Begin function of the library returned.
func (r *Relying) ceremony(purpose Purpose, policy Policy, options any, session *webauthn.SessionData) (json.RawMessage, Ceremony, error) {
	raw, err := json.Marshal(options)
	if err != nil {
		return nil, Ceremony{}, fmt.Errorf("writing passkey options: %w", err)
	}
	return raw, Ceremony{Purpose: purpose, Policy: policy, Session: *session, Expires: r.cfg.Clock.Now().Add(r.cfg.Life)}, nil
}

// account is a User in the library's words.
type account struct {
	user  User
	creds []webauthn.Credential
}

func (a account) WebAuthnID() []byte                         { return a.user.Handle }
func (a account) WebAuthnName() string                       { return a.user.Name }
func (a account) WebAuthnDisplayName() string                { return a.user.DisplayName }
func (a account) WebAuthnCredentials() []webauthn.Credential { return a.creds }

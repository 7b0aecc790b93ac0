package browser

import (
	"github.com/chromedp/cdproto/webauthn"
)

// An Authenticator is a virtual one in the tab: it keeps passkeys and answers
// without anybody touching it. It belongs to the tab, not to the person.
type Authenticator struct {
	tab *Tab
	id  webauthn.AuthenticatorID
}

// Passkey says what kind of authenticator.
type Passkey struct {
	Synced     bool // its passkeys say that they may be copied (backup-eligible)
	Unverified bool // it cannot make sure of its user
}

// Passkey adds a virtual authenticator to the tab.
func (b *Tab) Passkey(p Passkey) *Authenticator {
	b.t.Helper()
	call(b, webauthn.Enable, webauthn.EnableParams{})
	res := call(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
			Transport:      webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: !p.Unverified,
			AutomaticPresenceSimulation: true,
			DefaultBackupEligibility:    p.Synced, DefaultBackupState: p.Synced,
		},
	})
	return &Authenticator{b, res.AuthenticatorID}
}

// Keys says how many passkeys it holds. It can hold three.
func (a *Authenticator) Keys() int {
	a.tab.t.Helper()
	return len(call(a.tab, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials)
}

// Present says whether somebody touches it when asked.
func (a *Authenticator) Present(yes bool) {
	a.tab.t.Helper()
	call(a.tab, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: yes})
}

// Lie makes it sign wrongly.
func (a *Authenticator) Lie(yes bool) {
	a.tab.t.Helper()
	call(a.tab, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: a.id, IsBogusSignature: &yes})
}

// Unverified makes it claim that it did not make sure of its user.
func (a *Authenticator) Unverified(yes bool) {
	a.tab.t.Helper()
	call(a.tab, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: a.id, IsBadUV: &yes})
}

// Rewind sets the signature counters back, as a cloned authenticator's are.
func (a *Authenticator) Rewind(to float64) {
	a.tab.t.Helper()
	for _, c := range call(a.tab, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials {
		call(a.tab, webauthn.SetCredentialProperties, webauthn.SetCredentialPropertiesParams{
			AuthenticatorID: a.id, CredentialID: c.CredentialID, SignCount: &to,
		})
	}
}

// Remove takes it out of the tab.
func (a *Authenticator) Remove() {
	a.tab.t.Helper()
	call(a.tab, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
}

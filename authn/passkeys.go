package authn

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/identity"
	"ecardid/templates"
)

// ErrPasskey: the registration does not verify; say templates.ProblemPasskeyMake.
var ErrPasskey = errPasskeyMake

// ListPasskeys returns the citizen's passkeys.
func (s *Service) ListPasskeys(ctx context.Context, l identity.Login) ([]Passkey, error) {
	keys, err := s.Store.ListPasskeys(ctx, l.Citizen)
	return keys, wrapIf(err, "listing passkeys")
}

// BeginPasskey returns the options for navigator.credentials.create.
func (s *Service) BeginPasskey(r *http.Request, l identity.Login) (json.RawMessage, error) {
	if err := s.fresh(l); err != nil {
		return nil, err
	}
	acc, err := s.Store.Account(r.Context(), l.Citizen)
	if err != nil {
		return nil, wrap(err, "reading an account")
	}
	options, c, err := s.beginPasskey(r.Context(), acc)
	if err != nil {
		return nil, err
	}
	return options, s.putCeremony(r.Context(), c, loginOwner(l.ID), acc.ID)
}

// FinishPasskey judges the browser's answer and stores the key, with the device it
// lives on unless it is synced.
func (s *Service) FinishPasskey(r *http.Request, l identity.Login, body []byte) (Passkey, error) {
	if err := s.fresh(l); err != nil {
		return Passkey{}, err
	}
	cred, err := s.finishPasskey(r.Context(), body, loginOwner(l.ID))
	if err != nil {
		return Passkey{}, err
	}
	acc, err := s.Store.Account(r.Context(), l.Citizen)
	if err != nil {
		return Passkey{}, wrap(err, "reading an account")
	}
	if !slices.Equal(cred.UserHandle, acc.UserHandle) {
		return Passkey{}, ErrPasskey
	}
	return s.addPasskey(r, l.Citizen, l.ID, nil, cred, max(s.Config.CoolOff, 0))
}

// beginPasskey begins a registration for acc; every key they have is excluded.
func (s *Service) beginPasskey(ctx context.Context, acc Account) (json.RawMessage, passkey.Ceremony, error) {
	keys, err := s.Store.ListPasskeys(ctx, acc.ID)
	if err != nil {
		return nil, passkey.Ceremony{}, wrap(err, "listing passkeys")
	}
	u := passkey.User{Handle: acc.UserHandle, Name: acc.MaskedName, DisplayName: acc.MaskedName}
	for _, k := range keys {
		u.Credentials = append(u.Credentials, k.Credential)
	}
	options, c, err := s.Passkeys.BeginRegistration(u, s.Config.PasskeyPolicy)
	return options, c, wrapIf(err, "beginning a passkey registration")
}

// addPasskey stores a key that verified, on behalf of a login or a flow. One that lives
// on a device reaches what a phone reaches, so it is waited for like a phone.
func (s *Service) addPasskey(r *http.Request, citizen, login identity.ID, f *Flow, cred passkey.Credential, cooloff time.Duration) (Passkey, error) {
	now, name := s.Clock.Now(), agent(r.UserAgent())
	k := Passkey{ID: identity.IDFrom(s.Rand), Citizen: citizen, Name: name, Credential: cred, Created: now}
	e := s.event(r, audit.PasskeyBound, citizen)
	e.Login, e.Notify = login, true
	e.Detail = map[string]string{"passkey": k.ID.String(), "attestation": cred.AttestationFormat}
	var d *Device
	if !cred.BackupEligible() {
		d = &Device{
			ID: identity.IDFrom(s.Rand), Citizen: citizen, Kind: identity.DeviceAuthenticator, Name: name,
			State: identity.DeviceActive, KeyLevel: identity.KeyUnattested, Created: now, LastUsed: now, Place: place(s.Source(r)),
		}
		k.Device, e.Device, k.CoolOff = d.ID, d.ID, cooloff
	}
	err := s.Store.AddPasskey(r.Context(), k, d, f, e)
	if errors.Is(err, identity.ErrConflict) {
		return Passkey{}, errors.Join(ErrPasskey, err)
	}
	s.Observer.Observe("passkey", "bound")
	return k, wrapIf(err, "adding a passkey")
}

// RenamePasskey gives a key the name its owner wants; ErrInvalid for none.
func (s *Service) RenamePasskey(r *http.Request, l identity.Login, id identity.ID, name string) error {
	name, ok := cleanName(name)
	if !ok {
		return ErrInvalid
	}
	e := s.event(r, audit.PasskeyRenamed, l.Citizen)
	e.Login = l.ID
	return wrapIf(s.Store.RenamePasskey(r.Context(), l.Citizen, id, name, e), "renaming a passkey")
}

// RemovePasskey removes a key and the device it lived on, unless the account would
// fall below the floor (ErrLastFactor). Other sessions end with it.
func (s *Service) RemovePasskey(r *http.Request, l identity.Login, id identity.ID) error {
	if err := s.fresh(l); err != nil {
		return err
	}
	e := s.change(r, audit.PasskeyRemoved, l)
	e.Detail = map[string]string{"passkey": id.String()}
	return wrapIf(s.Store.RemovePasskey(r.Context(), l.Citizen, id, l.ID, EnoughFor(s.Config.Floor), e), "removing a passkey")
}

// cleanName is a name for a device or passkey, as its owner writes it.
func cleanName(text string) (string, bool) {
	name := templates.Clean(text, maxName)
	return name, name != ""
}

package account

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/password"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/templates"
)

// remembered is how many notices are looked through for when something was last
// changed. Who has more since then sees no date.
const remembered = 50

// security lists the ways to sign in.
func (s *Service) security(v *visit) error {
	ctx := v.r.Context()
	acc, err := s.Factors.Account(ctx, v.login)
	if err != nil {
		return err
	}
	keys, err := s.Factors.ListPasskeys(ctx, v.login)
	if err != nil {
		return err
	}
	notices, err := s.Factors.Notices(ctx, v.login, remembered)
	if err != nil {
		return err
	}
	page := templates.AccountSecurity{
		Account:         v.said(),
		PasswordChanged: latest(notices, audit.PasswordChanged, audit.CitizenActivated),
		TOTP:            acc.Factors.TOTP,
		TOTPSince:       latest(notices, audit.TOTPBound),
		RecoveryLeft:    acc.Factors.Recovery,
		PasswordURL:     passwordPath,
		PasskeyURL:      passkeyPath,
	}
	for _, k := range keys {
		page.Passkeys = append(page.Passkeys, templates.Passkey{
			ID: k.ID.String(), Name: templates.Text(k.Name), Synced: k.Credential.BackupEligible(),
			Made: k.Created, LastUsed: k.LastUsed,
		})
	}
	return s.show(v, page)
}

// latest is when one of the kinds last happened; zero when it is not among ns.
func latest(ns []authn.Notice, kinds ...audit.Kind) time.Time {
	var at time.Time
	for _, n := range ns {
		if slices.Contains(kinds, n.Kind) && n.At.After(at) {
			at = n.At
		}
	}
	return at
}

func (s *Service) securityActs() acts {
	return acts{show: s.security, do: map[string]act{
		"passkey-rename": func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			return saved, "", s.Factors.RenamePasskey(v.r, v.login, id, v.form.Get("name"))
		},
		"passkey-remove": func(v *visit) (note, string, error) {
			id, err := v.id()
			if err != nil {
				return noNote, "", err
			}
			return removed, "", s.Factors.RemovePasskey(v.r, v.login, id)
		},
		"totp-add": s.beginTOTP,
		"totp-remove": func(v *visit) (note, string, error) {
			return removed, "", s.Factors.RemoveTOTP(v.r, v.login)
		},
		"recovery-renew": s.renewRecovery,
	}}
}

// renewRecovery shows the new codes in its own answer: there is no second place
// they could be read from (SECURITY §0).
func (s *Service) renewRecovery(v *visit) (note, string, error) {
	codes, err := s.Factors.RenewRecovery(v.r, v.login)
	if err != nil {
		return noNote, "", err
	}
	v.path = recoveryPath
	return noNote, shown, s.show(v, templates.RecoveryCodes{Codes: codes})
}

// recovery is where the page of the codes comes back to, when it is reloaded or its
// language is changed: the codes are not shown again.
func (s *Service) recovery(v *visit) error {
	see(v, securityPath)
	return nil
}

// password is the form to change it.
func (s *Service) password(v *visit) error {
	acc, err := s.Factors.Account(v.r.Context(), v.login)
	if err != nil {
		return err
	}
	least := password.MinAlone
	if acc.Factors.Any() {
		least = password.MinWithMFA
	}
	return s.show(v, templates.PasswordChange{Account: v.said(), MinLength: least, BackURL: securityPath})
}

func (s *Service) changePassword(v *visit) (note, string, error) {
	err := s.Factors.ChangePassword(v.r, v.login, v.form.Get("current"), v.form.Get("password"))
	var weak *authn.WeakPassword
	switch {
	case err == nil:
		return passwordChanged, securityPath, nil
	case errors.As(err, &weak):
		v.status, v.problem = http.StatusUnprocessableEntity, weak.Message()
	case errors.Is(err, authn.ErrThrottled):
		v.status, v.problem = http.StatusTooManyRequests, templates.Say(templates.ProblemThrottled, "minutes", throttledMinutes)
	case errors.Is(err, authn.ErrWrong):
		v.status, v.problem = http.StatusForbidden, templates.Say(templates.ProblemPasswordWrong)
	default:
		return noNote, "", err
	}
	return noNote, shown, s.password(v)
}

// throttledMinutes is what people are told: the longest a counter of authn blocks.
const throttledMinutes = 15

// beginTOTP makes a seed and leads to the page that shows it, so that a reload shows
// the same one. It takes the place of an earlier proposal, so it takes a button
// (SECURITY SS2).
func (s *Service) beginTOTP(v *visit) (note, string, error) {
	alg := totp.RFC6238
	if v.form.Has("alg") {
		alg = totp.Algorithm(v.form.Get("alg"))
	}
	id, _, err := s.Factors.BeginTOTP(v.r, v.login, alg)
	if errors.Is(err, authn.ErrInvalid) {
		return noNote, "", fmt.Errorf("%w: no such algorithm", errBadRequest)
	}
	return noNote, totpPath + "/" + id.String(), err
}

func (s *Service) showTOTP(v *visit) error {
	id, err := identity.ParseID(v.r.PathValue("id"))
	if err != nil || id.IsZero() {
		return identity.ErrNotFound
	}
	page, err := s.Factors.ShowTOTP(v.r, v.login, id)
	if err != nil {
		return err
	}
	page.Problem, page.BackURL = v.problem, securityPath
	return s.show(v, page)
}

func (s *Service) confirmTOTP(v *visit) (note, string, error) {
	id, err := identity.ParseID(v.r.PathValue("id"))
	if err != nil || id.IsZero() {
		return noNote, "", identity.ErrNotFound
	}
	err = s.Factors.ConfirmTOTP(v.r, v.login, id, v.form.Get("code"))
	switch {
	case err == nil:
		return saved, securityPath, nil
	case errors.Is(err, authn.ErrWrong):
		v.status, v.problem = http.StatusUnprocessableEntity, templates.Say(templates.ProblemCode)
	case errors.Is(err, authn.ErrThrottled):
		v.status, v.problem = http.StatusTooManyRequests, templates.Say(templates.ProblemThrottled, "minutes", throttledMinutes)
	default:
		return noNote, "", err
	}
	return noNote, shown, s.showTOTP(v)
}

package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/internal/secret"
	"ecardid/templates"
)

const (
	// InvitationLife is over a weekend.
	InvitationLife = 72 * time.Hour
	// InvitationSize in bytes: nobody types it more than once.
	InvitationSize = 20

	invitationCookie = "__Host-invitation"
	invitationTime   = 15 * time.Minute // between the code and the key
)

// halfLength is that of a code, or of half of one, as it is written.
const halfLength = (InvitationSize*8 + 5) / 6

// InvitationText is what the hash of an invitation is made over. The operator makes a
// code in one piece. At the console it has two halves: one that who asked was told, and
// of which only a hash waits in the request, and one that who approved was told.
func InvitationText(staff identity.ID, code secret.Value) []byte {
	text := code.Reveal()
	if len(text) == 2*halfLength {
		return halvesText(staff, halfHash(text[:halfLength]), text[halfLength:])
	}
	return []byte(staff.String() + "." + text)
}

func halvesText(staff identity.ID, first, second string) []byte {
	return []byte(staff.String() + "/" + first + "/" + second)
}

func halfHash(half string) string {
	h := sha256.Sum256([]byte("half an invitation\x00" + half))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// InvitationPath is the page of an invitation. The code is not in it: addresses are
// written into logs.
func InvitationPath(staff identity.ID) string { return "/console/invitation/" + staff.String() }

func (s *Service) invitation(w http.ResponseWriter, r *http.Request) error {
	id, err := identity.ParseID(r.PathValue("id"))
	if err != nil {
		return errMissing
	}
	v := &visit{Service: s, w: w, r: r}
	page := templates.ConsoleInvitation{Desk: v.desk()}
	if code, ok := shownCode(r); ok {
		switch staff, err := s.invited(r.Context(), id, code); {
		case err == nil:
			page.Name, page.Expires = templates.Text(staff.Name), s.Clock.Now().Add(invitationTime)
			page.Passkey = templates.Ceremony{OptionsURL: InvitationPath(id) + "/options", FinishURL: InvitationPath(id) + "/finish"}
		case !errors.Is(err, identity.ErrNotFound):
			return err
		}
	}
	return v.show(page)
}

// shownCode is the code that this browser has shown.
func shownCode(r *http.Request) (secret.Value, bool) {
	cs := r.CookiesNamed(invitationCookie)
	if len(cs) != 1 || cs[0].Value == "" || len(cs[0].Value) > 64 {
		return secret.Value{}, false
	}
	return secret.Of(cs[0].Value), true
}

// invited finds who an invitation is for.
func (s *Service) invited(ctx context.Context, id identity.ID, code secret.Value) (Staff, error) {
	hash, err := s.Invitations(InvitationText(id, code))
	if err != nil {
		return Staff{}, fmt.Errorf("hashing an invitation: %w", err)
	}
	staff, err := s.Staffs.StaffByInvitation(ctx, id, hash, s.Clock.Now())
	if err != nil {
		return Staff{}, fmt.Errorf("finding an invitation: %w", err)
	}
	return staff, nil
}

// invitationCode takes the code from the form and leaves it with this browser, in a
// cookie that scripts cannot read, until the key is made.
func (s *Service) invitationCode(w http.ResponseWriter, r *http.Request) error {
	id, err := identity.ParseID(r.PathValue("id"))
	if err != nil {
		return errMissing
	}
	form, err := exchange.Form(w, r)
	if err == nil {
		err = expected(form, []string{"code", "code-submit"})
	}
	if err != nil {
		return err
	}
	v := &visit{Service: s, w: w, r: r}
	right, err := s.guess(r)
	if errors.Is(err, errThrottled) {
		v.status, v.problem = http.StatusTooManyRequests, templates.Say(templates.ProblemThrottled, "minutes", int(doorRule().Cap/time.Minute))
		return v.show(templates.ConsoleInvitation{Desk: v.desk()})
	}
	if err != nil {
		return err
	}
	code := secret.Of(form.Get("code"))
	if n := len(form.Get("code")); n == 0 || n > 64 || !cookieText(form.Get("code")) {
		err = identity.ErrNotFound
	} else {
		_, err = s.invited(r.Context(), id, code)
	}
	if errors.Is(err, identity.ErrNotFound) {
		s.Refusals.Note(r.Context(), audit.Event{Kind: audit.StaffRefused, Reason: "invitation", Place: s.Place(r)})
		v.status, v.problem = http.StatusForbidden, templates.Say(templates.ConsoleProblemCode)
		return v.show(templates.ConsoleInvitation{Desk: v.desk()})
	}
	if err != nil {
		return err
	}
	if err := right(r.Context()); err != nil {
		return fmt.Errorf("refunding an attempt: %w", err)
	}
	setCookie(w, invitationCookie, code, invitationTime)
	see(w, r, InvitationPath(id))
	return nil
}

// cookieText: what a code of ours is written in, and a cookie may hold.
func cookieText(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// bearer is who the request's invitation is for.
func (s *Service) bearer(r *http.Request) (Staff, []byte, error) {
	id, err := identity.ParseID(r.PathValue("id"))
	if err != nil {
		return Staff{}, nil, errMissing
	}
	code, ok := shownCode(r)
	if !ok {
		return Staff{}, nil, errMissing
	}
	hash, err := s.Invitations(InvitationText(id, code))
	if err != nil {
		return Staff{}, nil, fmt.Errorf("hashing an invitation: %w", err)
	}
	staff, err := s.invited(r.Context(), id, code)
	return staff, hash, err
}

func (s *Service) invitationOptions(r *http.Request, _ http.ResponseWriter, _ []byte) (any, error) {
	staff, _, err := s.bearer(r)
	if err != nil {
		return nil, err
	}
	options, c, err := s.Passkeys.BeginRegistration(userOf(staff, nil), s.PasskeyPolicy)
	if err != nil {
		return nil, fmt.Errorf("beginning a registration: %w", err)
	}
	return options, s.keep(r, "invitation", s.ownerAt(r, "invitation", staff.ID.String()), c)
}

func (s *Service) invitationFinish(r *http.Request, w http.ResponseWriter, body []byte) (any, error) {
	staff, hash, err := s.bearer(r)
	if err != nil {
		return nil, err
	}
	c, err := s.take(r.Context(), body, "invitation", s.ownerAt(r, "invitation", staff.ID.String()))
	if err != nil {
		return nil, errors.Join(errPasskeyMake, err)
	}
	cred, err := s.Passkeys.FinishRegistration(r.Context(), c, bytes.NewReader(body))
	var refusal *passkey.Error
	if errors.As(err, &refusal) || err == nil && (!cred.UserVerified() || !bytes.Equal(cred.UserHandle, staff.ID[:])) {
		return nil, errors.Join(errPasskeyMake, err)
	}
	if err != nil {
		return nil, fmt.Errorf("finishing a registration: %w", err)
	}
	now := s.Clock.Now()
	k := Key{ID: identity.IDFrom(s.Rand), Staff: staff.ID, Credential: cred, Created: now}
	e := audit.Event{Kind: audit.StaffJoined, At: now, Actor: staff.By(), Place: s.Place(r), Detail: map[string]string{"staff": staff.ID.String(), "key": k.ID.String()}}
	if err := s.Staffs.AcceptInvitation(r.Context(), hash, k, e); err != nil {
		if errors.Is(err, identity.ErrNotFound) || errors.Is(err, identity.ErrConflict) || errors.Is(err, identity.ErrSpent) {
			return nil, errors.Join(errPasskeyMake, err)
		}
		return nil, fmt.Errorf("accepting an invitation: %w", err)
	}
	dropCookie(w, invitationCookie)
	return scriptAnswer{Next: "/console/sign-in?notice=welcome"}, nil
}

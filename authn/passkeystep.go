package authn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"ecardid/audit"
	"ecardid/authn/passkey"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/templates"
)

// ceremonyID names a stored ceremony by its challenge. The answer repeats the
// challenge, so each answer finds the ceremony it belongs to and no other, however
// many the page has asked for meanwhile.
func ceremonyID(challenge string) identity.ID {
	h := sha256.Sum256([]byte("passkey challenge\x00" + challenge))
	return identity.ID(h[:16])
}

// flowOwner is what a ceremony of a flow is bound to.
func flowOwner(flow identity.ID) []byte {
	h := sha256.Sum256(append([]byte("flow\x00"), flow[:]...))
	return h[:]
}

// loginOwner is what a ceremony on the account pages is bound to.
func loginOwner(login identity.ID) []byte {
	h := sha256.Sum256(append([]byte("login\x00"), login[:]...))
	return h[:]
}

// putCeremony keeps a ceremony for its answer.
func (s *Service) putCeremony(ctx context.Context, c passkey.Ceremony, owner []byte, citizen identity.ID) error {
	data, err := json.Marshal(c)
	if err != nil {
		return wrap(err, "encoding a ceremony")
	}
	return wrapIf(s.Store.PutCeremony(ctx, Ceremony{
		ID: ceremonyID(c.Session.Challenge), Purpose: string(c.Purpose), Owner: owner, Citizen: citizen, Data: data, Expires: c.Expires,
	}), "storing a ceremony")
}

// takeCeremony takes out the ceremony an answer belongs to: once, whatever the
// answer is worth (SECURITY WA1). Nothing but the challenge is read here; the
// passkey room judges the rest.
func (s *Service) takeCeremony(ctx context.Context, body []byte, purpose passkey.Purpose, owner []byte) (passkey.Ceremony, error) {
	challenge, err := passkey.Challenge(body)
	if err != nil {
		return passkey.Ceremony{}, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	kept, err := s.Store.TakeCeremony(ctx, ceremonyID(challenge), string(purpose), owner, s.Clock.Now())
	if err != nil {
		return passkey.Ceremony{}, wrap(err, "taking a ceremony")
	}
	var c passkey.Ceremony
	if err := json.Unmarshal(kept.Data, &c); err != nil {
		return passkey.Ceremony{}, wrap(err, "decoding a ceremony")
	}
	return c, nil
}

// script is the handler of what the script posts: JSON in, JSON out, and the
// flow's id in the address. Out of order the page is shown anew.
func (s *Service) script(kinds []StepKind, do func(v *visit, body []byte) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.scripted(w, r, kinds, do)
		s.said(w, r, answer, err)
	})
}

// scriptAnswer is what the script is told by a handler outside every flow.
func (s *Service) scriptAnswer(w http.ResponseWriter, r *http.Request, do func(r *http.Request, body []byte) (any, error)) {
	body, err := exchange.JSON(w, r)
	var answer any
	if err == nil {
		answer, err = do(r, body)
	}
	s.said(w, r, answer, err)
}

// said tells the script what came of its request.
func (s *Service) said(w http.ResponseWriter, r *http.Request, answer any, err error) {
	switch {
	case errors.Is(err, errPasskey):
		s.json(w, http.StatusForbidden, jsonAnswer{Problem: s.Say(r, templates.Say(templates.ProblemPasskey))})
	case errors.Is(err, errPasskeyMake):
		s.json(w, http.StatusForbidden, jsonAnswer{Problem: s.Say(r, templates.Say(templates.ProblemPasskeyMake))})
	case errors.Is(err, errTooMany):
		s.json(w, http.StatusTooManyRequests, jsonAnswer{Problem: s.Say(r, templates.Say(templates.ProblemThrottled, "minutes", s.waitMinutes()))})
	case err != nil:
		s.failJSON(w, r, err)
	default:
		s.json(w, http.StatusOK, answer)
	}
}

// What the script shows as a sentence of its own.
var (
	errPasskey     = errors.New("the passkey was not accepted")
	errPasskeyMake = errors.New("the passkey was not made")
	errTooMany     = errors.New("too many passkey requests from one source")
)

func (s *Service) scripted(w http.ResponseWriter, r *http.Request, kinds []StepKind, do func(v *visit, body []byte) (any, error)) (any, error) {
	body, err := exchange.JSON(w, r)
	if err != nil {
		return nil, err
	}
	id, err := flowParam(r)
	if err != nil {
		return nil, err
	}
	v, err := s.open(w, r, id)
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if v.step.Kind == k && v.step.Offers(identity.FactorPasskey) {
			return do(v, body)
		}
	}
	s.Observer.Observe("passkey", "out-of-order")
	return jsonAnswer{Next: v.path("")}, nil
}

// passkeyOptions gives the browser a challenge: to anybody before they are known,
// the same for all (SECURITY WA4); to a known citizen for their own passkeys.
func (s *Service) passkeyOptions(v *visit, _ []byte) (any, error) {
	ctx := v.r.Context()
	if err := v.mayOpen(); err != nil {
		return nil, err
	}
	var options json.RawMessage
	var c passkey.Ceremony
	var err error
	if v.step.Kind == StepIdentify {
		options, c, err = s.Passkeys.BeginSignIn()
	} else {
		var user passkey.User
		need, _ := v.flow.owes()
		if user, err = v.user(need >= identity.LevelBound && v.means.DeviceKeys > 0); err != nil {
			return nil, err
		}
		options, c, err = s.Passkeys.BeginSecondFactor(user)
	}
	if err != nil {
		return nil, wrap(err, "beginning a passkey ceremony")
	}
	return options, s.putCeremony(ctx, c, flowOwner(v.flow.ID), v.flow.Citizen)
}

// mayOpen counts a ceremony against its source; errTooMany when they are too many.
func (v *visit) mayOpen() error {
	ok, err := v.allowed(v.r.Context(), Try{Rule: v.Config.Rules.Opening}, "ceremony", SourceKey(v.Source(v.r)))
	if err == nil && !ok {
		err = errTooMany
	}
	return err
}

// user is the flow's citizen as an authenticator may know them: by masked name.
func (v *visit) user(deviceKeysOnly bool) (passkey.User, error) {
	keys := v.keys
	if keys == nil {
		var err error
		if keys, err = v.Store.ListPasskeys(v.r.Context(), v.acc.ID); err != nil {
			return passkey.User{}, wrap(err, "listing passkeys")
		}
	}
	u := passkey.User{Handle: v.acc.UserHandle, Name: v.acc.MaskedName, DisplayName: v.acc.MaskedName}
	for _, k := range keys {
		if !deviceKeysOnly || k.OnDevice() {
			u.Credentials = append(u.Credentials, k.Credential)
		}
	}
	return u, nil
}

// passkeyFinish judges an assertion. Whatever it is worth, its challenge is spent.
func (s *Service) passkeyFinish(v *visit, body []byte) (any, error) {
	ctx := v.r.Context()
	purpose := passkey.SecondFactor
	if v.step.Kind == StepIdentify {
		purpose = passkey.SignIn
		if err := v.readTrust(); err != nil {
			return nil, err
		}
	}
	j, err := s.assertion(v.r, body, purpose, flowOwner(v.flow.ID), v.mine, func(citizen identity.ID, reason string) error {
		return s.refusePasskey(v, citizen, reason)
	})
	if err != nil {
		return nil, err
	}
	p := identity.Proof{
		Factor: identity.FactorPasskey, At: v.now, Device: j.key.Device, Verified: true,
		Hardware: !j.synced, Synced: j.synced,
	}
	if v.flow.Citizen.IsZero() {
		if err := s.record(ctx, s.event(v.r, audit.LoginStarted, j.acc.ID)); err != nil {
			return nil, err
		}
		v.identified(j.acc, p)
	} else {
		v.prove(p)
	}
	if err := v.move(); err != nil {
		return nil, err
	}
	s.Observer.Observe("passkey", "right")
	to, err := v.advance()
	return jsonAnswer{Next: to}, err
}

// judged is an assertion that holds: by which key, and whose.
type judged struct {
	key    Passkey
	acc    Account
	synced bool
}

// assertion takes out the ceremony an assertion answers, once, and looks at all there is to
// look at, the counter last. refuse writes down a no about a citizen, or about nobody, and
// returns the one sentence for all of them; mine says for whom it may be.
func (s *Service) assertion(r *http.Request, body []byte, purpose passkey.Purpose, owner []byte, mine func(citizen identity.ID) bool, refuse func(citizen identity.ID, reason string) error) (judged, error) {
	ctx := r.Context()
	c, err := s.takeCeremony(ctx, body, purpose, owner)
	if errors.Is(err, identity.ErrNotFound) {
		return judged{}, refuse(identity.ID{}, "no such challenge")
	}
	if err != nil {
		return judged{}, err
	}
	var j judged
	res, err := s.Passkeys.FinishLogin(ctx, c, bytes.NewReader(body), func(ctx context.Context, id []byte) (passkey.Credential, error) {
		var err error
		j.key, j.acc, err = s.Store.PasskeyByCredential(ctx, id)
		return j.key.Credential, err
	})
	if j.key.ID.IsZero() {
		j.acc = Account{}
	}
	switch {
	case errors.Is(err, passkey.ErrCloned):
		return judged{}, s.cloned(r, j.key)
	case errors.Is(err, passkey.ErrMalformed):
		return judged{}, fmt.Errorf("%w: %w", errBadRequest, err)
	case isRefusal(err):
		s.Log.InfoContext(ctx, "passkey refused", "cause", err)
		return judged{}, refuse(j.acc.ID, "assertion")
	case err != nil:
		return judged{}, wrap(err, "finishing a passkey ceremony")
	}
	if !res.UserVerified || !j.acc.State.MaySignIn() || j.key.Citizen != j.acc.ID || !mine(j.acc.ID) {
		return judged{}, refuse(j.acc.ID, "not for this")
	}
	j.key.Credential, j.synced = res.Credential, res.Synced
	used := s.Store.UsePasskey(ctx, j.key, s.Clock.Now())
	if used != nil && !errors.Is(used, identity.ErrSpent) && !errors.Is(used, identity.ErrNotFound) {
		return judged{}, wrap(used, "recording a passkey's use")
	}
	if res.Verdict != passkey.Accept {
		return judged{}, s.odd(r, j.key)
	}
	if used != nil {
		return judged{}, refuse(j.acc.ID, "counter")
	}
	return j, nil
}

// isRefusal reports whether err is the passkey room's no, and not a fault of ours.
func isRefusal(err error) bool {
	var refusal *passkey.Error
	return errors.As(err, &refusal)
}

// refusePasskey writes down a no and returns the one sentence for all of them. A passkey
// cannot be guessed, so right answers are not counted; wrong ones are, by source, because
// anybody can send as many as they like and each would be an entry (SECURITY DS3).
func (s *Service) refusePasskey(v *visit, citizen identity.ID, reason string) error {
	g, err := s.guess(v.r, s.Config.Rules.Source, "passkey", SourceKey(s.Source(v.r)))
	if err != nil {
		return err
	}
	if !g.Allowed {
		if err := s.refused(v.r, g, citizen, identity.FactorPasskey, "throttled"); err != nil {
			return err
		}
		return errTooMany
	}
	if err := s.refusedWithin(v.r, g, citizen, reason); err != nil {
		return err
	}
	return errPasskey
}

// odd tells of a synced key whose counter went back: no proof, but not disabled
// either. Other factors will do.
func (s *Service) odd(r *http.Request, key Passkey) error {
	e := s.event(r, audit.PasskeyCloned, key.Citizen)
	e.Actor, e.Notify, e.Reason = audit.BySystem, true, "the counter of a synced passkey went back"
	e.Detail = map[string]string{"passkey": key.ID.String()}
	return errors.Join(errPasskey, s.record(r.Context(), e))
}

// cloned ends a key of which there are two (SECURITY WA3).
func (s *Service) cloned(r *http.Request, key Passkey) error {
	e := s.event(r, audit.PasskeyCloned, key.Citizen)
	e.Actor, e.Device, e.Notify = audit.BySystem, key.Device, true
	e.Reason = "the counter went back"
	e.Detail = map[string]string{"passkey": key.ID.String()}
	err := s.Store.DisablePasskey(r.Context(), key.Citizen, key.ID, e)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return wrap(err, "disabling a copied passkey")
	}
	s.Observer.Observe("passkey", "cloned")
	return errPasskey
}

package authn

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/secret"
)

// finish turns the flow into a login and says where the browser goes. Everything
// that decides is looked at once more: the citizen as they are now (weigh, a
// moment ago, and the statement itself), the need as it was stored (SECURITY G3).
func (v *visit) finish() (string, error) {
	f := &v.flow
	ctx := v.r.Context()
	need, since := f.owes()
	a := identity.Assess(f.Proofs, since, f.Need.Txn, v.now)
	if v.step.Kind != StepDone || a.Level < need || !v.mine(f.Citizen) {
		return "", fmt.Errorf("a flow at %s was about to be finished with level %d for %d", v.step.Kind, a.Level, need)
	}
	replaces, err := v.settleOld()
	if err != nil {
		return "", err
	}

	token := secret.From(v.Rand, tokenBytes)
	device, known := f.State.Browser, !f.State.Browser.IsZero() && !f.State.DeviceAsked
	l := identity.Login{
		ID:      identity.IDFrom(v.Rand),
		Citizen: f.Citizen,
		Device:  device,
		Proofs:  f.Proofs,
		Started: v.now,
		Seen:    v.now,
		// Counted from the oldest proof: what was taken along from an older session does
		// not get a second day (SECURITY §0, AAL2).
		Ends:   oldest(f.Proofs).Add(v.Config.SessionMax),
		Locale: v.Locale(v.r),
	}
	if !l.Ends.After(v.now) {
		return "", v.drop(errExpired)
	}
	e := v.event(v.r, audit.LoginFinished, f.Citizen)
	if !replaces.IsZero() {
		e.Kind = audit.LoginRaised
	}
	e.Login, e.Device = l.ID, l.Device
	if f.Need.Asker != nil {
		e.Client = f.Need.Asker.ClientID
	}
	e.Detail = map[string]string{"acr": a.Level.ACR()}
	if w := f.State.Weighing; w != nil {
		maps.Copy(e.Detail, w.Note)
	}
	if f.State.Recovered {
		e.Detail["recovered"] = "yes"
	}
	// A sign-in from a browser we had not met is worth telling its owner.
	e.Notify = replaces.IsZero() && !known
	source, err := v.sourceHash(v.r)
	if err != nil {
		return "", err
	}
	err = v.Store.FinishFlow(ctx, *f, NewLogin{
		Login: l, Token: token.Hash(), Agent: agent(v.r.UserAgent()), Place: place(v.Source(v.r)), Source: source, Idle: v.Config.SessionIdle,
	}, replaces, e)
	switch {
	case errors.Is(err, identity.ErrSpent):
		return "", errMoved
	case errors.Is(err, identity.ErrEnded):
		return "", v.drop(errExpired)
	case err != nil:
		return "", wrap(err, "finishing a flow")
	}
	setCookie(v.w, loginCookie, token, 0)
	v.rotate()
	v.forgive()
	v.Observer.Observe("login", a.Level.ACR())
	return f.Back, nil
}

// settleOld deals with the login this browser has now. A login being raised must
// be that one and alive: whoever signed out in another tab meant it (SECURITY G6).
// The same citizen's is replaced in the statement that makes the new one; another
// citizen's is ended first, so that two never mix (SECURITY OI4).
func (v *visit) settleOld() (replaces identity.ID, err error) {
	old, err := v.Current(v.r)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return identity.ID{}, err
	}
	if !v.flow.Login.IsZero() && (err != nil || old.ID != v.flow.Login) {
		return identity.ID{}, v.drop(errExpired)
	}
	if err != nil {
		return identity.ID{}, nil
	}
	if old.Citizen == v.flow.Citizen {
		return old.ID, nil
	}
	e := v.event(v.r, audit.LoginEnded, old.Citizen)
	e.Login, e.Reason = old.ID, "another citizen signed in here"
	if err := v.Store.EndLogin(v.r.Context(), old.Citizen, old.ID, e); err != nil && !errors.Is(err, identity.ErrNotFound) {
		return identity.ID{}, wrap(err, "ending the login before")
	}
	return identity.ID{}, nil
}

// drop forgets the flow and returns why.
func (v *visit) drop(why error) error {
	if err := v.Store.DropFlow(v.r.Context(), v.flow.ID); err != nil {
		return errors.Join(why, wrap(err, "dropping a flow"))
	}
	return why
}

// oldest is when the earliest of the proofs was given.
func oldest(proofs []identity.Proof) time.Time {
	var at time.Time
	for _, p := range proofs {
		if at.IsZero() || p.At.Before(at) {
			at = p.At
		}
	}
	return at
}

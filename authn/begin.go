package authn

import (
	"errors"
	"net/http"
	"slices"

	"ecardid/identity"
	"ecardid/templates"
)

// Current returns the live login of this browser, or identity.ErrNotFound: for no
// cookie, two cookies of the name, or a session that is over, one answer
// (SECURITY SS4). It is one read, and at most once a minute one write.
func (s *Service) Current(r *http.Request) (identity.Login, error) {
	token := s.Token(r)
	if token == nil {
		return identity.Login{}, identity.ErrNotFound
	}
	l, err := s.Store.Login(r.Context(), token, s.Clock.Now())
	if err != nil {
		return identity.Login{}, wrap(err, "reading a login")
	}
	return s.Seen(r, l), nil
}

// Token is the hash of the browser's login cookie, by which storage finds the login;
// nil when it has no such cookie, or two.
func (s *Service) Token(r *http.Request) []byte {
	token, ok := readCookie(r, loginCookie)
	if !ok {
		return nil
	}
	return token.Hash()
}

// Seen notes that a login which was just read, alive, is in use.
func (s *Service) Seen(r *http.Request, l identity.Login) identity.Login {
	if now := s.Clock.Now(); now.Sub(l.Seen) >= touchEvery {
		if err := s.Store.TouchLogin(r.Context(), l.ID, now, s.Config.SessionIdle); err != nil {
			// It was alive when it was read; a touch that is missed shortens its idle
			// time and gives nobody anything.
			s.Log.WarnContext(r.Context(), "touching a login", "cause", err)
		} else {
			l.Seen = now
		}
	}
	return l
}

// Raise sends the browser off to reach need and has it come back to the path back
// on this server. What the browser's login has already proved is taken along as
// far as it counts, so that only what is missing is asked for. It writes the
// whole answer.
func (s *Service) Raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string) {
	if err := s.raise(w, r, need, back); err != nil {
		s.fail(w, r, err)
	}
}

func (s *Service) raise(w http.ResponseWriter, r *http.Request, need identity.Need, back string) error {
	if !ownPath(back) {
		return errors.New("asked to come back to a place that is not ours")
	}
	id, err := s.begin(r, need, back, nil)
	if err != nil {
		return err
	}
	see(w, r, flowPath("", id))
	return nil
}

// begin stores a new flow.
func (s *Service) begin(r *http.Request, need identity.Need, back string, a *Activation) (identity.ID, error) {
	ctx, now := r.Context(), s.Clock.Now()
	f := Flow{
		ID:      identity.IDFrom(s.Rand),
		Browser: s.Browser(r),
		Need:    need,
		Back:    back,
		Created: now,
		Expires: now.Add(s.Config.FlowLife),
		State:   FlowState{Activation: a},
	}
	if len(f.Browser) == 0 {
		return identity.ID{}, errExpired
	}
	f.Need.Level = max(need.Level, s.Config.Floor)
	if f.Need.Level == identity.LevelLive && f.Need.Txn == "" {
		f.Need.Txn = f.ID.String()
	}
	if ok, err := s.allowed(ctx, Try{Key: nil, Rule: s.Config.Rules.Opening}, "opening", SourceKey(s.Source(r))); err != nil {
		return identity.ID{}, err
	} else if !ok {
		return identity.ID{}, errFull
	}
	if a == nil {
		if err := s.takeAlong(r, &f); err != nil {
			return identity.ID{}, err
		}
	}
	err := s.Store.BeginFlow(ctx, f)
	if errors.Is(err, identity.ErrConflict) {
		return identity.ID{}, errFull
	}
	if err != nil {
		return identity.ID{}, wrap(err, "beginning a flow")
	}
	return f.ID, nil
}

// takeAlong continues the browser's login where the need allows it: the right
// citizen, and a password or passkey that is still fresh enough. Without one the
// flow begins with nobody, and whoever is there may sign in.
func (s *Service) takeAlong(r *http.Request, f *Flow) error {
	l, err := s.Current(r)
	if errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !f.Need.Citizen.IsZero() && f.Need.Citizen != l.Citizen {
		return nil
	}
	if f.Need.Level > identity.LevelMFA && recovered(l.Proofs) {
		// Nothing that stands on a recovery code goes further than MFA; a complete new
		// sign-in does.
		f.State.Here = l.Citizen
		return nil
	}
	now := f.Created
	proofs := slices.DeleteFunc(slices.Clone(l.Proofs), func(p identity.Proof) bool {
		// That a recovery code was used stays known, however old it is.
		return p.At.Before(f.Need.Since) && p.Factor != identity.FactorRecovery || p.Factor == identity.FactorFace && p.Txn != f.Need.Txn
	})
	if identity.Assess(proofs, f.Need.Since, "", now).Level < identity.LevelBasic {
		f.State.Here = l.Citizen
		return nil
	}
	acc, err := s.Store.Account(r.Context(), l.Citizen)
	if err != nil {
		return wrap(err, "reading an account")
	}
	f.Citizen, f.Epoch, f.Login, f.Proofs = acc.ID, acc.Epoch, l.ID, proofs
	f.State.Browser = l.Device
	return nil
}

// login is GET /login without a flow: somebody came of their own accord.
func (s *Service) login(w http.ResponseWriter, r *http.Request) error {
	need := identity.Need{Level: s.Config.Floor}
	l, err := s.Current(r)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return err
	}
	if err == nil && l.Meets(need, s.Clock.Now()) {
		see(w, r, s.Config.Home)
		return nil
	}
	return s.raise(w, r, need, s.Config.Home)
}

// askCancel asks whether the citizen means it: a link or picture on another site
// must not end anything (SECURITY SS2).
func (s *Service) askCancel(w http.ResponseWriter, r *http.Request) error {
	id, err := flowParam(r)
	if err != nil {
		return err
	}
	v, err := s.open(w, r, id)
	if err != nil {
		return err
	}
	s.Render(w, r, Answer{
		Status: http.StatusOK, Kind: templates.SignIn, Asker: v.flow.Need.Asker, Flow: v.flow.ID.String(), Path: v.path("cancel"),
		Page: templates.Cancel{
			Step: templates.Step{Asker: s.asker(r, v.flow.Need.Asker), Greeting: templates.Text(v.acc.Greeting)}, BackURL: v.path(""),
		},
	})
	return nil
}

// cancel ends a flow the citizen does not want to go on with. Who asked hears of
// it at the way back.
func (s *Service) cancel(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	id, err := identity.ParseID(f.get("flow"))
	if err != nil {
		return errExpired
	}
	v, err := s.open(w, r, id)
	if err != nil {
		return err
	}
	if err := s.Store.DropFlow(r.Context(), v.flow.ID); err != nil {
		return wrap(err, "dropping a flow")
	}
	s.Observer.Observe("flow", "cancelled")
	switch {
	case v.flow.Need.Asker != nil:
		return v.redirect(withQuery(v.flow.Back, CancelledParam, CancelledValue))
	case !v.flow.Login.IsZero():
		return v.redirect(s.Config.Home)
	}
	return v.redirect("/signed-out")
}

// CancelledParam is added, with CancelledValue, to the way back when the citizen
// gave up: whoever asked then stops asking and says so to the relying party
// (access_denied, RFC 6749 §4.1.2.1).
const (
	CancelledParam = "login"
	CancelledValue = "cancelled"
)

// asker is a relying party as pages show it.
func (s *Service) asker(r *http.Request, a *identity.Asker) templates.Asker {
	if a == nil {
		return templates.Asker{}
	}
	name := a.Name[s.Locale(r)]
	if name == "" {
		name = a.Name[""]
	}
	t := templates.Asker{Name: templates.Text(name), Host: templates.Text(a.Host)}
	if a.Admitted {
		t.Admission = templates.Admitted
	}
	return t
}

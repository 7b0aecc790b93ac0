package authn

import (
	"errors"
	"net/http"
	"time"

	"ecardid/identity"
)

// A visit is one request on its way through its flow.
type visit struct {
	*Service
	w    http.ResponseWriter
	r    *http.Request
	now  time.Time
	form form

	flow  Flow
	acc   Account   // zero until the citizen is known
	keys  []Passkey // looked up (gathered) where a key on a device is asked for
	means Means
	step  Step

	gathered bool

	trust trust
}

// open loads the flow id for this request's browser and asks what it owes.
func (s *Service) open(w http.ResponseWriter, r *http.Request, id identity.ID) (*visit, error) {
	v := &visit{Service: s, w: w, r: r, now: s.Clock.Now()}
	browser := s.Browser(r)
	if id.IsZero() || len(browser) == 0 {
		return nil, errExpired
	}
	flow, acc, err := s.Store.Visit(r.Context(), id, browser, v.now)
	if errors.Is(err, identity.ErrNotFound) {
		return nil, errExpired
	}
	if err != nil {
		return nil, wrap(err, "reading a flow")
	}
	v.flow = flow
	return v, v.weighAs(acc)
}

// weigh reads the citizen as they are now and asks Next.
func (v *visit) weigh() error {
	var acc Account
	if c := v.flow.Citizen; !c.IsZero() {
		var err error
		if acc, err = v.Store.Account(v.r.Context(), c); err != nil && !errors.Is(err, identity.ErrNotFound) {
			return wrap(err, "reading an account")
		}
	}
	return v.weighAs(acc)
}

// weighAs asks Next about the citizen as they have just been read; the zero account is
// nobody's. A citizen who may no longer sign in, or whose epoch has moved on without
// the flow, goes no further in it (SECURITY G6).
func (v *visit) weighAs(acc Account) error {
	v.acc, v.keys, v.means, v.gathered = Account{}, nil, Means{}, false
	if c := v.flow.Citizen; !c.IsZero() {
		if acc.ID != c || !acc.State.MaySignIn() || acc.Epoch != v.flow.Epoch {
			// It is not dropped: another answer may have taken the flow into the new
			// epoch since it was read here, and then it lives.
			return errExpired
		}
		v.acc = acc
		v.means = Means{Factors: acc.Factors, Liveness: v.Liveness != nil}
	}
	return v.weighIn()
}

// gather looks up the passkeys where one on a device is asked for.
func (v *visit) gather(need identity.Level) error {
	if v.flow.Citizen.IsZero() || need < identity.LevelBound || v.gathered {
		return nil
	}
	keys, err := v.Store.ListPasskeys(v.r.Context(), v.flow.Citizen)
	if err != nil {
		return wrap(err, "listing passkeys")
	}
	v.keys, v.gathered = keys, true
	for _, k := range keys {
		if k.OnDevice() {
			v.means.DeviceKeys++
		}
	}
	return nil
}

// move stores what became of the flow; of two answers one moves it.
func (v *visit) move() error {
	err := v.Store.MoveFlow(v.r.Context(), &v.flow, v.now)
	if errors.Is(err, identity.ErrSpent) {
		return errMoved
	}
	if err != nil {
		return wrap(err, "moving a flow")
	}
	return nil
}

// insist moves the flow for somebody who has just spent what can be spent once: a
// wrong answer that was quicker by a moment does not take it from them. apply is
// done to the flow as it is then.
func (v *visit) insist(apply func()) error {
	const tries = 16 // as many answers to one step as anybody sends at once
	for range tries {
		apply()
		err := v.move()
		if !errors.Is(err, errMoved) {
			return err
		}
		f, err := v.Store.Flow(v.r.Context(), v.flow.ID, v.flow.Browser, v.now)
		if errors.Is(err, identity.ErrNotFound) {
			return errExpired
		}
		if err != nil {
			return wrap(err, "reading a flow again")
		}
		if f.Citizen != v.flow.Citizen || f.Epoch != v.flow.Epoch {
			return errMoved
		}
		v.flow = f
	}
	return errMoved
}

// advance says where the browser goes after a step: to the next one, or, when
// nothing is owed any more, back to who asked with a new session.
func (v *visit) advance() (string, error) {
	if err := v.weigh(); err != nil {
		return "", err
	}
	if v.step.Kind == StepDone {
		return v.finish()
	}
	return v.path(v.place("")), nil // where the address of the flow would lead, without going there first
}

// prove adds a proof in place of an older one of the same key.
func (v *visit) prove(p identity.Proof) {
	kept := v.flow.Proofs[:0:0]
	for _, old := range v.flow.Proofs {
		if old.Factor != p.Factor || old.Device != p.Device {
			kept = append(kept, old)
		}
	}
	v.flow.Proofs = append(kept, p)
	v.flow.State.problem("")
}

// identified notes who it is, with their first proof.
func (v *visit) identified(acc Account, p identity.Proof) {
	if v.flow.Citizen != acc.ID {
		v.flow.State.Failures, v.flow.State.Forgive = 0, nil // another's
	}
	v.flow.Citizen, v.flow.Epoch = acc.ID, acc.Epoch
	v.flow.Proofs = nil
	v.flow.State.Typed = ""
	if v.trust.of(acc.ID) {
		v.flow.State.Browser = v.trust.device.ID
	}
	v.prove(p)
}

// mine reports whether the flow may be answered by this citizen: nobody else's
// was asked for, and nobody else began it (SECURITY G3, OI4).
func (v *visit) mine(citizen identity.ID) bool {
	return (v.flow.Need.Citizen.IsZero() || v.flow.Need.Citizen == citizen) &&
		(v.flow.Citizen.IsZero() || v.flow.Citizen == citizen)
}

// path is that of a step's page: "" lets the flow say which.
func (v *visit) path(step string) string { return flowPath(step, v.flow.ID) }

func flowPath(step string, id identity.ID) string {
	if step != "" {
		step = "/" + step
	}
	return "/login" + step + "?flow=" + id.String()
}

func (v *visit) redirect(to string) error {
	see(v.w, v.r, to)
	return nil
}

// see is 303 (SECURITY AZ7: a redirect after credentials never carries them on).
func see(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// page turns a handler's error into a page.
func (s *Service) page(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// answers is the handler of a step's form. do runs only when the step is what the
// flow owes; from anywhere else the browser is shown what it is (SECURITY G4).
func (s *Service) answers(kind StepKind, factor identity.Factor, do func(v *visit) error) http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
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
		v.form = f
		if v.step.Kind != kind || factor != "" && !v.step.Offers(factor) {
			s.Observer.Observe(string(kind), "out-of-order")
			if v.step.Kind == StepDone {
				to, err := v.finish()
				if err != nil {
					return err
				}
				return v.redirect(to)
			}
			return v.redirect(v.path(""))
		}
		err = do(v)
		if errors.Is(err, errMoved) {
			return s.conflict(w, r, id)
		}
		return err
	})
}

// conflict is 409 for the answer that came second, with the page of the step the
// flow is at by now: that is the way on.
func (s *Service) conflict(w http.ResponseWriter, r *http.Request, id identity.ID) error {
	v, err := s.open(w, r, id)
	if err != nil {
		return err
	}
	s.Observer.Observe(string(v.step.Kind), "conflict")
	if v.step.Kind == StepDone {
		return errMoved // the first answer is finishing it
	}
	return v.show(v.place(""), http.StatusConflict)
}

// onward moves the flow and sends the browser on.
func (v *visit) onward() error {
	if err := v.move(); err != nil {
		return err
	}
	to, err := v.advance()
	if err != nil {
		return err
	}
	return v.redirect(to)
}

// again moves the flow with what went wrong and shows a step once more.
func (v *visit) again(step string) error {
	if err := v.move(); err != nil {
		return err
	}
	return v.redirect(v.path(step))
}

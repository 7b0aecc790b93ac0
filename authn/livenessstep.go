package authn

import (
	"errors"
	"net/http"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/liveness"
	"ecardid/templates"
)

// transaction is what a check is about, from the stored flow alone (SECURITY LV1).
func (v *visit) transaction() liveness.Transaction {
	f := v.flow
	t := liveness.Transaction{ID: f.Need.Txn, Citizen: f.Citizen, Purpose: liveness.PurposeLogin}
	if !f.Login.IsZero() {
		t.Purpose = liveness.PurposeStepUp
	}
	if f.Need.Asker != nil {
		t.ClientID = f.Need.Asker.ClientID
	}
	// The device whose key was shown; a remembered browser is none.
	for _, p := range f.Proofs {
		if !p.Device.IsZero() && !p.Synced && !p.At.Before(f.Need.Since) {
			t.Device = p.Device
		}
	}
	return t
}

// livenessStep sends the citizen to the provider, after a consent of its own, or
// looks whether the verdict is there.
func (s *Service) livenessStep(v *visit) error {
	st := &v.flow.State
	switch {
	case !st.Liveness.IsZero():
		return s.verdictOf(v)
	case v.form.has("liveness-retry") && st.Failed:
		// Shown once more what it is about: consent is for one capture.
		st.Failed = false
		st.problem("")
		return v.again("liveness")
	case v.form.get("face-consent") != "yes":
		st.problem(templates.ProblemFaceConsent)
		return v.again("liveness")
	case st.Tries >= maxFaces:
		return v.redirect(v.path("liveness"))
	}
	// Counted and moved first: of two clicks one begins a check.
	st.Tries++
	st.Failed = false
	st.problem("")
	if err := v.move(); err != nil {
		return err
	}
	started, err := s.Liveness.Start(v.r.Context(), liveness.Request{
		Transaction: v.transaction(),
		ReturnURI:   s.Config.Origin + v.path("liveness/return"),
	})
	switch {
	case errors.Is(err, liveness.ErrTransactionLimit), errors.Is(err, liveness.ErrCitizenLimit):
		st.Tries, st.Failed = maxFaces, true
		st.problem(templates.ProblemLiveness)
		s.Observer.Observe("liveness", "limit")
		return v.again("liveness")
	case errors.Is(err, liveness.ErrUnavailable):
		st.Tries-- // an outage costs nobody a try
		st.problem(templates.ProblemLivenessDown)
		s.Observer.Observe("liveness", "unavailable")
		return v.again("liveness")
	case err != nil:
		return wrap(err, "beginning a liveness check")
	}
	st.Liveness = started.Session
	if err := v.move(); err != nil {
		return err
	}
	s.Observer.Observe("liveness", "begun")
	// The address was checked against the provider's allow-list by the engine.
	return v.redirect(started.CaptureURL)
}

// verdictOf asks the engine once and takes the verdict into the flow.
func (s *Service) verdictOf(v *visit) error {
	if _, err := s.hearVerdict(v); err != nil {
		return err
	}
	to, err := v.advance()
	if err != nil {
		return err
	}
	return v.redirect(to)
}

// hearVerdict reports whether the flow has moved: false while there is nothing yet.
func (s *Service) hearVerdict(v *visit) (bool, error) {
	ctx, st := v.r.Context(), &v.flow.State
	session := st.Liveness
	verdict, err := s.Liveness.Finish(ctx, session, v.transaction())
	switch {
	case errors.Is(err, identity.ErrSpent), errors.Is(err, identity.ErrNotFound):
		// Settled by somebody else, or not ours: no pass of this request's.
		verdict = liveness.Verdict{Outcome: liveness.Failed}
	case err != nil:
		return false, wrap(err, "finishing a liveness check")
	case verdict.Outcome == liveness.Unavailable && !verdict.Passed():
		return false, nil
	}
	e := s.event(v.r, audit.LivenessFailed, v.flow.Citizen)
	e.Detail = map[string]string{"session": session.String(), "reason": string(verdict.Reason)}
	if verdict.Passed() {
		// Consumed by this request and no other: it goes into the flow.
		e.Kind = audit.LivenessPassed
		seen := v.now
		if !verdict.At.IsZero() && verdict.At.Before(seen) {
			seen = verdict.At // five minutes are counted from the capture
		}
		err = v.insist(func() {
			v.prove(identity.Proof{Factor: identity.FactorFace, At: seen, Txn: v.flow.Need.Txn})
			v.flow.State.Liveness, v.flow.State.Failed = identity.ID{}, false
		})
	} else {
		st.Liveness, st.Failed = identity.ID{}, true
		st.problem(templates.ProblemLiveness)
		err = v.move()
	}
	if err != nil {
		return false, err
	}
	s.Observer.Observe("liveness", string(e.Kind))
	return true, s.record(ctx, e)
}

// livenessReturn is where the provider sends the browser back to. What it brings is
// no verdict and is not read (DESIGN D10).
func (s *Service) livenessReturn(w http.ResponseWriter, r *http.Request) error {
	id, err := flowParam(r)
	if err != nil {
		return err
	}
	v, err := s.open(w, r, id)
	if err != nil {
		return err
	}
	if v.step.Kind != StepLiveness || v.flow.State.Liveness.IsZero() {
		return v.redirect(v.path(""))
	}
	if err := s.verdictOf(v); !errors.Is(err, errMoved) {
		return err
	}
	return v.redirect(v.path("")) // the poll was quicker
}

// livenessState is what the waiting page polls.
func (s *Service) livenessState(w http.ResponseWriter, r *http.Request) {
	v, err := s.polled(w, r)
	if err != nil {
		s.failJSON(w, r, err)
		return
	}
	if v.step.Kind == StepLiveness && !v.flow.State.Liveness.IsZero() {
		moved, err := s.hearVerdict(v)
		if err != nil && !errors.Is(err, errMoved) {
			s.failJSON(w, r, err)
			return
		}
		if err == nil && !moved {
			s.json(w, http.StatusOK, jsonAnswer{})
			return
		}
	}
	s.json(w, http.StatusOK, jsonAnswer{Next: v.path("")})
}

func (v *visit) showLiveness(step templates.Step) templates.Page {
	st := v.flow.State
	other := v.path("cancel")
	switch {
	case !st.Liveness.IsZero():
		return templates.LivenessWaiting{Step: step, PollURL: v.path("liveness/state")}
	case st.Failed || st.Tries >= maxFaces:
		return templates.LivenessResult{Step: step, Left: max(maxFaces-st.Tries, 0), AlternativeURL: other}
	}
	return templates.LivenessStart{
		Step:           step,
		Provider:       templates.Text(v.Config.LivenessName),
		ProviderHost:   templates.Text(v.Config.LivenessHost),
		Standin:        v.Config.LivenessStandin,
		AlternativeURL: other,
	}
}

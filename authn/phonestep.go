package authn

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"

	"ecardid/audit"
	"ecardid/authn/phone"
	"ecardid/identity"
	"ecardid/templates"
)

// openApproval asks the citizen's phones, unless they have been asked too often.
// The flow is moved first: of two tabs one asks.
func (s *Service) openApproval(v *visit) error {
	ctx := v.r.Context()
	st := &v.flow.State
	ok, err := s.allowed(ctx, Try{Rule: s.Config.Rules.Approval}, "approval", v.flow.Citizen.String())
	if err != nil {
		return err
	}
	if !ok || st.Approvals >= maxApprovals {
		st.problem(templates.ProblemThrottled, s.waitMinutes())
		return v.move()
	}
	right, offered, err := phone.NewNumbers(s.Rand)
	if err != nil {
		return err
	}
	a := Approval{
		ID: identity.IDFrom(s.Rand), Flow: v.flow.ID, Citizen: v.flow.Citizen, Number: right, Choices: offered,
		State: ApprovalPending, Created: v.now, Expires: v.now.Add(approvalLife),
	}
	about := phone.Context{
		ApprovalID: a.ID, Action: "sign-in", Browser: agent(v.r.UserAgent()), Place: place(s.Source(v.r)), At: v.now, Choices: offered,
	}
	if !v.flow.Login.IsZero() {
		about.Action = "step-up"
	}
	if words := v.flow.Need.Approve; len(words) > 0 {
		about.Action, about.Detail = "approve", cmp.Or(words[s.Locale(v.r)], words[string(templates.ZhCN)])
	}
	if asker := v.flow.Need.Asker; asker != nil {
		shown := s.asker(v.r, asker)
		about.Client, about.Host = shown.Name.String(), shown.Host.String()
	}
	if a.Context, err = about.Encode(); err != nil {
		return err
	}
	st.Approval = a.ID
	st.Approvals++
	st.problem("")
	if err := v.move(); err != nil {
		return err
	}
	s.Observer.Observe("phone", "asked")
	return wrapIf(s.Store.OpenApproval(ctx, a), "opening an approval")
}

// hear looks what became of the approval under way and takes it into the flow.
// It reports whether the flow has moved. An approval counts once: the flow that
// holds its id moves once.
func (s *Service) hear(v *visit) (moved bool, err error) {
	st := &v.flow.State
	a, err := s.Store.Approval(v.r.Context(), st.Approval, v.now)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		a.State = "" // too late
	case err != nil:
		return false, wrap(err, "reading an approval")
	case a.Flow != v.flow.ID || a.Citizen != v.flow.Citizen:
		return false, errExpired
	case a.State == ApprovalPending:
		return false, nil
	}
	st.Approval = identity.ID{}
	outcome := "approved"
	switch a.State {
	case ApprovalApproved:
		v.prove(identity.Proof{Factor: identity.FactorPhone, At: v.now, Device: a.Device, Verified: a.Verified, Hardware: a.Hardware})
	case ApprovalDenied:
		outcome = "denied"
		st.problem(templates.ProblemPhoneRefused)
	default:
		outcome = "late"
		st.problem(templates.ProblemExpired)
	}
	if err := v.move(); err != nil {
		return false, err
	}
	if outcome == "approved" {
		s.Observer.Observe("phone", outcome)
		return true, nil
	}
	e := s.event(v.r, audit.LoginRefused, v.flow.Citizen)
	e.Device, e.Reason = a.Device, outcome
	e.Detail = map[string]string{"factor": string(identity.FactorPhone)}
	s.Observer.Observe("phone", outcome)
	return true, s.record(v.r.Context(), e)
}

// phoneStep is "ask my phone", and "continue" for pages without script.
func (s *Service) phoneStep(v *visit) error {
	if v.flow.State.Approval.IsZero() {
		if err := s.openApproval(v); err != nil {
			return err
		}
		return v.redirect(v.path("phone"))
	}
	moved, err := s.hear(v)
	if err != nil {
		return err
	}
	if !moved {
		v.flow.State.problem(templates.ProblemPhoneWaiting)
		return v.again("phone")
	}
	return v.afterPhone()
}

// afterPhone goes on after an answer, or back to choosing after none.
func (v *visit) afterPhone() error {
	to, err := v.advance()
	if err != nil {
		return err
	}
	return v.redirect(to)
}

// phoneState is what the page polls: it only says that there is something to see.
func (s *Service) phoneState(w http.ResponseWriter, r *http.Request) {
	v, err := s.polled(w, r)
	if err != nil {
		s.failJSON(w, r, err)
		return
	}
	next := ""
	if !v.step.Offers(identity.FactorPhone) || v.flow.State.Approval.IsZero() {
		next = v.path("")
	} else {
		a, err := s.Store.Approval(r.Context(), v.flow.State.Approval, v.now)
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			s.failJSON(w, r, wrap(err, "reading an approval"))
			return
		}
		if err != nil || a.State != ApprovalPending {
			next = v.path("phone")
		}
	}
	s.json(w, http.StatusOK, jsonAnswer{Next: next})
}

// polled opens the flow of a poll.
func (s *Service) polled(w http.ResponseWriter, r *http.Request) (*visit, error) {
	id, err := flowParam(r)
	if err != nil {
		return nil, err
	}
	return s.open(w, r, id)
}

// showPhone shows what to compare while a phone is asked. It asks nobody itself: that
// takes the button, or a link on another site would ring (SECURITY SS2).
func (v *visit) showPhone(step templates.Step) (templates.Page, error) {
	st := &v.flow.State
	p := templates.PhoneApprove{Step: step}
	if st.Approval.IsZero() {
		return p, nil
	}
	a, err := v.Store.Approval(v.r.Context(), st.Approval, v.now)
	if err != nil {
		return nil, wrap(err, "reading an approval")
	}
	p.Number = strconv.Itoa(a.Number)
	p.PollURL = v.path("phone/state")
	return p, nil
}

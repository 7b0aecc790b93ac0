package authn

import (
	"errors"
	"net/http"
	"strings"

	"ecardid/authn/password"
	"ecardid/identity"
	"ecardid/templates"
)

// Pages of the factors, below /login.
func pageOf(f identity.Factor) string {
	switch f {
	case identity.FactorTOTP:
		return "code"
	case identity.FactorPasskey, identity.FactorPhone, identity.FactorRecovery:
		return string(f)
	}
	return ""
}

// show is every page of a flow. The address says at most which of several ways the
// citizen would like to take; which step it is the flow says. An address that does
// not fit leads to the one that does, so that a page always stands at its own.
func (s *Service) show(w http.ResponseWriter, r *http.Request) error {
	id, err := flowParam(r)
	if err != nil {
		return err
	}
	asked := strings.Trim(strings.TrimPrefix(r.URL.Path, "/login"), "/")
	if id.IsZero() {
		if asked != "" {
			see(w, r, "/login")
			return nil
		}
		return s.login(w, r)
	}
	err = s.showFlow(w, r, id, asked)
	if errors.Is(err, errMoved) {
		// Another tab moved the flow; what it owes now is one look away.
		see(w, r, flowPath("", id))
		return nil
	}
	return err
}

func (s *Service) showFlow(w http.ResponseWriter, r *http.Request, id identity.ID, asked string) error {
	v, err := s.open(w, r, id)
	if err != nil {
		return err
	}
	if v.step.Kind == StepDone {
		to, err := v.finish()
		if err != nil {
			return err
		}
		return v.redirect(to)
	}
	if v.step.Kind == StepFactor && asked == "phone" && v.step.Offers(identity.FactorPhone) && !v.flow.State.Approval.IsZero() {
		// The phone may have answered since.
		moved, err := s.hear(v)
		if err != nil {
			return err
		}
		if moved {
			return v.afterPhone()
		}
	}
	here := v.place(asked)
	if asked != here {
		return v.redirect(v.path(here))
	}
	return v.show(here, http.StatusOK)
}

// place is the address of the page to show: asked, if the step has such a page,
// and otherwise the step's own.
func (v *visit) place(asked string) string {
	switch v.step.Kind {
	case StepIdentify:
		return "password"
	case StepFactor:
		if asked == "factor" {
			return asked
		}
		for _, f := range v.step.Factors {
			if pageOf(f) == asked {
				return asked
			}
		}
		return v.preferred()
	case StepEnrol:
		if asked == "enrol/totp" || asked == "enrol/passkey" {
			return asked
		}
		return "enrol"
	case StepKey:
		if asked == "enrol/passkey" && !v.step.Stale {
			return asked
		}
		return "key"
	case StepActivate:
		return "activate"
	case StepPassword:
		return "activate/password"
	case StepGreeting:
		return "activate/greeting"
	case StepLiveness, StepCodes, StepDevice:
		return string(v.step.Kind)
	case StepHeld, StepRefused:
		return "held"
	}
	return "impossible"
}

// preferred is the way most have at hand; where there is none such, the citizen
// chooses. A phone is asked only for somebody who chose it or has nothing else.
func (v *visit) preferred() string {
	if v.step.Offers(identity.FactorTOTP) {
		return "code"
	}
	strong := 0
	for _, f := range v.step.Factors {
		if f != identity.FactorRecovery {
			strong++
		}
	}
	if strong > 1 {
		return "factor"
	}
	return pageOf(v.step.Factors[0])
}

// show renders the page at the address here.
func (v *visit) show(here string, status int) error {
	step := templates.Step{
		Asker:    v.asker(v.r, v.flow.Need.Asker),
		Greeting: templates.Text(v.acc.Greeting),
		Problem:  v.flow.State.message(),
	}
	for _, f := range v.step.Factors {
		if v.step.Kind == StepFactor && pageOf(f) != here {
			step.Others = append(step.Others, templates.Option{Factor: templates.Factor(f), URL: v.path(pageOf(f))})
		}
		if v.step.Kind == StepEnrol && here == "enrol" {
			step.Others = append(step.Others, templates.Option{Factor: templates.Factor(f), URL: v.path("enrol/" + string(f))})
		}
	}
	page, err := v.compose(here, step)
	if err != nil {
		return err
	}
	a := Answer{
		Status: status, Kind: templates.SignIn, Asker: v.flow.Need.Asker, Flow: v.flow.ID.String(), Path: v.path(here), Page: page,
	}
	if here == "held" {
		a.Status = http.StatusForbidden
	}
	if here == "impossible" {
		a.Status = http.StatusForbidden
		v.Observer.Observe("flow", "impossible")
	}
	if _, ok := page.(templates.LivenessStart); ok {
		a.Kind = templates.Capture
	}
	v.Render(v.w, v.r, a)
	return nil
}

func (v *visit) compose(here string, step templates.Step) (templates.Page, error) {
	a := v.flow.State.Activation
	switch here {
	case "password":
		return v.showLogin(step)
	case "factor":
		return templates.SecondFactor{Step: step}, nil
	case "code":
		return templates.TOTPCode{Step: step}, nil
	case "recovery":
		return templates.RecoveryCode{Step: step}, nil
	case "passkey":
		return templates.PasskeyStep{Step: step, Passkey: v.ceremonyURLs("passkey")}, nil
	case "phone":
		return v.showPhone(step)
	case "enrol":
		return templates.EnrolChoice{Step: step}, nil
	case "enrol/totp":
		return v.showEnrolTOTP(step)
	case "enrol/passkey":
		return templates.EnrolPasskey{Step: step, Passkey: v.ceremonyURLs("enrol/passkey"), BackURL: v.path("")}, nil
	case "key":
		return templates.StepUp{Step: step, Done: v.done(), Needed: []templates.Factor{templates.FactorPasskey}}, nil
	case "held":
		return v.showHeld(step), nil
	case "liveness":
		return v.showLiveness(step), nil
	case "codes":
		return templates.RecoveryCodes{Step: step, Codes: v.flow.State.Kept}, nil
	case "device":
		return v.showDevice(step), nil
	case "activate":
		return templates.Activate{Step: step, Card: templates.Text(a.Card)}, nil
	case "activate/password":
		return templates.ActivatePassword{Step: step, Account: templates.Text(a.Card), MinLength: password.MinWithMFA}, nil
	case "activate/greeting":
		return templates.ActivateGreeting{Step: step, Chosen: templates.Text(a.Greeting)}, nil
	}
	p := templates.Error{Title: templates.Say(templates.ErrorLevelTitle), Next: templates.Say(templates.ErrorLevelNext)}
	switch {
	case v.step.Tired:
		p.Next = templates.Say(templates.ProblemThrottled, "minutes", v.waitMinutes())
	case v.flow.Need.Level == identity.LevelLive && !v.means.Liveness:
		p.Next = templates.Say(templates.ProblemLivenessDown)
	}
	return p, nil
}

// done lists what the flow has proved, for the page that explains what is missing.
func (v *visit) done() []templates.Factor {
	var fs []templates.Factor
	for _, p := range v.flow.Proofs {
		if _, since := v.flow.owes(); !p.At.Before(since) {
			fs = append(fs, templates.Factor(p.Factor))
		}
	}
	return fs
}

package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

const actPath = "/console/acts/"

// actFields are the parameters of an act's page, in the query and then in the form.
func actFields() []string { return []string{"citizen", "target", "client", "value", "back"} }

// actRoutes is one page for each act that changes something and has somebody to carry it
// out: first the passkey, then what will happen and the reason, then it is done or filed.
func (s *Service) actRoutes() []Route {
	var all []Route
	for _, rule := range Rules() {
		// What only shows has pages of its own, unless it wants a reason: to see one field of
		// somebody's is an act like others.
		if rule.Shows && !rule.Reason || s.Performers[rule.Act] == nil {
			continue
		}
		pattern := actPath + string(rule.Act)
		all = append(all,
			s.get(pattern, rule.Act, func(v *visit) error { return v.showAct(rule) }),
			s.post(pattern, rule.Act, func(v *visit) error { return v.confirmAct(rule) }, append(actFields(), "reason", "act-confirm")...),
		)
	}
	return all
}

// ActPath is the page of an order, which comes back to a path of the console.
func ActPath(o Order, back string) string {
	q := url.Values{}
	for name, value := range orderFields(o, back) {
		if value != "" {
			q.Set(name, value)
		}
	}
	return actPath + string(o.Act) + "?" + q.Encode()
}

func orderFields(o Order, back string) map[string]string {
	fields := map[string]string{"client": o.Client, "value": o.Value, "back": back}
	if !o.Citizen.IsZero() {
		fields["citizen"] = o.Citizen.String()
	}
	if !o.Target.IsZero() {
		fields["target"] = o.Target.String()
	}
	return fields
}

// order reads an act's parameters.
func (v *visit) order(act Act, from url.Values) (Order, string, error) {
	o := Order{Act: act, Client: from.Get("client"), Value: from.Get("value")}
	for _, p := range []struct {
		name string
		at   *identity.ID
	}{{"citizen", &o.Citizen}, {"target", &o.Target}} {
		text := from.Get(p.name)
		if text == "" {
			continue
		}
		id, err := identity.ParseID(text)
		if err != nil {
			return Order{}, "", errMissing
		}
		*p.at = id
	}
	back := from.Get("back")
	if !ownPath(back) {
		back = "/console"
	}
	return o, back, nil
}

func (v *visit) showAct(rule Rule) error {
	query := v.r.URL.Query()
	for name, values := range query {
		if len(values) != 1 {
			return errBadRequest
		}
		if name == "notice" {
			continue
		}
		if err := expected(url.Values{name: values}, actFields()); err != nil {
			return err
		}
	}
	o, back, err := v.order(rule.Act, query)
	if err != nil {
		return err
	}
	// Who may not see the subject is not asked for a passkey first.
	lines, err := v.Preview(v.r.Context(), v.caller(), o)
	if err != nil {
		return v.refusal(rule, o, back, nil, err)
	}
	if rule.StepUp && !v.fresh(o) {
		return v.stepUp(o, ActPath(o, back))
	}
	return v.showOrder(rule, o, back, lines)
}

func (v *visit) showOrder(rule Rule, o Order, back string, lines []Line) error {
	v.path = ActPath(o, back)
	whom, err := v.whom(o)
	if err != nil {
		return err
	}
	page := templates.ConsoleAct{Desk: v.desk(), Act: string(o.Act), Whom: whom, Lines: linesOf(lines), Typed: templates.Text(o.Reason), Reason: rule.Reason, Needs: rule.Needs, Blocked: v.blocked, BackURL: back}
	fields := orderFields(o, back)
	for _, name := range actFields() {
		if fields[name] != "" {
			page.Fields = append(page.Fields, templates.ConsoleField{Name: name, Value: fields[name]})
		}
	}
	return v.show(page)
}

// whom is the citizen an order is about, for whoever may serve them.
func (v *visit) whom(o Order) (*templates.ConsoleWhom, error) {
	if o.Citizen.IsZero() {
		return nil, nil
	}
	f, err := v.Citizens.FileOf(v.r.Context(), o.Citizen, v.now)
	if errors.Is(err, identity.ErrNotFound) || err == nil && !v.staff.Within(f.Region) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading whom an order is about: %w", err)
	}
	w := &templates.ConsoleWhom{Name: templates.Text(f.Name), Card: templates.Text(f.Card)}
	if Permit(v.staff.Roles, CitizenRead) {
		w.URL = "/console/citizens/" + o.Citizen.String()
	}
	return w, nil
}

func linesOf(lines []Line) []templates.ConsoleLine {
	var all []templates.ConsoleLine
	for _, l := range lines {
		if l.Count != 0 || l.Name != "" {
			all = append(all, templates.ConsoleLine{What: l.What, Count: l.Count, Name: templates.Text(l.Name)})
		}
	}
	return all
}

// refusal shows the order's page with what is wrong; what is not theirs to see is an
// error of its own.
func (v *visit) refusal(rule Rule, o Order, back string, lines []Line, err error) error {
	err = v.refused(o.Act, err)
	if v.problem = problemOf(err); !v.problem.Given() {
		return err
	}
	v.status, _ = verdict(err)
	v.blocked = !errors.Is(err, ErrReason)
	return v.showOrder(rule, o, back, lines)
}

func (v *visit) confirmAct(rule Rule) error {
	o, back, err := v.order(rule.Act, v.form)
	if err != nil {
		return err
	}
	o.Reason = v.field("reason")
	out, err := v.do(o)
	switch {
	case errors.Is(err, ErrStepUp):
		if err := v.refuse(v, "step-up", o.Act); err != nil {
			return err
		}
		return v.stepUp(o, ActPath(o, back))
	case errors.Is(err, ErrReason):
		lines, e := v.Preview(v.r.Context(), v.caller(), o)
		if e != nil {
			return e
		}
		return v.refusal(rule, o, back, lines, err)
	case err != nil:
		return v.refusal(rule, o, back, nil, err)
	}
	return v.done(o, out, back)
}

// done leads on from an order that was given.
func (v *visit) done(o Order, out Outcome, back string) error {
	switch {
	case !out.Request.IsZero() && out.Told != "":
		v.path = "/console/requests/" + out.Request.String()
		return v.show(templates.ConsoleDone{Act: string(o.Act), Told: templates.Text(out.Told), BackURL: v.path})
	case !out.Request.IsZero():
		return v.back("/console/requests/"+out.Request.String(), "filed")
	case out.Told != "":
		v.path = back
		return v.show(templates.ConsoleDone{Act: string(o.Act), Told: templates.Text(out.Told), BackURL: back})
	}
	return v.back(back, "done")
}

// answerError shows an error in the frame of the other pages: what nobody may see looks
// like what is not there.
func (s *Service) answerError(w http.ResponseWriter, r *http.Request, status int, page templates.Error) {
	path := "/console"
	if r.Method == http.MethodGet && ownPath(r.URL.RequestURI()) {
		path = r.URL.RequestURI()
	}
	s.Render(w, r, authn.Answer{Status: status, Kind: templates.Plain, Path: path, Page: page})
}

// record writes an event that stands alone.
func (s *Service) record(ctx context.Context, e audit.Event) error { return s.Recorder.Record(ctx, e) }

// subjectOf is an act and a subject, as a step-up's purpose names them.
func subjectOf(purpose string) (Act, string) {
	act, subject, _ := strings.Cut(purpose, " ")
	return Act(act), subject
}

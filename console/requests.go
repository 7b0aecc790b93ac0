package console

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/templates"
)

const requestsShown = 100

func (s *Service) requestRoutes() []Route {
	return []Route{
		s.get("/console/requests", RequestRead, (*visit).listRequests),
		s.get("/console/requests/{id}", RequestRead, (*visit).showRequest),
		s.post("/console/requests/{id}/approve", RequestRead, (*visit).approveRequest, "request-approve"),
		s.post("/console/requests/{id}/reject", RequestRead, (*visit).rejectRequest, "reason", "request-reject"),
		s.post("/console/requests/{id}/withdraw", RequestRead, (*visit).withdrawRequest, "request-withdraw"),
		s.post("/console/requests/{id}/continue", RequestRead, (*visit).continueRequest, "request-continue"),
	}
}

// mayApprove: it is open, not theirs, not about them, and their role says so.
func (v *visit) mayApprove(r Request) bool {
	for _, a := range r.Approved {
		if a.ID == v.staff.ID {
			return false
		}
	}
	return stateOf(r, v.Service) == RequestOpen && r.By.ID != v.staff.ID && r.Order.Target != v.staff.ID && MayApprove(v.staff.Roles, r.Order.Act)
}

// maySee: their own, and those they may say yes to, of citizens who are theirs to serve.
func (v *visit) maySee(r Request) (bool, error) {
	switch {
	case r.By.ID == v.staff.ID:
		return true, nil
	case !MayApprove(v.staff.Roles, r.Order.Act):
		return false, nil
	}
	return v.serves(r)
}

// serves: whoever asked asks within their own unit only, so that their unit is enough when
// it is part of ours. Otherwise each citizen is looked at; of many that is too many.
func (v *visit) serves(r Request) (bool, error) {
	switch {
	case v.staff.Unit == "" || r.Client == "" && r.By.Unit != "" && strings.HasPrefix(r.By.Unit, v.staff.Unit):
		return true, nil
	case len(r.Order.Many) > 0:
		return false, nil
	case r.Order.Act == StaffInvite, r.Order.Act == StaffRoles:
		return v.servesStaff(r.Order)
	case r.Order.Citizen.IsZero():
		return true, nil
	}
	region, err := v.Citizens.RegionOf(v.r.Context(), r.Order.Citizen)
	if errors.Is(err, identity.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading where a citizen belongs: %w", err)
	}
	return v.staff.Within(region), nil
}

// servesStaff: where they are and where they are to be is part of our unit.
func (v *visit) servesStaff(o Order) (bool, error) {
	a, err := readAppointment(o.Value, o.Act == StaffInvite)
	if err != nil || !v.staff.Within(a.Unit) {
		return false, nil // a value nobody can read is nobody's to see
	}
	if o.Target.IsZero() {
		return true, nil
	}
	s, err := v.Staffs.StaffByID(v.r.Context(), o.Target)
	if errors.Is(err, identity.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading staff: %w", err)
	}
	return v.staff.Within(s.Unit), nil
}

const requestExpired RequestState = "expired" // only shown

func stateOf(r Request, s *Service) RequestState {
	if (r.State == RequestOpen || r.State == RequestApproved) && !s.Clock.Now().Before(r.Expires) {
		return requestExpired
	}
	return r.State
}

func rowOf(r Request) templates.ConsoleRequest {
	by := r.By.Name
	if r.Client != "" {
		by = r.Client
	}
	return templates.ConsoleRequest{
		ID: r.ID.String(), Act: string(r.Order.Act), State: string(r.State), By: templates.Text(by), Reason: templates.Text(r.Order.Reason),
		Created: r.Created, Expires: r.Expires,
	}
}

func (v *visit) listRequests() error {
	all, err := v.Requests.ListRequests(v.r.Context(), v.staff, v.now, requestsShown)
	if err != nil {
		return fmt.Errorf("listing requests: %w", err)
	}
	page := templates.ConsoleRequests{Desk: v.desk()}
	for _, r := range all {
		may, err := v.maySee(r)
		if err != nil {
			return err
		}
		if may {
			row := rowOf(r)
			row.State = string(stateOf(r, v.Service))
			page.Requests = append(page.Requests, row)
		}
	}
	return v.show(page)
}

// request reads the one of the path, if it is theirs to see.
func (v *visit) request() (Request, error) {
	id, err := v.id("id")
	if err != nil {
		return Request{}, err
	}
	r, err := v.Requests.StaffRequest(v.r.Context(), id)
	if err != nil {
		return Request{}, fmt.Errorf("reading a request: %w", err)
	}
	may, err := v.maySee(r)
	if err != nil {
		return Request{}, err
	}
	if !may {
		return Request{}, v.refused(r.Order.Act, identity.ErrNotFound)
	}
	return r, nil
}

func (v *visit) showRequest() error {
	r, err := v.request()
	if err != nil {
		return err
	}
	return v.showOneRequest(r, "")
}

func (v *visit) showOneRequest(r Request, told string) error {
	v.path = "/console/requests/" + r.ID.String()
	rule, _ := RuleOf(r.Order.Act)
	page := templates.ConsoleOneRequest{Desk: v.desk(), ConsoleRequest: rowOf(r), Needs: rule.Needs, Told: templates.Text(told)}
	var err error
	if page.Whom, err = v.whom(r.Order); err != nil {
		return err
	}
	state := stateOf(r, v.Service)
	page.State = string(state)
	page.MayApprove = v.mayApprove(r)
	page.MayDrop = state == RequestOpen && r.By.ID == v.staff.ID
	page.MayContinue = state == RequestApproved && mayContinue(v.staff, r)
	for _, a := range r.Approved {
		page.Approved = append(page.Approved, templates.Text(a.Name))
	}
	for _, w := range r.Warrants {
		page.Orders = append(page.Orders, templates.ConsoleOrder{Subject: w.Order.Subject(), State: string(w.State), Problem: w.Problem})
	}
	if p := v.Performers[r.Order.Act]; p != nil && state == RequestOpen {
		lines, err := p.Preview(v.r.Context(), v.staff, r.Order)
		switch {
		case errors.Is(err, identity.ErrNotFound):
			return errMissing // not within their unit
		case err != nil && !problemOf(err).Given():
			return fmt.Errorf("previewing %s: %w", r.Order.Act, err)
		case err != nil && !v.problem.Given():
			v.problem = problemOf(err)
			page.Desk = v.desk()
		}
		page.Lines = linesOf(lines)
	}
	return v.show(page)
}

func (v *visit) approveRequest() error {
	r, err := v.request()
	if err != nil {
		return err
	}
	out, err := v.Approve(v.r.Context(), v.session, r.ID, v.event())
	switch path := "/console/requests/" + r.ID.String(); {
	case errors.Is(err, ErrStepUp):
		return v.redirect(stepUpToApprove(r.ID, path))
	case err != nil:
		return v.refusedRequest(r, err)
	case out.Told != "":
		return v.told(r.ID, out.Told)
	default:
		return v.back(path, "approved")
	}
}

func stepUpToApprove(id identity.ID, back string) string {
	return "/console/step-up?act=" + string(RequestApprove) + "&subject=" + id.String() + "&back=" + back
}

// told shows what carrying out a request came to, once.
func (v *visit) told(id identity.ID, told string) error {
	r, err := v.Requests.StaffRequest(v.r.Context(), id)
	if err != nil {
		return fmt.Errorf("reading a request: %w", err)
	}
	return v.showOneRequest(r, told)
}

func (v *visit) refusedRequest(r Request, err error) error {
	err = v.refused(r.Order.Act, err)
	if v.problem = problemOf(err); !v.problem.Given() {
		return err
	}
	v.status, _ = verdict(err)
	if again, e := v.Requests.StaffRequest(v.r.Context(), r.ID); e == nil {
		r = again
	}
	return v.showOneRequest(r, "")
}

// ended ends a request that nobody carries out.
func (v *visit) ended(r Request, state RequestState, kind audit.Kind, reason string) error {
	e := signed(v.event(), v.caller(), r.Order, v.now)
	e.Kind, e.Reason = kind, reason
	e.Detail["request"] = r.ID.String()
	return v.Requests.RejectRequest(v.r.Context(), r.ID, state, e)
}

func (v *visit) rejectRequest() error {
	r, err := v.request()
	if err != nil {
		return err
	}
	reason := v.field("reason")
	switch {
	case r.By.ID == v.staff.ID || r.Order.Target == v.staff.ID:
		return v.refusedRequest(r, ErrOwn)
	case !MayApprove(v.staff.Roles, r.Order.Act):
		return errMissing
	case !goodReason(reason) || utf8.RuneCountInString(reason) > maxReason:
		return v.refusedRequest(r, ErrReason)
	case !v.session.Fresh(approvePurpose(r.ID), v.now):
		return v.redirect(stepUpToApprove(r.ID, "/console/requests/"+r.ID.String()))
	}
	if err := v.ended(r, RequestRejected, audit.RequestRejected, reason); err != nil {
		return v.refusedRequest(r, err)
	}
	return v.back("/console/requests/"+r.ID.String(), "rejected")
}

func (v *visit) withdrawRequest() error {
	r, err := v.request()
	if err != nil {
		return err
	}
	if r.By.ID != v.staff.ID {
		return errMissing
	}
	if err := v.ended(r, RequestDropped, audit.RequestWithdrawn, ""); err != nil {
		return v.refusedRequest(r, err)
	}
	return v.back("/console/requests/"+r.ID.String(), "dropped")
}

func (v *visit) continueRequest() error {
	r, err := v.request()
	if err != nil {
		return err
	}
	out, err := v.Continue(v.r.Context(), v.session, r.ID, v.event())
	switch {
	case errors.Is(err, ErrStepUp):
		return v.redirect(stepUpToApprove(r.ID, "/console/requests/"+r.ID.String()))
	case err != nil:
		return v.refusedRequest(r, err)
	case out.Told != "":
		return v.told(r.ID, out.Told)
	}
	return v.back("/console/requests/"+r.ID.String(), "done")
}

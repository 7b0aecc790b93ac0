package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/internal/secret"
	"ecardid/templates"
)

const (
	formType = exchange.FormType
	jsonType = exchange.JSONType

	staffCookie = "__Host-staff"
	tokenBytes  = exchange.TokenBytes
)

// A visit is one request of somebody of staff.
type visit struct {
	*Service
	w       http.ResponseWriter
	r       *http.Request
	now     time.Time
	session Session // zero before signing in
	staff   Staff
	token   []byte // hash of the session's
	form    url.Values

	path            string // of the page for the next time, where it is not the request's own
	blocked         bool   // what was asked for cannot be
	status          int
	problem, notice templates.Message
}

// page guards a GET: whoever has no session is sent to sign in; whoever may not sees what
// they would see if there were no such page (SECURITY AD1).
func (s *Service) page(act Act, h func(v *visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := s.enter(w, r, act)
		if errors.Is(err, errSignedOut) {
			see(w, r, "/console/sign-in?back="+url.QueryEscape(r.URL.RequestURI()))
			return
		}
		if err == nil {
			err = once(r)
		}
		if err == nil {
			v.notice = noticeOf(r.URL.Query().Get("notice"))
			err = h(v)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// form guards a POST likewise. Fields that are neither named nor csrf are refused.
func (s *Service) form(act Act, h func(v *visit) error, fields ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := s.enter(w, r, act)
		if errors.Is(err, errSignedOut) {
			see(w, r, "/console/sign-in")
			return
		}
		if err == nil {
			v.form, err = exchange.Form(w, r)
		}
		if err == nil {
			err = expected(v.form, fields)
		}
		if err == nil {
			err = h(v)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// once refuses a query that says something twice: whoever reads it here and whoever read
// it on the way might take another one each (SECURITY G8).
func once(r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	for _, values := range query {
		if len(values) != 1 {
			return fmt.Errorf("%w: a parameter twice", errBadRequest)
		}
	}
	return nil
}

func expected(form url.Values, fields []string) error {
	for name := range form {
		if name != "csrf" && !slices.Contains(fields, name) {
			return fmt.Errorf("%w: a field nobody asked for", errBadRequest)
		}
	}
	return nil
}

// enter finds the session and asks whether it may.
func (s *Service) enter(w http.ResponseWriter, r *http.Request, act Act) (*visit, error) {
	w.Header().Set("Cache-Control", "no-store")
	v := &visit{Service: s, w: w, r: r, now: s.Clock.Now()}
	token, ok := readCookie(r, staffCookie)
	if !ok {
		return nil, errSignedOut
	}
	v.token = token.Hash()
	session, err := s.Staffs.StaffSession(r.Context(), v.token, v.now)
	if errors.Is(err, identity.ErrNotFound) {
		return nil, errSignedOut
	}
	if err != nil {
		return nil, fmt.Errorf("reading a staff session: %w", err)
	}
	v.session, v.staff = session, session.Staff
	if act != "" && !Permit(v.staff.Roles, act) {
		if err := s.refuse(v, "role", act); err != nil {
			return nil, err
		}
		return nil, errMissing
	}
	return v, nil
}

// refuse writes down that somebody of staff tried what is not theirs.
func (s *Service) refuse(v *visit, why string, act Act) error {
	e := v.event()
	e.Kind, e.Actor, e.Reason = audit.StaffRefused, v.staff.By(), why
	e.Detail = map[string]string{"act": string(act)}
	if err := s.Recorder.Record(v.r.Context(), e); err != nil {
		return fmt.Errorf("recording a refusal: %w", err)
	}
	return nil
}

// refused writes down what an order was refused for, where somebody tried what is not
// theirs, and gives the error back.
func (v *visit) refused(act Act, err error) error {
	why := ""
	switch {
	case errors.Is(err, ErrOwn):
		why = "own"
	case errors.Is(err, ErrForbidden):
		why = "role"
	case errors.Is(err, identity.ErrNotFound):
		why = "unit"
	default:
		return err
	}
	if failed := v.refuse(v, why, act); failed != nil {
		return failed
	}
	return err
}

// event is the beginning of every event of this request: when and from where.
func (v *visit) event() audit.Event { return audit.Event{At: v.now, Place: v.Place(v.r)} }

// caller is who orders here.
func (v *visit) caller() Caller { return Caller{Staff: v.staff, Session: v.session} }

// do gives an order. [ErrStepUp] is for v.stepUp to answer.
func (v *visit) do(o Order) (Outcome, error) { return v.Do(v.r.Context(), v.caller(), o, v.event()) }

// fresh reports whether the passkey was shown for this order.
func (v *visit) fresh(o Order) bool { return v.session.Fresh(o.Purpose(), v.now) }

// stepUp asks for the passkey and then leads to back, a path of the console.
func (v *visit) stepUp(o Order, back string) error {
	q := url.Values{"act": {string(o.Act)}, "subject": {o.matter()}, "back": {back}}
	return v.redirect("/console/step-up?" + q.Encode())
}

// field is a posted field without the space around it.
func (v *visit) field(name string) string { return strings.TrimSpace(v.form.Get(name)) }

// id reads an id: a part of the path, or else a posted field, or else of the query.
func (v *visit) id(name string) (identity.ID, error) {
	text := v.r.PathValue(name)
	if text == "" {
		text = v.form.Get(name)
	}
	if text == "" {
		text = v.r.URL.Query().Get(name)
	}
	id, err := identity.ParseID(text)
	if err != nil || id.IsZero() {
		return identity.ID{}, errMissing
	}
	return id, nil
}

// desk is what the page says on top.
func (v *visit) desk() templates.Desk { return templates.Desk{Problem: v.problem, Notice: v.notice} }

// show writes a page in the console's frame.
func (v *visit) show(page templates.ConsolePage) error {
	c := templates.Console{Page: page}
	if !v.staff.ID.IsZero() {
		c.Who = templates.ConsoleStaff{Name: templates.Text(v.staff.Name), Unit: templates.Text(v.staff.Unit)}
		for _, r := range v.staff.Roles {
			c.Who.Roles = append(c.Who.Roles, string(r))
		}
		c.Nav = v.nav()
	}
	a := authn.Answer{Status: v.status, Kind: templates.Plain, Path: v.path, Page: c}
	if a.Path == "" && v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		a.Path = v.r.URL.Path // where it can be asked for again
	}
	v.Render(v.w, v.r, a)
	return nil
}

// nav leads to the pages there are and they may see.
func (v *visit) nav() []templates.ConsoleLink {
	var all []templates.ConsoleLink
	for _, item := range []struct {
		word, path string
	}{
		{"home", "/console"}, {"citizens", "/console/citizens"}, {"requests", "/console/requests"}, {"clients", "/console/clients"},
		{"streams", "/console/streams"}, {"alarms", "/console/alarms"}, {"audit", "/console/audit"}, {"staff", "/console/staff"},
	} {
		for _, r := range v.routes {
			if r.Method == http.MethodGet && r.Pattern == item.path && (r.Act == "" || Permit(v.staff.Roles, r.Act)) {
				here := v.r.URL.Path == item.path || item.path != "/console" && strings.HasPrefix(v.r.URL.Path, item.path+"/")
				all = append(all, templates.ConsoleLink{Word: item.word, URL: item.path, Current: here})
			}
		}
	}
	return all
}

func (v *visit) redirect(to string) error {
	see(v.w, v.r, to)
	return nil
}

// back leads to a page of the console with a notice: a word of noticeOf.
func (v *visit) back(path, notice string) error {
	if !ownPath(path) {
		path = "/console"
	}
	u, err := url.Parse(path)
	if err != nil {
		return errBadRequest
	}
	q := u.Query()
	q.Del("notice")
	if notice != "" {
		q.Set("notice", notice)
	}
	u.RawQuery = q.Encode()
	return v.redirect(u.String())
}

// ownPath is a page of the console and nothing a browser could take for another place.
func ownPath(p string) bool {
	return authn.OwnPath(p) && (p == "/console" || strings.HasPrefix(p, "/console/") || strings.HasPrefix(p, "/console?"))
}

func noticeOf(word string) templates.Message {
	switch word {
	case "done":
		return templates.Say(templates.ConsoleNoticeDone)
	case "filed":
		return templates.Say(templates.ConsoleNoticeFiled)
	case "approved":
		return templates.Say(templates.ConsoleNoticeApproved)
	case "rejected":
		return templates.Say(templates.ConsoleNoticeRejected)
	case "dropped":
		return templates.Say(templates.ConsoleNoticeDropped)
	case "welcome":
		return templates.Say(templates.ConsoleNoticeWelcome)
	}
	return templates.Message{}
}

// see is 303: what was posted is not carried on.
func see(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func readCookie(r *http.Request, name string) (secret.Value, bool) { return exchange.Cookie(r, name) }

// setCookie: Strict, for nobody comes to the console from elsewhere with something to do.
func setCookie(w http.ResponseWriter, name string, v secret.Value, life time.Duration) {
	exchange.SetCookie(w, name, v, life, http.SameSiteStrictMode)
}

func dropCookie(w http.ResponseWriter, name string) {
	exchange.DropCookie(w, name, http.SameSiteStrictMode)
}

package console

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/internal/strictjson"
)

// This file is the console for programs, such as a call centre's: the acts on citizens as
// JSON. A program comes with an access token of its own (client credentials) that is
// bound to its key or certificate; what it may is what the token's scopes say. It goes
// through the same Do as people do: what needs four eyes becomes a request that people
// approve, and nothing here approves, reveals or administers.

const apiPath = "/console/api/v1"

// APIAudience is the resource that tokens for the API are for.
const APIAudience = "urn:ecardid:resource:console"

// Programs finds out which program calls. The server joins it to the tokens.
type Programs interface {
	// Enter returns the client that calls and those of the scopes its token has, if it has
	// any. Otherwise, as for a token that is bound to nothing, it has answered.
	Enter(w http.ResponseWriter, r *http.Request, scopes ...string) (client string, held []string, ok bool)
}

// The scopes of the API.
const (
	ScopeRead    = "console.read"
	ScopeLoss    = "console.loss"
	ScopeDevices = "console.devices"
	ScopeRequest = "console.request"
)

// Scopes lists them.
func Scopes() []string { return []string{ScopeRead, ScopeLoss, ScopeDevices, ScopeRequest} }

// actsOf is what a program may with the scopes. Who somebody is, a passkey has to ask
// for, and what is done at a counter needs somebody who stands there: those acts are not
// among them.
func actsOf(scopes []string) []Act {
	var acts []Act
	for _, s := range scopes {
		switch s {
		case ScopeRead:
			acts = append(acts, CitizenSearch, CitizenRead)
		case ScopeLoss:
			acts = append(acts, LossReport, CardFreeze)
		case ScopeDevices:
			acts = append(acts, DeviceEnd, DeviceSuspend, SessionEnd)
		case ScopeRequest:
			acts = append(acts, CardUnfreeze, CardCancel, DeviceRestore, FactorRemove)
		}
	}
	return acts
}

//go:embed openapi.json
var openAPI []byte

// APIRoutes lists the API's addresses; none when there are no Programs to let in.
func (s *Service) APIRoutes() []Route {
	if s.Programs == nil {
		return nil
	}
	acting := []string{ScopeLoss, ScopeDevices, ScopeRequest}
	reading := []string{ScopeRead}
	get := func(path string, scopes []string, h func(c *call) (any, error)) Route {
		return Route{Method: http.MethodGet, Pattern: apiPath + path, Who: "program", Handler: s.api(scopes, h)}
	}
	post := func(path string, scopes []string, h func(c *call) (any, error)) Route {
		return Route{Method: http.MethodPost, Pattern: apiPath + path, Takes: jsonType, Who: "program", Handler: s.api(scopes, h)}
	}
	return []Route{
		get("/openapi.json", Scopes(), (*call).describe),
		post("/searches", reading, (*call).search),
		get("/citizens/{citizen}", reading, (*call).citizen),
		get("/citizens/{citizen}/timeline", reading, (*call).timeline),
		post("/previews", acting, (*call).preview),
		post("/acts", acting, (*call).act),
		get("/requests/{request}", []string{ScopeRequest}, (*call).request),
	}
}

// A call is one request of a program.
type call struct {
	*Service
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time
	caller Caller
	status int
	query  map[string]string
}

// programRule: a busy call centre, and not a walk through the register.
func programRule() authn.Rule {
	return authn.Rule{Free: 3000, Base: time.Second, Cap: time.Minute, Per: time.Hour}
}

func (s *Service) api(scopes []string, h func(c *call) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, held, ok := s.Programs.Enter(w, r, scopes...)
		if !ok {
			return
		}
		c := &call{Service: s, w: w, r: r, now: s.Clock.Now(), caller: Caller{Client: client, Acts: actsOf(held)}, status: http.StatusOK}
		answer, err := c.answer(h)
		if err != nil {
			c.refuse(err)
			return
		}
		exchange.Answer(w, s.Log, c.status, answer)
	})
}

func (c *call) answer(h func(c *call) (any, error)) (any, error) {
	ok, _, err := c.count(c.r, c.now, programRule(), "program", c.caller.Client)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errOften
	}
	return h(c)
}

var errOften = errors.New("console: too many requests")

// params reads the query: those that are expected, once each.
func (c *call) params(names ...string) error {
	c.query = map[string]string{}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	for name, values := range query {
		if !slices.Contains(names, name) || len(values) != 1 {
			return fmt.Errorf("%w: a parameter that does not belong here", errBadRequest)
		}
		c.query[name] = values[0]
	}
	return nil
}

// fields reads the body, which has exactly the named members.
func (c *call) fields(names ...string) (*strictjson.Fields, error) {
	if err := c.params(); err != nil {
		return nil, err
	}
	raw, err := exchange.JSON(c.w, c.r)
	if err != nil {
		return nil, err
	}
	f := strictjson.Limits{Bytes: exchange.MaxBody, Depth: 4}.Fields(raw, names...)
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	return f, nil
}

// note writes down what the program looked at.
func (c *call) note(kind audit.Kind, citizen identity.ID, detail map[string]string) error {
	e := signed(c.event(), c.caller, Order{Citizen: citizen}, c.now)
	e.Kind, e.Detail = kind, detail
	if err := c.Recorder.Record(c.r.Context(), e); err != nil {
		return fmt.Errorf("recording %s: %w", kind, err)
	}
	return nil
}

func (c *call) event() audit.Event {
	return audit.Event{At: c.now, Place: c.Place(c.r), Client: c.caller.Client}
}

// describe serves the OpenAPI document, to those who may call.
func (c *call) describe() (any, error) {
	if err := c.params(); err != nil {
		return nil, err
	}
	return rawJSON(openAPI), nil
}

type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

func (c *call) search() (any, error) {
	f, err := c.fields("number")
	if err != nil {
		return nil, err
	}
	number := f.Text("number", 40)
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	citizen, err := c.find(c.r, c.now, c.caller.Staff, number, c.note)
	if err != nil {
		return nil, err
	}
	return struct {
		Citizen identity.ID `json:"citizen"`
	}{citizen}, nil
}

// subject is the citizen of the path, if the program may serve them.
func (c *call) subject() (identity.ID, error) {
	citizen, err := identity.ParseID(c.r.PathValue("citizen"))
	if err != nil {
		return identity.ID{}, identity.ErrNotFound
	}
	region, err := c.Citizens.RegionOf(c.r.Context(), citizen)
	if err != nil {
		return identity.ID{}, fmt.Errorf("reading where a citizen belongs: %w", err)
	}
	if !c.caller.Staff.Within(region) {
		return identity.ID{}, identity.ErrNotFound
	}
	return citizen, nil
}

func (c *call) citizen() (any, error) {
	if err := c.params(); err != nil {
		return nil, err
	}
	citizen, err := c.subject()
	if err != nil {
		return nil, err
	}
	if err := c.note(audit.CitizenRead, citizen, nil); err != nil {
		return nil, err
	}
	f, err := c.Citizens.FileOf(c.r.Context(), citizen, c.now)
	if err != nil {
		return nil, fmt.Errorf("reading a citizen's file: %w", err)
	}
	return fileJSON(f, c.now), nil
}

func (c *call) timeline() (any, error) {
	if err := c.params("older"); err != nil {
		return nil, err
	}
	citizen, err := c.subject()
	if err != nil {
		return nil, err
	}
	// Tokens are a program's own: its name is in the list's.
	list := "timeline " + citizen.String() + " " + c.caller.Client
	below, err := c.Pager.Below(list, identity.ID{}, c.query["older"])
	if err != nil {
		return nil, err
	}
	if err := c.note(audit.CitizenRead, citizen, nil); err != nil {
		return nil, err
	}
	moments, err := c.Citizens.Moments(c.r.Context(), citizen, below, momentsPage+1)
	if err != nil {
		return nil, fmt.Errorf("reading a timeline: %w", err)
	}
	answer := timelineAnswer{Entries: []momentAnswer{}}
	if len(moments) > momentsPage {
		moments = moments[:momentsPage]
		if answer.Older, err = c.Pager.Token(list, identity.ID{}, moments[momentsPage-1].Seq); err != nil {
			return nil, fmt.Errorf("making a page token: %w", err)
		}
	}
	for _, m := range moments {
		answer.Entries = append(answer.Entries, momentJSON(m))
	}
	return answer, nil
}

// order reads what is asked for. An act that is no program's is no act.
func (c *call) order(more ...string) (Order, *strictjson.Fields, error) {
	f, err := c.fields(append([]string{"act", "citizen", "target?", "value?"}, more...)...)
	if err != nil {
		return Order{}, nil, err
	}
	o := Order{Act: Act(f.Text("act", 40)), Value: f.Text("value", 40)}
	for _, p := range []struct {
		at   *identity.ID
		text string
	}{{&o.Citizen, f.Text("citizen", 22)}, {&o.Target, f.Text("target", 22)}} {
		if p.text == "" {
			continue
		}
		if *p.at, err = identity.ParseID(p.text); err != nil {
			return Order{}, nil, identity.ErrNotFound
		}
	}
	if err := f.Err(); err != nil {
		return Order{}, nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	if !slices.Contains(c.caller.Acts, o.Act) {
		// An entry, like any refusal; the act is named when it is one.
		detail := map[string]string{}
		if _, ok := RuleOf(o.Act); ok {
			detail["act"] = string(o.Act)
		}
		if err := c.note(audit.AccessRefused, identity.ID{}, detail); err != nil {
			return Order{}, nil, err
		}
		return Order{}, nil, ErrForbidden
	}
	return o, f, nil
}

func (c *call) preview() (any, error) {
	o, _, err := c.order()
	if err != nil {
		return nil, err
	}
	lines, err := c.Preview(c.r.Context(), c.caller, o)
	if err != nil {
		return nil, err
	}
	rule, _ := RuleOf(o.Act)
	answer := previewAnswer{Approvals: rule.Needs, Ends: []lineAnswer{}}
	for _, l := range lines {
		answer.Ends = append(answer.Ends, lineAnswer(l))
	}
	return answer, nil
}

func (c *call) act() (any, error) {
	o, f, err := c.order("reason")
	if err != nil {
		return nil, err
	}
	o.Reason = f.Text("reason", 4*maxReason)
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	out, err := c.Do(c.r.Context(), c.caller, o, c.event())
	if err != nil {
		return nil, err
	}
	if out.Request.IsZero() {
		return doneAnswer{Told: out.Told}, nil
	}
	c.status = http.StatusAccepted
	c.w.Header().Set("Location", apiPath+"/requests/"+out.Request.String())
	return doneAnswer{Request: out.Request}, nil
}

// request shows a program one of its own.
func (c *call) request() (any, error) {
	if err := c.params(); err != nil {
		return nil, err
	}
	id, err := identity.ParseID(c.r.PathValue("request"))
	if err != nil {
		return nil, identity.ErrNotFound
	}
	r, err := c.Requests.StaffRequest(c.r.Context(), id)
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w", err)
	}
	if r.Client == "" || r.Client != c.caller.Client {
		return nil, identity.ErrNotFound
	}
	return requestJSON(r, stateOf(r, c.Service)), nil
}

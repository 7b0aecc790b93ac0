package console

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/templates"
)

// office is a memory of requests and a performer in one, as small as the engine needs.
type office struct {
	Requests
	requests  map[identity.ID]*Request
	spent     map[identity.ID]bool
	performed []audit.Event
	fail      map[identity.ID]error // by citizen
	failed    map[identity.ID]string
	unit      string // of every citizen
}

func (o *office) Preview(_ context.Context, by Staff, order Order) ([]Line, error) {
	if !by.Within(o.unit) {
		return nil, identity.ErrNotFound
	}
	return []Line{{What: "citizens", Count: len(order.Each())}}, nil
}

func (o *office) Perform(_ context.Context, order Order, e audit.Event) (string, error) {
	if err := o.fail[order.Citizen]; err != nil {
		return "", err
	}
	if !e.Warrant.IsZero() {
		if o.spent[e.Warrant] {
			return "", identity.ErrSpent
		}
		o.spent[e.Warrant] = true
		o.mark(e.Warrant, WarrantDone)
	}
	e.Kind = audit.CitizenFrozen
	o.performed = append(o.performed, e)
	return "told", nil
}

func (o *office) mark(id identity.ID, state WarrantState) {
	for _, r := range o.requests {
		for i := range r.Warrants {
			if r.Warrants[i].ID == id {
				r.Warrants[i].State = state
			}
		}
	}
}

func (o *office) FileRequest(_ context.Context, r Request, _ audit.Event) error {
	o.requests[r.ID] = &r
	return nil
}

func (o *office) StaffRequest(_ context.Context, id identity.ID) (Request, error) {
	r, ok := o.requests[id]
	if !ok {
		return Request{}, identity.ErrNotFound
	}
	c := *r
	c.Warrants = slices.Clone(r.Warrants)
	return c, nil
}

func (o *office) ApproveRequest(_ context.Context, id identity.ID, needs int, e audit.Event) (bool, error) {
	r := o.requests[id]
	r.Approved = append(r.Approved, Staff{ID: e.Standing.Staff})
	if len(r.Approved) < needs {
		return false, nil
	}
	r.State = RequestApproved
	return true, nil
}

func (o *office) FailWarrant(_ context.Context, id identity.ID, problem string, _ audit.Event) error {
	o.failed[id] = problem
	o.mark(id, WarrantFailed)
	return nil
}

func engine() (*Service, *office, *clock.Manual) {
	o := &office{requests: map[identity.ID]*Request{}, spent: map[identity.ID]bool{}, fail: map[identity.ID]error{}, failed: map[identity.ID]string{}, unit: "110105"}
	c := clock.At(time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC))
	s := &Service{Parts: Parts{Requests: o, Clock: c, Rand: rand.Reader, Performers: map[Act]Performer{}}}
	for _, r := range Rules() {
		s.Performers[r.Act] = o
	}
	return s, o, c
}

func member(roles ...Role) Staff {
	id := identity.NewID()
	return Staff{ID: id, Name: "x", Roles: roles, State: StaffActive, Version: 3}
}

// stepped is a caller whose passkey was shown for the order.
func stepped(s Staff, purpose string, at time.Time) Caller {
	return Caller{Staff: s, Session: Session{Staff: s, Purpose: purpose, At: at}}
}

func TestDo(t *testing.T) {
	citizen := identity.NewID()
	freeze := Order{Act: CardFreeze, Citizen: citizen, Reason: "电话核实为本人"}
	officer := member(DeviceOfficer)
	for _, tc := range []struct {
		name   string
		change func(s *Service, c *Caller, o *Order)
		want   error
	}{
		{"done", func(*Service, *Caller, *Order) {}, nil},
		{"not their role", func(_ *Service, c *Caller, _ *Order) { c.Staff.Roles = []Role{Auditor} }, ErrForbidden},
		{"nobody", func(_ *Service, c *Caller, _ *Order) { c.Staff = Staff{Roles: []Role{DeviceOfficer}} }, ErrForbidden},
		{"no such act", func(_ *Service, _ *Caller, o *Order) { o.Act = "card.melt" }, ErrForbidden},
		{"nobody carries it out", func(s *Service, _ *Caller, _ *Order) { delete(s.Performers, CardFreeze) }, ErrForbidden},
		{"without a reason", func(_ *Service, _ *Caller, o *Order) { o.Reason = "  " }, ErrReason},
		{"without a step-up", func(_ *Service, c *Caller, _ *Order) { c.Session.Purpose = "" }, ErrStepUp},
		{"stepped up for somebody else", func(_ *Service, c *Caller, _ *Order) { c.Session.Purpose = "card.freeze " + identity.NewID().String() }, ErrStepUp},
		{"stepped up for another act", func(_ *Service, c *Caller, o *Order) { c.Session.Purpose = "card.cancel " + o.Citizen.String() }, ErrStepUp},
		{"stepped up long ago", func(_ *Service, c *Caller, _ *Order) { c.Session.At = c.Session.At.Add(-StepUpLife) }, ErrStepUp},
		{"another unit", func(_ *Service, c *Caller, _ *Order) { c.Staff.Unit = "4401" }, identity.ErrNotFound},
		{"their own row", func(_ *Service, c *Caller, o *Order) {
			c.Staff.Roles = []Role{SecurityOfficer}
			*o = Order{Act: StaffDeactivate, Target: c.Staff.ID, Reason: "离职，权限收回"}
		}, ErrOwn},
		{"a program without the act", func(_ *Service, c *Caller, _ *Order) { *c = Caller{Client: "calls", Acts: []Act{LossReport}} }, ErrForbidden},
		{"a program with somebody's roles", func(_ *Service, c *Caller, _ *Order) {
			*c = Caller{Client: "calls", Staff: officer}
		}, ErrForbidden},
		{"a program", func(_ *Service, c *Caller, _ *Order) { *c = Caller{Client: "calls", Acts: []Act{CardFreeze}} }, nil},
		{"a program of another unit", func(_ *Service, c *Caller, _ *Order) {
			*c = Caller{Client: "calls", Acts: []Act{CardFreeze}, Staff: Staff{Unit: "44"}}
		}, identity.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, office, clk := engine()
			c, o := stepped(officer, freeze.Purpose(), clk.Now()), freeze
			tc.change(s, &c, &o)
			out, err := s.Do(t.Context(), c, o, audit.Event{})
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if done := len(office.performed) > 0; done != (tc.want == nil) {
				t.Fatalf("performed %v", office.performed)
			}
			if tc.want != nil {
				return
			}
			e := office.performed[0]
			if out.Told != "told" || e.Citizen != citizen || e.Reason != freeze.Reason || e.Detail["act"] != "card.freeze" || !e.At.Equal(clk.Now()) {
				t.Errorf("%+v, %+v", out, e)
			}
			if c.Client == "" && (e.Actor != officer.By() || e.Standing != (audit.Standing{Staff: officer.ID, Version: 3})) || c.Client != "" && e.Actor != "client:calls" {
				t.Errorf("by %+v", e)
			}
		})
	}
}

// TestApprove: who may say yes to what was asked for, and what is then done.
func TestApprove(t *testing.T) {
	s, office, clk := engine()
	asker, one, two := member(DeviceOfficer), member(SecurityOfficer), member(SecurityOfficer)
	bulk := Order{Act: BulkLoss, Value: "phone", Reason: "地铁失物集中挂失", Many: []identity.ID{identity.NewID(), identity.NewID(), identity.NewID(), identity.NewID()}}
	out, err := s.Do(t.Context(), stepped(asker, bulk.Purpose(), clk.Now()), bulk, audit.Event{})
	if err != nil || out.Request.IsZero() || len(office.performed) > 0 {
		t.Fatalf("%+v, %v, %v", out, err, office.performed)
	}
	id := out.Request
	yes := func(who Staff, purpose string) error {
		_, err := s.Approve(t.Context(), Session{Staff: who, Purpose: purpose, At: clk.Now()}, id, audit.Event{})
		return err
	}
	mine := approvePurpose(id)
	for _, tc := range []struct {
		name    string
		who     Staff
		purpose string
		want    error
	}{
		{"who asked, whatever they are", Staff{ID: asker.ID, Roles: []Role{SecurityOfficer}}, mine, ErrOwn},
		{"another role", member(Administrator), mine, ErrForbidden},
		{"without a step-up", one, "", ErrStepUp},
		{"stepped up for another request", one, approvePurpose(identity.NewID()), ErrStepUp},
		{"stepped up for the act itself", one, bulk.Purpose(), ErrStepUp},
		{"another unit", Staff{ID: one.ID, Roles: one.Roles, Unit: "44"}, mine, identity.ErrNotFound},
	} {
		if err := yes(tc.who, tc.purpose); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	// One cannot be done, one fails by our fault: what was done stays done, and somebody
	// goes on.
	office.fail[bulk.Many[1]], office.fail[bulk.Many[2]] = identity.ErrConflict, errors.New("the database is away")
	if err := yes(one, mine); err == nil || len(office.performed) != 1 {
		t.Fatalf("%v, %v", err, office.performed)
	}
	again := func(who Staff) error {
		_, err := s.Continue(t.Context(), Session{Staff: who, Purpose: mine, At: clk.Now()}, id, audit.Event{})
		return err
	}
	if err := again(two); !errors.Is(err, ErrForbidden) {
		t.Errorf("somebody who did not approve: %v", err)
	}
	if _, err := s.Continue(t.Context(), Session{Staff: asker, Purpose: bulk.Purpose(), At: clk.Now()}, id, audit.Event{}); !errors.Is(err, ErrStepUp) {
		t.Errorf("going on without a step-up: %v", err)
	}
	delete(office.fail, bulk.Many[2])
	if err := again(asker); err != nil {
		t.Fatal(err)
	}
	if len(office.performed) != 3 || len(office.failed) != 1 {
		t.Fatalf("performed %d, failed %v", len(office.performed), office.failed)
	}
	for _, e := range office.performed {
		if e.Warrant.IsZero() || e.Detail["request"] != id.String() || e.Detail["asked"] != asker.ID.String() {
			t.Errorf("%+v", e)
		}
	}
	if err := again(asker); err != nil || len(office.performed) != 3 {
		t.Errorf("going on when all is done: %v, %d", err, len(office.performed))
	}
}

// TestPurpose: a passkey shown for one value is none for another, except where the value is
// typed after it was shown.
func TestPurpose(t *testing.T) {
	citizen := identity.NewID()
	seen := map[string]Order{}
	for _, o := range []Order{
		{Act: CitizenReveal, Citizen: citizen, Value: "phone"}, {Act: CitizenReveal, Citizen: citizen, Value: "name"}, {Act: CitizenReveal, Citizen: citizen},
		{Act: LossReport, Citizen: citizen, Value: "phone"}, {Act: LossReport, Citizen: citizen, Value: "card"}, {Act: StaffInvite, Value: "a"}, {Act: StaffInvite, Value: "b"},
		{Act: ClientAdmit, Client: "x"}, {Act: ClientAdmit, Client: "y"}, {Act: BulkLoss},
	} {
		if was, ok := seen[o.Purpose()]; ok {
			t.Errorf("%+v and %+v are one purpose", o, was)
		}
		seen[o.Purpose()] = o
		if o.Purpose() != string(o.Act)+" "+o.matter() || len(o.matter()) > 256 {
			t.Errorf("%+v: %q", o, o.Purpose())
		}
	}
	if (Order{Act: ClientAdmit, Client: "x"}).Purpose() != (Order{Act: ClientAdmit, Client: "x", Value: "{}"}).Purpose() {
		t.Error("what was typed is lost to the passkey")
	}
}

// TestWell: an order has the parts of its act and no others; a form gives any.
func TestWell(t *testing.T) {
	some := identity.NewID()
	whole := Order{Citizen: some, Target: some, Client: "x", Value: "v", Many: []identity.ID{some}, Half: "h"}
	parts := map[string]func(o *Order){
		"citizen": func(o *Order) { o.Citizen = whole.Citizen }, "target": func(o *Order) { o.Target = whole.Target }, "client": func(o *Order) { o.Client = whole.Client },
		"value": func(o *Order) { o.Value = whole.Value }, "many": func(o *Order) { o.Many = whole.Many }, "half": func(o *Order) { o.Half = whole.Half },
	}
	for act, takes := range map[Act]string{
		StaffInvite: "value", StaffRoles: "target value", StaffDeactivate: "target", AlarmSee: "value",
		ClientPrepare: "client value", ClientAdmit: "client value", ClientSuspend: "client value", ClientWithdraw: "client value",
	} {
		good := Order{Act: act}
		for _, part := range strings.Fields(takes) {
			parts[part](&good)
		}
		if !good.well() {
			t.Errorf("%s with %s", act, takes)
		}
		s, office, clk := engine()
		for part, add := range parts {
			o := good
			if add(&o); slices.Contains(strings.Fields(takes), part) {
				continue
			}
			who := stepped(member(Roles()...), o.Purpose(), clk.Now())
			o.Reason = "电话核实为本人"
			if _, err := s.Do(t.Context(), who, o, audit.Event{}); !errors.Is(err, ErrInvalid) || len(office.performed)+len(office.requests) > 0 {
				t.Errorf("%s with %s: %v", act, part, err)
			}
		}
	}
}

// TestOnce: a parameter twice is refused, whatever page it is for (SECURITY G8).
func TestOnce(t *testing.T) {
	for query, good := range map[string]bool{"": true, "a=1&b=2": true, "a=1&a=1": false, "a=1&b=2&a=": false, "a=%zz": false, "a=1;b=2": false} {
		r := httptest.NewRequest("GET", "/console", nil)
		r.URL.RawQuery = query
		if err := once(r); (err == nil) != good || err != nil && !errors.Is(err, errBadRequest) {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// TestOwnerAt: what one browser began another does not finish (SECURITY SS1, WA1).
func TestOwnerAt(t *testing.T) {
	s := &Service{Parts: Parts{Browser: func(r *http.Request) []byte { return []byte(r.UserAgent()) }}}
	at := func(name string) string {
		r := httptest.NewRequest("GET", "/console", nil)
		r.Header.Set("User-Agent", name)
		return string(s.ownerAt(r, "sign-in"))
	}
	if one := at("one"); one == at("two") || one != at("one") {
		t.Error("the browser is not in it")
	}
}

func TestReasons(t *testing.T) {
	for reason, good := range map[string]bool{
		"电话核实": false, "电话核实过": true, strings.Repeat("好", 200): true, strings.Repeat("好", 201): false,
		"called on 2026-05-04 about a theft": true, "the ID is 110105194912310021": false, "138 0000 1111 called": false,
		"line\nbreak here": false, "bad \xff text": false,
	} {
		if goodReason(reason) != good {
			t.Errorf("%q: %v", reason, !good)
		}
	}
}

func TestCheckRoles(t *testing.T) {
	for _, tc := range []struct {
		roles []Role
		good  bool
	}{
		{nil, false}, {[]Role{"king"}, false}, {[]Role{Registrar, Registrar}, false}, {[]Role{Registrar, DeviceOfficer}, true},
		{[]Role{Auditor}, true}, {[]Role{Auditor, Registrar}, false}, {[]Role{Administrator, SecurityOfficer}, false}, {[]Role{SecurityOfficer, DeviceOfficer}, false},
	} {
		if (CheckRoles(tc.roles) == nil) != tc.good {
			t.Errorf("%v: %v", tc.roles, !tc.good)
		}
	}
}

// TestPowersAreSeparate: whoever approves an act that needs it is never only who asks for
// it, and the auditor changes nothing (三员分立).
func TestPowersAreSeparate(t *testing.T) {
	for _, r := range Rules() {
		if slices.Contains(r.May, Auditor) && !r.Shows {
			t.Errorf("the auditor may %s", r.Act)
		}
		if r.Needs > 0 && (len(r.Approve) == 0 || !r.StepUp || !r.Reason) || r.Needs == 0 && len(r.Approve) > 0 {
			t.Errorf("%s: %+v", r.Act, r)
		}
		if r.Needs == 1 && slices.ContainsFunc(r.May, func(role Role) bool { return slices.Contains(r.Approve, role) }) {
			t.Errorf("%s: one role asks and approves", r.Act)
		}
	}
}

// TestWords: whatever the tables have, the pages can say.
func TestWords(t *testing.T) {
	has := func(vocabulary, word string) {
		t.Helper()
		if !slices.Contains(templates.ConsoleWords(vocabulary), word) {
			t.Errorf("%s lacks %s", vocabulary, word)
		}
	}
	for _, r := range Rules() {
		if !r.Shows || r.StepUp {
			has("console.act", string(r.Act))
		}
	}
	for _, r := range Roles() {
		has("console.role", string(r))
	}
	for _, s := range []RequestState{RequestOpen, RequestApproved, RequestDone, RequestRejected, RequestDropped, requestExpired} {
		has("console.state", string(s))
	}
	for _, s := range []StaffState{StaffInvited, StaffActive, StaffDeactivated} {
		has("console.staff-state", string(s))
	}
	for _, s := range []WarrantState{WarrantReady, WarrantDone, WarrantFailed} {
		has("console.warrant", string(s))
	}
}

func FuzzOwnPath(f *testing.F) {
	for _, p := range []string{"/console", "/console/x?y=z", "/console//x", "//console", "/console\\@x", "/consoles", "/console/../x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if ownPath(p) && (!strings.HasPrefix(p, "/console") || strings.ContainsAny(p, "\\\r\n\t ") || strings.Contains(p, "/../")) {
			t.Errorf("%q is no page of the console", p)
		}
	})
}

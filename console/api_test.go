package console

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/loss"
	"ecardid/authn/passkey"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/templates"
)

// centre is a call centre before the API: its token has the scopes it says it has.
type centre struct {
	*town
	authn.Attempts // but for Attempt
	t              testing.TB
	routes         *http.ServeMux
	s              *Service
	client         string
	scopes         []string
	recorded       []audit.Event
	tries          int
	moments        []Moment
	filed          map[identity.ID]Request
}

func (c *centre) Enter(w http.ResponseWriter, _ *http.Request, scopes ...string) (string, []string, bool) {
	var held []string
	for _, s := range scopes {
		if slices.Contains(c.scopes, s) {
			held = append(held, s)
		}
	}
	if len(held) == 0 {
		w.WriteHeader(http.StatusForbidden)
	}
	return c.client, held, len(held) > 0
}

func (c *centre) Record(_ context.Context, e audit.Event) error {
	c.recorded = append(c.recorded, e)
	return c.fail
}

func (c *centre) Attempt(_ context.Context, _ time.Time, tries ...authn.Try) ([]authn.Tally, error) {
	c.tries++
	return []authn.Tally{{Count: c.tries, Allowed: c.tries <= 50}}, nil
}

func (c *centre) Moments(_ context.Context, _ identity.ID, below int64, n int) ([]Moment, error) {
	if below == 0 {
		below = math.MaxInt64
	}
	var page []Moment
	for _, m := range c.moments {
		if m.Seq < below && len(page) < n {
			page = append(page, m)
		}
	}
	return page, nil
}

func (c *centre) FindCitizen(_ context.Context, a authn.Alias) (identity.ID, string, error) {
	if a.Value != "A12345678" {
		return identity.ID{}, "", identity.ErrNotFound
	}
	return c.file.ID, c.file.Region, nil
}

func (c *centre) FileRequest(_ context.Context, r Request, e audit.Event) error {
	for i := range r.Warrants {
		r.Warrants[i].State = WarrantReady
	}
	c.filed[r.ID] = r
	return c.done(e, "file %s", r.Order.Act)
}

func (c *centre) StaffRequest(_ context.Context, id identity.ID) (Request, error) {
	r, ok := c.filed[id]
	if !ok {
		return Request{}, identity.ErrNotFound
	}
	return r, nil
}

func (c *centre) ApproveRequest(context.Context, identity.ID, int, audit.Event) (bool, error) {
	return false, identity.ErrConflict
}

func (c *centre) RejectRequest(context.Context, identity.ID, RequestState, audit.Event) error {
	return identity.ErrConflict
}

func (c *centre) FailWarrant(context.Context, identity.ID, string, audit.Event) error { return nil }

func (c *centre) ListRequests(context.Context, Staff, time.Time, int) ([]Request, error) {
	return nil, nil
}

// What the API has no use for.
type (
	noStaffs     struct{ Staffs }
	noClients    struct{ Clients }
	noTrail      struct{ Trail }
	noCeremonies struct{ authn.Ceremonies }
)

func newCentre(t testing.TB) *centre {
	t.Helper()
	w, counter := newTown()
	w.file.Name, w.file.IDNumber, w.file.Phone, w.file.Card = "张**", "1****************X", "138****1234", "A******78"
	w.file.StateSince, w.file.Activated, w.file.Password = noon, noon, true
	w.file.Sessions = []FiledSession{{ID: identity.ID{7}, Agent: "Firefox", Place: "192.0.2.0/24", Began: noon, Seen: noon}}
	w.file.Devices[0].KeyLevel = identity.KeyTEE
	c := &centre{town: w, t: t, client: "call-centre", scopes: Scopes(), routes: http.NewServeMux(), filed: map[identity.ID]Request{}}
	for i := range 25 {
		c.moments = append(c.moments, Moment{Seq: int64(100 - i), At: noon, Kind: audit.LoginFinished, Actor: "staff:x", Detail: map[string]string{"via": "form"}})
	}
	counter.Citizens = c
	relying, err := passkey.New(passkey.Config{RPID: "id.example", Name: "card", Origins: []string{"https://id.example"}, Clock: clock.At(noon)})
	if err != nil {
		t.Fatal(err)
	}
	performers := map[Act]Performer{}
	for _, a := range counter.Acts() {
		performers[a] = counter
	}
	sum := func(m []byte) []byte { h := sha256.Sum256(append([]byte("key"), m...)); return h[:16] }
	keyed := func(m []byte) ([]byte, error) { return sum(m), nil }
	c.s, err = New(Parts{
		Staffs: noStaffs{}, Requests: c, Citizens: c, Clients: noClients{}, Trail: noTrail{}, Recorder: c, Attempts: c, Ceremonies: noCeremonies{},
		Passkeys: relying, Performers: performers, Programs: c,
		Pager:       Pager{Tag: keyed, Check: func(tag, m []byte) bool { return slices.Equal(tag, sum(m)) }},
		Invitations: keyed, Throttle: keyed, Source: func(*http.Request) netip.Addr { return netip.Addr{} }, Browser: func(*http.Request) []byte { return nil }, Place: func(*http.Request) string { return "192.0.2.0/24" },
		Render: func(http.ResponseWriter, *http.Request, authn.Answer) {}, Say: func(*http.Request, templates.Message) string { return "" },
		Clock: clock.At(noon), Rand: dice{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.s.APIRoutes() {
		c.routes.Handle(r.Method+" "+r.Pattern, r.Handler)
	}
	return c
}

type dice struct{}

func (dice) Read(b []byte) (int, error) {
	id := identity.NewID()
	return copy(b, id[:]), nil
}

// ask sends a request and holds the answer against the document.
func (c *centre) ask(method, path, body string) (int, map[string]any, http.Header) {
	c.t.Helper()
	r := httptest.NewRequest(method, apiPath+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	c.routes.ServeHTTP(w, r)
	var out map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			c.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	if w.Code != http.StatusNotFound && w.Body.Len() > 0 && w.Header().Get("Cache-Control") != "no-store" {
		c.t.Errorf("%s %s may be kept", method, path)
	}
	if w.Body.Len() > 0 {
		document(c.t).check(c.t, method, path, w.Code, w.Header().Get("Content-Type"), out)
	}
	return w.Code, out, w.Header()
}

func (c *centre) order(act Act, more string) string {
	return fmt.Sprintf(`{"act":%q,"citizen":%q%s}`, act, c.file.ID, more)
}

const why = `,"reason":"来电人要求办理"`

func TestAPI(t *testing.T) {
	c := newCentre(t)
	status, out, _ := c.ask("POST", "/searches", `{"number":" a1234-5678 "}`)
	if status != 200 || out["citizen"] != c.file.ID.String() {
		t.Fatalf("%d %v", status, out)
	}
	here := "/citizens/" + c.file.ID.String()
	status, out, _ = c.ask("GET", here, "")
	if status != 200 || out["name"] != "张**" || out["cooling_until"] == nil || len(out["devices"].([]any)) != 4 {
		t.Errorf("%d %v", status, out)
	}
	status, out, _ = c.ask("GET", here+"/timeline", "")
	older, _ := out["older"].(string)
	if status != 200 || len(out["entries"].([]any)) != momentsPage || older == "" {
		t.Errorf("%d %v", status, out)
	}
	status, out, _ = c.ask("GET", here+"/timeline?older="+older, "")
	if status != 200 || len(out["entries"].([]any)) != 5 || out["older"] != nil {
		t.Errorf("%d %v", status, out)
	}
	status, out, _ = c.ask("POST", "/previews", c.order(LossReport, `,"value":"card"`))
	if status != 200 || out["approvals"] != 0.0 || len(out["ends"].([]any)) < 3 {
		t.Errorf("%d %v", status, out)
	}
	status, out, _ = c.ask("POST", "/acts", c.order(LossReport, `,"value":"card"`+why))
	if status != 200 || out["told"] != "7Q2M-K9RX-41TB" || c.did[len(c.did)-1] != "report card" {
		t.Errorf("%d %v", status, out)
	}
	if e := c.last; e.Actor != "client:call-centre" || e.Client != "call-centre" || e.Standing != (audit.Standing{}) || !e.Notify {
		t.Errorf("the trail says %+v", e)
	}
	// What takes four eyes becomes a request, which is the program's to look at.
	c.file.State = identity.CardFrozen
	status, out, h := c.ask("POST", "/acts", c.order(CardUnfreeze, why))
	if status != 202 || !strings.HasSuffix(h.Get("Location"), out["request"].(string)) || c.did[len(c.did)-1] != "file card.unfreeze" {
		t.Fatalf("%d %v", status, out)
	}
	request := "/requests/" + out["request"].(string)
	if status, out, _ = c.ask("GET", request, ""); status != 200 || out["state"] != "open" || len(out["orders"].([]any)) != 1 {
		t.Errorf("%d %v", status, out)
	}
	if status, out, _ = c.ask("GET", "/openapi.json", ""); status != 200 || out["openapi"] != "3.1.0" {
		t.Errorf("%d %v", status, out)
	}
	// Somebody else's request, page and number are nothing.
	c.client = "another"
	for _, path := range []string{request, here + "/timeline?older=" + older, "/requests/" + identity.NewID().String(), "/requests/x", "/citizens/" + identity.NewID().String(), "/citizens/x/timeline"} {
		if status, out, _ := c.ask("GET", path, ""); status != 404 || out["type"] != "urn:ecardid:problem:not-found" {
			t.Errorf("%s: %d %v", path, status, out)
		}
	}
	for _, number := range []string{"B12345678", "A1234", "13800131234", "%", "A12345678 OR 1=1"} {
		if status, out, _ := c.ask("POST", "/searches", fmt.Sprintf(`{"number":%q}`, number)); status != 404 || out["type"] != "urn:ecardid:problem:not-found" {
			t.Errorf("%s: %d %v", number, status, out)
		}
	}
	if status, out, _ := c.ask("POST", "/acts", c.order(CardFreeze, why)); status != 409 {
		t.Errorf("freezing what is frozen: %d %v", status, out)
	}
	for _, e := range c.recorded {
		if !strings.HasPrefix(string(e.Actor), "client:") || e.Client == "" || strings.Contains(fmt.Sprint(e), "12345678") {
			t.Errorf("the trail says %+v", e)
		}
	}
	c.tries = 1000
	if status, out, h := c.ask("GET", here, ""); status != 429 || h.Get("Retry-After") == "" {
		t.Errorf("%d %v", status, out)
	}
}

// TestAPIActs: each act under each scope alone, and no others than those of the table.
func TestAPIActs(t *testing.T) {
	for _, scope := range Scopes() {
		acts := actsOf([]string{scope})
		if len(acts) == 0 {
			t.Errorf("%s is good for nothing", scope)
		}
		for _, rule := range Rules() {
			c := newCentre(t)
			c.scopes = []string{scope}
			status, _, _ := c.ask("POST", "/previews", c.order(rule.Act, ""))
			if may := slices.Contains(acts, rule.Act) && scope != ScopeRead; (status == 403) == may {
				t.Errorf("%s with %s: %d", rule.Act, scope, status)
			}
			if len(c.did) > 0 {
				t.Errorf("a preview did %q", c.did)
			}
			if n := len(c.recorded); status == 403 && scope != ScopeRead && (n != 1 || c.recorded[0].Kind != audit.AccessRefused || c.recorded[0].Client != "call-centre") {
				t.Errorf("%s with %s: %d entries", rule.Act, scope, n)
			}
		}
	}
	// What a passkey or a counter has to be there for, no program does.
	for _, never := range []Act{CitizenReveal, DeviceConfirm, BulkLoss, ClientAdmit, StaffInvite, StaffRoles, StaffDeactivate, AuditExport} {
		if slices.Contains(actsOf(Scopes()), never) {
			t.Errorf("a program may %s", never)
		}
	}
}

func TestAPIStrict(t *testing.T) {
	c := newCentre(t)
	id := c.file.ID.String()
	for name, bad := range map[string]struct {
		method, path, body string
		want               int
	}{
		"an unknown member":   {"POST", "/acts", c.order(CardFreeze, why+`,"unit":""`), 400},
		"a member twice":      {"POST", "/acts", c.order(CardFreeze, why+`,"act":"card.cancel"`), 400},
		"in another case":     {"POST", "/acts", c.order(CardFreeze, why+`,"Act":"card.cancel"`), 400},
		"something after it":  {"POST", "/acts", c.order(CardFreeze, why) + `{}`, 400},
		"an array":            {"POST", "/acts", `[]`, 400},
		"a number for a text": {"POST", "/searches", `{"number":13800131234}`, 400},
		"NUL":                 {"POST", "/searches", `{"number":"A1234567\u00008"}`, 400},
		"no reason":           {"POST", "/acts", c.order(CardFreeze, ""), 400},
		"a short one":         {"POST", "/acts", c.order(CardFreeze, `,"reason":"办"`), 422},
		"with a number":       {"POST", "/acts", c.order(CardFreeze, `,"reason":"来电 13800131234"`), 422},
		"a control character": {"POST", "/acts", c.order(CardFreeze, `,"reason":"\u001b[31mred alert"`), 422},
		"a citizen that none": {"POST", "/acts", `{"act":"card.freeze","citizen":"x"` + why + `}`, 404},
		"nobody":              {"POST", "/acts", `{"act":"card.freeze","citizen":"` + identity.NewID().String() + `"` + why + `}`, 404},
		"a client's name":     {"POST", "/acts", c.order(CardFreeze, why+`,"client":"x"`), 400},
		"a reason to preview": {"POST", "/previews", c.order(CardFreeze, why), 400},
		"a parameter":         {"GET", "/citizens/" + id + "?unit=", "", 400},
		"one beside a body":   {"POST", "/previews?x=1", c.order(CardFreeze, ""), 400},
		"a token twice":       {"GET", "/citizens/" + id + "/timeline?older=a&older=b", "", 400},
		"a forged token":      {"GET", "/citizens/" + id + "/timeline?older=AAAAAAAAAGQAAAAAAAAAAAAAAAAAAAAA", "", 404},
	} {
		if status, out, _ := c.ask(bad.method, bad.path, bad.body); status != bad.want || out["status"] != float64(bad.want) {
			t.Errorf("%s: %d %v, want %d", name, status, out, bad.want)
		}
	}
	if len(c.did) > 0 {
		t.Errorf("did %q", c.did)
	}
	r := httptest.NewRequest("POST", apiPath+"/previews", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "text/plain")
	w := httptest.NewRecorder()
	c.routes.ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("%d for a text", w.Code)
	}
	// What cannot be written down is not shown.
	c.fail = fmt.Errorf("read-only")
	if status, out, _ := c.ask("GET", "/citizens/"+id, ""); status != 500 || out["name"] != nil {
		t.Errorf("%d %v", status, out)
	}
}

var _ Reporter = (*loss.Desk)(nil)

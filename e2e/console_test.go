package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/console"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/identity"
)

// TestConsole: somebody comes in by an invitation, freezes a card with a fresh passkey and
// asks for it to be unfrozen; somebody else says yes, and it is done once. In a browser,
// in both languages.
func TestConsole(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	officer := h.Join(t, console.SecurityOfficer)
	for i, lang := range []string{"zh-CN", "en"} {
		suffix := []string{"", "-en"}[i]
		tab := browser.New(t, browser.Speaking(lang))
		tab.Passkey(browser.Passkey{})
		s := h.Invite(t, "", console.Registrar, console.DeviceOfficer)
		tab.Go(h.Issuer + "/console")
		view(t, tab, "console-sign-in"+suffix)
		tab.Go(s.Link)
		tab.Fill("#code", "wrong")
		tab.Press("#code-submit")
		if !tab.Has("#problem") {
			t.Error("a wrong code passes without a word")
		}
		view(t, tab, "console-invitation"+suffix)
		tab.Fill("#code", s.Code)
		tab.Press("#code-submit")
		view(t, tab, "console-invitation-key"+suffix)
		tab.Click("#passkey-create")
		tab.WaitURL("/console/sign-in")
		tab.Click("#passkey-login")
		tab.WaitText("#staff-name", s.Name)
		view(t, tab, "console-home"+suffix)

		tab.Go(h.Issuer + console.ActPath(console.Order{Act: console.CardFreeze, Citizen: c.ID}, "/console"))
		view(t, tab, "console-step-up"+suffix)
		tab.Click("#passkey-login")
		tab.WaitURL("/console/acts/card.freeze")
		tab.Fill("#reason", "钱包被偷，本人来电")
		view(t, tab, "console-act"+suffix)
		tab.Press("#act-confirm")
		state(t, h, c, identity.CardFrozen)

		tab.Go(h.Issuer + console.ActPath(console.Order{Act: console.CardUnfreeze, Citizen: c.ID}, "/console"))
		tab.Click("#passkey-login")
		tab.WaitURL("/console/acts/card.unfreeze")
		tab.Fill("#reason", "本人到柜台核验身份")
		view(t, tab, "console-act-request"+suffix)
		tab.Press("#act-confirm")
		tab.WaitURL("/console/requests/")
		view(t, tab, "console-request"+suffix)
		if tab.Has("#request-approve") {
			t.Error("their own request can be approved")
		}
		path := strings.TrimPrefix(tab.URL(), h.Issuer)
		path, _, _ = strings.Cut(path, "?")
		state(t, h, c, identity.CardFrozen)
		if a := officer.Approve(path); a.Status != http.StatusOK {
			t.Errorf("approving: %d", a.Status)
		}
		state(t, h, c, identity.CardNormal)
		tab.Go(h.Issuer + "/console/requests")
		view(t, tab, "console-requests"+suffix)
		tab.Press("#sign-out")
		tab.WaitURL("/console/sign-in")
		tab.Go(h.Issuer + path)
		tab.WaitURL("/console/sign-in?back=")
	}
}

func state(t *testing.T, h *house.House, c *house.Citizen, want identity.CardState) {
	t.Helper()
	a, err := h.Store.Account(t.Context(), c.ID)
	if err != nil || a.State != want {
		t.Errorf("the card is %s, want %s (%v)", a.State, want, err)
	}
}

// TestStaffPages: two administrators and a security officer change who works here, with
// four eyes, and nobody touches themselves.
func TestStaffPages(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	tab := browser.New(t)
	tab.Passkey(browser.Passkey{})
	s := h.Invite(t, "", console.Administrator)
	tab.Go(s.Link)
	tab.Fill("#code", s.Code)
	tab.Press("#code-submit")
	tab.Click("#passkey-create")
	tab.WaitURL("/console/sign-in")
	tab.Click("#passkey-login")
	tab.WaitText("#staff-name", s.Name)
	officer := h.Join(t, console.SecurityOfficer)

	tab.Go(h.Issuer + "/console/staff")
	view(t, tab, "console-staff")
	tab.Press("#staff-invite")
	tab.Fill("#name", "wang.fang")
	tab.Click("#role-auditor")
	tab.Click("#role-registrar")
	tab.Press("#staff-submit")
	if !tab.Has("#problem") {
		t.Error("an auditor may be registrar as well")
	}
	view(t, tab, "console-staff-invite")
	tab.Click("#role-auditor")
	tab.Fill("#unit", "1101")
	tab.Press("#staff-submit")
	tab.Click("#passkey-login")
	tab.WaitURL("/console/acts/staff.invite")
	tab.Fill("#reason", "新同事负责登记")
	tab.Press("#act-confirm")
	tab.WaitText("#told", "")
	first := tab.Text("#told")
	view(t, tab, "console-staff-half")
	tab.Press("#act-back")
	tab.WaitURL("/console/requests/")
	path, _, _ := strings.Cut(strings.TrimPrefix(tab.URL(), h.Issuer), "?")
	a := officer.Approve(path)
	told := strings.Fields(a.Text("told"))
	if len(told) != 2 {
		t.Fatalf("told %q at %s (%d)", told, a.Path, a.Status)
	}
	if again := officer.Get(path); strings.Contains(again.Body, told[1]) {
		t.Error("the code is shown twice")
	}
	if strings.Contains(a.Body, first) {
		t.Error("whoever approves is told both halves")
	}
	for _, half := range []string{first, told[1], told[1] + first} {
		if a := h.Robot(t).Get(told[0]).Submit("code-submit", "code", half); a.Status != http.StatusForbidden {
			t.Errorf("half a code: %d", a.Status)
		}
	}
	r, key := h.Robot(t), h.Passkey(t, false)
	key.Register(r.Get(told[0]).Submit("code-submit", "code", first+told[1]))
	if a := key.SignIn(r.Get("/console/sign-in")); !strings.Contains(a.Body, "wang.fang") {
		t.Errorf("the new one is at %s", a.Path)
	}
	if again := h.Robot(t).Get(told[0]).Submit("code-submit", "code", first+told[1]); again.Status != http.StatusForbidden {
		t.Errorf("the invitation again: %d", again.Status)
	}
	// Deactivated, the next request is refused.
	all, err := h.Store.ListStaff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Name == "wang.fang" {
			if a := officer.Act(console.Order{Act: console.StaffDeactivate, Target: one.ID}, "离职，权限收回"); a.Status != http.StatusOK {
				t.Errorf("deactivating: %d", a.Status)
			}
		}
	}
	if a := r.Get("/console"); !strings.HasPrefix(a.Path, "/console/sign-in") {
		t.Errorf("somebody deactivated is at %s", a.Path)
	}
	if c := r.Get("/console/sign-in").Ceremony(); true {
		if a := r.JSON(c.Finish, c.CSRF, key.Sign(r.Get("/console/sign-in").Options())); a.Next() != "" || a.Status != http.StatusForbidden {
			t.Errorf("their key: %d %s", a.Status, a.Body)
		}
	}
	// The last administrator stays.
	if a := officer.Act(console.Order{Act: console.StaffDeactivate, Target: s.ID}, "试一试能不能全部停用"); a.Status != http.StatusConflict {
		t.Errorf("deactivating the last administrator: %d at %s", a.Status, a.Path)
	}
	if a := officer.Act(console.Order{Act: console.StaffDeactivate, Target: officer.Staff.ID}, "停用我自己的账户"); a.Status != http.StatusForbidden {
		t.Errorf("deactivating oneself: %d at %s", a.Status, a.Path)
	}
}

// TestStaffDoor: whatever is wrong at the console's door, the answer is one (SECURITY PW1),
// and what belongs to citizens opens nothing here, nor the other way round (G2).
func TestStaffDoor(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c, theirs := h.Citizen(t), h.Passkey(t, false)
	own := h.Robot(t)
	c.SignIn(own.Get("/account/security"))
	theirs.Register(own.Get("/account/passkeys"))
	desk := h.Join(t, console.Registrar)

	answers := map[string]string{}
	try := func(name string, r *house.Robot, sign func(options string) string) {
		t.Helper()
		a := r.Get("/console/sign-in")
		o := a.Ceremony()
		got := r.JSON(o.Finish, o.CSRF, sign(a.Options()))
		answers[fmt.Sprintf("%d %s", got.Status, got.Body)] += " " + name
		if got.Next() != "" || r.Cookies["__Host-staff"] != "" {
			t.Errorf("%s comes in: %d %s", name, got.Status, got.Body)
		}
	}
	try("a citizen's passkey", h.Robot(t), theirs.Sign)
	stranger := h.Passkey(t, false)
	try("a key nobody knows", h.Robot(t), stranger.Sign)
	try("an old challenge", h.Robot(t), func(string) string { return desk.Staff.Key.Sign(h.Robot(t).Get("/login").Options()) })
	try("a challenge of another browser", h.Robot(t), func(string) string { return desk.Staff.Key.Sign(h.Robot(t).Get("/console/sign-in").Options()) })
	if len(answers) != 1 {
		t.Errorf("the door answers differently: %v", answers)
	}
	// A key of staff is nobody's at the citizens' door.
	r := h.Robot(t)
	login := r.Get("/login")
	if a := r.JSON(login.Ceremony().Finish, login.Ceremony().CSRF, desk.Staff.Key.Sign(login.Options())); a.Next() != "" {
		t.Error("a key of staff signs a citizen in")
	}
	// A citizen's session is none here.
	if a := own.Get("/console"); !strings.HasPrefix(a.Path, "/console/sign-in") {
		t.Errorf("a citizen is at %s", a.Path)
	}
	if a := desk.Get("/account"); strings.HasPrefix(a.Path, "/account") {
		t.Errorf("staff are at %s", a.Path)
	}
	// Too many guesses from one source: right and wrong look the same.
	crowd := h.Robot(t)
	for range 30 {
		a := crowd.Get("/console/sign-in")
		crowd.JSON(a.Ceremony().Finish, a.Ceremony().CSRF, stranger.Sign(a.Options()))
	}
	a := crowd.Get("/console/sign-in")
	if got := crowd.JSON(a.Ceremony().Finish, a.Ceremony().CSRF, desk.Staff.Key.Sign(a.Options())); got.Status != http.StatusTooManyRequests {
		t.Errorf("after thirty guesses: %d", got.Status)
	}
	if a := desk.Staff.Key.SignIn(h.Robot(t).Get("/console/sign-in")); a.Path != "/console" {
		t.Errorf("from elsewhere: %s", a.Path)
	}
	// Idle, and at the end of the day.
	h.Clock.Advance(console.SessionIdle + time.Second)
	if a := desk.Get("/console"); !strings.HasPrefix(a.Path, "/console/sign-in") {
		t.Errorf("after a quarter of an hour: %s", a.Path)
	}
}

// TestStepUp: the passkey counts for one act on one subject, for five minutes, and the
// session has another token afterwards (SECURITY SS1, AD2).
func TestStepUp(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	one, two := h.Citizen(t), h.Citizen(t)
	desk := h.Join(t, console.DeviceOfficer)
	freeze := func(c *house.Citizen) console.Order { return console.Order{Act: console.CardFreeze, Citizen: c.ID} }
	before := desk.Cookies["__Host-staff"]
	page := desk.Open(console.ActPath(freeze(one), "/console"))
	if desk.Cookies["__Host-staff"] == before || !page.Has("act-confirm") {
		t.Error("stepping up left the token as it was")
	}
	old := desk.Clone(t)
	old.Cookies["__Host-staff"] = before
	if a := old.Get("/console"); !strings.HasPrefix(a.Path, "/console/sign-in") {
		t.Errorf("the token of before: %s", a.Path)
	}
	// For another citizen, or another act, it is none.
	for _, o := range []console.Order{freeze(two), {Act: console.LossReport, Citizen: one.ID, Value: "card"}} {
		action, form := page.Form("act-confirm")
		form.Set("citizen", o.Citizen.String())
		form.Set("value", o.Value)
		form.Set("reason", "电话核实为本人")
		form.Set("act-confirm", "1")
		if o.Act != console.CardFreeze {
			action = "/console/acts/" + string(o.Act)
		}
		if a := desk.Post(action, form); !strings.HasPrefix(a.Path, "/console/step-up") {
			t.Errorf("%s with a step-up for another: %s (%d)", o.Act, a.Path, a.Status)
		}
	}
	if a := page.Submit("act-confirm", "reason", "短"); a.Status != http.StatusBadRequest {
		t.Errorf("a reason too short: %d", a.Status)
	}
	if a := page.Submit("act-confirm", "reason", "身份证 110105194912310021"); a.Status != http.StatusBadRequest {
		t.Errorf("a number in the reason: %d", a.Status)
	}
	if a := page.Submit("act-confirm", "reason", "电话核实为本人", "extra", "1"); a.Status != http.StatusBadRequest {
		t.Errorf("a field nobody asked for: %d", a.Status)
	}
	h.Clock.Advance(console.StepUpLife)
	if a := page.Submit("act-confirm", "reason", "电话核实为本人"); !strings.HasPrefix(a.Path, "/console/step-up") {
		t.Errorf("after five minutes: %s", a.Path)
	}
	state(t, h, one, identity.CardNormal)
	if a := desk.Act(freeze(one), "电话核实为本人"); a.Status != http.StatusOK {
		t.Errorf("%d at %s", a.Status, a.Path)
	}
	state(t, h, one, identity.CardFrozen)
	state(t, h, two, identity.CardNormal)
}

// TestFourEyes: whoever presses how often and where, a request is carried out once, on
// both databases and two replicas.
func TestFourEyes(t *testing.T) {
	t.Parallel()
	for _, o := range []house.Options{{}, {Postgres: true, Replicas: 2}} {
		t.Run(map[bool]string{false: "sqlite", true: "postgres"}[o.Postgres], func(t *testing.T) {
			t.Parallel()
			h := house.Open(t, o)
			c := h.Citizen(t)
			asker := h.Join(t, console.Registrar)
			officers := []*house.Desk{h.Join(t, console.SecurityOfficer), h.Join(t, console.SecurityOfficer)}
			if a := asker.Act(console.Order{Act: console.CardFreeze, Citizen: c.ID}, "电话核实为本人"); a.Status != http.StatusOK {
				t.Fatalf("freezing: %d", a.Status)
			}
			path := house.RequestOf(asker.Act(console.Order{Act: console.CardUnfreeze, Citizen: c.ID}, "本人到柜台核验身份"))
			if path == "" {
				t.Fatal("no request")
			}
			if got := officers[0].Get(path).Text("whom"); !strings.Contains(got, c.Card[7:]) || strings.Contains(got, c.Card) || strings.Contains(got, c.Name) {
				t.Errorf("whoever approves sees %q", got)
			}
			// Nobody approves their own, by the form of somebody else's page either.
			if a := asker.Post(path+"/approve", url.Values{"csrf": {csrfOf(asker.Get("/console"))}, "request-approve": {"1"}}); a.Status == http.StatusOK && strings.Contains(a.Body, "chip-done") {
				t.Error("they approved their own")
			}
			state(t, h, c, identity.CardFrozen)
			// Both step up, then both press at once, on two replicas, several times.
			var forms []*house.Answer
			for _, d := range officers {
				a := d.Get(path).Submit("request-approve")
				forms = append(forms, d.Staff.Key.SignIn(a))
			}
			var pressing sync.WaitGroup
			var mu sync.Mutex
			statuses := map[int]int{}
			for i := range 8 {
				who := i % len(officers)
				r := officers[who].Clone(t)
				r.At = h.Replicas[i%len(h.Replicas)]
				action, form := forms[who].Form("request-approve")
				form.Set("request-approve", "1")
				pressing.Go(func() {
					a := r.PostOnce(action, form)
					mu.Lock()
					defer mu.Unlock()
					statuses[a.Status]++
				})
			}
			pressing.Wait()
			for status := range statuses {
				if status != http.StatusSeeOther && status != http.StatusConflict {
					t.Errorf("statuses: %v", statuses)
				}
			}
			state(t, h, c, identity.CardNormal)
			id, err := identity.ParseID(strings.TrimPrefix(path, "/console/requests/"))
			if err != nil {
				t.Fatal(err)
			}
			q, err := h.Store.StaffRequest(t.Context(), id)
			if err != nil || q.State != console.RequestDone || len(q.Warrants) != 1 || q.Warrants[0].State != console.WarrantDone {
				t.Errorf("%+v, %v", q, err)
			}
			// Frozen again, the old request does nothing.
			asker.Act(console.Order{Act: console.CardFreeze, Citizen: c.ID}, "又一次来电要求冻结")
			for _, d := range officers {
				d.Approve(path)
			}
			state(t, h, c, identity.CardFrozen)
			// Rejected and withdrawn ones neither.
			again := house.RequestOf(asker.Act(console.Order{Act: console.CardUnfreeze, Citizen: c.ID}, "本人到柜台核验身份"))
			no := officers[0].Get(again).Submit("request-reject", "reason", "照片与本人不符")
			if !strings.HasPrefix(no.Path, "/console/step-up") {
				t.Errorf("rejecting without a step-up: %d at %s", no.Status, no.Path)
			}
			if a := officers[0].Staff.Key.SignIn(no).Submit("request-reject", "reason", "照片与本人不符"); a.Status != http.StatusOK || a.Has("request-reject") {
				t.Errorf("rejecting: %d", a.Status)
			}
			if a := officers[1].Approve(again); strings.Contains(a.Body, "request-approve") {
				t.Error("a rejected request can be approved")
			}
			late := house.RequestOf(asker.Act(console.Order{Act: console.CardUnfreeze, Citizen: c.ID}, "本人到柜台核验身份"))
			h.Clock.Advance(console.RequestLife)
			fresh := h.Join(t, console.SecurityOfficer)
			if a := fresh.Approve(late); a.Has("request-approve") {
				t.Error("an expired request can be approved")
			}
			state(t, h, c, identity.CardFrozen)
			if _, err := h.Store.StaffRequest(t.Context(), identity.NewID()); !errors.Is(err, identity.ErrNotFound) {
				t.Error(err)
			}
		})
	}
}

// csrfOf is the token of a page's sign-out form.
func csrfOf(a *house.Answer) string {
	_, form := a.Form("sign-out")
	return form.Get("csrf")
}

// TestUnits: who serves another place sees neither the citizen nor what was asked about
// them, and that looks like nothing (SECURITY AD1).
func TestUnits(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	region, err := h.Store.RegionOf(t.Context(), c.ID)
	if err != nil || len(region) != 6 {
		t.Fatalf("%q, %v", region, err)
	}
	const elsewhere = "6505"
	join := func(unit string, roles ...console.Role) *house.Desk { return h.Invite(t, unit, roles...).Join(t) }
	asker, here, all := join(region[:4], console.Registrar, console.DeviceOfficer), join(region[:2], console.SecurityOfficer), join("", console.SecurityOfficer)
	narrow := join(region, console.SecurityOfficer)
	away, officer := join(elsewhere, console.Registrar, console.DeviceOfficer), join(elsewhere, console.SecurityOfficer)
	missing := away.Get("/console/nothing")
	freeze := console.Order{Act: console.CardFreeze, Citizen: c.ID}
	for _, path := range []string{console.ActPath(freeze, "/console"), console.ActPath(console.Order{Act: console.CardUnfreeze, Citizen: c.ID}, "/console"), "/console/citizens/" + c.ID.String()} {
		if a := away.Get(path); a.Status != missing.Status || a.Title() != missing.Title() {
			t.Errorf("%s from elsewhere: %d at %s", path, a.Status, a.Path)
		}
	}
	if a := asker.Act(freeze, "电话核实为本人"); a.Status != http.StatusOK {
		t.Fatalf("freezing: %d", a.Status)
	}
	path := house.RequestOf(asker.Act(console.Order{Act: console.CardUnfreeze, Citizen: c.ID}, "本人到柜台核验身份"))
	for _, d := range []*house.Desk{here, all, narrow} {
		if a := d.Get(path); !a.Has("request-approve") || !strings.Contains(d.Get("/console/requests").Body, path) || !strings.Contains(d.Get("/console").Body, path) {
			t.Errorf("unit %q: %d", d.Staff.Name, a.Status)
		}
	}
	if a := officer.Get(path); a.Status != missing.Status || a.Title() != missing.Title() {
		t.Errorf("the request from elsewhere: %d", a.Status)
	}
	for _, list := range []string{"/console/requests", "/console"} {
		if strings.Contains(officer.Get(list).Body, path) {
			t.Errorf("%s shows it to somebody elsewhere", list)
		}
	}
	for _, verb := range []string{"approve", "reject", "withdraw", "continue"} {
		form := url.Values{"csrf": {csrfOf(officer.Get("/console"))}}
		if verb == "reject" {
			form.Set("reason", "没有任何理由")
		}
		if a := officer.Post(path+"/"+verb, form); a.Status != missing.Status {
			t.Errorf("%s from elsewhere: %d", verb, a.Status)
		}
	}
	state(t, h, c, identity.CardFrozen)
	narrow.Approve(path)
	state(t, h, c, identity.CardNormal)
}

// TestRoleChange: asked for by an administrator, approved by a security officer, in force
// with the next request of whom it concerns; nobody changes their own.
func TestRoleChange(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	admin, officer, other := h.Join(t, console.Administrator), h.Join(t, console.SecurityOfficer), h.Join(t, console.Administrator)
	who := h.Join(t, console.Registrar)
	page := func(of identity.ID) string { return "/console/staff/" + of.String() + "/roles" }
	if a := admin.Get(page(admin.Staff.ID)); a.Status != http.StatusForbidden {
		t.Errorf("their own roles: %d", a.Status)
	}
	form := url.Values{"csrf": {csrfOf(admin.Get("/console"))}, "role-security-officer": {"on"}, "unit": {""}, "staff-submit": {"1"}}
	if a := admin.Post(page(admin.Staff.ID), form); a.Status != http.StatusForbidden {
		t.Errorf("changing their own roles: %d", a.Status)
	}
	own := console.Order{Act: console.StaffRoles, Target: admin.Staff.ID, Value: console.Appointment{Roles: []console.Role{console.SecurityOfficer}}.Value()}
	if a := admin.Get(console.ActPath(own, "/console")); a.Status != http.StatusForbidden {
		t.Errorf("the act on themselves: %d", a.Status)
	}
	for _, value := range []string{"", "{}", `{"roles":["king"]}`, `{"roles":["auditor","registrar"]}`, `{"roles":["auditor"],"more":1}`, `{"name":"x","roles":["auditor"]}`} {
		o := console.Order{Act: console.StaffRoles, Target: who.Staff.ID, Value: value}
		if a := admin.Get(console.ActPath(o, "/console")); a.Status != http.StatusBadRequest || a.Has("act-confirm") {
			t.Errorf("%q: %d", value, a.Status)
		}
	}
	a := admin.Get(page(who.Staff.ID)).Submit("staff-submit", "role-device-officer", "on", "role-registrar", "on")
	if strings.HasPrefix(a.Path, "/console/step-up") {
		a = admin.Staff.Key.SignIn(a)
	}
	path := house.RequestOf(a.Submit("act-confirm", "reason", "轮岗到设备窗口"))
	if path == "" {
		t.Fatalf("no request, at %s", a.Path)
	}
	if a := other.Approve(path); a.Has("request-approve") || !strings.Contains(a.Path, "/console/requests/") && a.Status != http.StatusNotFound {
		t.Errorf("another administrator approves: %d at %s", a.Status, a.Path)
	}
	if a := who.Get("/console"); a.Path != "/console" {
		t.Errorf("before anybody approved: %s", a.Path)
	}
	officer.Approve(path)
	if a := who.Get("/console"); !strings.HasPrefix(a.Path, "/console/sign-in") {
		t.Errorf("with the roles of before: %s", a.Path)
	}
	if a := who.Staff.Key.SignIn(who.Get("/console/sign-in")); !strings.Contains(a.Body, "设备专员") {
		t.Error("the new role is not there")
	}
	// A security officer does not approve what concerns themselves.
	a = admin.Get(page(officer.Staff.ID)).Submit("staff-submit", "unit", "1101", "role-security-officer", "on")
	if strings.HasPrefix(a.Path, "/console/step-up") {
		a = admin.Staff.Key.SignIn(a)
	}
	path = house.RequestOf(a.Submit("act-confirm", "reason", "限定辖区范围"))
	if a := officer.Get(path); a.Has("request-approve") || a.Has("request-reject") {
		t.Error("they may answer what concerns themselves")
	}
}

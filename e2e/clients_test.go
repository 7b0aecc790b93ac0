package e2e

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/oauth"
)

// drafted registers an application as an operator does who leaves the rest to the console.
func drafted(t *testing.T, h *house.House, id string) *house.Relying {
	t.Helper()
	p := h.Relying(t, id)
	all, _, err := h.Store.AllClients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.ID == id {
			c.State = oauth.ClientDraft
			if err := h.Store.ApplyClient(t.Context(), c, audit.Event{Kind: audit.ClientApplied, At: h.Clock.Now(), Actor: audit.ByOperator, Client: id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

// come asks for a citizen and says where the browser ended.
func come(h *house.House, t *testing.T, p *house.Relying, c *house.Citizen) *house.Answer {
	t.Helper()
	a := h.Robot(t).Get(p.Ask("openid profile").Path())
	if a.Has("login-submit") {
		a = c.SignIn(a)
	}
	return a
}

// settled waits until every replica sees what was done: the registry of another may be
// seconds behind.
func settled(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within ten seconds", what)
		}
	}
}

// TestAdmission walks an application from draft to withdrawn (issue item 6).
func TestAdmission(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	tester, other := h.Citizen(t), h.Citizen(t)
	admin, second, officer := h.Join(t, console.Administrator), h.Join(t, console.Administrator), h.Join(t, console.SecurityOfficer)
	p := drafted(t, h, "walked")
	file := "/console/clients/walked"

	settled(t, "a draft is served", func() bool { return come(h, t, p, tester).Status == http.StatusBadRequest })

	// The record: a form behind a passkey. A mistake comes back with what was typed.
	form := admin.Open(file + "/admission")
	day := func(days int) string { return h.Clock.Now().AddDate(0, 0, days).Format("2006-01-02") }
	fields := []string{"assessor", "市网信办", "reference", "2026-17", "assessed", day(-1), "expires", day(20), "scope-0", "1", "scope-1", "1", "zh-1", "《社会保险法》", "en-1", "Social Insurance Law"}
	wrong := form.Submit("record-save", append(fields, "testers", "nobody", "reason", "填写接入资料")...)
	if wrong.Status != http.StatusBadRequest || wrong.Text("problem") == "" || !strings.Contains(wrong.Body, "市网信办") {
		t.Errorf("a mistake: %d %q", wrong.Status, wrong.Text("problem"))
	}
	a := wrong.Submit("record-save", append(fields, "testers", tester.ID.String(), "reason", "填写接入资料")...)
	if a.Status != http.StatusOK || !strings.HasPrefix(a.Path, file) || !strings.Contains(a.Body, "《社会保险法》") {
		t.Fatalf("the record: %d at %s", a.Status, a.Path)
	}
	// What was put on paper for another revision is not carried out.
	stale := admin.Get(file)
	step := func(d *house.Desk, from *house.Answer, id, reason string) *house.Answer {
		t.Helper()
		a := from.Click(id)
		if strings.HasPrefix(a.Path, "/console/step-up") {
			a = d.Staff.Key.SignIn(a)
		}
		if !a.Has("act-confirm") {
			return a
		}
		return a.Submit("act-confirm", "reason", reason)
	}
	if a := step(admin, stale, "client-testing", "开始联调测试"); a.Status != http.StatusOK || a.Path != file+"?notice=done" {
		t.Fatalf("to testing: %d at %s", a.Status, a.Path)
	}
	if a := step(admin, stale, "client-testing", "再来一次看看"); a.Status != http.StatusConflict {
		t.Errorf("the same again: %d at %s", a.Status, a.Path)
	}
	settled(t, "tested", func() bool { return come(h, t, p, tester).Has("consent-allow") })
	consent := come(h, t, p, tester)
	if !strings.Contains(consent.Body, "《社会保险法》") {
		t.Error("the legal basis is not on the consent page")
	}
	if a := come(h, t, p, other); a.Status != http.StatusForbidden || a.Has("consent-allow") {
		t.Errorf("somebody else: %d at %s", a.Status, a.Path)
	}
	if a := step(admin, admin.Get(file), "client-assessed", "测评已经通过"); a.Status != http.StatusOK {
		t.Fatalf("to assessed: %d at %s", a.Status, a.Path)
	}

	// To live: somebody asks, two others say yes, and it is done once.
	filed := step(admin, admin.Get(file), "client-admit", "资料齐全，申请上线")
	request := house.RequestOf(filed)
	if request == "" {
		t.Fatalf("no request but %d at %s", filed.Status, filed.Path)
	}
	if a := admin.Get(request); a.Has("request-approve") {
		t.Error("their own request can be approved")
	}
	if a := officer.Approve(request); a.Status != http.StatusOK || live(t, h, "walked") {
		t.Fatalf("one approval: %d, live %v", a.Status, live(t, h, "walked"))
	}
	if a := second.Approve(request); a.Status != http.StatusOK || !live(t, h, "walked") {
		t.Fatalf("two approvals: %d, live %v", a.Status, live(t, h, "walked"))
	}
	settled(t, "live", func() bool { return come(h, t, p, other).Has("consent-allow") })

	// Asking for more than was admitted is refused, and counted on the chart.
	r := h.Robot(t)
	if got := r.Get(p.Ask("openid phone").Path()); !strings.Contains(got.Location+got.Path, "invalid_scope") && got.Status != http.StatusBadRequest {
		t.Errorf("over-asking: %d at %s", got.Status, got.Location)
	}

	// A live application's record is for others to approve.
	renewal := admin.Open(file + "/admission")
	filed = renewal.Submit("record-save", append(fields, "expires", day(400), "testers", "", "reason", "续期评估完成")...)
	if request = house.RequestOf(filed); request == "" {
		t.Fatalf("no request but %d at %s", filed.Status, filed.Path)
	}
	// Changed meanwhile, it is not what was asked for any more.
	q := p.Ask("openid profile")
	b := h.Robot(t)
	in := other.SignIn(b.Get(q.Path()))
	if in.Has("consent-allow") {
		in = in.Submit("consent-allow")
	}
	tokens := q.Redeem(q.Came(in.Location).Get("code"))
	if a := b.Get("/account/consents"); !strings.Contains(a.Body, "《社会保险法》") {
		t.Error("the legal basis is not on the citizen's page")
	}
	if a := officer.Act(console.Order{Act: console.ClientSuspend, Client: "walked"}, "发现违规使用数据"); a.Status != http.StatusOK {
		t.Fatalf("suspending: %d at %s", a.Status, a.Path)
	}
	if status, _ := p.Userinfo(tokens.Access); status != http.StatusUnauthorized {
		t.Errorf("userinfo of a suspended application: %d", status)
	}
	if a := officer.Approve(request); a.Status != http.StatusConflict {
		t.Errorf("approving what was asked of it before: %d at %s", a.Status, a.Path)
	}
	if a := second.Get(file); !a.Has("client-admit") || a.Has("client-suspend") {
		t.Error("the steps from suspended")
	}

	filed = second.Act(console.Order{Act: console.ClientWithdraw, Client: "walked"}, "业务已经终止")
	if a := officer.Approve(house.RequestOf(filed)); a.Status != http.StatusOK {
		t.Errorf("withdrawing: %d at %s", a.Status, a.Path)
	}
	if a := admin.Get(file); a.Has("client-admit") || a.Has("client-withdraw") {
		t.Error("a withdrawn application goes on")
	}
}

func live(t *testing.T, h *house.House, id string) bool {
	t.Helper()
	all, _, err := h.Store.AllClients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.ID == id {
			return c.State == oauth.ClientLive
		}
	}
	return false
}

// TestWatching: the auditor searches and exports, the security officer sees to an alarm,
// and nobody does the other's.
func TestWatching(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	auditor, officer := h.Join(t, console.Auditor), h.Join(t, console.SecurityOfficer)
	note := func(kind audit.Kind, reason string) {
		t.Helper()
		if err := h.Store.Record(t.Context(), audit.Event{Kind: kind, At: h.Clock.Now(), Actor: audit.BySystem, Client: "watched", Citizen: c.ID, Reason: reason}); err != nil {
			t.Fatal(err)
		}
	}
	note("test.watch", `=HYPERLINK("http://evil.example")`)
	for range 60 {
		note("test.many", "x")
	}
	note("alarm.test", "")

	a := auditor.Get("/console/audit").Submit("audit-find", "kind", "test.watch")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "HYPERLINK") || strings.Contains(a.Body, "test.many") {
		t.Fatalf("searching: %d at %s", a.Status, a.Path)
	}
	// By a number of somebody's, which does not go into an address.
	a = auditor.Get("/console/audit").Submit("audit-find", "kind", "test.", "number", c.Card)
	if a.Status != http.StatusOK || !strings.Contains(a.Path, "citizen="+c.ID.String()) || strings.Contains(a.Path, c.Card) {
		t.Errorf("by card: %d at %s", a.Status, a.Path)
	}
	if a := auditor.Get("/console/audit").Submit("audit-find", "number", "A00000000"); a.Status != http.StatusNotFound || a.Text("problem") == "" {
		t.Errorf("by nobody's card: %d", a.Status)
	}
	// Pages go on by tokens that are this list's and this person's.
	a = auditor.Get("/console/audit?kind=test.many")
	next := a.Click("audit-next")
	if next.Status != http.StatusOK || !strings.Contains(next.Body, "test.many") {
		t.Errorf("the next page: %d at %s", next.Status, next.Path)
	}
	moved := strings.Replace(next.Path, "test.many", "test.watch", 1)
	if a := auditor.Get(moved); a.Status != http.StatusNotFound {
		t.Errorf("a token of another search: %d at %s", a.Status, moved)
	}
	for _, odd := range []string{"kind=%00", "since=yesterday", "kind=a%20b"} {
		if a := auditor.Get("/console/audit?" + odd); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", odd, a.Status)
		}
	}

	// The export: a passkey, a reason, an entry, a file whose cells are no formulas.
	form := auditor.Open("/console/audit/export?kind=test.watch")
	if a := form.Submit("export-csv", "reason", "x"); a.Status != http.StatusBadRequest {
		t.Errorf("without a reason: %d", a.Status)
	}
	file := form.Submit("export-csv", "reason", "年度审计抽查")
	rows, err := csv.NewReader(strings.NewReader(file.Body)).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][9] != `'=HYPERLINK("http://evil.example")` || rows[2][0] != "end" || rows[2][1] != "1" {
		t.Errorf("%v, %v", rows, err)
	}
	if a := form.Submit("export-ndjson", "reason", "年度审计抽查"); strings.Count(a.Body, "\n") != 2 || !strings.HasSuffix(a.Body, "{\"end\":1}\n") {
		t.Errorf("%q", a.Body)
	}
	if a := auditor.Get("/console/audit?kind=audit.export"); strings.Count(a.Body, "<code>audit.export</code>") != 2 {
		t.Error("the exports are not in the trail")
	}
	if a := officer.Get("/console/audit"); a.Status != http.StatusNotFound {
		t.Errorf("the trail is the officer's: %d", a.Status)
	}

	// An alarm is seen to once, by who may.
	alarms := officer.Get("/console/alarms")
	if !strings.Contains(alarms.Body, "alarm.test") {
		t.Fatal("the alarm is not there")
	}
	if a := auditor.Get("/console/alarms"); a.Status != http.StatusOK || strings.Contains(a.Body, "alarm.see") {
		t.Errorf("the auditor does more than read: %d", a.Status)
	}
	_, after, _ := strings.Cut(alarms.Body, "/console/acts/alarm.see?")
	query, _, _ := strings.Cut(after, `"`)
	v, err := url.ParseQuery(strings.ReplaceAll(query, "&amp;", "&"))
	if err != nil {
		t.Fatal(err)
	}
	order := console.Order{Act: console.AlarmSee, Value: v.Get("value")}
	if a := officer.Act(order, "已核查，是压力测试"); a.Status != http.StatusOK {
		t.Fatalf("seeing to it: %d at %s", a.Status, a.Path)
	}
	if a := officer.Act(order, "第二次再处理"); a.Status != http.StatusConflict {
		t.Errorf("twice: %d at %s", a.Status, a.Path)
	}
	if a := officer.Get("/console/alarms"); !strings.Contains(a.Body, "已核查，是压力测试") {
		t.Error("the note is not there")
	}
	if a := officer.Get("/console/streams"); a.Status != http.StatusOK {
		t.Errorf("streams: %d", a.Status)
	}
}

// TestWatchingUnit: whoever serves one division sees its citizens' entries and no others.
func TestWatchingUnit(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	file, err := h.Store.FileOf(t.Context(), c.ID, h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	near := h.Invite(t, file.Region[:4], console.Auditor).Join(t)
	far := h.Invite(t, "6501", console.Auditor).Join(t)
	if a := near.Get("/console/audit"); a.Status != http.StatusBadRequest {
		t.Errorf("the whole trail: %d", a.Status)
	}
	of := "/console/audit?citizen=" + c.ID.String()
	if a := near.Get(of); a.Status != http.StatusOK {
		t.Errorf("a citizen of theirs: %d", a.Status)
	}
	for _, path := range []string{of, "/console/audit?citizen=" + identity.NewID().String()} {
		if a := far.Get(path); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
}

// TestClientPages: what administrators and auditors see, in a browser and in both languages.
func TestClientPages(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	c := h.Citizen(t)
	p := h.Relying(t, "seen")
	gather(t, h, p, c, c.SignIn)
	for range 3 {
		h.Robot(t).Get(p.Ask("openid nothing").Path())
	}
	if err := h.Store.Record(t.Context(), audit.Event{Kind: audit.SprayingSuspected, At: h.Clock.Now(), Actor: audit.BySystem, Detail: map[string]string{"count": "500"}}); err != nil {
		t.Fatal(err)
	}
	days := []oauth.Usage{{ClientID: "seen", Day: oauth.DayNumber(h.Clock.Now()), Codes: 40, Refreshes: 12, Refusals: 3, Overasked: 1}, {ClientID: "seen", Day: oauth.DayNumber(h.Clock.Now()) - 3, Codes: 90}}
	if err := h.Store.AddUsage(t.Context(), days); err != nil {
		t.Fatal(err)
	}
	for i, lang := range []string{"zh-CN", "en"} {
		suffix := []string{"", "-en"}[i]
		for role, pages := range map[console.Role][]string{
			console.Administrator: {"clients", "clients/seen", "clients/seen/admission", "streams"}, console.Auditor: {"audit", "audit/export?kind=client.", "alarms"},
		} {
			tab := browser.New(t, browser.Speaking(lang))
			tab.Passkey(browser.Passkey{})
			s := h.Invite(t, "", role)
			tab.Go(s.Link)
			tab.Fill("#code", s.Code)
			tab.Press("#code-submit")
			tab.Click("#passkey-create")
			tab.WaitURL("/console/sign-in")
			tab.Click("#passkey-login")
			tab.WaitText("#staff-name", s.Name)
			for _, page := range pages {
				tab.Go(h.Issuer + "/console/" + page)
				if strings.Contains(tab.URL(), "/step-up") {
					tab.Click("#passkey-login")
					name, _, _ := strings.Cut(page, "?")
					tab.WaitURL("/console/" + name)
				}
				name, _, _ := strings.Cut(page, "?")
				view(t, tab, "console-"+strings.ReplaceAll(name, "/", "-")+suffix)
			}
		}
	}
}

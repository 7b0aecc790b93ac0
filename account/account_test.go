package account

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/identity"
	"ecardid/templates"
)

func TestPages(t *testing.T) {
	r := newRoom(t)
	for path, words := range map[string][]string{
		homePath:     {"王*", "白日依山尽", "Chrome · Android", "198.51.100.0/24"},
		securityPath: {"My &lt;key&gt;", r.mine.passkey, `href="/account/passkeys"`},
		passwordPath: {`name="current"`, `name="password"`},
		passkeyPath:  {`data-options-url="/account/passkeys/options"`, `data-finish-url="/account/passkeys/finish"`},
		devicesPath:  {"This one", "Lost", r.mine.device, `href="/account/devices/phone"`},
		phonePath:    {"the-code", `data-poll-url="/account/devices/phone/state?since=1800000000000"`},
		sessionsPath: {"Firefox · Linux", r.mine.session},
		consentsPath: {"养老金", `value="pension"`},

		activityPath:  {"Signed in", "Staff looked at your file", "来电 &lt;咨询&gt;", `href="/account/activity?page=`},
		relativesPath: {"A******78", "张**", r.ties[2].ID.String(), `value="relative-report"`, "At most 5 people"},
		dataPath:      {`id="data-take"`, `href="/account/close"`},
		closePath:     {`name="confirm"`, "close my account"},
	} {
		w := r.get(path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
		for _, word := range words {
			if !strings.Contains(w.Body.String(), word) {
				t.Errorf("%s lacks %q", path, word)
			}
		}
		for _, theirs := range []string{r.theirs.device, r.theirs.session, "Forgotten", ">Old<", `value="bank"`, "not for people", "203.0.113.0", "staff:0123"} {
			if strings.Contains(w.Body.String(), theirs) {
				t.Errorf("%s shows %q", path, theirs)
			}
		}
	}
	if w := r.get(recoveryPath); w.Code != http.StatusSeeOther || w.Header().Get("Location") != securityPath {
		t.Errorf("recovery: %d", w.Code)
	}
	if w := r.get(signOutPath); w.Header().Get("Location") != logoutPath {
		t.Errorf("GET sign-out: %d", w.Code)
	}
}

func TestFirstLogin(t *testing.T) {
	r := newRoom(t)
	r.logins, r.account.Factors = r.logins[:1], authn.Factors{}
	if w := r.get(homePath); w.Code != http.StatusOK {
		t.Fatal(w.Code)
	}
	if home := r.shown.Page.(templates.AccountHome); !home.LastLogin.At.IsZero() || !home.WeakLogin || home.Devices != 2 || home.Sessions != 1 || home.Consents != 1 {
		t.Errorf("%+v", home)
	}
}

// change is one thing that can be done, as a browser asks for it.
type change struct {
	name string
	path string
	form []string
	done string // what the neighbours did
	next string // where the browser goes
}

func (r *room) changes() []change {
	return []change{
		{"passkey-rename", securityPath, []string{"do", "passkey-rename", "id", r.mine.passkey, "name", "Home"}, "rename passkey Home", "/account/security?notice=saved"},
		{"passkey-remove", securityPath, []string{"do", "passkey-remove", "id", r.mine.passkey}, "remove passkey", "/account/security?notice=removed"},
		{"totp-remove", securityPath, []string{"do", "totp-remove"}, "remove totp", "/account/security?notice=removed"},
		{"recovery-renew", securityPath, []string{"do", "recovery-renew"}, "renew recovery", ""},
		{"password", passwordPath, []string{"password-submit", "1", "current", "old", "password", "new"}, "password old→new", "/account/security?notice=password-changed"},
		{"device-rename", devicesPath, []string{"do", "device-rename", "id", r.mine.device, "name", "Work"}, "rename device Work", "/account/devices?notice=saved"},
		{"device-end", devicesPath, []string{"do", "device-end", "id", r.mine.device}, "end device revoked", "/account/devices?notice=device-ended"},
		{"session-end", sessionsPath, []string{"do", "session-end", "id", r.mine.session}, "end login", "/account/sessions?notice=session-ended"},
		{"session-end-own", sessionsPath, []string{"do", "session-end", "id", r.login.ID.String()}, "sign-out", "/signed-out"},
		{"sessions-end-others", sessionsPath, []string{"do", "sessions-end-others"}, "end other logins", "/account/sessions?notice=sessions-ended"},
		{"consent-withdraw", consentsPath, []string{"do", "consent-withdraw", "id", r.mine.client}, "withdraw pension", "/account/consents?notice=consent-withdrawn"},
		{"relative-name", relativesPath, []string{"do", "relative-name", "card", "B12345678"}, "name B12345678", "/account/relatives?notice=relative-asked"},
		{"relative-agree", relativesPath, []string{"do", "relative-agree", "id", r.ties[1].ID.String()}, "agree", "/account/relatives?notice=saved"},
		{"relative-end", relativesPath, []string{"do", "relative-end", "id", r.ties[0].ID.String()}, "end tie", "/account/relatives?notice=removed"},
		{"relative-report", relativesPath, []string{"do", "relative-report", "id", r.ties[2].ID.String(), "what", "card"}, "report card", "/lost/receipt/7Q2M-K9RX-41TB"},
		{"data-take", dataPath, []string{"data-take", "1"}, "take data.take", ""},
	}
}

func TestChanges(t *testing.T) {
	for i, c := range newRoom(t).changes() {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t)
			c := r.changes()[i]
			w := r.post(c.path, c.form...)
			if !slices.Equal(r.done, []string{c.done}) {
				t.Fatalf("%d, done %q", w.Code, r.done)
			}
			if c.next == "" {
				return
			}
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != c.next || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
			}
			if strings.Contains(c.next, "notice") {
				r.get(c.next)
				if !noticeOf(t, r.shown.Page).Given() {
					t.Error("the page does not say so")
				}
			}
		})
	}
}

func noticeOf(t *testing.T, p templates.Page) templates.Message {
	t.Helper()
	switch p := p.(type) {
	case templates.AccountSecurity:
		return p.Notice
	case templates.AccountDevices:
		return p.Notice
	case templates.AccountSessions:
		return p.Notice
	case templates.AccountConsents:
		return p.Notice
	case templates.AccountRelatives:
		return p.Notice
	}
	t.Fatalf("a %T says nothing", p)
	return templates.Message{}
}

func TestNotSignedIn(t *testing.T) {
	for i := range newRoom(t).changes() {
		r := newRoom(t)
		c := r.changes()[i]
		r.login = identity.Login{}
		w := r.post(c.path, c.form...)
		if w.Code != http.StatusSeeOther || len(r.done) != 0 || len(r.raised) != 1 || r.raised[0].back != c.path || r.raised[0].need.Level != identity.LevelBasic {
			t.Errorf("%s: %d, done %q, raised %+v", c.name, w.Code, r.done, r.raised)
		}
	}
	r := newRoom(t)
	r.login = identity.Login{}
	for _, route := range r.routes {
		if route.Method != http.MethodGet || route.Pattern == signOutPath {
			continue
		}
		path := strings.Replace(route.Pattern, "{id}", identity.NewID().String(), 1)
		r.raised = nil
		w := r.get(path + "?notice=saved")
		if strings.HasSuffix(path, "/state") {
			if w.Code != http.StatusForbidden {
				t.Errorf("%s: %d", path, w.Code)
			}
			continue
		}
		if len(r.raised) != 1 || r.raised[0].back != path || r.shown.Page != nil {
			t.Errorf("%s: %d, raised %+v", path, w.Code, r.raised)
		}
	}
	// An id that is none must not become a way back.
	r.raised = nil
	r.get("/account/totp/%0d%0aSet-Cookie:x")
	if len(r.raised) != 1 || r.raised[0].back != homePath {
		t.Errorf("raised %+v", r.raised)
	}
}

// TestStale: five minutes after the last proof nothing is changed; the same citizen
// proves it again and comes back to the page.
func TestStale(t *testing.T) {
	for i := range newRoom(t).changes() {
		r := newRoom(t)
		c := r.changes()[i]
		r.stale()
		w := r.post(c.path, c.form...)
		if w.Code != http.StatusSeeOther || len(r.done) != 0 || len(r.raised) != 1 {
			t.Errorf("%s: %d, done %q, raised %+v", c.name, w.Code, r.done, r.raised)
			continue
		}
		if got := r.raised[0]; got.back != c.path || got.need.Level != identity.LevelMFA || got.need.Citizen != r.login.Citizen || got.need.Since.IsZero() {
			t.Errorf("%s: raised %+v", c.name, got)
		}
	}
	r := newRoom(t)
	r.stale()
	for path, asks := range map[string]bool{
		homePath: false, devicesPath: false, sessionsPath: false, consentsPath: false, activityPath: false, relativesPath: false, dataPath: false, closePath: true,
		securityPath: true, passwordPath: true, totpPath + "/x": true, passkeyPath: true, phonePath: true,
	} {
		r.raised = nil
		r.get(path)
		if (len(r.raised) == 1) != asks || len(r.done) != 0 {
			t.Errorf("%s: raised %+v, done %q", path, r.raised, r.done)
		}
	}
}

// TestStaleMeanwhile: what authn says counts, whatever this room thought before.
func TestStaleMeanwhile(t *testing.T) {
	r := newRoom(t)
	r.err = authn.ErrNotFresh
	if w := r.post(securityPath, "do", "totp-remove"); w.Code != http.StatusSeeOther || len(r.raised) != 1 || r.raised[0].back != securityPath {
		t.Errorf("%d, raised %+v", w.Code, r.raised)
	}
}

// TestSomebodyElses: ids of another citizen's things are ids of nothing.
func TestSomebodyElses(t *testing.T) {
	r := newRoom(t)
	foreign := identity.NewID()
	r.proposal = authn.TOTPFactor{ID: foreign, Citizen: identity.NewID()}
	for _, c := range []struct {
		path string
		form []string
	}{
		{securityPath, []string{"do", "passkey-rename", "id", r.theirs.passkey, "name", "x"}},
		{securityPath, []string{"do", "passkey-remove", "id", r.theirs.passkey}},
		{devicesPath, []string{"do", "device-rename", "id", r.theirs.device, "name", "x"}},
		{devicesPath, []string{"do", "device-end", "id", r.theirs.device}},
		{sessionsPath, []string{"do", "session-end", "id", r.theirs.session}},
		{consentsPath, []string{"do", "consent-withdraw", "id", r.theirs.client}},
		{consentsPath, []string{"do", "consent-withdraw"}},
		{totpPath + "/" + foreign.String(), []string{"code-submit", "1", "code", "123456"}},
		{totpPath + "/nothing", []string{"code-submit", "1", "code", "123456"}},
		{securityPath, []string{"do", "passkey-remove", "id", "' OR 1=1"}},
		{devicesPath, []string{"do", "device-end"}},
		{sessionsPath, []string{"do", "session-end", "id", ""}},
	} {
		if w := r.post(c.path, c.form...); w.Code != http.StatusNotFound || len(r.done) != 0 {
			t.Errorf("%s %q: %d, done %q", c.path, c.form, w.Code, r.done)
		}
	}
	if w := r.get(totpPath + "/" + foreign.String()); w.Code != http.StatusNotFound {
		t.Errorf("somebody else's seed: %d", w.Code)
	}
}

func TestOddForms(t *testing.T) {
	r := newRoom(t)
	for _, path := range []string{securityPath, passwordPath, devicesPath, phonePath, sessionsPath, consentsPath, totpPath + "/" + identity.NewID().String()} {
		for name, c := range map[string]struct {
			contentType, body string
			want              int
		}{
			"nothing":         {formType, "", 400},
			"unknown act":     {formType, "do=everything", 400},
			"act of a prefix": {formType, "do=session", 400},
			"twice":           {formType, "do=totp-remove&do=totp-remove", 400},
			"broken escape":   {formType, "do=%zz", 400},
			"not text":        {formType, "do=%ff", 400},
			"nul":             {formType, "do=totp-remove&name=%00", 400},
			"json":            {jsonType, `{"do":"totp-remove"}`, 415},
			"plain":           {"text/plain", "do=totp-remove", 415},
			"large":           {formType, "do=" + strings.Repeat("a", 70<<10), 413},
		} {
			if w := r.raw(path, c.contentType, c.body); w.Code != c.want || len(r.done) != 0 {
				t.Errorf("%s, %s: %d, done %q", path, name, w.Code, r.done)
			}
		}
	}
	// An act of one page is none of another's.
	if w := r.post(devicesPath, "do", "totp-remove"); w.Code != http.StatusBadRequest {
		t.Errorf("another page's act: %d", w.Code)
	}
	if w := r.raw(signOutPath, jsonType, "{}"); w.Code != http.StatusUnsupportedMediaType || len(r.done) != 0 {
		t.Errorf("signing out with JSON: %d", w.Code)
	}
}

func TestNoes(t *testing.T) {
	password := []string{"password-submit", "1", "current", "a", "password", "b"}
	for _, c := range []struct {
		err    error
		path   string
		form   []string
		status int
		says   templates.Key
	}{
		{authn.ErrLastFactor, securityPath, []string{"do", "totp-remove"}, 409, templates.ProblemLastFactor},
		{authn.ErrWrong, passwordPath, password, 403, templates.ProblemPasswordWrong},
		{authn.ErrThrottled, passwordPath, password, 429, templates.ProblemThrottled},
		{&authn.WeakPassword{Problem: templates.ProblemPasswordShort, Min: 8}, passwordPath, password, 422, templates.ProblemPasswordShort},
		{authn.ErrBusy, passwordPath, password, 503, ""},
		{identity.ErrSpent, securityPath, []string{"do", "totp-remove"}, 409, ""},
		{authn.ErrThrottled, securityPath, []string{"do", "totp-remove"}, 429, ""},
		{errors.New("the database is read-only"), securityPath, []string{"do", "recovery-renew"}, 500, ""},
	} {
		r := newRoom(t)
		r.err = c.err
		w := r.post(c.path, c.form...)
		if w.Code != c.status || strings.Contains(w.Body.String(), "database") || strings.Contains(w.Body.String(), "AAAA-BBBB") {
			t.Errorf("%v: %d", c.err, w.Code)
		}
		if c.status == 503 && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if c.says != "" && (!strings.Contains(w.Body.String(), `id="problem"`) || r.shown.Path != c.path) {
			t.Errorf("%v: the page does not say %s", c.err, c.says)
		}
	}
	r := newRoom(t)
	for _, c := range []change{
		{path: securityPath, form: []string{"do", "passkey-rename", "id", r.mine.passkey, "name", " "}},
		{path: devicesPath, form: []string{"do", "device-rename", "id", r.mine.device}},
	} {
		if w := r.post(c.path, c.form...); w.Code != http.StatusUnprocessableEntity || r.shown.Path != c.path {
			t.Errorf("nameless: %d", w.Code)
		}
	}
	r.fault = errors.New("no database")
	if w := r.get(homePath); w.Code != http.StatusInternalServerError || len(r.raised) != 0 {
		t.Errorf("a fault: %d, raised %+v", w.Code, r.raised)
	}
	r = newRoom(t)
	r.err = errors.New("no database")
	if w := r.post(signOutPath, "sign-out", "1"); w.Code != http.StatusInternalServerError {
		t.Errorf("signing out that failed: %d", w.Code)
	}
}

func TestSignOut(t *testing.T) {
	r := newRoom(t)
	r.stale() // nobody has to prove anything to leave
	w := r.post(signOutPath, "sign-out", "1")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != signedOutPath || !slices.Equal(r.done, []string{"sign-out"}) {
		t.Errorf("%d, done %q", w.Code, r.done)
	}
}

func TestNotice(t *testing.T) {
	r := newRoom(t)
	for query, says := range map[string]bool{
		"?notice=saved": true, "?notice=removed": true, "?notice=phone-added": true,
		"?notice=": false, "?notice=Your+account+is+locked,+call+0900": false, "?notice=saved&notice=saved": false, "": false,
	} {
		w := r.get(securityPath + query)
		if got := r.shown.Page.(templates.AccountSecurity).Notice.Given(); got != says || strings.Contains(w.Body.String(), "0900") {
			t.Errorf("%q: %v", query, got)
		}
	}
	if page := r.shown.Page.(templates.AccountSecurity); !page.PasswordChanged.Equal(r.clock.Now().Add(-time.Hour)) {
		t.Errorf("password changed %v", page.PasswordChanged)
	}
}

func TestWithdrawalIsWrittenDown(t *testing.T) {
	r := newRoom(t)
	r.post(consentsPath, "do", "consent-withdraw", "id", "pension")
	if len(r.events) != 1 {
		t.Fatal("no entry")
	}
	if e := r.events[0]; e.Kind != audit.ConsentWithdrawn || e.Citizen != r.login.Citizen || e.Login != r.login.ID || e.Client != "pension" || !e.Notify || e.Place == "" || e.At.IsZero() {
		t.Errorf("%+v", e)
	}
}

func TestDevices(t *testing.T) {
	r := newRoom(t)
	r.get(devicesPath)
	var names []string
	for _, d := range r.shown.Page.(templates.AccountDevices).Devices {
		names = append(names, d.Name.String())
		if d.Current != (d.Name == "This one") {
			t.Errorf("%s: current %v", d.Name, d.Current)
		}
	}
	if !slices.Equal(names, []string{"This one", "Phone", "Lost"}) {
		t.Error(names)
	}
}

func TestNew(t *testing.T) {
	if s, err := New(Parts{Origin: "https://login.ecard.test/"}); err == nil || s != nil {
		t.Error("half a room")
	}
}

// TestDocumentedActs: the forms of the pages post what this room understands
// (templates/doc.go).
func TestDocumentedActs(t *testing.T) {
	s := &Service{}
	for _, c := range []struct {
		acts acts
		want []string
	}{
		{s.securityActs(), []string{"passkey-remove", "passkey-rename", "recovery-renew", "totp-add", "totp-remove"}},
		{s.deviceActs(), []string{"device-end", "device-lost", "device-rename", "device-restore"}},
		{s.sessionActs(), []string{"session-end", "sessions-end-others"}},
		{s.consentActs(), []string{"consent-withdraw"}},
	} {
		var got []string
		for name := range c.acts.do {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

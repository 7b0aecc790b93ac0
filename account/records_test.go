package account

import (
	"encoding/json"
	"errors"
	"log/slog"
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

// TestActivityPages: every entry of the citizen's is on one page, and only theirs; a page
// token is nothing to anybody else (SECURITY AD4).
func TestActivityPages(t *testing.T) {
	r := newRoom(t)
	seen, path, pages := 0, activityPath, 0
	var token string
	for path != "" {
		if w := r.get(path); w.Code != http.StatusOK {
			t.Fatalf("%s: %d", path, w.Code)
		}
		page, ok := r.shown.Page.(templates.AccountActivity)
		if !ok {
			t.Fatalf("%T", r.shown.Page)
		}
		if len(page.Entries) > activityShown || (page.NewestURL == "") != (pages == 0) {
			t.Errorf("page %d: %d entries, newest at %q", pages, len(page.Entries), page.NewestURL)
		}
		if page.OlderURL != "" {
			token = page.OlderURL
		}
		seen, path, pages = seen+len(page.Entries), page.OlderURL, pages+1
	}
	if seen != 69 || pages != 3 {
		t.Errorf("%d entries on %d pages", seen, pages)
	}
	for _, odd := range []string{
		activityPath + "?page=", activityPath + "?page=AAAA", token + "A", token + "=", token + "&page=" + strings.Repeat("A", 32),
		token + "%0A", token + "%0D%0A", token[:len(token)-4] + "%0D" + token[len(token)-4:], // other spellings of a token that is good
		activityPath + "?page=" + strings.Repeat("A", 32), activityPath + "?page=%00",
	} {
		if w := r.get(odd); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", odd, w.Code)
		}
	}
	r.login.Citizen = identity.NewID()
	if w := r.get(token); w.Code != http.StatusBadRequest {
		t.Errorf("somebody else's page: %d", w.Code)
	}
}

// FuzzPageToken: no token but ours opens a page.
func FuzzPageToken(f *testing.F) {
	r := newRoom(f)
	s, err := New(Parts{
		Logins: r.fake, Factors: r.fake, Devices: r.fake, Consents: r.fake, Records: r.fake, Relatives: r.fake, Origin: "https://login.ecard.test",
		Keyed: func(m []byte) ([]byte, error) { return append([]byte("0123456789abcdef"), m...), nil },
		Place: func(*http.Request) string { return "" }, Render: func(http.ResponseWriter, *http.Request, authn.Answer) {},
		Say: func(*http.Request, templates.Message) string { return "" }, Clock: r.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	mine, err := s.pageToken(r.login.Citizen, 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mine)
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		req := get(activityPath)
		q := req.URL.Query()
		q.Set("page", token)
		req.URL.RawQuery = q.Encode()
		below, err := s.pageOf(&visit{r: req, login: r.login})
		if err != nil {
			if !errors.Is(err, errBadRequest) || below != 0 {
				t.Errorf("%q: %d, %v", token, below, err)
			}
			return
		}
		if again, err := s.pageToken(r.login.Citizen, below); err != nil || again != token {
			t.Errorf("%q opens %d, whose token is %q, %v", token, below, again, err)
		}
	})
}

// TestTaken: the copy is a file for the person in front of the browser, and holds what staff
// gave as a reason but not why we judged as we did.
func TestTaken(t *testing.T) {
	r := newRoom(t)
	w := r.post(dataPath, "data-take", "1")
	h := w.Header()
	if w.Code != http.StatusOK || h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment; filename=") ||
		!strings.HasPrefix(h.Get("Content-Type"), "application/json") {
		t.Fatalf("%d %v", w.Code, h)
	}
	var taken struct {
		IDNumber string `json:"id_number"`
		Activity []struct{ What, By, Reason string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &taken); err != nil {
		t.Fatal(err)
	}
	if taken.IDNumber != "11010519491231002X" || len(taken.Activity) != 69 || taken.Activity[1].By != "staff" || taken.Activity[1].Reason == "" || taken.Activity[2].Reason != "" {
		t.Errorf("%+v", taken)
	}
	if strings.Contains(w.Body.String(), "staff:0123") {
		t.Error("it names a member of staff")
	}
	// Nothing leaves that the trail does not know.
	r.err = errors.New("read-only database")
	if w := r.post(dataPath, "data-take", "1"); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "002X") {
		t.Errorf("%d", w.Code)
	}
}

// TestClosing: only the phrase, in the language of the page, closes the account; then the
// browser is signed out and sent to our goodbye.
func TestClosing(t *testing.T) {
	r := newRoom(t)
	for _, typed := range []string{"", "yes", "close", "注销账户", "close my accounts"} {
		if w := r.post(closePath, "close-submit", "1", "confirm", typed); w.Code != http.StatusUnprocessableEntity || len(r.done) != 0 {
			t.Errorf("%q: %d, done %q", typed, w.Code, r.done)
		}
	}
	r.err = identity.ErrEnded
	if w := r.post(closePath, "close-submit", "1", "confirm", "close my account"); w.Code != http.StatusConflict || len(r.done) != 0 {
		t.Errorf("ended meanwhile: %d, done %q", w.Code, r.done)
	}
	w := r.post(closePath, "close-submit", "1", "confirm", " Close  my account ")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != closedPath || !slices.Equal(r.done, []string{"close closed", "sign-out"}) {
		t.Errorf("%d to %q, done %q", w.Code, w.Header().Get("Location"), r.done)
	}
}

// TestRelativesSayNo: what cannot be is said on the page, and names nobody.
func TestRelativesSayNo(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		form   []string
		status int
		says   templates.Key
	}{
		{"no card", nil, []string{"do", "relative-name", "card", ""}, http.StatusUnprocessableEntity, templates.ProblemCard},
		{"enough", identity.ErrConflict, []string{"do", "relative-name", "card", "B12345678"}, http.StatusConflict, templates.ProblemRelatives},
		{"too often", authn.ErrThrottled, []string{"do", "relative-name", "card", "B12345678"}, http.StatusTooManyRequests, templates.ProblemTomorrow},
		{"reported", identity.ErrConflict, []string{"do", "relative-report", "id", "", "what", "phone"}, http.StatusConflict, templates.ProblemReported},
		{"reports", authn.ErrThrottled, []string{"do", "relative-report", "id", "", "what", "phone"}, http.StatusTooManyRequests, templates.ProblemTomorrow},
		{"a purse", nil, []string{"do", "relative-report", "id", "", "what", "purse"}, http.StatusBadRequest, ""},
	} {
		r := newRoom(t)
		r.err = c.err
		if len(c.form) > 5 {
			c.form[3] = r.ties[2].ID.String()
		}
		w := r.post(relativesPath, c.form...)
		page, _ := r.shown.Page.(templates.AccountRelatives)
		if w.Code != c.status || page.Problem.Key != c.says || len(r.done) != 0 {
			t.Errorf("%s: %d %q, done %q", c.name, w.Code, page.Problem.Key, r.done)
		}
	}
}

// TestLastUse: agreeing is a use, and the latest one counts.
func TestLastUse(t *testing.T) {
	r := newRoom(t)
	now := r.clock.Now()
	list := r.consented[r.login.Citizen]
	list[0].Since = now.Add(-48 * time.Hour)
	for _, c := range []struct {
		uses map[string]time.Time
		want time.Time
	}{{nil, list[0].Since}, {map[string]time.Time{"pension": now.Add(-time.Hour)}, now.Add(-time.Hour)}} {
		r.uses = c.uses
		r.get(consentsPath)
		if got := r.shown.Page.(templates.AccountConsents).Consents[0].LastUsed; !got.Equal(c.want) {
			t.Errorf("last used %v, want %v", got, c.want)
		}
	}
}

// TestActorOf: which member of staff it was is not for the page.
func TestActorOf(t *testing.T) {
	for actor, want := range map[string]templates.Actor{
		"citizen": templates.BySelf, "staff:0a": templates.ByStaff, string(audit.ByOperator): templates.ByStaff, "client:pension": templates.ByClient,
		"system": templates.BySystem, "": templates.BySystem,
	} {
		if got := actorOf(actor); got != want {
			t.Errorf("%q is %q", actor, got)
		}
	}
}

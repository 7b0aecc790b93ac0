package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/issue"
	"ecardid/oauth/logout"
	"ecardid/storage"
)

const goodbye = "https://rp.example/bye?office=1"

func (h *house) leaver(id, more string) oauth.Client {
	return h.client(`{"client_id":"` + id + `","client_name":"Office","redirect_uris":["` + callback + `"],
		"post_logout_redirect_uris":["` + goodbye + `"],"scope":"openid card.basic"` + more + `}`)
}

// A session is one browser that has signed in to a relying party.
type session struct {
	b   *browser
	id  string // ID token
	sid string
}

func (h *house) session(client string) session {
	h.t.Helper()
	b := h.browser()
	b.signIn(0, password(), totp())
	return h.join(b, client)
}

// join signs the browser's citizen in to a client.
func (h *house) join(b *browser, client string) session {
	h.t.Helper()
	status, out := h.call("/token", client, redeem(b.code(ask("client_id", client))))
	if status != http.StatusOK {
		h.t.Fatalf("status %d: %v", status, out)
	}
	s := session{b: b, id: out["id_token"].(string)}
	var claims struct {
		SID string `json:"sid"`
	}
	h.claims(s.id, &claims)
	if s.sid = claims.SID; len(s.sid) < 22 {
		h.t.Fatalf("sid is %q", s.sid)
	}
	return s
}

// loggedIn reports whether prompt=none still works.
func (s session) loggedIn(client string) bool {
	v := answer(s.b.h.t, s.b.get("/authorize?"+ask("client_id", client, "prompt", "none").Encode()))
	return v.Get("code") != ""
}

// end asks for the end of the session and follows to the page that asks or leaves.
func (s session) end(changes ...string) (location string) {
	s.b.h.t.Helper()
	v := url.Values{}
	for i := 0; i < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
	}
	w := s.b.get("/end-session?" + v.Encode())
	if to := w.Header().Get("Location"); strings.HasPrefix(to, logout.ConfirmPath+"?") {
		if strings.Contains(to, s.id) {
			s.b.h.t.Error("the ID token stands in a second URL")
		}
		w = s.b.get(to)
	}
	return w.Header().Get("Location")
}

func TestEndSession(t *testing.T) {
	h := newHouse(t)
	h.leaver("office-a", "")
	h.leaver("office-b", "")
	s := h.session("office-a")
	elsewhere := h.session("office-a") // the same citizen in another browser
	stranger := h.join(s.b, "office-b")
	forged := s.id[:len(s.id)-6] + "AAAAAA"
	unsigned := "eyJhbGciOiJub25lIn0." + strings.Split(s.id, ".")[1] + "."

	for name, params := range map[string][]string{
		"unregistered-uri":    {"id_token_hint", s.id, "post_logout_redirect_uri", "https://rp.example/bye"},
		"uri-with-more":       {"id_token_hint", s.id, "post_logout_redirect_uri", goodbye + "&x=1"},
		"uri-elsewhere":       {"id_token_hint", s.id, "post_logout_redirect_uri", "https://evil.example/"},
		"uri-without-client":  {"post_logout_redirect_uri", goodbye},
		"forged-hint":         {"id_token_hint", forged, "post_logout_redirect_uri", goodbye},
		"unsigned-hint":       {"id_token_hint", unsigned, "post_logout_redirect_uri", goodbye},
		"hint-of-another":     {"id_token_hint", stranger.id, "client_id", "office-a", "post_logout_redirect_uri", goodbye},
		"unknown-client":      {"client_id", "nobody", "post_logout_redirect_uri", goodbye},
		"state-too-long":      {"id_token_hint", s.id, "state", strings.Repeat("x", 5000)},
		"access-token-in-url": {"id_token_hint", s.id, "access_token", "x"},
	} {
		if to := s.end(params...); to != "" || h.pages.fault == nil || h.pages.confirm != nil {
			t.Errorf("%s: sent to %q, fault %v", name, to, h.pages.fault)
		}
	}
	if !s.loggedIn("office-a") {
		t.Fatal("a refused request ended the session")
	}
	// Without a hint of this very session the citizen is asked (SECURITY OI3).
	for name, params := range map[string][]string{
		"bare":                  {},
		"state-only":            {"state", "x"},
		"client-only":           {"client_id", "office-a"},
		"client-and-uri":        {"client_id", "office-a", "post_logout_redirect_uri", goodbye},
		"hint-of-elsewhere":     {"id_token_hint", elsewhere.id, "post_logout_redirect_uri", goodbye},
		"unknown-ignored":       {"banana", "1"},
		"logout-hint-is-a-hint": {"logout_hint", "me"},
	} {
		if to := s.end(params...); to != "" || h.pages.confirm == nil {
			t.Errorf("%s: sent to %q and not asked", name, to)
		}
	}
	if !s.loggedIn("office-a") {
		t.Fatal("asking ended the session")
	}
	// The right hint ends it, there and then, and leads back byte by byte.
	if to := s.end("id_token_hint", s.id, "post_logout_redirect_uri", goodbye, "state", "a b"); to != goodbye+"&state=a+b" {
		t.Errorf("sent to %q", to)
	}
	if s.loggedIn("office-a") || !elsewhere.loggedIn("office-a") {
		t.Error("the wrong session ended")
	}
	// Again, and later with a token that has expired: signed out is signed out.
	h.clock.Advance(time.Hour)
	if to := s.end("id_token_hint", s.id, "post_logout_redirect_uri", goodbye); to != goodbye {
		t.Errorf("the second time sent to %q", to)
	}
}

// The citizen says yes; and a post from another site brings no cookie and ends
// nothing by itself.
func TestEndSessionByHand(t *testing.T) {
	h := newHouse(t)
	h.leaver("office-a", "")
	s := h.session("office-a")
	w := s.b.post("/end-session", url.Values{"client_id": {"office-a"}, "post_logout_redirect_uri": {goodbye}, "state": {"x"}})
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, logout.ConfirmPath) {
		t.Fatalf("status %d to %q", w.Code, to)
	}
	s.b.get(to)
	if h.pages.confirm == nil || h.pages.confirm.Asker == nil || h.pages.confirm.Asker.Host != "rp.example" {
		t.Fatalf("asked %+v", h.pages.confirm)
	}
	path := h.pages.confirm.Path
	if s.b.post(path, url.Values{}); h.pages.fault == nil || !s.loggedIn("office-a") {
		t.Error("a form without the button counted")
	}
	for name, bad := range map[string]string{
		"edited": edited(path), "none": logout.ConfirmPath, "short": path[:len(path)-4],
	} {
		if s.b.post(bad, url.Values{"logout-confirm": {"1"}}); h.pages.fault == nil {
			t.Errorf("ticket %s was taken", name)
		}
	}
	w = s.b.post(path, url.Values{"logout-confirm": {"1"}})
	if got := w.Header().Get("Location"); got != goodbye+"&state=x" {
		t.Errorf("sent to %q", got)
	}
	if s.loggedIn("office-a") {
		t.Error("still signed in")
	}
	h.clock.Advance(16 * time.Minute)
	if s.b.get(path); h.pages.fault == nil {
		t.Error("an old ticket was taken")
	}
}

// edited flips one bit in the middle of a ticket.
func edited(path string) string {
	b := []byte(path)
	at := len(b) / 2
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

// Whoever only looks ends nothing, and learns nothing from the ticket.
func TestLookingEndsNothing(t *testing.T) {
	h := newHouse(t)
	h.leaver("office-a", "")
	s := h.session("office-a")
	for _, hint := range []string{"", s.id} {
		v := url.Values{}
		if hint != "" {
			v.Set("id_token_hint", hint)
		}
		to := h.browser().get("/end-session?" + v.Encode()).Header().Get("Location")
		if strings.Contains(to, s.sid) || strings.Contains(to, "ticket=ey") {
			t.Errorf("the ticket can be read: %s", to)
		}
		if w := s.b.do(httptest.NewRequest(http.MethodHead, to, nil)); w.Header().Get("Location") != "" || !s.loggedIn("office-a") {
			t.Errorf("HEAD led to %q", w.Header().Get("Location"))
		}
	}
}

// A client that never redeemed its code was in no session and hears nothing.
func TestUnredeemedHearsNothing(t *testing.T) {
	h := newHouse(t)
	h.leaver("office-a", `,"backchannel_logout_uri":"https://rp.example/back","frontchannel_logout_uri":"https://rp.example/front"`)
	b := h.browser()
	b.signIn(0, password(), totp())
	b.code(ask("client_id", "office-a"))
	to := b.get("/end-session").Header().Get("Location")
	b.get(to)
	to = b.post(h.pages.confirm.Path, url.Values{"logout-confirm": {"1"}}).Header().Get("Location")
	if b.get(to); h.pages.done == nil || len(h.pages.done.Frames) != 0 {
		t.Errorf("frames: %+v", h.pages.done)
	}
	box := &mailbox{status: http.StatusOK}
	if n, err := h.postman(box).Round(t.Context()); n != 0 || err != nil {
		t.Errorf("%d farewells, %v", n, err)
	}
}

func TestFrontChannel(t *testing.T) {
	h := newHouse(t)
	front := `,"frontchannel_logout_uri":"https://rp.example/front?x=1","frontchannel_logout_session_required":true`
	h.leaver("office-a", front)
	h.leaver("office-b", front)
	h.leaver("office-c", "")
	s := h.session("office-a")
	b := h.join(s.b, "office-b")
	h.join(s.b, "office-c")
	if s.sid == b.sid {
		t.Error("two clients can join sessions by sid")
	}
	done := s.end("id_token_hint", s.id, "post_logout_redirect_uri", goodbye)
	if !strings.HasPrefix(done, logout.DonePath+"?") {
		t.Fatalf("sent to %q", done)
	}
	s.b.get(done)
	want := []string{}
	for _, sid := range []string{s.sid, b.sid} {
		want = append(want, "https://rp.example/front?x=1&"+url.Values{"iss": {issuer}, "sid": {sid}}.Encode())
	}
	got := h.pages.done
	if got == nil || got.Return != goodbye {
		t.Fatalf("page is %+v", got)
	}
	slices.Sort(want)
	slices.Sort(got.Frames)
	if !slices.Equal(got.Frames, want) {
		t.Errorf("frames are %v, want %v", got.Frames, want)
	}
}

// mailbox is a relying party's back-channel endpoint.
type mailbox struct {
	mu     sync.Mutex
	got    map[string][]string // bodies by URL
	status int
	err    error
}

func (m *mailbox) Post(_ context.Context, to, media string, body []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return 0, m.err
	}
	if media != "application/x-www-form-urlencoded" {
		return 415, nil
	}
	if m.got == nil {
		m.got = map[string][]string{}
	}
	m.got[to] = append(m.got[to], string(body))
	return m.status, nil
}

func (m *mailbox) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, all := range m.got {
		n += len(all)
	}
	return n
}

func (h *house) postman(m *mailbox) *logout.Postman {
	return &logout.Postman{
		Outbox: h.store, Registry: h.registry, Issuer: &issue.Issuer{Name: issuer, Keys: h.keys, Subjects: h.subjects},
		Sender: m, Clock: h.clock, Log: slog.New(slog.DiscardHandler),
	}
}

func TestBackChannel(t *testing.T) {
	h := newHouse(t)
	back := func(n string) string { return `,"backchannel_logout_uri":"https://rp.example/back` + n + `"` }
	h.leaver("office-a", back("a"))
	h.leaver("office-b", back("b"))
	h.leaver("office-c", "")
	s := h.session("office-a")
	h.join(s.b, "office-b")
	h.join(s.b, "office-c")
	quiet := h.session("office-a") // another browser: not told
	h.join(s.b, "office-a")        // a second grant of one session is one farewell
	box := &mailbox{status: http.StatusServiceUnavailable}
	post := h.postman(box)
	round := func() int {
		t.Helper()
		n, err := post.Round(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if round() != 0 {
		t.Fatal("somebody is told of nothing")
	}
	s.end("id_token_hint", s.id)
	if n := round(); n != 2 || box.count() != 2 {
		t.Fatalf("%d farewells, %d delivered, want 2", n, box.count())
	}
	if round() != 0 {
		t.Error("tried again at once")
	}
	h.clock.Advance(5 * time.Second)
	box.err = errors.New("down")
	if round() != 2 {
		t.Error("not tried again")
	}
	h.clock.Advance(20 * time.Second)
	box.err, box.status, box.got = nil, http.StatusNoContent, nil
	if round() != 2 || box.count() != 2 {
		t.Fatal("not delivered at last")
	}
	h.clock.Advance(time.Hour)
	if round() != 0 {
		t.Error("delivered and still in the outbox")
	}
	form, err := url.ParseQuery(box.got["https://rp.example/backa"][0])
	if err != nil || len(form) != 1 {
		t.Fatalf("posted %v", form)
	}
	var claims map[string]any
	if header := h.claims(form.Get("logout_token"), &claims); !header.Is("logout+jwt") {
		t.Errorf("typ is %q", header.Type)
	}
	var id struct{ Sub string }
	h.claims(s.id, &id)
	life := claims["exp"].(float64) - claims["iat"].(float64)
	events, _ := json.Marshal(claims["events"])
	if claims["sid"] != s.sid || claims["sub"] != id.Sub || claims["aud"] != "office-a" || claims["iss"] != issuer || claims["jti"] == "" ||
		string(events) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` || claims["nonce"] != nil || life <= 0 || life > 120 {
		t.Errorf("claims are %v", claims)
	}
	if !quiet.loggedIn("office-a") {
		t.Error("another session ended")
	}
}

// However a session ends, its relying parties hear of it; if it only runs out, they
// do not, for nothing happened.
func TestEverybodyIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(h *house, login identity.Login) error
		want int
	}{
		"ended": {func(h *house, l identity.Login) error {
			return h.store.EndLogin(h.t.Context(), l.Citizen, l.ID, audit.Event{Kind: audit.LoginEnded, At: h.clock.Now(), Actor: audit.ByCitizen, Citizen: l.Citizen, Login: l.ID})
		}, 1},
		"others ended": {func(h *house, l identity.Login) error {
			return h.store.EndOtherLogins(h.t.Context(), l.Citizen, identity.NewID(), audit.Event{Kind: audit.LoginEnded, At: h.clock.Now(), Actor: audit.ByCitizen, Citizen: l.Citizen})
		}, 1},
		"frozen": {func(h *house, l identity.Login) error {
			return h.store.SetCardState(h.t.Context(), l.Citizen, identity.CardFrozen, audit.Event{
				Kind: audit.CitizenFrozen, At: h.clock.Now(), Actor: audit.BySystem, Citizen: l.Citizen,
			})
		}, 1},
		"run out": {func(h *house, _ identity.Login) error {
			h.clock.Advance(13 * time.Hour)
			_, err := h.store.Sweep(h.t.Context(), h.clock.Now())
			return err
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.leaver("office-a", `,"backchannel_logout_uri":"https://rp.example/back"`)
			s := h.session("office-a")
			login, err := h.logins.Current(s.b.request())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.end(h, login); err != nil {
				t.Fatal(err)
			}
			box := &mailbox{status: http.StatusOK}
			if n, err := h.postman(box).Round(t.Context()); err != nil || n != c.want || box.count() != c.want {
				t.Errorf("%d farewells, %d delivered: %v", n, box.count(), err)
			}
		})
	}
}

var _ logout.Outbox = (*storage.Store)(nil)

func (b *browser) request() *http.Request {
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{}}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r.WithContext(b.h.t.Context())
}

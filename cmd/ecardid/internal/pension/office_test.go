package pension

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
)

// world is the office, a browser, and an identity provider that answers what it is told.
type world struct {
	t       *testing.T
	op      *httptest.Server
	office  *httptest.Server
	browser *http.Client
	key     jose.Key
	clock   *clock.Manual

	asked   url.Values     // the last authorization request
	claims  map[string]any // put over the right ones
	token   map[string]any // put over the right token answer
	refused bool
	posted  url.Values // the last token request

	counter  jose.Key       // the payments' key, as registered
	pushed   map[string]any // the last request object
	nonce    string         // that proofs have to have
	jkt      string         // of the last proof
	asserted map[string]bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.At(time.Now())}
	var err error
	if w.key, err = jose.Generate(jose.ES256, "k1"); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	w.op = httptest.NewServer(mux)
	t.Cleanup(w.op.Close)
	answer := func(rw http.ResponseWriter, v any) {
		rw.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(rw).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, map[string]any{
			"issuer": w.op.URL, "authorization_endpoint": w.op.URL + "/authorize", "token_endpoint": w.op.URL + "/token",
			"jwks_uri": w.op.URL + "/jwks", "userinfo_endpoint": w.op.URL + "/userinfo",
			"end_session_endpoint": w.op.URL + "/end-session", "pushed_authorization_request_endpoint": w.op.URL + "/par", "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/jwks", func(rw http.ResponseWriter, _ *http.Request) {
		set, err := jose.NewSet(w.key)
		if err != nil {
			t.Error(err)
		}
		answer(rw, set)
	})
	mux.HandleFunc("/token", w.serveToken)
	mux.HandleFunc("/par", w.servePush)
	mux.HandleFunc("/userinfo", func(rw http.ResponseWriter, r *http.Request) {
		if token, bound := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); bound {
			w.proved(r, token)
		}
		answer(rw, map[string]any{"sub": "s1", "name": "王秀英"})
	})

	holder := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	w.office = httptest.NewServer(holder)
	t.Cleanup(w.office.Close)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if w.counter, err = jose.ParseJWK(public); err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{
		Issuer: w.op.URL, ClientID: "pension-office", ClientSecret: secret.Of("s3cret"), BaseURL: w.office.URL,
		Counter: Counter{ClientID: "pension-counter", KeyID: "c1", Key: private},
		Clock:   w.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.office.Config.Handler = o
	w.browser = newBrowser(t)
	return w
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *world) serveToken(rw http.ResponseWriter, r *http.Request) {
	id, pass, _ := r.BasicAuth()
	if r.Header.Get("DPoP") != "" {
		w.servePaid(rw, r)
		return
	}
	if err := r.ParseForm(); err != nil || w.refused || id != "pension-office" || pass != "s3cret" {
		http.Error(rw, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	w.posted = r.PostForm
	now := w.clock.Now()
	all := map[string]any{
		"iss": w.op.URL, "sub": "s1", "aud": "pension-office", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(),
		"nonce": w.asked.Get("nonce"), "acr": w.asked.Get("acr_values"), "amr": []string{"pwd", "otp"}, "sid": "sid-1",
	}
	for k, v := range w.claims {
		all[k] = v
	}
	signed, err := jose.Sign(w.key, "JWT", all)
	if err != nil {
		w.t.Error(err)
	}
	out := map[string]any{"access_token": "opaque", "token_type": "Bearer", "refresh_token": "r1", "id_token": signed, "expires_in": 300}
	for k, v := range w.token {
		out[k] = v
	}
	rw.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(rw).Encode(out); err != nil {
		w.t.Error(err)
	}
}

// press posts a form of the office.
func (w *world) press(path string, form url.Values) (*http.Response, string) {
	w.t.Helper()
	resp, err := w.browser.PostForm(w.office.URL+path, form)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, body(w.t, resp)
}

func (w *world) get(path string) (*http.Response, string) {
	w.t.Helper()
	resp, err := w.browser.Get(w.office.URL + path)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, body(w.t, resp)
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// begin presses a button and notes what the identity provider is asked.
func (w *world) begin(level string) {
	w.t.Helper()
	resp, text := w.press("/signin", url.Values{"level": {level}})
	if resp.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("signing in: %d %s", resp.StatusCode, text)
	}
	u, err := resp.Location()
	if err != nil || !strings.HasPrefix(u.String(), w.op.URL+"/authorize?") {
		w.t.Fatalf("sent to %v, %v", u, err)
	}
	w.asked = u.Query()
}

// back is the answer a faithful provider sends.
func (w *world) back() url.Values {
	return url.Values{"code": {"c1"}, "state": {w.asked.Get("state")}, "iss": {w.op.URL}}
}

func TestSigningInStepByStep(t *testing.T) {
	w := newWorld(t)
	w.begin("mfa")
	if w.asked.Get("code_challenge_method") != "S256" || w.asked.Get("acr_values") != "urn:ecardid:acr:mfa" || w.asked.Get("scope") != "openid profile pension.read" || len(w.asked.Get("nonce")) < 22 {
		t.Errorf("asked: %v", w.asked)
	}
	if resp, text := w.get("/callback?" + w.back().Encode()); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("coming back: %d %s", resp.StatusCode, text)
	}
	if w.posted.Get("code_verifier") == "" || w.posted.Get("redirect_uri") != w.office.URL+"/callback" {
		t.Errorf("redeemed with %v", w.posted)
	}
	_, text := w.get("/")
	for _, want := range []string{`id="signed-in"`, "urn:ecardid:acr:mfa", "pwd otp", `id="refresh"`, `id="userinfo"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(text, "opaque\"") || strings.Contains(text, "r1") {
		t.Error("a token is on the page")
	}
	if resp, _ := w.press("/userinfo", nil); resp.StatusCode != http.StatusSeeOther {
		t.Error("userinfo failed")
	}
	if resp, _ := w.press("/refresh", nil); resp.StatusCode != http.StatusSeeOther || w.posted.Get("refresh_token") != "r1" {
		t.Errorf("refresh: %d %v", resp.StatusCode, w.posted)
	}
	// A refresh that answers for somebody else is refused.
	w.claims = map[string]any{"sub": "s2"}
	if resp, text := w.press("/refresh", nil); resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, `data-code="id-token"`) {
		t.Errorf("another person's refresh: %d", resp.StatusCode)
	}
	w.press("/signout", nil)
	if _, text := w.get("/"); strings.Contains(text, `id="signed-in"`) {
		t.Error("still signed in")
	}
}

func TestAnswersThatAreNotBelieved(t *testing.T) {
	for _, test := range []struct {
		name   string
		claims map[string]any
		token  map[string]any
		spoil  func(w *world, q url.Values)
		code   string
	}{
		{"nothing-wrong", nil, nil, func(*world, url.Values) {}, ""},
		{"another-state", nil, nil, func(_ *world, q url.Values) { q.Set("state", "x") }, "state"},
		{"no-state", nil, nil, func(_ *world, q url.Values) { q.Del("state") }, "state"},
		{"state-twice", nil, nil, func(_ *world, q url.Values) { q.Add("state", "x") }, "answer"},
		// The link that somebody else began and sends to a victim.
		{"another-browser", nil, nil, func(w *world, _ url.Values) { w.browser = newBrowser(w.t) }, "state"},
		{"too-late", nil, nil, func(w *world, _ url.Values) { w.clock.Advance(attemptLife) }, "state"},
		{"another-issuer", nil, nil, func(_ *world, q url.Values) { q.Set("iss", "https://op.example") }, "issuer"},
		{"no-issuer", nil, nil, func(_ *world, q url.Values) { q.Del("iss") }, "issuer"},
		{"refused-code", nil, nil, func(w *world, _ url.Values) { w.refused = true }, "exchange"},
		{"another-nonce", map[string]any{"nonce": "n"}, nil, nil, "nonce"},
		{"another-audience", map[string]any{"aud": "pharmacy"}, nil, nil, "id-token"},
		{"another-issuer-in-the-token", map[string]any{"iss": "https://op.example"}, nil, nil, "id-token"},
		{"expired-token", map[string]any{"exp": 1}, nil, nil, "id-token"},
		{"no-id-token", nil, map[string]any{"id_token": nil}, nil, "id-token"},
		{"unsigned", nil, map[string]any{"id_token": "eyJhbGciOiJub25lIn0.e30."}, nil, "id-token"},
		{"less-than-asked", map[string]any{"acr": "urn:ecardid:acr:mfa"}, nil, nil, "acr"},
		{"an-unknown-acr", map[string]any{"acr": "urn:other:high"}, nil, nil, "acr"},
		{"more-than-asked", map[string]any{"acr": "urn:ecardid:acr:live"}, nil, nil, ""},
		{"an-error", nil, nil, func(_ *world, q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", "<script>alert(1)</script>")
		}, "access_denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.claims, w.token = test.claims, test.token
			w.begin("bound")
			q := w.back()
			if test.spoil != nil {
				test.spoil(w, q)
			}
			resp, text := w.get("/callback?" + q.Encode())
			_, home := w.get("/")
			if test.code == "" {
				if resp.StatusCode != http.StatusSeeOther || !strings.Contains(home, `id="signed-in"`) {
					t.Errorf("got %d", resp.StatusCode)
				}
				return
			}
			if !strings.Contains(text, `id="error"`) || !strings.Contains(text, `data-code="`+test.code+`"`) || strings.Contains(text, "<script>") {
				t.Errorf("got %d: %s", resp.StatusCode, text)
			}
			if strings.Contains(home, `id="signed-in"`) {
				t.Error("signed in all the same")
			}
		})
	}
}

func TestAnAnswerCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.begin("basic")
	link := "/callback?" + w.back().Encode()
	if resp, _ := w.get(link); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("first: %d", resp.StatusCode)
	}
	if resp, text := w.get(link); resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, `data-code="state"`) {
		t.Errorf("second: %d", resp.StatusCode)
	}
}

func TestFormsOfOthersAndOddRequests(t *testing.T) {
	w := newWorld(t)
	req, err := http.NewRequest(http.MethodPost, w.office.URL+"/signin", strings.NewReader("level=basic"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := w.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body(t, resp); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form: %d", resp.StatusCode)
	}
	for path, want := range map[string]int{"/nowhere": 404, "/callback?%zz": 400, "/style.css": 200} {
		if resp, _ := w.get(path); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if resp, _ := w.press("/signin", url.Values{"level": {"king"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no such level: %d", resp.StatusCode)
	}
	if resp, _ := w.press("/refresh", nil); resp.StatusCode != http.StatusConflict {
		t.Errorf("refresh of nothing: %d", resp.StatusCode)
	}
	w.press("/language", url.Values{"to": {"en"}})
	if _, text := w.get("/"); !strings.Contains(text, `<html lang="en">`) || !strings.Contains(text, "Demonstration.") {
		t.Error("no English page")
	}
}

// TestEverySentenceIsThereTwice: what fails has words in both languages.
func TestEverySentenceIsThereTwice(t *testing.T) {
	for _, code := range []string{"state", "issuer", "answer", "provider", "exchange", "id-token", "nonce", "acr", "refresh", "no-refresh", "userinfo", "signed-out", "forged", "refused", "busy", "level", "not-found", "push", "payment", leftHere, leftEverywhere, leftFront, leftBack} {
		if sentence(code, "zh-CN") == "" || sentence(code, "en") == "" {
			t.Errorf("%s has no sentence in both languages", code)
		}
	}
}

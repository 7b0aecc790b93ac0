package standin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/liveness/standin"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type stand struct {
	*testing.T
	p     *standin.Provider
	clock *clock.Manual
	ours  jose.Key
	keys  jose.Set // the stand-in's
}

func newStand(t *testing.T) stand {
	t.Helper()
	ours, theirs := newKey(t, "idp"), newKey(t, "face")
	clk := clock.At(noon)
	p, err := standin.New(standin.Options{
		BaseURL: "http://localhost:9", Issuer: "face", Client: "idp",
		ClientKeys: newSet(t, ours), SigningKey: theirs, Clock: clk,
		Trouble: func(s standin.Step) standin.Trouble { return standin.Trouble{Drop: s == standin.StepNotice} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return stand{t, p, clk, ours, newSet(t, theirs)}
}

func newKey(t *testing.T, kid string) jose.Key {
	t.Helper()
	k, err := jose.Generate(jose.ES256, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSet(t *testing.T, k jose.Key) jose.Set {
	t.Helper()
	s, err := jose.NewSet(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s stand) claims(jti string, more map[string]any) map[string]any {
	now := s.clock.Now()
	c := map[string]any{"iss": "idp", "aud": "face", "jti": jti, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	for k, v := range more {
		c[k] = v
	}
	return c
}

func (s stand) startClaims(jti string) map[string]any {
	return s.claims(jti, map[string]any{
		"request_id": jti, "nonce": strings.Repeat("n", 43), "purpose": "login", "subject_ref": "s", "reference": "none",
		"txn_hash": "h", "device_ref": nil, "min_score": 80, "min_pad": 1, "mode": "liveness", "expires_in": 120,
		"return_uri": "http://localhost:8080/login?flow=1", "callback_uri": "http://localhost:8080/callback",
	})
}

func (s stand) post(path, typ string, key jose.Key, claims map[string]any) *httptest.ResponseRecorder {
	s.Helper()
	jws, err := jose.Sign(key, typ, claims)
	if err != nil {
		s.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(jws))
	r.Header.Set("Content-Type", "application/jose")
	return s.do(r)
}

func (s stand) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	s.p.ServeHTTP(rec, r)
	return rec
}

func (s stand) begin(jti string) (id, page string) {
	s.Helper()
	rec := s.post("/liveness/v1/sessions", "liveness-start+jwt", s.ours, s.startClaims(jti))
	var answer struct {
		ID      string `json:"session_id"`
		Page    string `json:"capture_url"`
		StandIn bool   `json:"standin"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != http.StatusCreated {
		s.Fatalf("start: %d %s", rec.Code, rec.Body)
	}
	if !answer.StandIn {
		s.Error("the stand-in does not say so")
	}
	u, err := url.Parse(answer.Page)
	if err != nil {
		s.Fatal(err)
	}
	return answer.ID, u.Path
}

func (s stand) pull(id, jti, nonce string) *httptest.ResponseRecorder {
	return s.post("/liveness/v1/sessions/"+id+"/result", "liveness-pull+jwt", s.ours,
		s.claims(jti, map[string]any{"session_id": id, "nonce": nonce}))
}

func TestPage(t *testing.T) {
	for _, c := range []struct{ accept, query, lang, warning, other string }{
		{"", "", "zh-CN", "替身服务", "English"},
		{"en-GB,en;q=0.9", "", "en", "STAND-IN: no real liveness check. Not for production.", "中文"},
		{"fr,zh;q=0.5", "", "zh-CN", "不得用于生产环境", "English"},
		{"zh-CN", "?lang=en", "en", "STAND-IN", "中文"},
		{"en", "?lang=%3Cscript%3E", "en", "STAND-IN", "中文"},
	} {
		s := newStand(t)
		_, page := s.begin("r")
		r := httptest.NewRequest(http.MethodGet, page+c.query, nil)
		r.Header.Set("Accept-Language", c.accept)
		rec := s.do(r)
		body := rec.Body.String()
		for _, want := range []string{
			`<html lang="` + c.lang + `">`, c.warning, c.other, `id="standin-pass"`, `id="standin-fail"`,
			`id="standin-inconclusive"`, `id="standin-silent"`, `method="post"`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%+v: no %s", c, want)
			}
		}
		if strings.Contains(body, "<script") || strings.Contains(body, "style=") {
			t.Error("script or style in the page")
		}
		csp := rec.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self' http: https:", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("CSP is %q", csp)
			}
		}
	}
}

func TestButtons(t *testing.T) {
	for answer, status := range map[string]int{"pass": 200, "fail": 200, "inconclusive": 200, "silent": 202} {
		t.Run(answer, func(t *testing.T) {
			s := newStand(t)
			id, page := s.begin("r")
			r := httptest.NewRequest(http.MethodPost, page, strings.NewReader("answer="+answer))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			rec := s.do(r)
			back, err := url.Parse(rec.Header().Get("Location"))
			if err != nil || rec.Code != http.StatusSeeOther {
				t.Fatalf("%d, %v", rec.Code, err)
			}
			q := back.Query()
			if back.Host != "localhost:8080" || q.Get("flow") != "1" || q.Get("state") != "r" || q.Get("session_id") != id || len(q) != 3 {
				t.Errorf("back to %s", back)
			}
			rec = s.pull(id, "p1", strings.Repeat("n", 43))
			if rec.Code != status {
				t.Fatalf("pull: %d", rec.Code)
			}
			if status != http.StatusOK {
				return
			}
			first := s.result(rec)
			second := s.result(s.pull(id, "p2", strings.Repeat("n", 43)))
			if first["verdict"] != answer || second["verdict"] != answer || first["jti"] == second["jti"] {
				t.Errorf("first %v, then %v", first, second)
			}
		})
	}
}

func (s stand) result(rec *httptest.ResponseRecorder) map[string]any {
	s.Helper()
	token, err := jose.Parse(rec.Body.String())
	if err != nil {
		s.Fatal(err)
	}
	v, err := token.Verify(s.keys, jose.ES256)
	if err != nil {
		s.Fatal(err)
	}
	var c map[string]any
	if err := v.Claims(&c); err != nil {
		s.Fatal(err)
	}
	return c
}

// The first answer stays, whatever is pressed later.
func TestFirstAnswerStays(t *testing.T) {
	s := newStand(t)
	id, _ := s.begin("r")
	for _, answer := range []string{"fail", "pass"} {
		if err := s.p.Answer(context.Background(), id, answer); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.result(s.pull(id, "p", strings.Repeat("n", 43))); c["verdict"] != "fail" {
		t.Errorf("verdict %v", c["verdict"])
	}
}

func TestRefusals(t *testing.T) {
	s := newStand(t)
	id, page := s.begin("r")
	stranger := newKey(t, "idp")
	without := func(name string) map[string]any {
		c := s.startClaims("w" + name)
		delete(c, name)
		return c
	}
	with := func(name string, v any) map[string]any {
		c := s.startClaims("v" + name)
		c[name] = v
		return c
	}
	const start = "liveness-start+jwt"
	for name, rec := range map[string]*httptest.ResponseRecorder{
		"stranger":      s.post("/liveness/v1/sessions", start, stranger, s.startClaims("a")),
		"type":          s.post("/liveness/v1/sessions", "JWT", s.ours, s.startClaims("b")),
		"replay":        s.post("/liveness/v1/sessions", start, s.ours, s.startClaims("r")),
		"audience":      s.post("/liveness/v1/sessions", start, s.ours, with("aud", "other")),
		"expired":       s.post("/liveness/v1/sessions", start, s.ours, with("exp", noon.Add(-time.Minute).Unix())),
		"no-nonce":      s.post("/liveness/v1/sessions", start, s.ours, without("nonce")),
		"no-jti":        s.post("/liveness/v1/sessions", start, s.ours, without("jti")),
		"too-long":      s.post("/liveness/v1/sessions", start, s.ours, with("expires_in", 181)),
		"return-script": s.post("/liveness/v1/sessions", start, s.ours, with("return_uri", "javascript:alert(1)")),
		"same-request":  s.post("/liveness/v1/sessions", start, s.ours, with("request_id", "r")),
		"other-nonce":   s.pull(id, "p1", strings.Repeat("m", 43)),
		"no-session":    s.pull("nobody", "p2", strings.Repeat("n", 43)),
		"no-page":       s.do(httptest.NewRequest(http.MethodGet, "/liveness/v1/capture/x", nil)),
		"no-answer":     s.do(httptest.NewRequest(http.MethodPost, page, nil)),
		"plain-start":   s.do(httptest.NewRequest(http.MethodPost, "/liveness/v1/sessions", strings.NewReader("{}"))),
	} {
		if rec.Code < 400 || rec.Code > 499 {
			t.Errorf("%s: %d", name, rec.Code)
		}
	}
	s.clock.Advance(2 * time.Minute)
	if rec := s.do(httptest.NewRequest(http.MethodGet, page, nil)); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "standin-gone") {
		t.Errorf("a page after its time: %d", rec.Code)
	}
}

func TestOptions(t *testing.T) {
	if _, err := standin.New(standin.Options{}); err == nil {
		t.Error("a stand-in made of nothing")
	}
}

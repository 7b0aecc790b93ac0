//go:build interop

package interop

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/e2e/house"
)

// A stage is a server with one citizen, who is signed in at it.
type stage struct {
	*house.Production
	robot *house.Robot
	name  string
}

// openStage registers the clients and brings the citizen in.
func openStage(t *testing.T, clients func(*stage)) *stage {
	t.Helper()
	s := &stage{Production: house.OpenProduction(t, "sqlite:"+filepath.Join(t.TempDir(), "house.db"), 1), name: "欧阳修"}
	people := s.File(t, "people.csv", "name,id_number,phone,card_number\n"+s.name+",11010519491231002X,13800138000,K12345678\n")
	codes := s.File(t, "codes.csv", "")
	s.Run(t, "citizen", "import", people, "--codes", codes)
	text, err := os.ReadFile(codes)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 2 || len(rows[1]) < 4 {
		t.Fatalf("the codes are %v (%v)", rows, err)
	}
	clients(s)
	s.Start(t)
	s.robot = s.Robot(t, 0)
	a := s.robot.Get("/login/activate").Submit("activate-submit", "card", "K12345678", "code", rows[1][3])
	a = a.Submit("password-submit", "password", "three small boats at sea").Submit("greeting-submit", "greeting", "门前的老槐树").Click("way-totp")
	a = a.Submit("code-submit", "code", house.NewApp(t, a.Text("secret")).Code(t)).Submit("codes-kept").Submit("device-skip")
	if a.Path != "/account" {
		t.Fatalf("first contact ended at %s (%d) %s", a.Path, a.Status, a.Text("problem"))
	}
	return s
}

// register applies a registration, as an operator does, and returns the secret.
func (s *stage) register(t *testing.T, metadata map[string]any) string {
	t.Helper()
	id, _ := metadata["client_id"].(string)
	text, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(s.Run(t, "client", "apply", s.File(t, id+".json", string(text)), "--json")), &out); err != nil {
		t.Fatalf("registering %s: %v", id, err)
	}
	return out.Secret
}

// allowed goes through the server from where an application sent the browser to
// where the browser is sent back.
func (s *stage) allowed(t *testing.T, location string) string {
	t.Helper()
	a := s.robot.Get(location)
	if a.Has("consent-allow") {
		a = a.Submit("consent-allow")
	}
	if a.Location == "" {
		t.Fatalf("the sign-in ended at %s (%d, %s)", a.Path, a.Status, a.Title())
	}
	return a.Location
}

// A Shown is what every application shows when somebody has signed in.
type shown struct {
	Sub, ACR, Name, Bills, Bound, Logout string
	Refreshed                            bool
	Status                               int
}

// signIn visits an application as a browser with the citizen's cookies would.
func (s *stage) signIn(t *testing.T, base string) shown {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	at := base + "/"
	for range 10 {
		if strings.HasPrefix(at, s.Issuer+"/") {
			at = s.allowed(t, at)
			continue
		}
		resp, err := browser.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if to, err := resp.Location(); err == nil {
			at = to.String()
			continue
		}
		var out shown
		if resp.StatusCode != http.StatusOK || json.Unmarshal(body, &out) != nil {
			t.Fatalf("%s answers %d %s", resp.Request.URL.Path, resp.StatusCode, body)
		}
		return out
	}
	t.Fatalf("the browser goes in circles at %s", at)
	return shown{}
}

// check compares what every application must have got.
func (s *stage) check(t *testing.T, got shown) {
	t.Helper()
	if got.Sub == "" || got.ACR != "urn:ecardid:acr:mfa" || got.Name != s.name {
		t.Errorf("who signed in: %+v", got)
	}
	if got.Status != http.StatusOK || got.Bills != "bills of "+got.Sub {
		t.Errorf("the API: %d %q, want the bills of %s", got.Status, got.Bills, got.Sub)
	}
}

// TestInterop is `make interop`.
func TestInterop(t *testing.T) {
	needs(t)
	ports := freePorts(t, 5)
	goLogin, goAPI, node, python, java := ports[0], ports[1], ports[2], ports[3], ports[4]
	at := func(port string) string { return "http://localhost:" + port }
	dir := map[string]string{}
	for _, name := range []string{"node", "python", "java", "sm2"} {
		dir[name] = copied(t, name)
	}
	pem, keys := newClientKey(t)
	install(t, dir["node"], "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	install(t, dir["sm2"], "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	smKey := filepath.Join(dir["sm2"], "client.jwk")
	smSet := install(t, dir["sm2"], "node", "keys.mjs", smKey)
	install(t, dir["python"], "python3", "-m", "venv", ".venv")
	install(t, dir["python"], ".venv/bin/pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt")
	install(t, dir["java"], "mvn", "--batch-mode", "--quiet", "package")

	const scope = "openid profile offline_access insurance.read"
	code := []string{"authorization_code", "refresh_token"}
	secrets := map[string]string{}
	s := openStage(t, func(s *stage) {
		add := func(id string, more map[string]any) {
			m := map[string]any{"client_id": id, "client_name": id, "grant_types": code, "scope": scope}
			for k, v := range more {
				m[k] = v
			}
			secrets[id] = s.register(t, m)
		}
		add("go-clinic", map[string]any{"redirect_uris": []string{at(goLogin) + "/callback"}})
		add("node-clinic", map[string]any{
			"redirect_uris": []string{at(node) + "/callback"}, "post_logout_redirect_uris": []string{at(node) + "/bye"}, "profile": "fapi2",
			"token_endpoint_auth_method": "private_key_jwt", "jwks": keys,
		})
		add("python-clinic", map[string]any{
			"redirect_uris": []string{at(python) + "/callback"}, "token_endpoint_auth_method": "private_key_jwt", "jwks": keys,
		})
		add("java-clinic", map[string]any{"redirect_uris": []string{at(java) + "/login/oauth2/code/ecard"}})
		add("test-runner", map[string]any{"redirect_uris": []string{"http://localhost/callback"}, "scope": "openid insurance.read card.basic"})
		add("insurance-api", map[string]any{
			"grant_types": []string{}, "redirect_uris": []string{}, "scope": "", "resources": []string{"urn:ecardid:resource:insurance"},
		})
		add("sm2-machine", map[string]any{
			"grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "scope": "card.status",
			"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(smSet), "token_endpoint_auth_signing_alg": "SGD_SM3_SM2",
			"access_token_signed_response_alg": "SGD_SM3_SM2",
		})
	})
	env := func(id, port, api string) []string {
		return []string{
			"ECARD_ISSUER=" + s.Issuer, "CLIENT_ID=" + id, "CLIENT_SECRET=" + secrets[id], "CLIENT_KEY=" + pem, "CLIENT_KEY_ID=" + clientKeyID,
			"PORT=" + port, "API_URL=" + api,
		}
	}
	goPrograms := t.TempDir()
	for _, name := range []string{"login", "api"} {
		install(t, ".", "go", "build", "-o", filepath.Join(goPrograms, name), "./go/"+name)
	}
	bills := at(goAPI) + "/bills"
	start(t, goAPI, goPrograms, env("insurance-api", goAPI, ""), "./api")
	start(t, java, dir["java"], env("java-clinic", java, bills), "java", "-Xmx256m", "-jar", "target/clinic.jar")
	start(t, goLogin, goPrograms, env("go-clinic", goLogin, at(java)+"/api/bills"), "./login")
	start(t, node, dir["node"], env("node-clinic", node, bills), "node", "login.mjs")
	start(t, python, dir["python"], env("python-clinic", python, bills), ".venv/bin/python", "login.py")

	t.Run("go", func(t *testing.T) {
		got := s.signIn(t, at(goLogin))
		if s.check(t, got); !got.Refreshed {
			t.Error("no new token came of a refresh")
		}
	})
	t.Run("python", func(t *testing.T) {
		got := s.signIn(t, at(python))
		if s.check(t, got); !got.Refreshed {
			t.Error("no new token came of a refresh")
		}
	})
	t.Run("java", func(t *testing.T) { s.check(t, s.signIn(t, at(java))) })
	t.Run("apis", func(t *testing.T) { s.apis(t, secrets["test-runner"], bills, at(java)+"/api/bills") })
	t.Run("sm2", func(t *testing.T) {
		out := run(t, dir["sm2"], append(env("sm2-machine", "", ""), "CLIENT_KEY="+smKey), "node", "machine.mjs")
		if strings.TrimSpace(out) != `{"sub":"sm2-machine","scope":"card.status"}` {
			t.Errorf("the machine says %s", out)
		}
		exchange(t, dir["sm2"])
	})
	t.Run("node", func(t *testing.T) { // the last: it signs out
		got := s.signIn(t, at(node))
		if s.check(t, got); !got.Refreshed || !strings.EqualFold(got.Bound, "dpop") {
			t.Errorf("refreshed: %v, token type: %s", got.Refreshed, got.Bound)
		}
		a := s.robot.Get(got.Logout)
		if a.Has("logout-confirm") {
			a = a.Submit("logout-confirm")
		}
		if !strings.HasPrefix(a.Location, at(node)+"/bye") {
			t.Errorf("the way out ended at %s (%d, %s)", a.Path, a.Status, a.Title())
		}
		if a := s.robot.Get("/account"); !strings.HasPrefix(a.Path, "/login") {
			t.Errorf("after signing out the server still shows %s", a.Path)
		}
	})
}

// apis asks both APIs with tokens that will do and that will not.
func (s *stage) apis(t *testing.T, secret, goBills, javaBills string) {
	token := func(scope string) string {
		q := url.Values{
			"client_id": {"test-runner"}, "response_type": {"code"}, "redirect_uri": {"http://localhost/callback"}, "scope": {scope}, "state": {"12345678"},
			"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, // RFC 7636 appendix B
		}
		back, err := url.Parse(s.allowed(t, s.Issuer+"/authorize?"+q.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"http://localhost/callback"},
			"code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("test-runner", secret)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var out struct {
			Access string `json:"access_token"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.Access == "" {
			t.Fatalf("no token: %d, %v", resp.StatusCode, err)
		}
		return out.Access
	}
	insurance, card := token("openid insurance.read"), token("openid card.basic")
	for _, c := range []struct {
		name, method, uri, authorization string
		status                           int
		challenge                        string
	}{
		{"go", "GET", goBills, "Bearer " + insurance, 200, ""},
		{"go-none", "GET", goBills, "", 401, "Bearer"},
		{"go-garbage", "GET", goBills, "Bearer a.b.c", 401, `Bearer error="invalid_token"`},
		{"go-audience", "GET", goBills, "Bearer " + card, 401, `Bearer error="invalid_token"`},
		{"go-step-up", "POST", goBills, "Bearer " + insurance, 401, `Bearer error="insufficient_user_authentication"`},
		{"java", "GET", javaBills, "Bearer " + insurance, 200, ""},
		{"java-none", "GET", javaBills, "", 401, "Bearer"},
		{"java-garbage", "GET", javaBills, "Bearer a.b.c", 401, `Bearer error="invalid_token"`},
		{"java-audience", "GET", javaBills, "Bearer " + card, 401, `Bearer error="invalid_token"`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, c.uri, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != c.status || !strings.HasPrefix(got, c.challenge) {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, got)
		}
	}
}

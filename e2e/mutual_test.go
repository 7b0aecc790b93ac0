package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"ecardid/e2e/house"
	"ecardid/internal/jose"
	"ecardid/internal/pgtest"
)

// TestMutual is a bank of profile fapi2 whose certificate says who it is and is what
// its tokens are bound to (RFC 8705), at the program's own listener.
func TestMutual(t *testing.T) {
	t.Parallel()
	clients := house.NewAuthority(t, "clients")
	p := house.OpenMutual(t, pgtest.DSN(t), clients)
	ours := clients.Issue(t, "bank.test")
	for name, text := range map[string]string{
		"people.csv":  "name,id_number,phone,card_number\n欧阳修,11010519491231002X,13800138000,K12345678\n",
		"client.json": `{"client_id":"bank","client_name":"Bank","redirect_uris":["https://bank.test/cb"],"profile":"fapi2","scope":"openid profile insurance.read offline_access","grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"bank.test","tls_client_certificate_bound_access_tokens":true}`,
	} {
		p.File(t, name, text)
	}
	codes := p.File(t, "codes.csv", "")
	p.Run(t, "citizen", "import", p.File(t, "people.csv", ""), "--codes", codes)
	p.Run(t, "client", "apply", p.File(t, "client.json", ""))
	p.Start(t)

	// First contact over TLS.
	f, err := os.Open(codes)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("the codes are %v (%v)", rows, err)
	}
	r := p.Robot(t, 0)
	a := r.Get("/login/activate").Submit("activate-submit", "card", "K12345678", "code", rows[1][3])
	a = a.Submit("password-submit", "password", "three small boats at sea").Submit("greeting-submit", "greeting", "门前的老槐树").Click("way-totp")
	app := house.NewApp(t, a.Text("secret"))
	a = a.Submit("code-submit", "code", app.Code(t)).Submit("codes-kept").Submit("device-skip")
	if a.Path != "/account" || !strings.Contains(a.Header.Get("Strict-Transport-Security"), "max-age") {
		t.Fatalf("first contact ended at %s (%d) %v", a.Path, a.Status, a.Header)
	}

	bank := bankOf{t, p}
	q := (&house.Bank{ID: "bank", Redirect: "https://bank.test/cb"}).Ask("openid profile insurance.read offline_access")
	// Who they are is what the handshake shows, at the listener that asks.
	for name, c := range map[string]struct {
		at   string
		cert *tls.Certificate
	}{
		"no-certificate":      {p.Mutual, nil},
		"another-name":        {p.Mutual, clients.Issue(t, "evil.test")},
		"another-authority":   {p.Mutual, house.NewAuthority(t, "clients").Issue(t, "bank.test")},
		"at-the-other-socket": {p.Issuer, ours},
	} {
		if status, out := bank.post(c.at, "/par", c.cert, q.Values); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	status, out := bank.post(p.Mutual, "/par", ours, q.Values)
	handle, _ := out["request_uri"].(string)
	if status != http.StatusCreated {
		t.Fatalf("pushing: %d %v", status, out)
	}
	a = r.Get("/authorize?" + url.Values{"client_id": {"bank"}, "request_uri": {handle}}.Encode()).Submit("consent-allow")
	back, err := url.Parse(a.Location)
	if err != nil || back.Host != "bank.test" || back.Query().Get("iss") != p.Issuer {
		t.Fatalf("sent to %q", a.Location)
	}
	redeem := url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://bank.test/cb"},
		"code_verifier": {q.Verifier}, "client_id": {"bank"},
	}
	if status, out := bank.post(p.Mutual, "/token", nil, redeem); status != http.StatusUnauthorized {
		t.Errorf("a code without a certificate: %d %v", status, out)
	}
	status, out = bank.post(p.Mutual, "/token", ours, redeem)
	access, _ := out["access_token"].(string)
	if status != http.StatusOK || out["token_type"] != "Bearer" || access == "" {
		t.Fatalf("redeeming: %d %v", status, out)
	}
	parsed, err := jose.Parse(access)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.ParseSet([]byte(r.Get("/jwks").Body))
	if err != nil {
		t.Fatal(err)
	}
	verified, err := parsed.Verify(set, jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		CNF map[string]string `json:"cnf"`
	}
	sum := sha256.Sum256(ours.Certificate[0])
	if err := verified.Claims(&claims); err != nil || claims.CNF["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("bound to %v, %v", claims.CNF, err)
	}
	renewed := clients.Issue(t, "bank.test") // the same name, another key
	for _, c := range []struct {
		name, at string
		cert     *tls.Certificate
		want     int
	}{
		{"right", p.Mutual, ours, http.StatusOK},
		{"no-certificate", p.Mutual, nil, http.StatusUnauthorized},
		{"another-certificate", p.Mutual, renewed, http.StatusUnauthorized},
		{"at-the-other-socket", p.Issuer, ours, http.StatusUnauthorized},
	} {
		if got := bank.userinfo(c.at, c.cert, access); got != c.want {
			t.Errorf("userinfo, %s: %d", c.name, got)
		}
	}
	// The bank is who its name says: with a new certificate it goes on.
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out["refresh_token"].(string)}, "client_id": {"bank"}}
	if status, out := bank.post(p.Issuer, "/token", ours, refresh); status != http.StatusUnauthorized {
		t.Errorf("a refresh without a certificate: %d %v", status, out)
	}
	status, out = bank.post(p.Mutual, "/token", renewed, refresh)
	if status != http.StatusOK {
		t.Fatalf("refreshing: %d %v", status, out)
	}
	fresh := out["access_token"].(string)
	if got := bank.userinfo(p.Mutual, ours, fresh); got != http.StatusUnauthorized {
		t.Errorf("the new token with the old certificate: %d", got)
	}
	if got := bank.userinfo(p.Mutual, renewed, fresh); got != http.StatusOK {
		t.Errorf("the new token with the new certificate: %d", got)
	}
}

// bankOf speaks to a program with certificates.
type bankOf struct {
	t *testing.T
	p *house.Production
}

func (b bankOf) post(at, path string, cert *tls.Certificate, form url.Values) (int, map[string]any) {
	b.t.Helper()
	resp, err := b.p.Client(cert).PostForm(at+path, form)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		b.t.Fatalf("%s answered %d %q", path, resp.StatusCode, body)
	}
	return resp.StatusCode, out
}

func (b bankOf) userinfo(at string, cert *tls.Certificate, access string) int {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, at+"/userinfo", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := b.p.Client(cert).Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

package rp_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/rp"
)

// dpop signs a proof; its header carries the key, which jose.Sign never does.
func dpop(t testing.TB, k jose.Key, claims map[string]any) string {
	t.Helper()
	jwk, err := k.Unnamed().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	head := `{"typ":"dpop+jwt","alg":"` + string(k.Alg()) + `","jwk":` + string(jwk) + `}`
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(head)) + "." + b64(payload)
	sig, err := k.SignRaw([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(sig)
}

func TestNew(t *testing.T) {
	good := rp.Config{Issuer: "https://id.example", Audience: audience}
	for name, f := range map[string]func(*rp.Config){
		"http":            func(c *rp.Config) { c.Issuer = "http://id.example" },
		"slash":           func(c *rp.Config) { c.Issuer += "/" },
		"path":            func(c *rp.Config) { c.Issuer += "/tenant" },
		"query":           func(c *rp.Config) { c.Issuer += "?" },
		"user":            func(c *rp.Config) { c.Issuer = "https://a@id.example" },
		"localhost.evil":  func(c *rp.Config) { c.Issuer = "http://localhost.evil" },
		"nothing":         func(c *rp.Config) { c.Issuer = "" },
		"no-audience":     func(c *rp.Config) { c.Audience = "" },
		"half-credential": func(c *rp.Config) { c.ClientID = "x" },
		"origin":          func(c *rp.Config) { c.Origin = "api.example" },
	} {
		c := good
		f(&c)
		if v, err := rp.New(c); err == nil || v != nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, issuer := range []string{"https://id.example", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"} {
		if _, err := rp.New(rp.Config{Issuer: issuer, Audience: audience}); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// RFC 9068 §4, and what every JWT can be got wrong with (SECURITY TK4, KY1, KY2).
func TestJWT(t *testing.T) {
	o := newOffice(t)
	ps, foreign := newKey(t, jose.PS256, "ps-1"), newKey(t, jose.ES256, "es-1")
	eddsa, elsewhere := newKey(t, jose.EdDSA, "ed-1"), newKey(t, jose.ES256, "es-9")
	o.main = append(o.main, ps, eddsa)
	v := o.verifier()
	for name, token := range map[string]string{
		"ES256":      o.token(),
		"PS256":      o.signed(ps, "at+jwt", o.claims()),
		"SM2":        o.signed(o.sm2[0], "at+jwt", o.claims()),
		"long-typ":   o.signed(o.main[0], "application/at+jwt", o.claims()),
		"audiences":  o.token("aud", []string{"urn:other", audience}),
		"just-ended": o.token("exp", o.now.Add(-9*time.Second).Unix()),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Check(request("Bearer "+token), rp.Demand{Scope: []string{"insurance.read"}, ACR: rp.MFA})
			if err != nil || got.Subject != "s-1" || got.ClientID != "hospital" || !got.Has("openid") || got.Has("insurance") || got.ID != "t-1" {
				t.Fatalf("%+v, %v", got, err)
			}
			if !got.AtLeast(rp.Basic) || got.AtLeast(rp.Bound) || got.AtLeast("") || got.AtLeast("urn:other") || !slices.Equal(got.AMR, []string{"pwd", "otp", "mfa"}) {
				t.Errorf("levels: %+v", got)
			}
			if got.AuthTime.IsZero() || got.Expires.IsZero() {
				t.Errorf("times: %+v", got)
			}
		})
	}
	b64 := base64.RawURLEncoding.EncodeToString
	payload, _ := json.Marshal(o.claims())
	_, good, _ := strings.Cut(o.token(), ".")
	for name, token := range map[string]string{
		"issuer":        o.token("iss", "https://id.example"),
		"issuer-slash":  o.token("iss", o.url+"/"),
		"audience":      o.token("aud", "urn:ecardid:resource:pension"),
		"no-audience":   o.token("aud", nil),
		"no-subject":    o.token("sub", nil),
		"no-client":     o.token("client_id", nil),
		"expired":       o.token("exp", o.now.Add(-11*time.Second).Unix()),
		"no-exp":        o.token("exp", nil),
		"text-exp":      o.token("exp", "tomorrow"),
		"future":        o.token("iat", o.now.Add(time.Minute).Unix()),
		"not-before":    o.token("nbf", o.now.Add(time.Minute).Unix()),
		"scope-array":   o.token("scope", []string{"insurance.read"}),
		"id-token":      o.signed(o.main[0], "JWT", o.claims()),
		"no-typ":        o.signed(o.main[0], "", o.claims()),
		"logout-token":  o.signed(o.main[0], "logout+jwt", o.claims()),
		"foreign-key":   o.signed(foreign, "at+jwt", o.claims()),
		"unknown-kid":   o.signed(elsewhere, "at+jwt", o.claims()),
		"EdDSA":         o.signed(eddsa, "at+jwt", o.claims()),
		"none":          b64([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + b64(payload) + ".",
		"HS256":         b64([]byte(`{"alg":"HS256","typ":"at+jwt","kid":"es-1"}`)) + "." + b64(payload) + "." + b64([]byte("x")),
		"swapped-alg":   b64([]byte(`{"alg":"PS256","typ":"at+jwt","kid":"es-1"}`)) + "." + good,
		"not-its-key":   b64([]byte(`{"alg":"SGD_SM3_SM2","typ":"at+jwt","kid":"sm-1"}`)) + "." + good,
		"three-dots":    "a.b.c",
		"two-dots-only": "..",
		"no-signature":  o.token()[:strings.LastIndex(o.token(), ".")+1],
	} {
		t.Run(name, func(t *testing.T) { expect(t, v, request("Bearer "+token), rp.Demand{}, "invalid_token", 401) })
	}
}

// What comes in the request beside a token (RFC 6750 §2, §3.1).
func TestCredentials(t *testing.T) {
	o := newOffice(t)
	v, token := o.verifier(), o.token()
	expect(t, v, request("bEARER "+token), rp.Demand{}, "", 200)
	for name, c := range map[string]struct {
		header string
		code   string
		status int
	}{
		"none":        {"", "", 401},
		"basic":       {"Basic " + token, "", 401},
		"scheme-only": {"Bearer", "invalid_request", 400},
		"empty":       {"Bearer ", "invalid_request", 400},
		"two-spaces":  {"Bearer  " + token, "invalid_request", 400},
		"tab":         {"Bearer\t" + token, "", 401},
		"two-tokens":  {"Bearer " + token + ", " + token, "invalid_request", 400},
		"params":      {"Bearer token=" + token, "invalid_request", 400},
		"padded":      {"Bearer " + token + "=", "invalid_request", 400},
		"long":        {"Bearer " + strings.Repeat("a", 16<<10+1), "invalid_request", 400},
		"dpop-scheme": {"DPoP " + token, "invalid_token", 401}, // not bound: RFC 9449 §7.2 the other way round
	} {
		t.Run(name, func(t *testing.T) { expect(t, v, request(c.header), rp.Demand{}, c.code, c.status) })
	}
	twice := request("Bearer " + token)
	twice.Header.Add("Authorization", "Bearer "+token)
	expect(t, v, twice, rp.Demand{}, "invalid_request", 400)
	for _, query := range []string{"access_token=x", "a=b&access%5Ftoken=", "access_token"} {
		r := request("Bearer " + token)
		r.URL.RawQuery = query
		expect(t, v, r, rp.Demand{}, "invalid_request", 400)
	}
}

// The answers, byte for byte (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3).
func TestChallenge(t *testing.T) {
	o := newOffice(t)
	v, k := o.verifier(), newKey(t, jose.ES256, "proof")
	bound := o.token("cnf", cnf("jkt", k.Thumbprint()))
	const algs = `algs="ES256 PS256 EdDSA SGD_SM3_SM2"`
	const dead = `error="invalid_token", error_description="The access token is expired, revoked, malformed or not for this resource."`
	step := rp.Demand{Scope: []string{"insurance.read"}, ACR: rp.Live, MaxAge: 5 * time.Minute}
	for name, c := range map[string]struct {
		r      *http.Request
		demand rp.Demand
		status int
		want   []string
		body   string
	}{
		"no-token":  {request(""), rp.Demand{}, 401, []string{"Bearer", "DPoP " + algs}, ""},
		"malformed": {request("Bearer é"), rp.Demand{}, 400, []string{`Bearer error="invalid_request", error_description="The Authorization header is malformed."`}, "invalid_request"},
		"dead":      {request("Bearer a.b.c"), rp.Demand{}, 401, []string{"Bearer " + dead}, "invalid_token"},
		"scope": {request("Bearer " + o.token()), rp.Demand{Scope: []string{"insurance.read", "insurance.pay"}}, 403,
			[]string{`Bearer error="insufficient_scope", scope="insurance.read insurance.pay"`}, "insufficient_scope"},
		"step-up": {request("Bearer " + o.token()), step, 401,
			[]string{`Bearer error="insufficient_user_authentication", error_description="A stronger or more recent sign-in is needed.", acr_values="urn:ecardid:acr:live", max_age="300"`},
			"insufficient_user_authentication"},
		"step-up-dpop": {request("DPoP "+bound, o.prove(k, bound)), rp.Demand{ACR: rp.Bound}, 401,
			[]string{`DPoP error="insufficient_user_authentication", error_description="A stronger or more recent sign-in is needed.", acr_values="urn:ecardid:acr:bound", ` + algs},
			"insufficient_user_authentication"},
		"bound-as-bearer": {request("Bearer " + bound), rp.Demand{}, 401, []string{"DPoP " + dead + ", " + algs}, "invalid_token"},
		"no-proof": {request("DPoP " + bound), rp.Demand{}, 401,
			[]string{`DPoP error="invalid_dpop_proof", error_description="There must be exactly one DPoP header.", ` + algs}, "invalid_dpop_proof"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			v.Require(c.demand, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let through") })).ServeHTTP(w, c.r)
			if got := w.Header().Values("WWW-Authenticate"); w.Code != c.status || !slices.Equal(got, c.want) {
				t.Errorf("status %d\n got %q\nwant %q", w.Code, got, c.want)
			}
			var out struct{ Error string }
			_ = json.Unmarshal(w.Body.Bytes(), &out)
			if out.Error != c.body || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%v with body %s", w.Header(), w.Body)
			}
		})
	}
	t.Run("let-through", func(t *testing.T) {
		w := httptest.NewRecorder()
		v.Require(rp.Demand{ACR: rp.MFA, MaxAge: 2 * time.Minute}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := rp.From(r.Context())
			if !ok {
				t.Error("no token in the context")
			}
			_, _ = io.WriteString(w, token.Subject)
		})).ServeHTTP(w, request("Bearer "+o.token()))
		if w.Code != 200 || w.Body.String() != "s-1" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	if _, ok := rp.From(t.Context()); ok {
		t.Error("a token from nowhere")
	}
}

func TestDemand(t *testing.T) {
	o := newOffice(t)
	v := o.verifier()
	const step = "insufficient_user_authentication"
	for name, c := range map[string]struct {
		changes []any
		demand  rp.Demand
		code    string
		status  int
	}{
		"any":              {nil, rp.Demand{}, "", 200},
		"unknown-demand":   {nil, rp.Demand{ACR: "urn:ecardid:acr:mfaa"}, step, 401},
		"unknown-level":    {[]any{"acr", "9"}, rp.Demand{ACR: rp.Basic}, step, 401},
		"no-level":         {[]any{"acr", nil}, rp.Demand{ACR: rp.Basic}, step, 401},
		"old-sign-in":      {nil, rp.Demand{MaxAge: 59 * time.Second}, step, 401},
		"no-auth-time":     {[]any{"auth_time", nil}, rp.Demand{MaxAge: time.Hour}, step, 401},
		"scope-comes-1st":  {nil, rp.Demand{Scope: []string{"x"}, ACR: rp.Live}, "insufficient_scope", 403},
		"part-of-a-scope":  {nil, rp.Demand{Scope: []string{"insurance"}}, "insufficient_scope", 403},
		"no-scope-at-all":  {[]any{"scope", nil}, rp.Demand{Scope: []string{"insurance.read"}}, "insufficient_scope", 403},
		"more-than-wanted": {[]any{"acr", rp.Live}, rp.Demand{ACR: rp.Bound}, "", 200},
	} {
		t.Run(name, func(t *testing.T) { expect(t, v, request("Bearer "+o.token(c.changes...)), c.demand, c.code, c.status) })
	}
}

// RFC 9449 §4.3 and §7 (SECURITY SC1, SC2, SC3). What a proof can be got wrong with
// in itself, internal/proof and oauth/dpop test.
func TestDPoP(t *testing.T) {
	o := newOffice(t)
	for _, alg := range []jose.Alg{jose.ES256, jose.SM2} {
		v, k, other := o.verifier(), newKey(t, alg, "proof"), newKey(t, alg, "proof")
		token := o.token("cnf", cnf("jkt", k.Thumbprint()))
		got, err := v.Check(request("DPoP "+token, o.prove(k, token)), rp.Demand{})
		if err != nil || got.JKT != k.Thumbprint() {
			t.Fatalf("%s: %+v, %v", alg, got, err)
		}
		once := o.prove(k, token)
		for name, c := range map[string]struct {
			r    *http.Request
			code string
		}{
			"first":        {request("DPoP "+token, once), ""},
			"none":         {request("DPoP " + token), "invalid_dpop_proof"},
			"two":          {request("DPoP "+token, o.prove(k, token), o.prove(k, token)), "invalid_dpop_proof"},
			"other-key":    {request("DPoP "+token, o.prove(other, token)), "invalid_dpop_proof"},
			"other-method": {request("DPoP "+token, o.prove(k, token, "htm", "POST")), "invalid_dpop_proof"},
			"other-path":   {request("DPoP "+token, o.prove(k, token, "htu", api+"/bill")), "invalid_dpop_proof"},
			"host-header":  {request("DPoP "+token, o.prove(k, token, "htu", "http://inside.example/bills")), "invalid_dpop_proof"},
			"other-token":  {request("DPoP "+token, o.prove(k, o.token())), "invalid_dpop_proof"},
			"old":          {request("DPoP "+token, o.prove(k, token, "iat", o.now.Add(-2*time.Minute).Unix())), "invalid_dpop_proof"},
			"future":       {request("DPoP "+token, o.prove(k, token, "iat", o.now.Add(time.Minute).Unix())), "invalid_dpop_proof"},
			"garbage":      {request("DPoP "+token, "é"), "invalid_dpop_proof"},
			"as-bearer":    {request("Bearer "+token, o.prove(k, token)), "invalid_token"},
			"unbound":      {request("DPoP "+o.token(), o.prove(k, o.token())), "invalid_token"},
		} {
			status := http.StatusUnauthorized
			if c.code == "" {
				status = http.StatusOK
			}
			t.Run(string(alg)+"/"+name, func(t *testing.T) { expect(t, v, c.r, rp.Demand{}, c.code, status) })
		}
		expect(t, v, request("DPoP "+token, once), rp.Demand{}, "invalid_dpop_proof", 401)
		blind := o.verifier(func(c *rp.Config) { c.Origin = "" })
		expect(t, blind, request("DPoP "+token, o.prove(k, token)), rp.Demand{}, "invalid_dpop_proof", 401)
	}
}

// Of many who show one proof at once, one is let in; and what is remembered does not
// grow for ever (SECURITY G1).
func TestReplay(t *testing.T) {
	o := newOffice(t)
	v, k := o.verifier(), newKey(t, jose.ES256, "proof")
	token := o.token("cnf", cnf("jkt", k.Thumbprint()), "exp", o.now.Add(time.Hour).Unix())
	one := o.prove(k, token)
	var in atomic.Int64
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			if _, err := v.Check(request("DPoP "+token, one), rp.Demand{}); err == nil {
				in.Add(1)
			}
		})
	}
	crowd.Wait()
	if in.Load() != 1 {
		t.Errorf("one proof let %d in", in.Load())
	}
	broken := o.verifier(func(c *rp.Config) { c.Replay = lost{} })
	expect(t, broken, request("DPoP "+token, o.prove(k, token)), rp.Demand{}, "", 503)
}

type lost struct{}

func (lost) First(context.Context, string, time.Time) (bool, error) { return true, errors.New("lost") }

// RFC 8705 §3, over real connections.
func TestCertificate(t *testing.T) {
	o := newOffice(t)
	mine, theirs := certificate(t), certificate(t)
	sum := sha256.Sum256(mine.Certificate[0])
	token := o.token("cnf", cnf("x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:])))
	v := o.verifier()
	srv := httptest.NewUnstartedServer(v.Require(rp.Demand{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := rp.From(r.Context())
		_, _ = io.WriteString(w, token.X5T)
	})))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13}
	srv.StartTLS()
	defer srv.Close()
	for name, c := range map[string]struct {
		certs  []tls.Certificate
		token  string
		status int
	}{
		"mine":    {[]tls.Certificate{mine}, token, 200},
		"theirs":  {[]tls.Certificate{theirs}, token, 401},
		"none":    {nil, token, 401},
		"unbound": {[]tls.Certificate{theirs}, o.token(), 200},
	} {
		t.Run(name, func(t *testing.T) {
			transport := srv.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Certificates = c.certs
			defer transport.CloseIdleConnections()
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			r.Header.Set("Authorization", "Bearer "+c.token)
			// Nobody here is a proxy.
			r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(mine.Certificate[0])+":")
			resp, err := (&http.Client{Transport: transport}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
		})
	}
	proxied := o.verifier(func(c *rp.Config) {
		c.Certificate = func(*http.Request) []byte { return mine.Certificate[0] }
	})
	expect(t, proxied, request("Bearer "+token), rp.Demand{}, "", 200)
	expect(t, v, request("Bearer "+token), rp.Demand{}, "invalid_token", 401)
}

func TestIntrospection(t *testing.T) {
	o := newOffice(t)
	v := o.verifier()
	live := func(changes ...any) map[string]any {
		return o.claims(append([]any{"active", true, "jti", nil}, changes...)...)
	}
	k := newKey(t, jose.ES256, "proof")
	jwt, revoked := o.token(), o.token("jti", "t-2")
	o.tokens = map[string]any{
		"eca_good": live(), "eca_text": live("active", "true"), "eca_dead": map[string]any{"active": false},
		"eca_other": live("aud", "urn:ecardid:resource:pension"), "eca_issuer": live("iss", "https://id.example"),
		"eca_old": live("exp", o.now.Unix()), "eca_endless": live("exp", nil), "eca_bound": live("cnf", cnf("jkt", k.Thumbprint())),
		jwt: live(),
	}
	for name, c := range map[string]struct {
		token  string
		demand rp.Demand
		code   string
		status int
	}{
		"good":           {"eca_good", rp.Demand{Scope: []string{"insurance.read"}, ACR: rp.MFA}, "", 200},
		"dead":           {"eca_dead", rp.Demand{}, "invalid_token", 401},
		"unknown":        {"eca_none", rp.Demand{}, "invalid_token", 401},
		"other-audience": {"eca_other", rp.Demand{}, "invalid_token", 401},
		"other-issuer":   {"eca_issuer", rp.Demand{}, "invalid_token", 401},
		"old":            {"eca_old", rp.Demand{}, "invalid_token", 401},
		"endless":        {"eca_endless", rp.Demand{}, "invalid_token", 401},
		"bound":          {"eca_bound", rp.Demand{}, "invalid_token", 401},
		"wrong-type":     {"eca_text", rp.Demand{}, "", 503},
		"jwt-live":       {jwt, rp.Demand{Live: true}, "", 200},
		"jwt-revoked":    {revoked, rp.Demand{Live: true}, "invalid_token", 401},
		"jwt-offline":    {revoked, rp.Demand{}, "", 200},
	} {
		t.Run(name, func(t *testing.T) { expect(t, v, request("Bearer "+c.token), c.demand, c.code, c.status) })
	}
	expect(t, v, request("DPoP eca_bound", o.prove(k, "eca_bound")), rp.Demand{}, "", 200)
	blind := o.verifier(func(c *rp.Config) { c.ClientID, c.ClientSecret = "", "" })
	expect(t, blind, request("Bearer eca_good"), rp.Demand{}, "", 503)
	expect(t, blind, request("Bearer "+jwt), rp.Demand{Live: true}, "", 503)
	wrong := o.verifier(func(c *rp.Config) { c.ClientSecret = "guess" })
	expect(t, wrong, request("Bearer eca_good"), rp.Demand{}, "", 503)
	// A token that is not ours is not asked about.
	before := o.asked("/introspect")
	expect(t, v, request("Bearer "+o.token("aud", "urn:other")), rp.Demand{Live: true}, "invalid_token", 401)
	if o.asked("/introspect") != before {
		t.Error("a token of others was sent on")
	}
	o.change(func() { o.down = true })
	expect(t, v, request("Bearer eca_good"), rp.Demand{}, "", 503)
	expect(t, v, request("Bearer "+jwt), rp.Demand{Live: true}, "", 503)
	w := httptest.NewRecorder()
	v.Require(rp.Demand{}, nil).ServeHTTP(w, request("Bearer eca_good"))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "127.0.0.1") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// Whatever a stranger writes into the header is refused, and comes back in nothing.
func FuzzAuthorization(f *testing.F) {
	o := newOffice(f)
	v := o.verifier()
	good := o.token("aud", "urn:ecardid:resource:pension")
	for _, s := range []string{"", "Bearer", "Bearer " + good, "DPoP " + good, "Bearer a.b.c", "Basic eDp5", "Bearer eca_x", "bearer \x00", "Bearer " + good[:len(good)-2]} {
		f.Add(s, "")
	}
	f.Add("DPoP "+good, o.prove(newKey(f, jose.ES256, "proof"), good))
	unlikely := identity.NewID().String()
	f.Fuzz(func(t *testing.T, header, dpop string) {
		r := request("")
		r.Header["Authorization"], r.Header["Dpop"] = []string{header + unlikely}, []string{dpop + unlikely}
		token, err := v.Check(r, rp.Demand{})
		code, status := refusal(err)
		if err == nil || token.Subject+token.ClientID != "" || status != 400 && status != 401 {
			t.Fatalf("%q: %+v, %q %d", header, token, code, status)
		}
		w := httptest.NewRecorder()
		rp.Challenge(w, err)
		if w.Code != status || w.Header().Get("WWW-Authenticate") == "" || strings.Contains(w.Header().Get("WWW-Authenticate")+w.Body.String()+err.Error(), unlikely) {
			t.Fatalf("%q is answered with %d %v %s", header, w.Code, w.Header(), w.Body)
		}
	})
}

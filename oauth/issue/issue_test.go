package issue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// keys is a keyring of one moment.
type keys struct{ ring *jose.Ring }

func (k keys) Ring() *jose.Ring { return k.ring }

func (k keys) Signer(alg jose.Alg) (jose.Key, error) {
	key, ok := k.ring.Active(alg)
	if !ok {
		return jose.Key{}, fmt.Errorf("no key for %s", alg)
	}
	return key, nil
}

func newIssuer(t testing.TB, algs ...jose.Alg) *Issuer {
	t.Helper()
	var list []jose.RingKey
	for _, alg := range algs {
		key, err := jose.Generate(alg, "kid-"+string(alg))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, jose.RingKey{Key: key, State: jose.Active})
	}
	r, err := jose.NewRing(list)
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := oauth.NewSubjects(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &Issuer{Name: "https://id.example", Keys: keys{r}, Subjects: subjects}
}

func id(b byte) (id identity.ID) {
	copy(id[:], bytes.Repeat([]byte{b}, len(id)))
	return id
}

func client() *oauth.Client {
	return &oauth.Client{
		ID: "pension", RedirectURIs: []string{"https://rp.example/cb"}, Epoch: 3,
		AccessTokenSignedAlg: string(jose.ES256), IDTokenSignedAlg: string(jose.ES256),
	}
}

func grant() oauth.Grant {
	return oauth.Grant{
		ID: id(1), ClientID: "pension", Citizen: id(2), Login: id(3), Session: id(4),
		ACR: "urn:ecardid:acr:bound", AMR: []string{"pwd", "hwk", "mfa"}, AuthTime: noon.Add(-time.Minute),
		Expires: noon.Add(time.Hour),
	}
}

var (
	jkt = oauth.Binding{JKT: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
	x5t = oauth.Binding{X5T: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}
)

const details = `[{"type":"insurance_payment","amount":{"currency":"CNY","value":"12.50"},"payee":{"name":"Clinic"}}]`

// open verifies a token with the ring's keys and returns its header and claims.
func open(t testing.TB, i *Issuer, token string) (jose.Header, map[string]any) {
	t.Helper()
	parsed, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := parsed.Verify(i.Keys.Ring(), jose.ES256, jose.SM2)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	return verified.Header, claims
}

// golden compares claims with testdata, after taking out what is random.
func golden(t *testing.T, name string, claims map[string]any, random ...string) {
	t.Helper()
	for _, member := range random {
		if text, _ := claims[member].(string); text == "" {
			t.Errorf("%s has no %s", name, member)
		}
		claims[member] = "…"
	}
	got, err := json.MarshalIndent(claims, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is now\n%s", path, got)
	}
}

// One golden file for each kind of token.
func TestTokens(t *testing.T) {
	i := newIssuer(t, jose.ES256)
	scope, aud := []string{"openid", "insurance.pay"}, []string{"urn:ecardid:resource:insurance", "https://id.example"}
	for name, mint := range map[string]func() (string, error){
		"access_bearer": func() (string, error) { return i.Access(client(), grant(), scope, aud, oauth.Binding{}, noon) },
		"access_dpop":   func() (string, error) { return i.Access(client(), grant(), scope, aud, jkt, noon) },
		"access_mtls":   func() (string, error) { return i.Access(client(), grant(), scope, aud, x5t, noon) },
		"access_details": func() (string, error) {
			g := grant()
			g.Details = json.RawMessage(details)
			return i.Access(client(), g, scope, aud[:1], jkt, noon)
		},
		"access_exchanged": func() (string, error) {
			g := grant()
			g.Act, g.Expires = json.RawMessage(`{"sub":"hospital","act":{"sub":"gateway"}}`), noon.Add(90*time.Second)
			return i.Access(client(), g, scope[1:], aud[:1], x5t, noon)
		},
		"access_client": func() (string, error) {
			return i.Access(client(), oauth.Grant{}, []string{"card.status"}, []string{"urn:ecardid:resource:card"}, jkt, noon)
		},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := mint()
			if err != nil {
				t.Fatal(err)
			}
			header, claims := open(t, i, token)
			if header.Type != "at+jwt" || header.KeyID == "" {
				t.Errorf("header %+v", header)
			}
			read, err := i.ReadAccess(token, noon)
			if err != nil || read.ClientID != "pension" {
				t.Errorf("its own token: %+v %v", read, err)
			}
			golden(t, name, claims, "jti")
		})
	}
	for name, mint := range map[string]func() (string, error){
		"id": func() (string, error) {
			return i.ID(t.Context(), client(), grant(), "n-0S6_WzA2Mj", "access", nil, noon)
		},
		// What is asked for never takes the place of what we say.
		"id_asked": func() (string, error) {
			return i.ID(t.Context(), client(), grant(), "", "access", map[string]any{
				"name": "王小明", "phone_number_verified": true, "sub": "evil", "aud": "evil", "sid": "evil", "nonce": "evil",
			}, noon)
		},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := mint()
			if err != nil {
				t.Fatal(err)
			}
			header, claims := open(t, i, token)
			if header.Type != "JWT" {
				t.Errorf("header %+v", header)
			}
			golden(t, name, claims)
		})
	}
	t.Run("logout", func(t *testing.T) {
		token, err := i.LogoutToken(t.Context(), client(), oauth.Farewell{
			ID: id(9), ClientID: "pension", Citizen: id(2), Session: id(4), At: noon.Add(-time.Hour), Tries: 2,
		}, noon)
		if err != nil {
			t.Fatal(err)
		}
		header, claims := open(t, i, token)
		if header.Type != "logout+jwt" {
			t.Errorf("header %+v", header)
		}
		golden(t, "logout", claims)
	})
	t.Run("introspection", func(t *testing.T) {
		token, err := i.Introspection(t.Context(), client(), map[string]any{"active": true, "sub": "x"}, noon)
		if err != nil {
			t.Fatal(err)
		}
		header, claims := open(t, i, token)
		if header.Type != "token-introspection+jwt" {
			t.Errorf("header %+v", header)
		}
		golden(t, "introspection", claims)
	})
	t.Run("userinfo", func(t *testing.T) {
		c, facts := client(), map[string]any{"sub": "x", "name": "王小明"}
		c.UserInfoSignedAlg = string(jose.ES256)
		token, err := i.UserInfo(t.Context(), c, facts)
		if err != nil {
			t.Fatal(err)
		}
		header, claims := open(t, i, token)
		if header.Type != "" {
			t.Errorf("header %+v", header)
		}
		if len(facts) != 2 {
			t.Errorf("the caller's claims are now %v", facts)
		}
		golden(t, "userinfo", claims)
	})
}

// A client that is held to a key, or a grant that is bound, never gets a bearer
// token (SC3).
func TestAccessRefuses(t *testing.T) {
	i := newIssuer(t, jose.ES256)
	bound := func(set func(*oauth.Client, *oauth.Grant)) (*oauth.Client, oauth.Grant) {
		c, g := client(), grant()
		set(c, &g)
		return c, g
	}
	for name, row := range map[string]struct {
		set func(*oauth.Client, *oauth.Grant)
		by  oauth.Binding
	}{
		"dpop-client":             {func(c *oauth.Client, _ *oauth.Grant) { c.DPoPBound = true }, oauth.Binding{}},
		"dpop-client-certificate": {func(c *oauth.Client, _ *oauth.Grant) { c.DPoPBound = true }, x5t},
		"cert-client":             {func(c *oauth.Client, _ *oauth.Grant) { c.CertBound = true }, oauth.Binding{}},
		"cert-client-proof":       {func(c *oauth.Client, _ *oauth.Grant) { c.CertBound = true }, jkt},
		"bound-grant":             {func(_ *oauth.Client, g *oauth.Grant) { g.Binding = jkt }, oauth.Binding{}},
	} {
		c, g := bound(row.set)
		if token, err := i.Access(c, g, []string{"openid"}, []string{"aud"}, row.by, noon); err == nil || token != "" {
			t.Errorf("%s was given a token", name)
		}
	}
	if _, err := i.Access(client(), grant(), nil, nil, jkt, noon); err == nil {
		t.Error("no audience")
	}
}

// SM2 signs all of it for a client that wants that, with SM3 in at_hash.
func TestNational(t *testing.T) {
	i := newIssuer(t, jose.SM2)
	c := client()
	sm2 := string(jose.SM2)
	c.AccessTokenSignedAlg, c.IDTokenSignedAlg, c.UserInfoSignedAlg, c.IntrospectionSignedAlg = sm2, sm2, sm2, sm2
	if err := i.Ready(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	access, err1 := i.Access(c, grant(), []string{"openid"}, []string{i.Name}, jkt, noon)
	idToken, err2 := i.ID(t.Context(), c, grant(), "", access, nil, noon)
	info, err3 := i.UserInfo(t.Context(), c, map[string]any{"sub": "x"})
	answer, err4 := i.Introspection(t.Context(), c, map[string]any{"active": false}, noon)
	logout, err5 := i.LogoutToken(t.Context(), c, oauth.Farewell{ID: id(9), Citizen: id(2), Session: id(4)}, noon)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{access, idToken, info, answer, logout} {
		if header, _ := open(t, i, token); header.Alg != jose.SM2 {
			t.Errorf("alg %s", header.Alg)
		}
	}
	if _, claims := open(t, i, idToken); claims["at_hash"] != jose.HalfHash(jose.SM2, access) {
		t.Error("at_hash is not by SM3")
	}
	if _, err := i.ReadAccess(access, noon); err != nil {
		t.Error(err)
	}
}

// A session has another name at each client, and none where there is no session.
func TestSID(t *testing.T) {
	i := newIssuer(t, jose.ES256)
	a, b := client(), client()
	b.ID = "clinic" // of the same sector: the same sub
	if i.Subjects.Subject(a, id(2)) != i.Subjects.Subject(b, id(2)) {
		t.Fatal("two sectors")
	}
	sid := i.SID(a, id(4))
	if sid == i.SID(b, id(4)) || sid == i.SID(a, id(5)) {
		t.Error("sids can be joined")
	}
	if sid != i.SID(a, id(4)) {
		t.Error("a sid changes")
	}
	if i.SID(a, identity.ID{}) != "" {
		t.Error("a sid of no session")
	}
	// The labels keep a sid from being anybody's sub.
	if i.SID(a, id(2)) == i.Subjects.Subject(a, id(2)) {
		t.Error("sid is sub")
	}
}

// Hints say whom and which session, long after they have expired; other JWTs of ours
// are no ID tokens (G2, OI2).
func TestHints(t *testing.T) {
	i := newIssuer(t, jose.ES256)
	ctx, c, g := t.Context(), client(), grant()
	c.UserInfoSignedAlg = string(jose.ES256)
	good, err := i.ID(ctx, c, g, "", "", nil, noon.Add(-1000*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := Hint{ClientID: "pension", Subject: i.Subjects.Subject(c, g.Citizen), SID: i.SID(c, g.Session)}
	if hint, err := i.ReadHint(good, "pension"); err != nil || hint != want {
		t.Errorf("%+v %v", hint, err)
	}
	if hint, err := i.ReadLogoutHint(good); err != nil || hint != want {
		t.Errorf("%+v %v", hint, err)
	}
	if hint, err := i.ReadHint(good, "clinic"); !errors.Is(err, ErrToken) || hint != (Hint{}) {
		t.Errorf("another client's: %+v %v", hint, err)
	}
	access, err1 := i.Access(c, g, []string{"openid"}, []string{"pension"}, oauth.Binding{}, noon)
	info, err2 := i.UserInfo(ctx, c, map[string]any{"sub": "x"})
	logout, err3 := i.LogoutToken(ctx, c, oauth.Farewell{ID: id(9), Citizen: id(2)}, noon)
	answer, err4 := i.Introspection(ctx, c, map[string]any{"active": false}, noon)
	foreign, err5 := newIssuer(t, jose.ES256).ID(ctx, c, g, "", "", nil, noon)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"access-token": access, "userinfo": info, "logout-token": logout, "introspection": answer, "another-key": foreign,
		"unsigned": "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + ".", "empty": "", "encrypted": good + ".x.y",
		"cut": good[:len(good)-2], "other-claims": parts[0] + "." + strings.Split(access, ".")[1] + "." + parts[2],
	} {
		if hint, err := i.ReadLogoutHint(token); !errors.Is(err, ErrToken) || hint != (Hint{}) {
			t.Errorf("%s: %+v %v", name, hint, err)
		}
		if name == "access-token" {
			continue
		}
		if _, err := i.ReadAccess(token, noon); !errors.Is(err, ErrToken) {
			t.Errorf("%s as an access token: %v", name, err)
		}
	}
	if _, err := i.ReadAccess(good, noon); !errors.Is(err, ErrToken) {
		t.Errorf("an ID token as an access token: %v", err)
	}
}

// sealer stands for oauth/encrypt: its JWE can be read by anybody.
type sealer struct{ fail error }

func (s sealer) Ready(context.Context, *oauth.Client, string, string) error { return s.fail }

func (s sealer) Encrypt(_ context.Context, c *oauth.Client, alg, enc string, nested bool, plain []byte) (string, error) {
	return fmt.Sprintf("%s|%s|%s|%v|%s", c.ID, alg, enc, nested, plain), s.fail
}

// What is to be encrypted is encrypted or not made at all.
func TestEncrypted(t *testing.T) {
	ctx, c, g := t.Context(), client(), grant()
	c.IDTokenEncryptedAlg, c.IDTokenEncryptedEnc = "RSA-OAEP-256", "A256GCM"
	c.UserInfoEncryptedAlg, c.IntrospectionEncryptedAlg = "ECDH-ES", "ECDH-ES+A256KW"
	mint := func(i *Issuer) map[string]func() (string, error) {
		return map[string]func() (string, error){
			"pension|RSA-OAEP-256|A256GCM|true|ey": func() (string, error) { return i.ID(ctx, c, g, "", "", nil, noon) },
			"pension|RSA-OAEP-256|A256GCM|true|eyJ": func() (string, error) {
				return i.LogoutToken(ctx, c, oauth.Farewell{ID: id(9), Citizen: id(2)}, noon)
			},
			`pension|ECDH-ES||false|{"sub":"x"}`: func() (string, error) { return i.UserInfo(ctx, c, map[string]any{"sub": "x"}) },
			"pension|ECDH-ES+A256KW||true|ey":    func() (string, error) { return i.Introspection(ctx, c, map[string]any{}, noon) },
		}
	}
	i := newIssuer(t, jose.ES256)
	i.Encrypter = sealer{}
	if err := i.Ready(ctx, c); err != nil {
		t.Error(err)
	}
	for want, f := range mint(i) {
		if token, err := f(); err != nil || !strings.HasPrefix(token, want) {
			t.Errorf("%q %v, want %s", token, err, want)
		}
	}
	for name, e := range map[string]Encrypter{"none": nil, "failing": sealer{errors.New("no key")}} {
		i.Encrypter = e
		if i.Ready(ctx, c) == nil {
			t.Errorf("%s: ready", name)
		}
		for what, f := range mint(i) {
			if _, err := f(); err == nil {
				t.Errorf("%s: %s was made", name, what)
			}
		}
	}
}

// people tells everything it is asked.
type people struct{ calls int }

func (p *people) UserInfo(_ context.Context, token []byte, _ identity.ID, claims []string, _ time.Time, _ ...oauth.Once) (oauth.TokenInfo, oauth.Person, error) {
	p.calls++
	if token != nil || len(claims) != 2 {
		return oauth.TokenInfo{}, oauth.Person{}, identity.ErrNotFound
	}
	return oauth.TokenInfo{}, oauth.Person{Claims: map[string]any{"name": "王小明", "phone_number": "138"}}, nil
}

func TestAsked(t *testing.T) {
	p, g := &people{}, grant()
	if asked, err := Asked(t.Context(), p, g, noon); err != nil || asked != nil || p.calls != 0 {
		t.Errorf("%v %v after %d reads", asked, err, p.calls)
	}
	g.Claims.IDToken = []string{"name", "email"} // one of them is not known of this person
	asked, err := Asked(t.Context(), p, g, noon)
	if err != nil || len(asked) != 1 || asked["name"] != "王小明" {
		t.Errorf("%v %v", asked, err)
	}
	g.Claims.IDToken = []string{"name"}
	if _, err := Asked(t.Context(), p, g, noon); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("a dead grant: %v", err)
	}
}

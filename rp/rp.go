package rp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
)

// The levels of assurance, lowest first; each includes those below it.
const (
	Basic = "urn:ecardid:acr:basic" // one factor
	MFA   = "urn:ecardid:acr:mfa"   // two factors of different kinds
	Bound = "urn:ecardid:acr:bound" // that, with a key that lives on a registered device
	Live  = "urn:ecardid:acr:live"  // that, and a liveness check for the very transaction
)

// Config says whose tokens are taken, and for whom. Issuer and Audience are needed;
// the rest has defaults.
type Config struct {
	Issuer   string // as in the tokens, byte for byte
	Audience string // this resource, as the scope catalogue names it

	// Origin is where this API is reached from outside: what DPoP proofs are compared
	// with. Host and X-Forwarded headers are never asked. Empty: DPoP-bound tokens
	// are refused.
	Origin string
	// Certificate returns the certificate a request came with, for tokens bound to
	// one; nil takes it from the TLS connection.
	Certificate func(*http.Request) []byte

	// ClientID and ClientSecret introspect, by client_secret_basic. The client has to
	// be registered with this audience among its resources.
	ClientID     string
	ClientSecret string

	// Replay remembers DPoP proofs. Nil is a memory of this process: with several
	// replicas, share one.
	Replay Replay

	HTTP *http.Client     // to the issuer; nil: the default transport. Redirects are never followed.
	Now  func() time.Time // nil: time.Now
}

// A Demand is what a request has to bring. Its zero value is any good token.
type Demand struct {
	Scope  []string      // all of them
	ACR    string        // at least this level
	MaxAge time.Duration // since the citizen signed in; zero: whenever
	// Live asks the server whether the token is still good, also if it is a JWT.
	Live bool
}

// A Token is an access token that was verified.
type Token struct {
	Subject  string // the citizen as the client knows them; the client's own id in its own token
	ClientID string // who holds it
	Scope    []string
	ACR      string
	AMR      []string
	AuthTime time.Time // zero in a client's own token
	Expires  time.Time
	ID       string          // jti; empty for opaque tokens
	Details  json.RawMessage // authorization_details (RFC 9396)
	Actor    json.RawMessage // act: who acts for the subject (RFC 8693 §4.1)
	// JKT and X5T name the key the token is bound to and whose proof was checked.
	JKT string
	X5T string
}

// Has reports whether the token has the scope.
func (t Token) Has(scope string) bool { return slices.Contains(t.Scope, scope) }

// AtLeast reports whether the token's level includes acr. Names nobody knows are
// included in none.
func (t Token) AtLeast(acr string) bool {
	have, ok := identity.ParseACR(t.ACR)
	want, known := identity.ParseACR(acr)
	return ok && known && have >= want
}

// A Verifier checks tokens. Its methods are safe for concurrent use.
type Verifier struct {
	cfg  Config
	keys keys
}

// New makes a Verifier. It has spoken to nobody yet.
func New(c Config) (*Verifier, error) {
	switch {
	case !origin(c.Issuer):
		return nil, errors.New("rp: Issuer is not an https origin without a slash at its end")
	case c.Origin != "" && !origin(c.Origin):
		return nil, errors.New("rp: Origin is not an https origin without a slash at its end")
	case c.Audience == "":
		return nil, errors.New("rp: Audience is missing: a token for everybody is a token for nobody")
	case (c.ClientID == "") != (c.ClientSecret == ""):
		return nil, errors.New("rp: ClientID and ClientSecret go together")
	}
	ask := http.Client{}
	if c.HTTP != nil {
		ask = *c.HTTP
	}
	// What is asked with our secret, and who vouches for keys, stays with the issuer.
	ask.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.HTTP = &ask
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Replay == nil {
		c.Replay = &memory{}
	}
	if c.Certificate == nil {
		c.Certificate = connection
	}
	return &Verifier{cfg: c, keys: keys{issuer: c.Issuer, http: c.HTTP, now: c.Now}}, nil
}

// origin reports whether s is one, of https or of this machine.
func origin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != s {
		return false
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return u.Scheme == "https" || u.Scheme == "http"
	}
	return u.Scheme == "https"
}

type tokenKey struct{}

// Require lets through requests that meet the demand, with the token in their
// context, and answers the others.
func (v *Verifier) Require(d Demand, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := v.Check(r, d)
		if err != nil {
			Challenge(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, t)))
	})
}

// From returns the token that Require has checked.
func From(ctx context.Context) (Token, bool) {
	t, ok := ctx.Value(tokenKey{}).(Token)
	return t, ok
}

// Check verifies the access token of a request and holds it against the demand. A
// refusal is an *Error, for Challenge to answer with; another error means that it
// could not be found out, and the request is refused as well.
func (v *Verifier) Check(r *http.Request, d Demand) (Token, error) {
	scheme, raw, err := credentials(r)
	if err != nil {
		return Token{}, v.offering(err)
	}
	var t Token
	if strings.Count(raw, ".") == 2 {
		if t, err = v.verify(r.Context(), raw); err == nil && d.Live {
			t, err = v.introspect(r.Context(), raw)
		}
	} else {
		t, err = v.introspect(r.Context(), raw)
	}
	if err != nil {
		return Token{}, err
	}
	if err := v.bound(r, scheme, raw, t); err != nil {
		return Token{}, err
	}
	if err := v.meets(t, d); err != nil {
		return Token{}, err
	}
	return t, nil
}

// offering makes a challenge to somebody without a token name every scheme there is
// (RFC 9449 §7.1).
func (v *Verifier) offering(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Code == "" {
		e.offer = v.cfg.Origin != ""
	}
	return err
}

// meets holds a token against a demand. Scope comes first: stepping up does not help
// who may not have it.
func (v *Verifier) meets(t Token, d Demand) error {
	for _, s := range d.Scope {
		if !t.Has(s) {
			return &Error{Code: "insufficient_scope", Status: http.StatusForbidden, Scope: d.Scope, DPoP: t.JKT != ""}
		}
	}
	low := d.ACR != "" && !t.AtLeast(d.ACR)
	old := d.MaxAge > 0 && (t.AuthTime.IsZero() || v.cfg.Now().Sub(t.AuthTime) > d.MaxAge)
	if low || old {
		return &Error{
			Code: "insufficient_user_authentication", Status: http.StatusUnauthorized,
			Description: "A stronger or more recent sign-in is needed.", ACR: d.ACR, MaxAge: d.MaxAge, DPoP: t.JKT != "",
		}
	}
	return nil
}

// credentials reads the Authorization header (RFC 6750 §2.1, RFC 9449 §7.1). Tokens in
// URLs are refused rather than overlooked.
func credentials(r *http.Request) (scheme, token string, err error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return "", "", bad("The access token belongs in the Authorization header.")
	}
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return "", "", &Error{Status: http.StatusUnauthorized}
	case 1:
	default:
		return "", "", bad("There is more than one Authorization header.")
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if scheme = strings.ToLower(scheme); scheme != "bearer" && scheme != "dpop" {
		return "", "", &Error{Status: http.StatusUnauthorized} // not a token at all (RFC 6750 §3.1)
	}
	if !ok || token == "" || len(token) > maxToken || strings.Trim(token, tokenAlphabet) != "" {
		return "", "", bad("The Authorization header is malformed.")
	}
	return scheme, token, nil
}

const (
	maxToken      = 16 << 10
	tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._"
)

// claims are those of RFC 9068 and what introspection says, which have the same names.
type claims struct {
	jose.Standard
	Active   bool             `json:"active"`
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope"`
	AuthTime jose.NumericDate `json:"auth_time"`
	ACR      string           `json:"acr"`
	AMR      []string         `json:"amr"`
	Details  json.RawMessage  `json:"authorization_details"`
	Actor    json.RawMessage  `json:"act"`
	Bound    struct {
		JKT string `json:"jkt"`
		X5T string `json:"x5t#S256"`
	} `json:"cnf"`
}

func (c claims) token() Token {
	return Token{
		Subject: c.Subject, ClientID: c.ClientID, Scope: strings.Fields(c.Scope), ACR: c.ACR, AMR: c.AMR,
		AuthTime: c.AuthTime.Time, Expires: c.Expires.Time, ID: c.ID, Details: c.Details, Actor: c.Actor,
		JKT: c.Bound.JKT, X5T: c.Bound.X5T,
	}
}

// verify is RFC 9068 §4.
func (v *Verifier) verify(ctx context.Context, raw string) (Token, error) {
	parsed, err := jose.Parse(raw)
	if err != nil || !parsed.Header.Is("at+jwt") {
		return Token{}, invalid(err)
	}
	set, err := v.keys.find(ctx, parsed.Header.Alg, parsed.Header.KeyID)
	if err != nil {
		return Token{}, err
	}
	verified, err := parsed.Verify(set, jose.ES256, jose.PS256, jose.RS256, jose.SM2)
	if err != nil {
		return Token{}, invalid(err)
	}
	var c claims
	if c.Standard, err = verified.Standard(); err == nil {
		err = verified.Claims(&c)
	}
	switch {
	case err != nil:
	case c.Issuer != v.cfg.Issuer || !c.Audience.Contains(v.cfg.Audience) || c.Subject == "" || c.ClientID == "":
		err = errors.New("iss, aud, sub or client_id")
	default:
		err = c.Check(v.cfg.Now(), jose.Window{Leeway: leeway})
	}
	if err != nil {
		return Token{}, invalid(err)
	}
	return c.token(), nil
}

const leeway = 10 * time.Second // between two honest clocks

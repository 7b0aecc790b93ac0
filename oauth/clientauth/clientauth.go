package clientauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/clientkeys"
	"ecardid/oauth/dpop"
	"ecardid/oauth/framework"
	"ecardid/oauth/mtls"
	"ecardid/oauth/respond"
)

// Params are the parameters of client authentication; endpoints add their own.
func Params() []string {
	return []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}
}

// A Throttle slows guessing down. Key is canonical: client and source.
type Throttle interface {
	// Blocked reports whether a guess may not even be judged now.
	Blocked(key string, now time.Time) bool
	// Failed counts a wrong guess.
	Failed(key string, now time.Time)
}

// An Authenticator knows clients.
type Authenticator struct {
	Issuer   string
	Registry framework.Registry
	Secrets  oauth.Keyed
	Replay   oauth.Replay
	Keys     *clientkeys.Source
	DPoP     *dpop.Verifier
	MTLS     mtls.Config
	Throttle Throttle
	// Source names where a request comes from, as far as it can be trusted.
	Source func(*http.Request) string
	Clock  clock.Clock
}

// credentials are what a request shows, by one method.
type credentials struct {
	method    string
	id        string
	secret    secret.Value
	assertion string
}

// errGuess is what somebody without the credential can do: a wrong secret, a
// signature that does not verify. Whoever signs with the right key and is refused,
// for a replay or for a clock, guesses nothing and is not slowed down for it.
var errGuess = errors.New("guessed")

var errNoClient = errors.New("no such client")

// Authenticate is a fosite.ClientAuthenticationStrategy. form is the body of the
// request, read by package form.
func (a *Authenticator) Authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	cred, err := read(r, form)
	if err != nil {
		return nil, err
	}
	now := a.Clock.Now()
	client, err := a.Registry.Client(ctx, cred.id)
	if errors.Is(err, oauth.ErrLapsed) { // its redirects say the same to everybody
		return nil, fosite.ErrInvalidClient.WithHint("The admission of this client has run out.").WithWrap(err)
	}
	if errors.Is(err, identity.ErrNotFound) {
		return nil, refused(errNoClient)
	}
	if err != nil {
		return nil, fosite.ErrTemporarilyUnavailable.WithWrap(err)
	}
	if cred.method == oauth.AuthNone && byCertificate(client) {
		// A certificate on the connection is no method by itself: a client of another
		// method may bring one for its tokens to be bound to.
		cred.method = client.TokenEndpointAuthMethod
	}
	if client.TokenEndpointAuthMethod != cred.method {
		err := refused(fmt.Errorf("client %s: method %s is not the registered one", client.ID, cred.method))
		return nil, noted(err, client.ID, "another method than the registered one", cred.method)
	}
	if cred.method == oauth.AuthNone {
		return framework.Client{Client: client}, nil
	}
	key := client.ID + " " + a.Source(r)
	if a.Throttle.Blocked(key, now) {
		return nil, respond.SlowDown()
	}
	switch cred.method {
	case oauth.AuthBasic, oauth.AuthPost:
		if !client.CheckSecret(a.Secrets, cred.secret, now) {
			err = fmt.Errorf("%w: secret", errGuess)
		}
	case oauth.AuthPrivateKey:
		err = a.assertion(ctx, client, cred.assertion, now)
	case oauth.AuthTLS, oauth.AuthSelfSigned:
		err = a.certificate(ctx, r, client, now)
	default:
		err = fmt.Errorf("method %s", cred.method)
	}
	var wrong *fosite.RFC6749Error
	switch {
	case err == nil:
		return framework.Client{Client: client}, nil
	case errors.As(err, &wrong):
		return nil, err // ours, and no guess
	}
	if errors.Is(err, errGuess) {
		a.Throttle.Failed(key, now)
	}
	err = refused(fmt.Errorf("client %s: %w", client.ID, err))
	if errors.Is(err, clientkeys.ErrUnavailable) {
		return nil, err // it may well have been right
	}
	return nil, noted(err, client.ID, "authentication", cred.method)
}

// noted is a refusal that belongs in the trail.
func noted(err error, client, reason, method string) error {
	return oauth.Refuse(err, audit.ClientRefused, client, reason, map[string]string{"method": method})
}

// refused is one answer for whatever was wrong, the unknown client included.
func refused(cause error) error { return fosite.ErrInvalidClient.WithWrap(cause) }

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2

// read finds the one method of a request. Two are refused before either is
// looked at, and so are two ids.
func read(r *http.Request, form url.Values) (credentials, error) {
	id, assertion := form.Get("client_id"), form.Get("client_assertion")
	inBody, header := form.Get("client_secret"), r.Header.Values("Authorization")
	asserted := form.Has("client_assertion") || form.Get("client_assertion_type") != ""
	methods := len(header)
	if form.Has("client_secret") { // an empty one is one
		methods++
	}
	if asserted {
		methods++
	}
	switch {
	case methods > 1:
		return credentials{}, fosite.ErrInvalidRequest.WithHint("More than one method of client authentication is used.")
	case len(header) == 1:
		cred, err := basic(header[0])
		if err != nil {
			return credentials{}, refused(err)
		}
		if id != "" && id != cred.id {
			return credentials{}, refused(errors.New("two client ids"))
		}
		return cred, nil
	case asserted:
		if form.Get("client_assertion_type") != assertionType || assertion == "" {
			return credentials{}, fosite.ErrInvalidRequest.WithHint("client_assertion and client_assertion_type do not fit together.")
		}
		claimed, err := assertedID(assertion)
		if err != nil {
			return credentials{}, refused(err)
		}
		if id != "" && id != claimed {
			return credentials{}, refused(errors.New("two client ids"))
		}
		return credentials{method: oauth.AuthPrivateKey, id: claimed, assertion: assertion}, nil
	case id == "":
		return credentials{}, refused(errors.New("no client authentication"))
	case inBody != "":
		return credentials{method: oauth.AuthPost, id: id, secret: secret.Of(inBody)}, nil
	}
	return credentials{method: oauth.AuthNone, id: id}, nil
}

var errBasic = errors.New("malformed Authorization header")

// basic reads RFC 7617 credentials whose halves are form-encoded (RFC 6749
// §2.3.1). An empty half is no credential.
func basic(header string) (credentials, error) {
	scheme, encoded, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(encoded) > 4096 {
		return credentials{}, errBasic
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return credentials{}, errBasic
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return credentials{}, errBasic
	}
	id, err1 := url.QueryUnescape(user)
	text, err2 := url.QueryUnescape(password)
	if err1 != nil || err2 != nil || id == "" || text == "" || !utf8.ValidString(id) || !utf8.ValidString(text) {
		return credentials{}, errBasic
	}
	return credentials{method: oauth.AuthBasic, id: id, secret: secret.Of(text)}, nil
}

package framework

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/oauth"
)

type registry map[string]*oauth.Client

func (r registry) Client(_ context.Context, id string) (*oauth.Client, error) {
	if c, ok := r[id]; ok {
		return c, nil
	}
	return nil, identity.ErrNotFound
}

func request(values url.Values) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}, Form: values}
}

// Each default of fosite that is not our policy (SECURITY G10).
func TestDefaultsAreOverridden(t *testing.T) {
	client := &oauth.Client{
		ID: "rp", RedirectURIs: []string{"http://127.0.0.1/cb"}, ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		Scope: "openid card", TokenEndpointAuthMethod: oauth.AuthPrivateKey,
	}
	f := New(Parts{Registry: registry{"rp": client}})
	ctx := WithClient(t.Context(), Client{Client: client, Redirect: "http://127.0.0.1:80/cb"})
	ask := func(changes ...string) error {
		v := url.Values{"client_id": {"rp"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:80/cb"}, "scope": {"openid"}, "state": {"x"}}
		for i := 0; i < len(changes); i += 2 {
			v.Set(changes[i], changes[i+1])
		}
		_, err := f.NewAuthorizeRequest(ctx, request(v))
		return err
	}
	if err := ask(); err != nil { // a state of one character
		t.Error(err)
	}
	for name, c := range map[string]struct {
		changes []string
		want    error
	}{
		"scope-by-wildcard":     {[]string{"scope", "card.basic"}, fosite.ErrInvalidScope},
		"audience":              {[]string{"audience", "https://api.example"}, fosite.ErrInvalidRequest},
		"loopback-of-the-stock": {[]string{"redirect_uri", "http://127.0.0.1:81/cb#x"}, fosite.ErrInvalidRequest},
		"another-port-than-ours": {[]string{"redirect_uri", "http://127.0.0.1:81/other"},
			fosite.ErrInvalidRequest},
		"implicit":       {[]string{"response_type", "token"}, fosite.ErrUnsupportedResponseType},
		"fragment":       {[]string{"response_mode", "fragment"}, fosite.ErrUnsupportedResponseMode},
		"request-object": {[]string{"request", "eyJhbGciOiJub25lIn0.e30."}, fosite.ErrRequestNotSupported},
		"request-by-url": {[]string{"request_uri", "https://evil.example/"}, fosite.ErrRequestURINotSupported},
	} {
		if err := ask(c.changes...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// The stock client authentication, should anybody call it, lets nobody in.
	for _, form := range []url.Values{
		{"client_id": {"rp"}}, {"client_id": {"rp"}, "client_secret": {""}}, {"client_id": {"rp"}, "client_secret": {"x"}},
	} {
		if _, err := f.DefaultClientAuthenticationStrategy(t.Context(), request(form), form); err == nil {
			t.Errorf("%v was let in", form)
		}
	}
	if err := f.Store.ClientAssertionJWTValid(t.Context(), "jti"); err == nil {
		t.Error("stock assertions work")
	}
	if _, ok := f.Store.(fosite.PARStorage); ok {
		t.Error("fosite finds a store for its own PAR")
	}
	// A session keeps its type when it is cloned (notes §3.1, 13).
	if _, ok := (&Session{}).Clone().(*Session); !ok {
		t.Error("the session lost its type")
	}
}

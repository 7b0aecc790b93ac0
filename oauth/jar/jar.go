package jar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
	"ecardid/oauth/form"
)

// Keys knows the public keys of clients.
type Keys interface {
	// Verify checks a token against the keys of a client, looking for news of them
	// where its kid is not known.
	Verify(ctx context.Context, client *oauth.Client, token jose.Token, allowed ...jose.Alg) (jose.Verified, error)
}

// A Reader reads request objects for one server.
type Reader struct {
	Issuer string
	Keys   Keys
	Clock  clock.Clock
}

// Algs are the algorithms of request objects that a client may use without having
// registered one: those of client assertions (SECURITY CA2).
func Algs() []jose.Alg { return []jose.Alg{jose.ES256, jose.PS256, jose.EdDSA, jose.SM2} }

// allowed are the algorithms of this client. RS256 has to be registered, and is for
// the libraries that profile oidc is there for.
func allowed(c *oauth.Client) []jose.Alg {
	alg := jose.Alg(c.RequestObjectAlg)
	switch {
	case alg == "":
		return Algs()
	case slices.Contains(Algs(), alg), alg == jose.RS256 && c.Profile == oauth.ProfileOIDC:
		return []jose.Alg{alg}
	}
	return nil
}

func invalid(hint string, cause error) error {
	return fosite.ErrInvalidRequestObject.WithHint(hint).WithWrap(cause)
}

// Read verifies an object of this client and returns those of its parameters that
// are known. What fails returns nothing, and its error may be sent back.
func (r *Reader) Read(ctx context.Context, client *oauth.Client, object string, known form.Known) (url.Values, error) {
	token, err := jose.Parse(object)
	if err != nil {
		return nil, invalid("The request object is not a signed JWT we can read.", err)
	}
	// RFC 9101 §10.8: another type was signed for something else.
	if h := token.Header; h.Type != "" && !h.Is("JWT") && !h.Is("oauth-authz-req+jwt") {
		return nil, invalid("The typ of the request object is not oauth-authz-req+jwt.", nil)
	}
	verified, err := r.Keys.Verify(ctx, client, token, allowed(client)...)
	if err != nil {
		return nil, invalid("The request object is not signed with a key and an algorithm of this client.", err)
	}
	standard, err := verified.Standard()
	if err != nil {
		return nil, invalid("A claim of the request object has the wrong type.", err)
	}
	if err := r.check(client, standard, r.Clock.Now()); err != nil {
		return nil, err
	}
	var claims map[string]json.RawMessage
	if err := verified.Claims(&claims); err != nil {
		return nil, invalid("The request object cannot be read.", err)
	}
	return parameters(client, claims, known)
}

// check is RFC 9101 §6.3 and what FAPI 2.0 Message Signing §5.3.1 adds.
func (r *Reader) check(client *oauth.Client, s jose.Standard, now time.Time) error {
	switch {
	case s.Issuer != client.ID:
		return invalid("The iss of the request object is not the client.", nil)
	case !s.Audience.Contains(r.Issuer):
		return invalid("The aud of the request object is not this issuer.", nil)
	case s.Subject == client.ID:
		return invalid("The sub of a request object must not be the client: that is a client assertion (RFC 9101 section 10.8).", nil)
	case s.Expires.IsZero():
		return invalid("The request object has no exp.", nil)
	case s.NotBefore.IsZero() && client.Profile == oauth.ProfileFAPI2:
		return invalid("The request object has no nbf.", nil)
	case !s.NotBefore.IsZero() && now.Sub(s.NotBefore.Time) > maxOld+leeway:
		return invalid("The nbf of the request object is more than 60 minutes ago.", nil)
	}
	if err := s.Check(now, jose.Window{Leeway: leeway, MaxLife: maxAhead}); err != nil {
		return invalid("The request object is not valid now, or for more than 60 minutes.", err)
	}
	return nil
}

// parameters turns claims into the parameters they stand for (RFC 9101 §4).
func parameters(client *oauth.Client, claims map[string]json.RawMessage, known form.Known) (url.Values, error) {
	for _, name := range []string{"request", "request_uri"} {
		if _, inside := claims[name]; inside {
			return nil, invalid("There must be no "+name+" inside a request object.", nil)
		}
	}
	if id, ok := strictjson.Text(claims["client_id"]); !ok || id != client.ID {
		return nil, invalid("The client_id in the request object is not the client.", nil)
	}
	values := url.Values{}
	for name, raw := range claims {
		if !slices.Contains(known, name) {
			continue
		}
		all, err := texts(name, raw)
		if err != nil {
			return nil, invalid("The "+name+" in the request object has the wrong type.", err)
		}
		for _, text := range all {
			switch {
			case strings.ContainsRune(text, 0):
				return nil, invalid("The "+name+" in the request object has a null character.", nil)
			case text != "": // as in a form, empty is absent
				values.Add(name, text)
			}
		}
	}
	return values, nil
}

// texts is a claim as the text its parameter would have: a string as it is, a number
// and a structure as the JSON they are written in (RFC 9101 §4, RFC 9396 §3).
func texts(name string, raw json.RawMessage) ([]string, error) {
	if text, ok := strictjson.Text(raw); ok {
		return []string{text}, nil
	}
	kind := byte(0)
	if len(raw) > 0 {
		kind = raw[0]
	}
	switch {
	case name == "max_age" && kind >= '0' && kind <= '9',
		name == "claims" && kind == '{', name == "registration" && kind == '{',
		name == "authorization_details" && kind == '[':
		return []string{string(raw)}, nil
	case form.Repeated(name) && kind == '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || len(list) > maxResources {
			return nil, fmt.Errorf("a list of %d", len(list))
		}
		all := make([]string, len(list))
		for i, one := range list {
			text, ok := strictjson.Text(one)
			if !ok {
				return nil, fmt.Errorf("element %d is not a string", i)
			}
			all[i] = text
		}
		return all, nil
	}
	return nil, errors.New("neither a string nor what else it may be")
}

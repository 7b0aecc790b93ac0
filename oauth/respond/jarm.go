package respond

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"

	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/framework"
)

// responseLife is how long a signed answer may be on its way through a browser. The
// code inside lives for a minute; JARM §2.1 allows ten.
const responseLife = 5 * time.Minute

// A Signer is what signed answers need of the keyring.
type Signer interface {
	Signer(alg jose.Alg) (jose.Key, error)
}

// SignedModes are the response modes that answer with a JWT (JARM §2.3). There is no
// fragment.jwt: it is the default of response types we do not have.
func SignedModes() []string {
	return []string{oauth.ModeJWT, oauth.ModeQueryJWT, oauth.ModeFormPostJWT}
}

func signed(ar fosite.AuthorizeRequester) bool {
	return slices.Contains(SignedModes(), string(ar.GetResponseMode()))
}

// Ready reports whether the answer to ar could be written in its mode at this moment.
// It is asked before a code is issued for it.
func (m Modes) Ready(ar fosite.AuthorizeRequester) error {
	if !signed(ar) {
		return nil
	}
	if _, _, err := m.signer(ar); err != nil {
		return fosite.ErrTemporarilyUnavailable.WithWrap(err)
	}
	return nil
}

var errNotOurs = errors.New("respond: an answer to a client that is none of ours")

func (m Modes) signer(ar fosite.AuthorizeRequester) (jose.Key, string, error) {
	client, ok := ar.GetClient().(framework.Client)
	if !ok || client.Client == nil || m.Signer == nil || m.Clock == nil {
		return jose.Key{}, "", errNotOurs
	}
	key, err := m.Signer.Signer(jose.Alg(cmp.Or(client.AuthorizationSignedAlg, string(jose.ES256))))
	return key, client.ID, err
}

// sign packs an answer into a JWT for its client (JARM §2.1). The parameters are
// ours, so none of them can stand in for a claim.
func (m Modes) sign(ar fosite.AuthorizeRequester, params url.Values) (string, error) {
	key, audience, err := m.signer(ar)
	if err != nil {
		return "", err
	}
	claims := map[string]any{"aud": audience, "exp": jose.Date(m.Clock.Now().Add(responseLife))}
	for name := range params {
		claims[name] = params.Get(name) // iss is among them
	}
	token, err := jose.Sign(key, "JWT", claims)
	if err != nil {
		return "", fmt.Errorf("signing an authorization response: %w", err)
	}
	return token, nil
}

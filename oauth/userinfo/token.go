package userinfo

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"ecardid/oauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/form"
	"ecardid/oauth/mtls"
	"ecardid/oauth/respond"
)

// shown is an access token as it was presented.
type shown struct {
	scheme respond.Scheme
	token  string
	jkt    string // of the proof beside it; set by prove
	nonce  bool   // its proof had one of ours
}

// present takes the token from the header (RFC 6750 §2.1, RFC 9449 §7.1). In a form
// or a URL it is refused, also beside one in the header. The token is empty when
// there is none.
func present(w http.ResponseWriter, r *http.Request) (shown, error) {
	s := shown{scheme: respond.SchemeBearer}
	parameter := form.Known{"access_token"}
	if _, err := form.Query(r, nil); err != nil {
		return s, errWhere
	}
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		inBody, err := form.Post(w, r, parameter)
		if err != nil {
			return s, err
		}
		if inBody.Has("access_token") {
			return s, errWhere
		}
	}
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return s, nil
	case 1:
	default:
		return s, errHeader
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	switch {
	case !ok || !b64token(token):
		return s, errHeader
	case strings.EqualFold(scheme, string(respond.SchemeBearer)):
	case strings.EqualFold(scheme, string(respond.SchemeDPoP)):
		s.scheme = respond.SchemeDPoP
	default:
		return s, errHeader
	}
	s.token = token
	return s, nil
}

// b64token is RFC 6750 §2.1 without the padding we never write.
func b64token(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// prove checks the proof of a token under the DPoP scheme, before the one read that
// takes it along. Only tokens of ours come this far, so that nobody else can make us
// remember proofs. jkt is the key the token is known to be bound to; empty when that
// is still to be read.
func (h *Handler) prove(ctx context.Context, r *http.Request, s *shown, jkt string) error {
	if s.scheme != respond.SchemeDPoP {
		return nil
	}
	proof, err := h.Proofs.Verify(ctx, r, dpop.Expect{URL: h.Issuer.Name + Path, AccessToken: s.token, JKT: jkt})
	s.jkt, s.nonce = proof.JKT, proof.HasNonce
	return err
}

var (
	errScheme = errors.New("the scheme is not the one the token is for")
	errJKT    = errors.New("the proof is of another key")
	errX5T    = errors.New("the certificate is another one, or missing")
)

// fits compares what a token is bound to with how it came (SECURITY SC3).
func (h *Handler) fits(r *http.Request, s shown, bound oauth.Binding) error {
	switch {
	case (s.scheme == respond.SchemeDPoP) != (bound.JKT != ""):
		return respond.InvalidToken(errScheme)
	case s.jkt != bound.JKT:
		return respond.InvalidToken(errJKT)
	case bound.X5T == "":
		return nil
	}
	cert, err := h.Certificates.Certificate(r)
	switch {
	case err != nil:
		return err
	case cert == nil || mtls.Thumbprint(cert) != bound.X5T:
		return respond.InvalidToken(errX5T) // RFC 8705 §3
	}
	return nil
}

// fresh asks for a nonce of ours in the proof of a client that is held to it: whose
// the token is, is known only after the read.
func fresh(s shown, client *oauth.Client) error {
	if client.RequireNonce && s.scheme == respond.SchemeDPoP && !s.nonce {
		return dpop.UseNonce()
	}
	return nil
}

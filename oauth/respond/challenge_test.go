package respond

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/ory/fosite"

	"ecardid/oauth/dpop"
)

const dpopRealm, algs = `DPoP realm="https://id.example"`, `algs="ES256 PS256 EdDSA SGD_SM3_SM2"`

func TestChallenges(t *testing.T) {
	o := Writer{Issuer: "https://id.example", Log: slog.New(slog.DiscardHandler)}
	r := httptest.NewRequest(http.MethodGet, "/userinfo", nil)
	w := httptest.NewRecorder()
	o.Challenge(w)
	if got := w.Header().Values("WWW-Authenticate"); w.Code != 401 || w.Body.Len() > 0 || !slices.Equal(got, []string{`Bearer realm="https://id.example"`, dpopRealm + ", " + algs}) {
		t.Errorf("%d %q", w.Code, got)
	}
	for name, c := range map[string]struct {
		scheme Scheme
		err    error
		status int
		want   string
	}{
		"bearer": {SchemeBearer, InvalidToken(errors.New("x")), 401,
			`Bearer realm="https://id.example", error="invalid_token", error_description="The access token is expired, revoked, malformed or otherwise invalid."`},
		"dpop": {SchemeDPoP, InvalidToken(nil), 401,
			dpopRealm + `, error="invalid_token", error_description="The access token is expired, revoked, malformed or otherwise invalid.", ` + algs},
		// What is wrong with a proof is said in its scheme, whichever was used.
		"proof": {SchemeBearer, dpop.InvalidProof(`a "word"`), 401, dpopRealm + `, error="invalid_dpop_proof", error_description="a 'word'", ` + algs},
		"nonce": {SchemeDPoP, dpop.UseNonce(), 401,
			dpopRealm + `, error="use_dpop_nonce", error_description="The DPoP proof needs the nonce of the DPoP-Nonce header.", ` + algs},
		"scope": {SchemeBearer, InsufficientScope(), 403,
			`Bearer realm="https://id.example", error="insufficient_scope", error_description="The access token does not have the scope for this."`},
		"weak": {SchemeBearer, StepUp([]string{"urn:a", "urn:b"}, AnyAge), 401,
			`Bearer realm="https://id.example", error="insufficient_user_authentication", error_description="A different authentication level is required.", acr_values="urn:a urn:b"`},
		"old": {SchemeBearer, StepUp(nil, 5*time.Minute), 401,
			`Bearer realm="https://id.example", error="insufficient_user_authentication", error_description="A different authentication level is required.", max_age="300"`},
		"now": {SchemeDPoP, StepUp([]string{`urn:"`}, 0), 401,
			dpopRealm + `, error="insufficient_user_authentication", error_description="A different authentication level is required.", acr_values="urn:'", max_age="0", ` + algs},
		"fault":   {SchemeDPoP, errors.New("disk full"), 500, ""},
		"request": {SchemeBearer, fosite.ErrInvalidRequest.WithHint("Not so."), 400, `Bearer realm="https://id.example", error="invalid_request", error_description="Not so."`},
	} {
		w := httptest.NewRecorder()
		o.TokenError(w, r, c.scheme, c.err)
		if got := w.Header().Get("WWW-Authenticate"); w.Code != c.status || got != c.want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, w.Code, got)
		}
	}
}

package respond

import (
	"errors"
	"net/http"
	"strings"

	"ecardid/oauth/dpop"
)

// A Scheme is how an access token is presented to a resource.
type Scheme string

// The schemes (RFC 6750 §2.1, RFC 9449 §7.1). On the wire letter case does not
// matter.
const (
	SchemeBearer Scheme = "Bearer"
	SchemeDPoP   Scheme = "DPoP"
)

// Challenge asks for an access token, by either scheme. There is nothing to be wrong
// yet, so no error is named (RFC 6750 §3.1).
func (o Writer) Challenge(w http.ResponseWriter) {
	NoStore(w.Header())
	w.Header()["Www-Authenticate"] = []string{o.challenge(SchemeBearer), o.challenge(SchemeDPoP)}
	w.WriteHeader(http.StatusUnauthorized)
}

// TokenError answers whoever came with an access token, in the scheme that would have
// been right. What is wrong with a proof is 401 at a resource (RFC 9449 §7.1, §9) and
// not the 400 it is where tokens are made.
func (o Writer) TokenError(w http.ResponseWriter, r *http.Request, scheme Scheme, err error) {
	clean := Clean(err)
	switch clean.ErrorField {
	case dpop.CodeInvalidProof, dpop.CodeUseNonce:
		scheme, clean.CodeField = SchemeDPoP, http.StatusUnauthorized
	}
	note(r.Context(), o.Log, r.URL.Path, clean, err, "")
	o.noteError(r, err)
	if clean.CodeField >= http.StatusInternalServerError {
		w.Header().Set("Retry-After", "5")
	} else {
		params := []string{quoted("error", clean.ErrorField), quoted("error_description", clean.DescriptionField)}
		if weak := new(insufficient); errors.As(err, &weak) {
			params = append(params, weak.params()...)
		}
		w.Header().Set("WWW-Authenticate", o.challenge(scheme, params...))
	}
	o.body(w, clean.CodeField, clean.ErrorField, clean.DescriptionField)
}

func (o Writer) challenge(scheme Scheme, params ...string) string {
	all := append([]string{quoted("realm", o.Issuer)}, params...)
	if scheme == SchemeDPoP {
		var algs []string
		for _, alg := range dpop.Algs() {
			algs = append(algs, string(alg))
		}
		all = append(all, quoted("algs", strings.Join(algs, " ")))
	}
	return string(scheme) + " " + strings.Join(all, ", ")
}

// quoted is one parameter; plain leaves nothing that would need escaping.
func quoted(name, value string) string { return name + `="` + plain(value) + `"` }

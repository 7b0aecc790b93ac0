package respond

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"
)

// AnyAge is for a StepUp that asks for no age.
const AnyAge = time.Duration(-1)

// StepUp refuses an access token whose login was too weak or is too long ago (RFC
// 9470 §3). acr names what would do, best first; nil for a matter of age alone. The
// client takes both to the authorization endpoint as they stand.
func StepUp(acr []string, maxAge time.Duration) error {
	return &insufficient{acr: acr, maxAge: maxAge, rfc: &fosite.RFC6749Error{
		ErrorField: "insufficient_user_authentication", CodeField: http.StatusUnauthorized,
		DescriptionField: "A different authentication level is required.",
	}}
}

type insufficient struct {
	rfc    *fosite.RFC6749Error
	acr    []string
	maxAge time.Duration
}

func (e *insufficient) Error() string { return e.rfc.ErrorField }

func (e *insufficient) Unwrap() error { return e.rfc }

func (e *insufficient) params() []string {
	var params []string
	if len(e.acr) > 0 {
		params = append(params, quoted("acr_values", strings.Join(e.acr, " ")))
	}
	if e.maxAge >= 0 {
		params = append(params, quoted("max_age", strconv.FormatInt(int64(e.maxAge/time.Second), 10)))
	}
	return params
}

package rp

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An Error is a refusal, with all that its answer needs.
type Error struct {
	Code        string // RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3; empty: no token came at all
	Status      int
	Description string
	Scope       []string      // what was demanded
	ACR         string        // what was demanded
	MaxAge      time.Duration // what was demanded
	DPoP        bool          // answer with the DPoP scheme
	offer       bool          // answer with both
	cause       error
}

func (e *Error) Error() string {
	if e.Code == "" {
		return "rp: no access token"
	}
	return "rp: " + e.Code
}

// Unwrap returns what was wrong in particular; it is for logs.
func (e *Error) Unwrap() error { return e.cause }

func bad(description string) *Error {
	return &Error{Code: "invalid_request", Status: http.StatusBadRequest, Description: description}
}

func invalid(cause error) *Error {
	return &Error{
		Code: "invalid_token", Status: http.StatusUnauthorized, Description: "The access token is expired, revoked, malformed or not for this resource.", cause: cause,
	}
}

// Challenge answers a request that Check has refused. What is no *Error is 503: it is
// not known whether the token is good, so it is not taken.
func Challenge(w http.ResponseWriter, err error) {
	var e *Error
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if !errors.As(err, &e) {
		h.Set("Retry-After", "5")
		body(w, http.StatusServiceUnavailable, "temporarily_unavailable", "")
		return
	}
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, name+`="`+value+`"`)
		}
	}
	add("error", e.Code)
	add("error_description", e.Description)
	add("scope", strings.Join(e.Scope, " "))
	add("acr_values", e.ACR)
	if e.MaxAge > 0 {
		add("max_age", strconv.FormatInt(int64(e.MaxAge/time.Second), 10))
	}
	scheme := "Bearer"
	if e.DPoP {
		scheme = "DPoP"
		add("algs", algs())
	}
	h.Set("WWW-Authenticate", strings.TrimSpace(scheme+" "+strings.Join(params, ", ")))
	if e.offer {
		h.Add("WWW-Authenticate", `DPoP algs="`+algs()+`"`)
	}
	if e.Code == "" {
		w.WriteHeader(e.Status)
		return
	}
	body(w, e.Status, e.Code, e.Description)
}

func body(w http.ResponseWriter, status int, code, description string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // the connection is gone; so is whoever would hear of it
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{code, description})
}

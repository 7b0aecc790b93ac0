package authorize

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/form"
	"ecardid/oauth/respond"
	"ecardid/oauth/token"
)

const (
	maxState = 4096 // returned whole or refused; it has to fit a Location header
	maxNonce = 512  // it is kept with the grant and signed into the ID token
	maxHint  = 256  // login_hint
	maxAge   = 1 << 31
	maxTags  = 16 // of ui_locales and acr_values
)

// known are the parameters that are read; others are ignored (RFC 6749 §3.1).
func known() form.Known {
	return form.Known{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "prompt", "max_age", "acr_values", "claims",
		"id_token_hint", "login_hint", "ui_locales", "request", "request_uri", "registration",
	}
}

// prompts is the prompt parameter.
type prompts struct{ none, login, consent bool }

// asked is what the parameters ask for, beyond what fosite checks.
type asked struct {
	prompt    prompts
	maxAge    *time.Duration
	voluntary []string // acr values that would be welcome
	essential []string // acr values one of which must be reached; nil for none
	subject   string   // who must be logged in, by claims; empty for anybody
	hint      string
	locales   []string
	challenge string
	nonce     string
}

func invalid(hint string) error { return fosite.ErrInvalidRequest.WithHint(hint) }

// read checks the parameters that need no storage. Malformed ones are refused and
// never ignored (SECURITY OI1).
func read(values url.Values, client *oauth.Client) (asked, error) {
	a := asked{hint: values.Get("login_hint"), nonce: values.Get("nonce"), locales: tags(values.Get("ui_locales"))}
	switch {
	case len(values.Get("state")) > maxState:
		return asked{}, invalid("The parameter state is too long.")
	case len(a.nonce) > maxNonce:
		return asked{}, invalid("The parameter nonce is too long.")
	case len(a.hint) > maxHint:
		return asked{}, invalid("The parameter login_hint is too long.")
	}
	var err error
	if a.prompt, err = readPrompt(values.Get("prompt")); err != nil {
		return asked{}, err
	}
	if a.maxAge, err = readMaxAge(values.Get("max_age")); err != nil {
		return asked{}, err
	}
	if a.maxAge == nil && client.DefaultMaxAge != nil {
		d := time.Duration(*client.DefaultMaxAge) * time.Second
		a.maxAge = &d
	}
	a.voluntary = tags(values.Get("acr_values"))
	if len(a.voluntary) == 0 {
		a.voluntary = client.DefaultACRValues
	}
	if err := a.readClaims(values.Get("claims")); err != nil {
		return asked{}, err
	}
	if a.challenge, err = readChallenge(values, client); err != nil {
		return asked{}, err
	}
	return a, nil
}

// readPrompt is OpenID Connect Core §3.1.2.1. select_account is a login: it is
// where another account is chosen.
func readPrompt(s string) (prompts, error) {
	var p prompts
	if s == "" {
		return p, nil
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		if slices.Contains(words[:i], word) {
			return prompts{}, invalid("The parameter prompt names a value twice.")
		}
		switch word {
		case "none":
			p.none = true
		case "login", "select_account":
			p.login = true
		case "consent":
			p.consent = true
		default:
			return prompts{}, invalid("The parameter prompt has an unknown value.")
		}
	}
	if p.none && len(words) > 1 {
		return prompts{}, invalid("The prompt none excludes every other.")
	}
	return p, nil
}

// readMaxAge reads whole seconds; zero is an age like any other.
func readMaxAge(s string) (*time.Duration, error) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || s[0] == '+' || n >= maxAge {
		return nil, invalid("The parameter max_age is not a number of seconds.")
	}
	d := time.Duration(n) * time.Second
	return &d, nil
}

// tags splits a list of words. They are compared and never shown, so odd ones
// just match nothing.
func tags(s string) []string {
	words := strings.Fields(s)
	return words[:min(len(words), maxTags)]
}

// readChallenge is RFC 7636 §4.3 with S256 only (SECURITY CO1).
func readChallenge(values url.Values, client *oauth.Client) (string, error) {
	challenge, method := values.Get("code_challenge"), values.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return "", invalid("There is a code_challenge_method and no code_challenge.")
	case challenge == "" && token.PKCE(client):
		return "", invalid("The parameter code_challenge is missing: this client has to use PKCE.")
	case challenge == "":
		return "", nil
	case method != "S256":
		return "", invalid("The code_challenge_method must be S256.")
	case !token.IsChallenge(challenge):
		return "", invalid("The code_challenge is not the S256 of a verifier.")
	}
	return challenge, nil
}

// claimRequest is one member of the claims parameter (OpenID Connect Core §5.5.1).
type claimRequest struct {
	Essential bool  `json:"essential"`
	Value     any   `json:"value"`
	Values    []any `json:"values"`
}

// readClaims takes acr and sub out of the claims parameter (§5.5.1.1): the two by
// which a client says who must be there, and how surely. Which facts userinfo
// tells, scopes decide; a claim asked for one by one is voluntary (§5.5.1).
func (a *asked) readClaims(s string) error {
	if s == "" {
		return nil
	}
	bad := invalid("The parameter claims is malformed.")
	var doc map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader([]byte(s)))
	if err := dec.Decode(&doc); err != nil || doc == nil {
		return bad
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad
	}
	for _, part := range []string{"userinfo", "id_token"} {
		raw, ok := doc[part]
		if !ok {
			continue
		}
		var members map[string]*claimRequest
		if err := json.Unmarshal(raw, &members); err != nil || members == nil {
			return bad
		}
		if part == "userinfo" {
			continue
		}
		if sub := members["sub"]; sub != nil && sub.Value != nil {
			if a.subject, ok = sub.Value.(string); !ok || a.subject == "" {
				return bad
			}
		}
		if acr := members["acr"]; acr != nil {
			if err := a.readACR(*acr); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *asked) readACR(c claimRequest) error {
	if c.Value != nil {
		c.Values = append(c.Values, c.Value)
	}
	var names []string
	for _, v := range c.Values {
		name, ok := v.(string)
		if !ok {
			return invalid("The parameter claims asks for an acr that is not a string.")
		}
		names = append(names, name)
	}
	switch {
	case !c.Essential:
		a.voluntary = append(slices.Clone(a.voluntary), names...)
	case len(names) > 0:
		if !slices.ContainsFunc(names, func(n string) bool { _, ok := identity.ParseACR(n); return ok }) {
			return respond.Unmet()
		}
		a.essential = names
	}
	return nil
}

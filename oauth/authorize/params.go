package authorize

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
	"ecardid/oauth/form"
	"ecardid/oauth/rar"
	"ecardid/oauth/respond"
	"ecardid/oauth/token"
)

const (
	maxState = 4096 // returned whole or refused; it has to fit a Location header
	maxNonce = 512  // it is kept with the grant and signed into the ID token
	maxHint  = 256  // login_hint
	maxAge   = 1 << 31
	maxTags  = 16 // of ui_locales and acr_values

	maxClaims = 16 << 10 // the claims parameter; oauth/form takes no longer value
	maxDepth  = 16       // of its JSON, which has three levels (OpenID Connect Core §5.5)
)

// known are the parameters that are read; others are ignored (RFC 6749 §3.1).
func known() form.Known {
	return form.Known{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "prompt", "max_age", "acr_values", "claims",
		"id_token_hint", "login_hint", "ui_locales", "request", "request_uri", "registration",
		"resource", "dpop_jkt", "authorization_details",
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
	subjects  []string // one of whom must be logged in, by claims; nil for anybody
	hint      string
	locales   []string
	challenge string
	nonce     string
	jkt       string // the DPoP key the code is for (RFC 9449 §10)
	claims    oauth.ClaimNames
	details   rar.Details // read by the types there are, see validate
}

func invalid(hint string) *fosite.RFC6749Error { return fosite.ErrInvalidRequest.WithHint(hint) }

// read checks the parameters that need no storage. Malformed ones are refused and
// never ignored (SECURITY OI1).
func read(values url.Values, client *oauth.Client) (asked, error) {
	a := asked{
		hint: values.Get("login_hint"), nonce: values.Get("nonce"), jkt: values.Get("dpop_jkt"),
		locales: tags(values.Get("ui_locales")),
	}
	switch {
	case len(values.Get("state")) > maxState:
		return asked{}, invalid("The parameter state is too long.")
	case len(a.nonce) > maxNonce:
		return asked{}, invalid("The parameter nonce is too long.")
	case len(a.hint) > maxHint:
		return asked{}, invalid("The parameter login_hint is too long.")
	case a.jkt != "" && !token.IsChallenge(a.jkt): // the same shape: SHA-256 in base64url
		return asked{}, invalid("The parameter dpop_jkt is not a thumbprint of a key.")
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

// claimRequest is one member of the claims parameter (OpenID Connect Core §5.5.1), with
// the values asked for, value and values together.
type claimRequest struct {
	essential bool
	values    []json.RawMessage
}

// readRequest goes by the exact names: encoding/json would take ESSENTIAL as well, and
// what the next reader ignores must not mean anything here.
func readRequest(o strictjson.Object) (c claimRequest, ok bool) {
	if raw, given := o.Get("essential"); given {
		if s := string(raw); s != "true" && s != "false" {
			return claimRequest{}, false
		}
		c.essential = string(raw) == "true"
	}
	if raw, given := o.Get("values"); given {
		if json.Unmarshal(raw, &c.values) != nil || c.values == nil {
			return claimRequest{}, false
		}
	}
	if raw, given := o.Get("value"); given {
		c.values = append(c.values, raw)
	}
	return c, true
}

// names are the values as what acr and sub are: text with something in it.
func (c claimRequest) names() (names []string, ok bool) {
	for _, raw := range c.values {
		name, text := strictjson.Text(raw)
		if !text || name == "" {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// readClaims takes acr and sub out of the claims parameter (§5.5.1.1): the two by
// which a client says who must be there, and how surely. They mean the same in both
// parts, for there is one login. Of the others it notes the names, by where they are
// wanted; that one is essential changes nothing about who may know it (§5.5.1).
func (a *asked) readClaims(s string) error {
	if s == "" {
		return nil
	}
	bad := invalid("The parameter claims is malformed.")
	limits := strictjson.Limits{Bytes: maxClaims, Depth: maxDepth}
	doc, err := limits.Object([]byte(s))
	if err != nil {
		return bad
	}
	for _, part := range []struct {
		name  string
		names *[]string
	}{{"id_token", &a.claims.IDToken}, {"userinfo", &a.claims.UserInfo}} {
		raw, ok := doc.Get(part.name)
		if !ok {
			continue
		}
		members, err := limits.Object(raw)
		if err != nil {
			return bad
		}
		for _, m := range members {
			if err := a.readClaim(m, limits); err != nil {
				return err
			}
			if m.Name != "sub" && m.Name != "acr" {
				*part.names = append(*part.names, m.Name)
			}
		}
	}
	return nil
}

// readClaim reads one member, and all of them strictly: what is malformed is not
// what anybody meant (SECURITY OI1).
func (a *asked) readClaim(m strictjson.Member, limits strictjson.Limits) error {
	bad := invalid("The parameter claims is malformed.")
	if string(m.Value) == "null" {
		return nil // voluntary, in the short form of §5.5.1
	}
	o, err := limits.Object(m.Value)
	if err != nil {
		return bad
	}
	c, ok := readRequest(o)
	if !ok {
		return bad
	}
	if m.Name != "sub" && m.Name != "acr" {
		return nil
	}
	names, ok := c.names()
	if !ok {
		return bad
	}
	if m.Name == "acr" {
		return a.readACR(c.essential, names)
	}
	if len(names) == 0 {
		return nil // sub is in every ID token
	}
	if a.subjects != nil {
		names = slices.DeleteFunc(names, func(s string) bool { return !slices.Contains(a.subjects, s) })
	}
	if len(names) == 0 {
		return invalid("The parameter claims asks for two people at once.")
	}
	a.subjects = names
	return nil
}

func (a *asked) readACR(essential bool, names []string) error {
	switch {
	case !essential:
		a.voluntary = append(slices.Clone(a.voluntary), names...)
	case len(names) > 0:
		if a.essential != nil { // both parts insist
			names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(a.essential, n) })
		}
		if !slices.ContainsFunc(names, func(n string) bool { _, ok := identity.ParseACR(n); return ok }) {
			return respond.Unmet()
		}
		a.essential = names
	}
	return nil
}

package catalogue

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ecardid/identity"
	"ecardid/oauth"
)

//go:embed default.yaml
var shipped []byte

const maxFile = 256 << 10

// A Form is what an access token looks like.
type Form string

// The forms.
const (
	JWT    Form = "jwt"    // RFC 9068, verified by whoever gets it
	Opaque Form = "opaque" // asked back, so that a revocation is seen at once
)

// A Scope is one entry of the catalogue.
type Scope struct {
	Name     string            `yaml:"name"`
	ACR      string            `yaml:"acr"`
	Claims   []string          `yaml:"claims"`
	Resource string            `yaml:"resource"`
	Token    Form              `yaml:"token"`
	Once     bool              `yaml:"once"`
	Client   bool              `yaml:"client"`
	CoolOff  bool              `yaml:"cooloff"`
	Title    map[string]string `yaml:"title"`
	Purpose  map[string]string `yaml:"purpose"`

	level identity.Level
}

// Level is the least assurance the scope is given for.
func (s Scope) Level() identity.Level { return s.level }

// A Catalogue is all scopes there are, in the order of the file.
type Catalogue struct {
	scopes []Scope
	byName map[string]int
	claims map[string]map[string]string
}

// locales is what every text must exist in.
func locales() []string { return []string{"zh-CN", "en"} }

// Default is the catalogue inside the binary.
func Default() (*Catalogue, error) { return Parse(shipped) }

// Parse reads a catalogue. Unknown members, missing words and anything that does
// not fit together are errors: a scope that is half understood would be granted
// on half its conditions.
func Parse(file []byte) (*Catalogue, error) {
	if len(file) > maxFile {
		return nil, errors.New("scope catalogue: longer than 256 KiB")
	}
	var doc struct {
		Scopes []Scope                      `yaml:"scopes"`
		Claims map[string]map[string]string `yaml:"claims"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(file))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("scope catalogue: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("scope catalogue: more than one document")
	}
	c := &Catalogue{scopes: doc.Scopes, byName: map[string]int{}, claims: doc.Claims}
	for i := range c.scopes {
		s := &c.scopes[i]
		if err := c.check(s); err != nil {
			return nil, fmt.Errorf("scope catalogue: scope %d, %q: %w", i+1, s.Name, err)
		}
		c.byName[s.Name] = i
	}
	for name, words := range c.claims {
		if names, err := oauth.ParseScope(name); err != nil || len(names) != 1 {
			// Consents name scopes and claims side by side.
			return nil, fmt.Errorf("scope catalogue: claim %q: the name could not stand in a list", name)
		}
		if err := spoken(words); err != nil {
			return nil, fmt.Errorf("scope catalogue: claim %q: %w", name, err)
		}
	}
	if _, ok := c.byName[oauth.ScopeOpenID]; !ok {
		return nil, errors.New("scope catalogue: no openid")
	}
	return c, nil
}

func (c *Catalogue) check(s *Scope) error {
	if names, err := oauth.ParseScope(s.Name); err != nil || len(names) != 1 {
		return errors.New("the name is not a scope")
	}
	if _, claim := claimOf(s.Name); claim {
		return errors.New("the name is how consents name a claim")
	}
	if _, twice := c.byName[s.Name]; twice {
		return errors.New("is there twice")
	}
	if s.ACR != "" {
		level, ok := identity.ParseACR(s.ACR)
		if !ok {
			return fmt.Errorf("acr is none of %s", strings.Join(identity.ACRs(), ", "))
		}
		s.level = level
	}
	if s.Token != JWT && s.Token != Opaque {
		return errors.New("token is neither jwt nor opaque")
	}
	if s.Resource == "" && s.Token == JWT {
		return errors.New("a jwt is for a resource, and there is none")
	}
	if s.Resource != "" && (!strings.Contains(s.Resource, ":") || strings.ContainsAny(s.Resource, "# \"\\")) {
		return errors.New("resource is not an absolute URI (RFC 8707 §2)")
	}
	if s.Client && (s.Token != JWT || s.level > identity.LevelNone || len(s.Claims) > 0) {
		// What a client has for itself speaks of no citizen and hangs on no grant.
		return errors.New("a scope for clients themselves is a jwt without acr and claims")
	}
	for _, claim := range s.Claims {
		if c.claims[claim] == nil {
			return fmt.Errorf("claim %q has no words", claim)
		}
	}
	if err := spoken(s.Title); err != nil {
		return fmt.Errorf("title: %w", err)
	}
	if err := spoken(s.Purpose); err != nil {
		return fmt.Errorf("purpose: %w", err)
	}
	return nil
}

func spoken(words map[string]string) error {
	for _, l := range locales() {
		if strings.TrimSpace(words[l]) == "" {
			return fmt.Errorf("no words in %s", l)
		}
	}
	if len(words) != len(locales()) {
		return errors.New("words in a language there are no pages in")
	}
	return nil
}

// Scope looks one up.
func (c *Catalogue) Scope(name string) (Scope, bool) {
	i, ok := c.byName[name]
	if !ok {
		return Scope{}, false
	}
	return c.scopes[i], true
}

// Names lists all scopes in the order of the file.
func (c *Catalogue) Names() []string {
	names := make([]string, len(c.scopes))
	for i, s := range c.scopes {
		names[i] = s.Name
	}
	return names
}

// Unknown returns those of scopes that are not in the catalogue.
func (c *Catalogue) Unknown(scopes []string) []string {
	var unknown []string
	for _, name := range scopes {
		if _, ok := c.byName[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// Level is the least assurance that all of scopes together ask for.
func (c *Catalogue) Level(scopes []string) identity.Level {
	least := identity.LevelNone
	for _, name := range scopes {
		if s, ok := c.Scope(name); ok {
			least = max(least, s.level)
		}
	}
	return least
}

// CoolOff reports whether one of scopes is not given for a while after a phone was
// bound.
func (c *Catalogue) CoolOff(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(name string) bool {
		s, ok := c.Scope(name)
		return ok && s.CoolOff
	})
}

// Form is what an access token with these scopes looks like: opaque as soon as
// one of its resources must see a revocation at once, or when it is for nobody
// but ourselves.
func (c *Catalogue) Form(scopes []string) Form {
	form := Opaque
	for _, name := range scopes {
		s, ok := c.Scope(name)
		switch {
		case !ok || s.Resource != "" && s.Token == Opaque:
			return Opaque
		case s.Resource != "":
			form = JWT
		}
	}
	return form
}

// Audience is whom an access token with these scopes is for: the resources, and
// the issuer itself when there is openid (its userinfo) or nothing else. It is
// never empty (RFC 9068 §2.2).
func (c *Catalogue) Audience(issuer string, scopes []string) []string {
	var aud []string
	for _, name := range scopes {
		if s, ok := c.Scope(name); ok && s.Resource != "" && !slices.Contains(aud, s.Resource) {
			aud = append(aud, s.Resource)
		}
	}
	if len(aud) == 0 || slices.Contains(scopes, oauth.ScopeOpenID) {
		aud = append(aud, issuer)
	}
	return aud
}

// For returns those of scopes that are for one of resources.
func (c *Catalogue) For(scopes, resources []string) []string {
	var theirs []string
	for _, name := range scopes {
		if s, ok := c.Scope(name); ok && s.Resource != "" && slices.Contains(resources, s.Resource) {
			theirs = append(theirs, name)
		}
	}
	return theirs
}

// Carried returns what a refresh carries on: all but the scopes that are good
// once.
func (c *Catalogue) Carried(scopes []string) []string {
	var left []string
	for _, name := range scopes {
		if s, ok := c.Scope(name); ok && !s.Once {
			left = append(left, name)
		}
	}
	return left
}

// NotCarried lists the scopes there are that a client's refresh must leave
// behind: those good once, and those no longer under its ceiling.
func (c *Catalogue) NotCarried(client *oauth.Client) []string {
	var left []string
	for _, s := range c.scopes {
		if s.Once || !client.Allows(s.Name) {
			left = append(left, s.Name)
		}
	}
	return left
}

// Beyond lists the scopes there are that are not under a client's ceiling.
func (c *Catalogue) Beyond(client *oauth.Client) []string {
	return slices.DeleteFunc(c.Names(), func(s string) bool { return client.Allows(s) })
}

// Terms says, for each of scopes, what a citizen agrees to with it: whom the facts
// go to, which they are, and how sure the sign-in has to be. Another text is another
// consent (SECURITY CN1). A scope may be the item of a claim, see [ClaimItem].
func (c *Catalogue) Terms(scopes []string) []string {
	terms := make([]string, len(scopes))
	for i, name := range scopes {
		s, ok := c.Scope(name)
		if claim, is := claimOf(name); is {
			s.Claims = []string{claim}
			ok = c.claims[claim] != nil
		}
		if ok {
			terms[i] = strings.Join(append([]string{s.ACR, s.Resource}, slices.Sorted(slices.Values(s.Claims))...), " ")
		}
	}
	return terms
}

// Machine returns those of scopes that a client may have for itself.
func (c *Catalogue) Machine(scopes []string) []string {
	var own []string
	for _, name := range scopes {
		if s, ok := c.Scope(name); ok && s.Client {
			own = append(own, name)
		}
	}
	return own
}

// Claims lists the claims that scopes together allow.
func (c *Catalogue) Claims(scopes []string) []string {
	var claims []string
	for _, name := range scopes {
		if s, ok := c.Scope(name); ok {
			for _, claim := range s.Claims {
				if !slices.Contains(claims, claim) {
					claims = append(claims, claim)
				}
			}
		}
	}
	return claims
}

// View is the scope, or the item of a claim, in words.
func (c *Catalogue) View(name string) oauth.ScopeView {
	if claim, is := claimOf(name); is {
		return oauth.ScopeView{Name: name, Title: c.claims[claim]}
	}
	s, _ := c.Scope(name)
	v := oauth.ScopeView{Name: s.Name, Title: s.Title, Purpose: s.Purpose}
	for _, claim := range s.Claims {
		v.Claims = append(v.Claims, c.claims[claim])
	}
	return v
}

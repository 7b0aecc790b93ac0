package token

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"ecardid/oauth/catalogue"
	"ecardid/oauth/rar"
	"ecardid/oauth/respond"
)

const (
	maxTargets = 10  // of one request; the catalogue has a handful of resources
	maxTarget  = 512 // bytes of one
)

// Targets reads the resource parameter of a request (RFC 8707 §2): absolute URIs
// without a fragment, each once. Nil when there is none.
func Targets(values url.Values) ([]string, error) {
	asked := values["resource"]
	if len(asked) > maxTargets {
		return nil, respond.InvalidTarget()
	}
	var targets []string
	for _, text := range asked {
		u, err := url.Parse(text)
		if err != nil || len(text) > maxTarget || !u.IsAbs() || strings.Contains(text, "#") {
			return nil, respond.InvalidTarget()
		}
		if !slices.Contains(targets, text) {
			targets = append(targets, text)
		}
	}
	return targets, nil
}

// Terms is what grants have to know to tell what is for whom.
type Terms struct {
	Issuer    string
	Catalogue *catalogue.Catalogue
	Details   rar.Types
}

// A narrowing is what one token request wants its access token to be: all that was
// granted, or a part of it, by resource (RFC 8707 §2.2) and by authorization_details
// (RFC 9396 §6). ID tokens and refresh tokens come of the grant and are not narrowed.
type narrowing struct {
	Terms
	targets []string        // nil: all there are
	asked   json.RawMessage // nil: all there are
}

// narrowing reads the parameters. What can be wrong about them without looking at the
// grant is refused here, where nothing is spent.
func (t Terms) narrowing(req Request) (narrowing, error) {
	targets, err := Targets(req.Form)
	if err != nil {
		return narrowing{}, err
	}
	details, err := t.Details.Parse(req.Form.Get("authorization_details"), req.Client)
	if err != nil {
		return narrowing{}, err
	}
	n := narrowing{t, targets, details.JSON()}
	every := append(t.Catalogue.Audience(t.Issuer, t.Catalogue.Names()), t.Issuer)
	if len(within(targets, every)) < len(targets) {
		return narrowing{}, respond.InvalidTarget()
	}
	return n, nil
}

// plain reports whether all that was granted is wanted.
func (n narrowing) plain() bool { return n.targets == nil && n.asked == nil }

// beside lists the scopes there are that are not for the targets: what an access
// token for them has to be without. Those of no resource are for ourselves.
func (n narrowing) beside() []string {
	if n.targets == nil {
		return nil
	}
	return slices.DeleteFunc(n.Catalogue.Names(), func(name string) bool {
		s, _ := n.Catalogue.Scope(name)
		resource := s.Resource
		if resource == "" {
			resource = n.Issuer
		}
		return slices.Contains(n.targets, resource)
	})
}

// of fills in what an access token of a.Grant is for, when the grant has come down
// to `scope` and `details`.
func (n narrowing) of(a *Answer, scope []string, details json.RawMessage) error {
	g := a.Grant
	details, err := rar.Subset(details, n.asked)
	if err != nil {
		return err
	}
	// An opaque token shows the details of its grant: fewer is more than it can say.
	if g.Opaque && !bytes.Equal(details, g.Details) {
		return rar.Invalid("The details of this grant are taken together or not at all.")
	}
	audience := n.targets
	if audience == nil {
		of := n.Catalogue.Audience(n.Issuer, scope)
		audience = slices.DeleteFunc(slices.Clone(g.Resource), func(r string) bool {
			some, err := n.Details.For(details, []string{r})
			return err == nil && some == nil && !slices.Contains(of, r)
		})
	} else {
		scope = without(n.Catalogue, scope, n.beside())
	}
	if details, err = n.Details.For(details, audience); err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	if len(audience) == 0 || len(within(audience, g.Resource)) < len(audience) || len(scope) == 0 && details == nil {
		return respond.InvalidTarget()
	}
	a.Scope, a.Audience, a.Grant.Details = scope, audience, details
	return nil
}

// within returns those of some that are among all.
func within(some, all []string) []string {
	return slices.DeleteFunc(slices.Clone(some), func(s string) bool { return !slices.Contains(all, s) })
}

// without drops the scopes in gone, and those taken out of the catalogue since.
func without(cat *catalogue.Catalogue, scope, gone []string) []string {
	gone = slices.Concat(cat.Unknown(scope), gone)
	return slices.DeleteFunc(slices.Clone(scope), func(s string) bool { return slices.Contains(gone, s) })
}

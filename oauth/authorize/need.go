package authorize

import (
	"slices"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
)

// need is what a request that arrived at created asks of a login now. The level
// is the highest of what the scopes demand, the client was admitted with, the
// house asks of everybody, and the parameters ask for: of the voluntary values the
// first we know, since they come in order of preference (OpenID Connect Core
// §3.1.2.1), of the essential ones the lowest that will do. Voluntary values of
// which we know none change nothing.
//
// An age is measured when the answer is given, not when the question came: whoever
// leaves the consent page open is asked again. A login for this very request is
// young enough, however slow the citizen is, or max_age=0 would never end.
func need(a asked, client *oauth.Client, scope []string, cat *catalogue.Catalogue, floor identity.Level, created, now time.Time) identity.Need {
	n := identity.Need{Level: max(floor, cat.Level(scope), identity.LevelBasic), Hint: a.hint}
	if least, ok := identity.ParseACR(client.MinACR); ok {
		n.Level = max(n.Level, least)
	}
	for _, name := range a.voluntary {
		if level, ok := identity.ParseACR(name); ok {
			n.Level = max(n.Level, level)
			break
		}
	}
	lowest := identity.LevelNone
	for _, name := range a.essential {
		if level, ok := identity.ParseACR(name); ok && (lowest == identity.LevelNone || level < lowest) {
			lowest = level
		}
	}
	n.Level = max(n.Level, lowest)
	if a.maxAge != nil {
		n.Since = now.Add(-*a.maxAge)
		if n.Since.After(created) {
			n.Since = created
		}
	}
	if a.prompt.login {
		n.Since = created
	}
	return n
}

// acr names the level reached for the token. A client that insists on one of some
// names gets the surest of them that is true: each rung includes those below.
func acr(reached identity.Level, essential []string) string {
	if len(essential) == 0 || slices.Contains(essential, reached.ACR()) {
		return reached.ACR()
	}
	for level := reached; level >= identity.LevelBasic; level-- {
		if slices.Contains(essential, level.ACR()) {
			return level.ACR()
		}
	}
	return reached.ACR()
}

// A standing is how the browser's login looks in the light of a request.
type standing int

const (
	met      standing = iota
	nobody            // not logged in
	stale             // sure enough, but too long ago
	low               // not sure enough
	stranger          // somebody else than the client means
	outsider          // nobody the client is tested with
)

// weigh decides. subject is the login's sub at this client, wanted whom the client
// means, if it said so: any of them will do.
func weigh(login *identity.Login, n identity.Need, subject string, wanted []string, now time.Time) standing {
	switch {
	case login == nil:
		return nobody
	case wanted != nil && !slices.Contains(wanted, subject):
		return stranger
	case login.Meets(n, now):
		return met
	}
	ever := n
	ever.Since = time.Time{}
	if login.Meets(ever, now) {
		return stale
	}
	return low
}

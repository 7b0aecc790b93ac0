package catalogue

import (
	"slices"
	"strings"

	"ecardid/identity"
	"ecardid/oauth"
)

const claimPrefix = "claim:"

// ClaimItem names, among the scopes of a consent, a claim that was asked for by
// itself (OpenID Connect Core §5.5). No scope is called so.
func ClaimItem(claim string) string { return claimPrefix + claim }

// claimOf returns the claim that an item names.
func claimOf(item string) (claim string, ok bool) { return strings.CutPrefix(item, claimPrefix) }

// Askable returns those of claims that a client may ask for by themselves: the ones
// that a scope under its ceiling gives. Asking for a fact by its name is another way
// of asking and never a way to more.
func (c *Catalogue) Askable(client *oauth.Client, claims []string) []string {
	var may []string
	for _, claim := range claims {
		if _, ok := c.cheapest(client, claim); ok && !slices.Contains(may, claim) {
			may = append(may, claim)
		}
	}
	return may
}

// ClaimLevel is the least assurance that claims ask for when a client asks for them
// by themselves: of each, what the least of its scopes that give it asks for.
func (c *Catalogue) ClaimLevel(client *oauth.Client, claims []string) identity.Level {
	least := identity.LevelNone
	for _, claim := range claims {
		if level, ok := c.cheapest(client, claim); ok {
			least = max(least, level)
		}
	}
	return least
}

// cheapest is the least level of the client's scopes that give the claim.
func (c *Catalogue) cheapest(client *oauth.Client, claim string) (least identity.Level, found bool) {
	for _, name := range client.Scopes() {
		s, ok := c.Scope(name)
		if !ok || !slices.Contains(s.Claims, claim) {
			continue
		}
		if !found || s.level < least {
			least = s.level
		}
		found = true
	}
	return least, found
}

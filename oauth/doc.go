// Package oauth is what an application may know of a citizen who agreed: OAuth
// 2.1 and OpenID Connect Core 1.0. This package holds the nouns (Client, Grant,
// Consent), what the rooms below it ask of others (Store, Logins, Pages), and
// the pure rules everybody shares: how redirect URIs compare, what a scope
// string is, how a subject is named, what a registration must look like.
//
//	catalogue   the scopes: minimum acr, claims, resource, token form, texts
//	registry    clients in memory
//	keyring     our signing keys: loaded, rotated, swapped
//	form        strangers' form parameters, read strictly
//	framework   fosite, with every default of it that we override
//	clientauth  which client is calling
//	respond     errors and answers: page, redirect or JSON
//	issue       tokens made and read back
//	authorize   /authorize and /consent
//	token       /token, one file per grant
//	introspect  /introspect (RFC 7662)
//	revoke      /revoke (RFC 7009)
//	userinfo    /userinfo (OpenID Connect Core §5.3)
//	register    /register, for applications that register themselves (RFC 7591, RFC 7592)
//	discovery   the two metadata documents, /jwks and /sm2-jwks
//	provider    introduces the rooms to each other and lists the routes
//
// fosite is the framework and not the handlers (decision D1): it parses and
// dispatches, the grants are ours. It is imported below this directory and
// nowhere else, and not by this package, so that storage can know the nouns
// without knowing fosite.
//
// Who the citizen is, authn knows; the two meet in identity and in Logins.
package oauth

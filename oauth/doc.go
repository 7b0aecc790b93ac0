// Package oauth is what an application may know of a citizen who agreed: OAuth
// 2.1 and OpenID Connect Core 1.0. This package holds the nouns (Client, Grant,
// Consent), what the rooms below it ask of others (Store, Logins, Pages), and
// the pure rules everybody shares: how redirect URIs compare, what a scope
// string is, how a subject is named, what a registration must look like, how a
// client gets from draft to live (Transition), and who is served for it meanwhile.
//
//	catalogue   the scopes: minimum acr, claims, resource, token form, texts
//	registry    clients in memory
//	keyring     our signing keys: loaded, rotated, swapped
//	form        strangers' form parameters, read strictly
//	framework   fosite, with every default of it that we override
//	clientauth  which client is calling, and which key its tokens are bound to
//	clientkeys  the keys a client registered, inline or by jwks_uri
//	dpop        proofs of possession (RFC 9449)
//	mtls        certificates, of the connection or a trusted proxy (RFC 8705)
//	jar         signed request objects (RFC 9101)
//	rar         authorization_details, type by type (RFC 9396)
//	respond     errors and answers: page, redirect or JSON
//	issue       tokens made and read back
//	encrypt     answers encrypted to a client (RFC 7516)
//	authorize   /authorize, /par and /consent
//	devicegrant /device-authorization and /connect (RFC 8628)
//	token       /token, one file per grant
//	introspect  /introspect (RFC 7662)
//	revoke      /revoke (RFC 7009)
//	userinfo    /userinfo (OpenID Connect Core §5.3)
//	logout      /end-session, and relying parties told of ended sessions
//	caller      which client calls a resource of ours, by a token of its own
//	signals     relying parties told what happens to citizens (Shared Signals 1.0)
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

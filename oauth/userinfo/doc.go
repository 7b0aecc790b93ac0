// Package userinfo serves GET and POST /userinfo (OpenID Connect Core §5.3): what
// the scopes of an access token allow to be said about its citizen, with the claims
// asked for one by one, and nothing else is unsealed for a JWT. The answer is JSON,
// or a JWT where the client has registered for one (§5.3.2).
//
// Tokens come in the Authorization header only (SECURITY TK4), by the scheme they
// are for: a token bound to a DPoP key with a proof (RFC 9449 §7), one bound to a
// certificate over a connection with it (RFC 8705 §3), and only an unbound one as it
// is (SECURITY SC3). Both forms are asked about in storage, so a revocation shows at
// once; the proof is used up by the same statement.
package userinfo

// Package userinfo serves GET and POST /userinfo (OpenID Connect Core §5.3): what
// the scopes of an access token allow to be said about its citizen, and nothing
// else is unsealed for a JWT. Tokens come in the Authorization header only
// (SECURITY TK4); both forms are asked about in storage, so a revocation shows at
// once.
package userinfo

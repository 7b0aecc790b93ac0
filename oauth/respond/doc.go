// Package respond is the one place where an answer gets its shape. An error that
// may be sent back to the application becomes a redirect with iss (RFC 9207) or
// JSON; one that may not, because the redirect URI is not trusted, becomes a page
// (RFC 6749 §4.1.2.1). An error we do not recognise becomes server_error, tells
// the world nothing and the log everything (SECURITY DP2, XH1).
//
// The answers of the authorization endpoint go out in every response mode from here,
// signed ones (JARM) included; what cannot be signed is not said at all.
//
// The errors are fosite's; this package adds the few that it lacks.
package respond

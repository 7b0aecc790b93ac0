// Package clientauth finds out which client is calling (RFC 6749 §2.3, OpenID
// Connect Core §9), the same way at every endpoint: exactly one method, and that
// the one registered (SECURITY CA1).
//
// Clients come from memory and secrets are compared as keyed hashes, so knowing a
// client costs no statement; only private_key_jwt writes one row, the replay key,
// after everything else has been found right (CA2). Mutual TLS has its place in
// Authenticate's switch. Assertions are checked with registered keys; key sets
// behind a jwks_uri are not fetched yet, and such clients are not admitted.
package clientauth

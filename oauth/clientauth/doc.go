// Package clientauth finds out which client is calling (RFC 6749 §2.3, OpenID
// Connect Core §9), the same way at every endpoint: exactly one method, and that
// the one registered (SECURITY CA1). After that it says what the tokens of the
// request are bound to, by [Authenticator.Binding]: the key of a DPoP proof (RFC
// 9449), the certificate of the connection (RFC 8705), or nothing.
//
// Clients come from memory and secrets are compared as keyed hashes, so knowing a
// client costs no statement. The jti of an assertion goes into the request's ledger
// after everything else was found right (CA2), to be recorded by the statement that
// does the request's work; a request without a ledger spends it here.
//
// Keys of clients are oauth/clientkeys' to find, certificates oauth/mtls' to read,
// proofs oauth/dpop's.
package clientauth

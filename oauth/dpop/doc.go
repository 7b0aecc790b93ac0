// Package dpop verifies DPoP proofs (RFC 9449): that whoever sends this request
// holds a private key, and which. Everything §4.3 asks for is asked at every
// endpoint by the one [Verifier.Verify]; what the key is then good for (the code,
// the token, the refresh token it is bound to) its callers know, who get its
// thumbprint.
//
// A proof is good once. What makes it so goes into the request's oauth.Ledger and
// is recorded by the statement that does the request's work; a request without a
// ledger spends it here.
//
// htu is compared with the origins in our configuration and never with what the
// request says its host is (SECURITY SC2). Nonces (§8) are kept nowhere: they are a
// keyed hash of the time.
//
// Clients are authenticated by oauth/clientauth, which also says who must send a
// proof. Signatures and keys are read by internal/jose.
package dpop

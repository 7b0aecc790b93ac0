// Package proof reads DPoP proofs (RFC 9449 §4): it is what an authorization server
// and a resource server have in common. Which endpoint was called, which key will do,
// nonces and what was shown before are its callers' business (oauth/dpop, rp).
//
// Nothing in a proof says who may trust it: the key comes with it. A proof shows that
// its sender holds that key, and for which request.
package proof

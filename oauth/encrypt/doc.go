// Package encrypt hides answers from all but the client they are for: ID tokens,
// userinfo and introspection as JWE in compact form (RFC 7516 §7.1), with those
// algorithms of RFC 7518 that clients may register (oauth.EncryptionAlgs and
// EncryptionEncs). Signing comes first and is issue's;
// what is signed goes in whole, with cty JWT (RFC 7519 §5.2).
//
// The keys are the client's, from its jwks or jwks_uri, by way of whoever has them
// (oauth/clientkeys). They are read here and not by internal/jose, whose keys verify
// signatures and nothing else. Nothing here decrypts.
//
// It fails closed: an answer that cannot be encrypted is not sent.
package encrypt
